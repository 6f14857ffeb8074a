"""``python -m sandbox replay``: what it says of the callers in logs."""

import gzip
import json
import os
import subprocess
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import stock_commands
import yaml
from helpers import POLICIES, REVOKE, ROOT
from records import (
    ACCOUNT,
    CHINA,
    OTHER,
    ROOT_USER,
    SERVICE,
    federated,
    lines,
    record,
    role,
    user,
    without,
    written,
)

from sandbox.__main__ import main
from sandbox.cloudtrail import records
from sandbox.commands import guard, replay
from sandbox.commands.calls import Calls

COLUMNS = ["account", "caller", "type", "calls", "delivered", "decision", "how", "why"]
#: Settings of a user that must not matter: 192.0.2.1 answers nobody.
FOREIGN = {
    "AWS_ENDPOINT_URL": "http://192.0.2.1:9",
    "AWS_PROFILE": "no-such-profile",
    "AWS_DEFAULT_PROFILE": "no-such-profile",
    "AWS_ACCESS_KEY_ID": "AKIAOFTHEUSER",
    "AWS_CONFIG_FILE": __file__,
    "HTTP_PROXY": "http://192.0.2.1:9",
    "http_proxy": "http://192.0.2.1:9",
}

# Decisions


def masked(identity):
    """A userIdentity whose unique ids somebody has masked."""
    unique_id = identity["principalId"].partition(":")[0]
    return json.loads(json.dumps(identity).replace(unique_id, "AIDA****"))


SSO, SSO_PATH = "AWSReservedSSO_Operators_0123456789abcdef", "/aws-reserved/sso.amazonaws.com/eu-west-1/"
FORGED = {**records.envelope(record(user("forged"))), "source": "my.application"}
FIRST = [
    record(user("alice")),
    record(user("bob")),
    record(user("bob"), "DeleteUser", error=("AccessDenied", "no")),
    record(user("bob"), "ListUsers"),
    record(user("bob"), "RunInstances", "ec2"),
    record(user("paul", path="/team/data/"), "MakeItSo"),
    {**record(user("reader"), "GetUser"), "readOnly": False},
    without(record(user("reader"), "DescribeSomething"), "readOnly"),
    {**record(without(user("past"), "principalId")), "eventTime": "2019-01-05T10:00:00Z"},
    record(ROOT_USER),
    record(SERVICE),
    without(record({}), "userIdentity"),
    record("nobody"),
    record(masked(user("grey"))),
    record(user("nowhere", "XXXXXXXXXXXX")),
    record(user("guest", OTHER)),
    record(user("guest", OTHER), "GetUser"),
    {**records.envelope(record(user("sent"))), "account": "999999999999"},
    record({"type": "IAMUser", "userName": "half-known"}),
    without(record(user("old")), "recipientAccountId", "eventTime", "awsRegion"),
    record(role("pipeline", path="/a/", unique_id="AROAPIPELINE")),
    record(role(SSO, path=SSO_PATH, unique_id="AROASSO")),
    record(masked(role("veiled"))),
    record({**role("half-veiled"), "principalId": "AROA****:ci"}),
    *(record(role(name, unique_id="AROAEXAMPLE")) for name in ("iam-guard", "app", "twin")),
]
LOGS = {
    "first.json.gz": gzip.compress(json.dumps({"Records": FIRST}).encode()),
    "second.json": json.dumps({"Records": [record(user("alice", OTHER), account=OTHER)]}),
    "china.json": json.dumps(record(user("li", CHINA, partition="aws-cn"), account=CHINA)),
    "events.jsonl": lines([records.envelope(record(federated("fred"))), FORGED, {**FORGED, "detail": None}]),
}
READS = ("not-delivered", None, "reads alone")
MANAGED = ("revoked", "managed", "in no admin group")
MEANT = ("let-pass", None, "in admin group admins")
NOT_LISTED = ("AssumedRole", 1, 1, "would-revoke", None, "not on the list of admin roles")
LISTED = ("AssumedRole", 1, 1, "let-pass", None)
NO_OBJECT = "unreadable: userIdentity is no JSON object but"
NO_ARN = "unreadable: userIdentity.arn is not the ARN of an IAM user"
GUEST = f"unreadable: the caller is of account {OTHER}, and the call was made in {ACCOUNT}"
ROWS = {
    "an admin, named in another case": (ACCOUNT, "alice", "IAMUser", 1, 1, *MEANT),
    "writes and a failed call, not the read": (ACCOUNT, "bob", "IAMUser", 3, 2, *MANAGED),
    "a user with a path, a call of any name": (ACCOUNT, "paul", "IAMUser", 1, 1, *MANAGED),
    "a federated session of a user": (ACCOUNT, "fred", "FederatedUser", 1, 1, *MANAGED),
    "a record of an early version": (ACCOUNT, "old", "IAMUser", 1, 1, *MANAGED),
    "a call of long ago, without the user's id": (ACCOUNT, "past", "IAMUser", 1, 1, *MANAGED),
    "a user whose id is masked": (ACCOUNT, "grey", "IAMUser", 1, 1, *MANAGED),
    "a user whose account is masked": (ACCOUNT, "nowhere", "IAMUser", 1, 1, *MANAGED),
    "an event in another account's envelope": (ACCOUNT, "sent", "IAMUser", 1, 1, *MANAGED),
    "a user who only reads, by the calls' names": (ACCOUNT, "reader", "IAMUser", 2, 0, *READS),
    "an admin role, named in another case": (ACCOUNT, "pipeline/ci", *LISTED, "admin role pipeline"),
    "an admin role by its permission set": (ACCOUNT, f"{SSO}/ci", *LISTED, f"admin role {SSO}"),
    "a role whose id is masked": (ACCOUNT, "veiled/ci", *NOT_LISTED),
    "a role whose id is masked in part": (ACCOUNT, "half-veiled/ci", *NOT_LISTED),
    "a role with another one's id": (ACCOUNT, "app/ci", *NOT_LISTED),
    "another one with that id": (ACCOUNT, "twin/ci", *NOT_LISTED),
    "the guard's own role": (
        ACCOUNT, "iam-guard/ci", "AssumedRole", 1, 0,
        "not-delivered", None, "roles are not judged yet",
    ),
    "root": (ACCOUNT, "root", "Root", 1, 0, "not-delivered", None, "Root is no user or role"),
    "a service": (
        ACCOUNT, "autoscaling.amazonaws.com", "AWSService", 1, 0,
        "not-delivered", None, "AWSService is no user or role",
    ),
    "an event of another source": (
        ACCOUNT, "forged", "IAMUser", 1, 0, "not-delivered", None, "no event of AWS, but of my.application",
    ),
    "what says of nobody": (ACCOUNT, "?", "?", 2, 0, "unreadable", None, f"{NO_OBJECT} null"),
    "a user without an ARN": (ACCOUNT, "half-known", "IAMUser", 1, 0, "unreadable", None, NO_ARN),
    "a user of elsewhere, who also reads": (ACCOUNT, "guest", "IAMUser", 2, 0, "unreadable", None, GUEST),
    "the admin's namesake in another account": (OTHER, "alice", "IAMUser", 1, 1, *MEANT),
    "a user of another partition": (CHINA, "li", "IAMUser", 1, 1, *MANAGED),
}  # fmt: skip


