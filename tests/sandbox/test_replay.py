"""``python -m sandbox replay``: what it says of the callers in logs."""

import gzip
import json
import os
import subprocess

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

from sandbox import Sandbox
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


FORGED = {**records.envelope(record(user("forged"))), "source": "my.application"}
LOGS = {
    "first.json.gz": gzip.compress(
        json.dumps(
            {
                "Records": [
                    record(user("alice")),
                    record(user("bob")),
                    record(user("bob"), "DeleteUser", error=("AccessDenied", "no")),
                    record(user("bob"), "ListUsers"),
                    record(user("bob"), "RunInstances", "ec2"),
                    record(user("paul", path="/team/data/"), "MakeItSo"),
                    {**record(user("reader"), "GetUser"), "readOnly": False},
                    without(record(user("reader"), "DescribeSomething"), "readOnly"),
                    {**record(user("simon"), "SimulatePrincipalPolicy"), "readOnly": True},
                    {**record(without(user("past"), "principalId")), "eventTime": "2019-01-05T10:00:00Z"},
                    record(role("deployer")),
                    record(ROOT_USER),
                    record(SERVICE),
                    without(record({}), "userIdentity"),
                    record("nobody"),
                    record(masked(user("grey"))),
                    record(masked(role("veiled"))),
                    record({**role("half-veiled"), "principalId": "AROA****:ci"}),
                    record(user("nowhere", "XXXXXXXXXXXX")),
                    record(user("guest", OTHER)),
                    record(user("guest", OTHER), "GetUser"),
                    {**records.envelope(record(user("sent"))), "account": "999999999999"},
                    record({"type": "IAMUser", "userName": "half-known"}),
                    without(record(user("old")), "recipientAccountId", "eventTime", "awsRegion"),
                ]
            }
        ).encode()
    ),
    "second.json": json.dumps({"Records": [record(user(n, OTHER), account=OTHER) for n in ("alice", "bob")]}),
    "china.json": json.dumps(record(user("li", CHINA, partition="aws-cn"), account=CHINA)),
    "events.jsonl": lines([records.envelope(record(federated("fred"))), FORGED, {**FORGED, "detail": None}]),
}
READS = ("not-delivered", None, "reads alone")
NOT_JUDGED = ("not-delivered", None, "roles are not judged yet")
MANAGED = ("revoked", "managed", "in no admin group")
MEANT = ("let-pass", None, "in admin group admins")
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
    "a call that reads, by another name": (ACCOUNT, "simon", "IAMUser", 1, 1, *MANAGED),
    "a role": (ACCOUNT, "deployer/ci", "AssumedRole", 1, 0, *NOT_JUDGED),
    "a role whose id is masked": (ACCOUNT, "veiled/ci", "AssumedRole", 1, 0, *NOT_JUDGED),
    "a role whose id is masked in part": (ACCOUNT, "half-veiled/ci", "AssumedRole", 1, 0, *NOT_JUDGED),
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
    "a user of another account": (OTHER, "bob", "IAMUser", 1, 1, *MANAGED),
    "a user of another partition": (CHINA, "li", "IAMUser", 1, 1, *MANAGED),
}  # fmt: skip


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The logs of three accounts, replayed at the command line of a user who has settings of their own."""
    folder = tmp_path_factory.mktemp("logs")
    files = [written(folder / name, content) for name, content in LOGS.items()]
    command = [
        stock_commands.path("python"),
        "-m",
        "sandbox",
        "replay",
        "--json",
        *files,
        "--admin",
        "ALICE,zoe",
    ]
    return subprocess.run(command, cwd=ROOT, env=os.environ | FOREIGN, capture_output=True, text=True)


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


def test_an_admin_whom_the_logs_do_not_know_is_warned_of(replayed):
    """A name after ``--admin`` that appears nowhere gets a warning on stderr, one that does gets none."""
    warnings = [line for line in replayed.stderr.splitlines() if "warning" in line]
    assert warnings == ["replay: warning: no user named zoe calls IAM in these files"]


def test_a_name_with_a_comma_is_one_where_the_logs_know_it():
    """``alice,bob`` is two names; IAM's names may have commas, so it is one if a user is called that."""
    assert replay.names_in(["alice,bob", "carol, dave,"], set()) == ["alice", "bob", "carol", "dave"]
    assert replay.names_in(["Alice,Bob"], {"alice,bob"}) == ["Alice,Bob"]


def test_a_replay_keeps_nothing_of_the_guards_own_calls(monkeypatch):
    """The sandbox's notes of calls and events are dropped, so that they do not grow with the logs."""
    notes = []

    class Noting:
        def __init__(self, *_):
            self.account, self.region, self.endpoint = "810987654321", "us-east-1", ""
            self.calls, self.pending, self.history = [], [], []

        def deploy(self):
            pass

        def deliver(self, event, region):
            notes.append((len(self.calls), len(self.pending), len(self.history)))
            for kept in (self.calls, self.pending, self.history):
                kept.append(event)
            return []

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(replay, "Sandbox", Noting)
    monkeypatch.setattr(guard, "deploy_policies", lambda *_, **__: None)
    calls = Calls()
    for _ in range(3):
        calls.add(record(user("bob", "810987654321"), account="810987654321"))
    replay.replay(list(calls.accounts.values()), calls, (), replay.Meant(set(), []), [])
    assert notes == [(0, 0, 0)] * 3


SSO = "AWSReservedSSO_Operators_0123456789abcdef"
SSO_PATH = "/aws-reserved/sso.amazonaws.com/eu-west-1/"


def test_roles_are_judged_where_somebody_says_which_are_meant_to_use_iam(tmp_path):
    """With ``--admin-role``, roles are judged; it takes names, ARNs and patterns of Identity Center's."""
    log = written(
        tmp_path / "log",
        lines(
            record(role(name, path=path, unique_id=f"AROA{name}"))
            for name, path in (("ci", "/a/"), ("app", "/a/"), ("pipeline", "/b/"), (SSO, SSO_PATH))
        )
        + lines([record(elsewhere(role("pipeline", path="/b/", unique_id="AROAOTHER")), account=OTHER)])
        + lines([record(elsewhere(role("ci", unique_id="AROAOTHERCI")), account=OTHER)])
        + lines([record(masked(role("veiled")))]),
    )
    command = [
        stock_commands.path("python"),
        "-m",
        "sandbox",
        "replay",
        "--json",
        log,
        "--admin-role",
        "CI,gone",
    ]
    command += ["AWSReservedSSO_Operators_*", f"arn:aws:iam::{ACCOUNT}:role/b/pipeline"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(row["account"], row["caller"]): row["decision"] for row in rows} == {
        (ACCOUNT, "ci/ci"): "let-pass",
        (ACCOUNT, "app/ci"): "would-revoke",
        (ACCOUNT, "veiled/ci"): "would-revoke",
        (ACCOUNT, "pipeline/ci"): "let-pass",
        (ACCOUNT, f"{SSO}/ci"): "let-pass",
        (OTHER, "pipeline/ci"): "would-revoke",
        (OTHER, "ci/ci"): "let-pass",
    }, done.stderr
    assert {row["why"] for row in rows if row["decision"] == "let-pass"} == {
        "admin role ci", "admin role pipeline", f"admin role {SSO}",
    }  # fmt: skip
    assert "no role named gone calls IAM" in done.stderr


def elsewhere(identity):
    """The same of another account."""
    return json.loads(json.dumps(identity).replace(ACCOUNT, OTHER))


def test_roles_whose_ids_are_masked_are_known_by_their_names(tmp_path):
    """If several roles have one id in the logs, the guard's own among them, each is judged, and one line warns."""
    names = ("iam-guard", "ci", "app")
    log = written(tmp_path / "log", lines(record(role(name, unique_id="AROAEXAMPLE")) for name in names))
    command = [stock_commands.path("python"), "-m", "sandbox", "replay", "--json", log, "--admin-role", "ci"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    rows = {row["caller"]: row["decision"] for row in map(json.loads, done.stdout.splitlines())}
    assert rows == {"iam-guard/ci": "not-delivered", "ci/ci": "let-pass", "app/ci": "would-revoke"}, (
        done.stderr
    )
    (warning,) = [line for line in done.stderr.splitlines() if "warning" in line]
    assert "several roles have the id AROAEXAMPLE" in warning


# Other policies


@pytest.fixture(scope="module")
def replayed_with(tmp_path_factory):
    """``replayed_with(change, …)``: bob's calls, replayed under copies of the policy file, each changed.

    :returns: the exit status, the rows, and what was said on stderr
    """

    def run(*changes):
        tmp_path = tmp_path_factory.mktemp("policies")
        command = [stock_commands.path("python"), "-m", "sandbox", "replay", "--json"]
        command += [
            written(tmp_path / "log", lines(record(user("bob"), a) for a in ("CreateUser", "DeleteUser")))
        ]
        for number, change in enumerate(changes):
            data = yaml.safe_load((POLICIES / f"{REVOKE}.yml").read_text())
            del data["policies"][1:]  # the catch-up
            change(data["policies"][0])
            path = tmp_path / f"{number}.yml"
            path.write_text(yaml.safe_dump(data, sort_keys=False))
            command += ["--policy", path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


def test_a_policy_without_actions_has_acted(replayed_with):
    """A policy that only filters ends in a decision of its own, not in an error."""
    status, (row,), err = replayed_with(lambda policy: policy.pop("actions"))
    assert (status, row["decision"], row["delivered"]) == (0, "acted", 2), err


@pytest.fixture(scope="module")
def two_policies(replayed_with):
    """What a policy that only looks, and one whose second action fails, make of bob's calls together."""

    def only_look(policy):
        policy["name"] = "protect-admin-group"  # a name for which the stack has a queue
        policy["actions"] = []

    def then_fail(policy):
        policy["actions"].append({"type": "set-policy", "state": "attached", "arn": "ReadOnlyAccess"})

    return replayed_with(only_look, then_fail)


def test_an_action_that_fails_after_the_revocation_does_not_hide_it(two_policies):
    """If the guard denies IAM and the next action fails, the row says both, and the exit status is 1."""
    status, (row,), err = two_policies
    assert (status, row["decision"], row["how"]) == (1, "revoked, then failed", "managed")
    assert "replay: the function failed on an event of bob" in err


def test_several_policies_are_deployed_together(two_policies):
    """The strongest decision of all deployed policies is the caller's, and each call counts once."""
    _, (row,), err = two_policies
    assert (row["decision"].split(",")[0], row["calls"], row["delivered"]) == ("revoked", 2, 2), err


class Elsewhere(Sandbox):
    """A sandbox that claims to be at an address that is not this machine's, and never starts."""

    def __enter__(self):
        self.endpoint = "http://192.0.2.1:9"
        return self

    def __exit__(self, *exc):
        pass


def test_nothing_but_the_loopback_address_is_called(tmp_path, monkeypatch):
    """A sandbox that were anywhere else is refused before the first call."""
    monkeypatch.setattr(replay, "Sandbox", Elsewhere)
    with pytest.raises(RuntimeError, match="not the loopback address"):
        main(["replay", str(written(tmp_path / "log", json.dumps(record(user("bob")))))])