def replay_of(*arguments, env=None):
    command = [stock_commands.path("python"), "-m", "sandbox", "replay", "--json", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The logs of three accounts, replayed at the command line of a user who has settings of their own."""
    folder = tmp_path_factory.mktemp("logs")
    files = [written(folder / name, content) for name, content in LOGS.items()]
    meant = ["--admin", "ALICE,zoe", "--admin-role", "PIPELINE,gone", "AWSReservedSSO_Operators_*"]
    return replay_of(*files, *meant, env=os.environ | FOREIGN)


@pytest.mark.parametrize("expected", ROWS.values(), ids=ROWS)
def test_a_caller_gets_the_decision_that_the_guard_would_have_made(replayed, expected):
    """Each caller has one row, and it says what the deployed rule and function did."""
    rows = [tuple(json.loads(line).values()) for line in replayed.stdout.splitlines()]
    assert [row for row in rows if row[:3] == expected[:3]] == [expected]


def test_json_is_all_that_is_on_stdout(replayed):
    """With ``--json`` stdout has one object per caller, its keys in a fixed order; progress is on stderr."""
    rows = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert [list(row) for row in rows] == [COLUMNS] * len(ROWS)
    assert ACCOUNT in replayed.stderr


def test_what_cannot_be_judged_is_no_success(replayed):
    """If a record does not say who called, the exit status is 1: nobody is let pass for that."""
    assert replayed.returncode == 1


def test_an_account_of_an_unknown_partition_is_refused_in_words(tmp_path, monkeypatch, capsys):
    """Nobody knows where the guard would run there: the account is named, and is not taken for one of another."""
    monkeypatch.setattr(replay, "Sandbox", None)
    (tmp_path / "log.json").write_text(json.dumps(record(user("bob", partition="aws-new"))))
    assert main(["replay", str(tmp_path)]) == 1
    assert (
        "the sandbox does not know which region of its partition gets IAM's events" in capsys.readouterr().err
    )


def test_accounts_of_a_partition_share_a_deployment(replayed):
    """The guard is deployed once for all accounts in which the policies say the same."""
    assert replayed.stderr.count("deploying the guard") == 2


def test_what_makes_names_doubtful_is_warned_of(replayed):
    """A name of the command line that appears nowhere gets a warning, and so does an id of several roles."""
    assert [line for line in replayed.stderr.splitlines() if "warning" in line] == [
        "replay: warning: no user named zoe calls IAM in these files",
        "replay: warning: no role named gone calls IAM in these files",
        "replay: warning: several roles have the id AROAEXAMPLE in these files; each is known by its name alone",
    ]


def test_a_name_with_a_comma_is_one_where_the_logs_know_it():
    """``alice,bob`` is two names; IAM's names may have commas, so it is one if a user is called that."""
    assert replay.names_in(["alice,bob", "carol, dave,"], set()) == ["alice", "bob", "carol", "dave"]
    assert replay.names_in(["Alice,Bob"], {"alice,bob"}) == ["Alice,Bob"]


def test_a_replay_keeps_nothing_of_the_guards_own_calls(monkeypatch):
    """The sandbox's notes of calls and events are dropped, so that they do not grow with the logs."""
    account, notes = "810987654321", []
    kept = {name: [] for name in ("calls", "pending", "history")}

    def deliver(event, region):
        notes.append([len(one) for one in kept.values()])
        for one in kept.values():
            one.append(event)

    place = {"account": account, "region": "us-east-1", "endpoint": ""}
    fake = SimpleNamespace(**place, **kept, deploy=lambda: None, deliver=deliver)
    monkeypatch.setattr(replay, "Sandbox", lambda *_: nullcontext(fake))
    monkeypatch.setattr(guard, "deploy_policies", lambda *_, **__: None)
    calls = Calls()
    for _ in range(3):
        calls.add(record(user("bob", account), account=account))
    replay.replay(list(calls.accounts.values()), calls, (), replay.Meant(set(), []), [])
    assert notes == [[0, 0, 0]] * 3


@pytest.fixture(scope="module")
def two_policies(tmp_path_factory):
    """The rows, by caller, of a replay under a policy that only looks, and one whose second action fails."""
    folder, policies = tmp_path_factory.mktemp("policies"), []
    called = (user("bob"), "CreateUser"), (user("bob"), "DeleteUser"), (role("ci"), "CreateUser")
    log = written(folder / "log", lines(record(*call) for call in called))
    for number in range(2):
        data = yaml.safe_load((POLICIES / f"{REVOKE}.yml").read_text())
        (policy,) = data["policies"] = data["policies"][:1]  # without the catch-up
        if number == 0:
            policy["name"] = "protect-admin-group"  # a name for which the stack has a queue
            del policy["actions"]
        else:
            policy["actions"].append({"type": "set-policy", "state": "attached", "arn": "ReadOnlyAccess"})
        policies += ["--policy", written(folder / f"{number}.yml", yaml.safe_dump(data, sort_keys=False))]
    done = replay_of(log, *policies)
    return done, {row["caller"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_an_action_that_fails_after_the_revocation_does_not_hide_it(two_policies):
    """If the guard denies IAM and the next action fails, the row says both, and the exit status is 1."""
    done, rows = two_policies
    assert (done.returncode, rows["bob"]["decision"], rows["bob"]["how"]) == (
        1, "revoked, then failed", "managed",
    )  # fmt: skip
    assert "replay: the function failed on an event of bob" in done.stderr


def test_several_policies_are_deployed_together(two_policies):
    """The strongest decision of all deployed policies is the caller's, and each call counts once."""
    row = two_policies[1]["bob"]
    assert (row["decision"].split(",")[0], row["calls"], row["delivered"]) == ("revoked", 2, 2)


def test_roles_are_judged_once_somebody_says_which_are_meant_to_use_iam(two_policies):
    """Without the roles' policy, a role's row says that nobody asked."""
    assert two_policies[1]["ci/ci"]["why"] == "roles are not judged yet"
