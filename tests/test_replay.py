"""``python -m sandbox replay``: which files it reads, and what it says of the callers in them."""

import gzip
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT
from moto.iam.models import iam_backends

from sandbox import Sandbox, cloudtrail, replay
from sandbox.__main__ import main

ACCOUNT, OTHER, CHINA = "210987654321", "310987654321", "410987654321"
COLUMNS = ["account", "caller", "type", "calls", "delivered", "decision", "how"]
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


def user(name, account=ACCOUNT, path="/", partition="aws"):
    arn = f"arn:{partition}:iam::{account}:user{path}{name}"
    principal = f"AIDA{name.upper().replace('-', '')}"
    identity = {"type": "IAMUser", "principalId": principal, "arn": arn, "userName": name}
    return {**identity, "accountId": account}


def federated(name):
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/console"
    context = {"sessionIssuer": user(name)}
    return {"type": "FederatedUser", "arn": arn, "accountId": ACCOUNT, "sessionContext": context}


ROLE = {
    "type": "AssumedRole",
    "principalId": "AROADEPLOYER:ci",
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ci",
    "accountId": ACCOUNT,
    "sessionContext": {"sessionIssuer": {"type": "Role", "userName": "deployer"}},
}
ROOT_USER = {"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT}
SERVICE = {"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"}


def record(identity, action="CreateUser", service="iam", account=ACCOUNT, error=None):
    return cloudtrail.record(identity, service, action, {}, account, "us-east-1", error)


def without(entry, *keys):
    return {key: value for key, value in entry.items() if key not in keys}


BOB = record(user("bob"))
BOTH = [BOB, record(user("bob"), "ListUsers")]
ENVELOPES = [cloudtrail.envelope(r) for r in BOTH]


def lines(values):
    return "\n".join(map(json.dumps, values)) + "\n"


# Files

FORMATS = {
    "log-file": json.dumps({"Records": BOTH}),
    "indented": json.dumps({"Records": BOTH}, indent=2),
    "byte-order-mark": "\ufeff" + json.dumps({"Records": BOTH}),
    "gzip": gzip.compress(json.dumps({"Records": BOTH}).encode()),
    "records-by-line": lines(BOTH),
    "records-by-line-gzip": gzip.compress(lines(BOTH).encode()),
    "empty-lines": "\n\n" + lines(BOTH) + "\n",
    "envelopes-by-line": lines(ENVELOPES),
    "record-and-envelope": lines([BOTH[0], ENVELOPES[1]]),
    "log-files-by-line": lines({"Records": [r]} for r in BOTH),
    "list-of-envelopes": json.dumps(ENVELOPES),
    "list-of-records": json.dumps(BOTH),
}
SINGLE = {"envelope": json.dumps(ENVELOPES[0], indent=2), "record": json.dumps(BOB)}
NOTIFICATION = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
BAD = {
    "empty": ("", "empty"),
    "blank": (" \n\n", "empty"),
    "text": ("2026-01-05 CreateUser by bob\n", "not JSON"),
    "binary": (bytes(range(256)), "not text"),
    "cut-off-gzip": (FORMATS["gzip"][:-20], "gzip"),
    "only-gzips-first-bytes": (b"\x1f\x8b", "gzip"),
    "gzip-of-text": (gzip.compress(b"hello"), "not JSON"),
    "cut-off-json": (FORMATS["log-file"][:-20], "not JSON"),
    "cut-off-lines": (lines(BOTH)[:-20], "line 2"),
    "number": ("5", "CloudTrail"),
    "another-object": ('{"hello": "world"}', "CloudTrail"),
    "another-list": ("[1, 2]", "CloudTrail"),
    "empty-list": ("[]", "empty list"),
    "records-that-are-no-list": ('{"Records": 5}', "Records"),
    "notification-of-s3": (json.dumps({"Records": [NOTIFICATION]}), "CloudTrail"),
    "finding-of-guardduty": ('{"detail-type": "GuardDuty Finding", "detail": {"id": "1"}}', "CloudTrail"),
    "nested-too-deep": ("[" * 100_000, "not JSON"),
}


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_a_log_is_read_in_every_form_that_it_comes_in(tmp_path, content):
    """Log files, zipped or not, JSON lines and EventBridge's envelopes all give the same records."""
    entries = replay.read(written(tmp_path / "log", content))
    assert [replay.record_of(entry) for entry in entries] == BOTH


@pytest.mark.parametrize("content", SINGLE.values(), ids=SINGLE)
def test_a_single_entry_is_read(tmp_path, content):
    """A file may hold one record or one envelope."""
    (entry,) = replay.read(written(tmp_path / "log", content))
    assert replay.record_of(entry) == BOB


@pytest.fixture
def no_sandbox(monkeypatch):
    """Starting a sandbox is an error."""
    monkeypatch.setattr(replay, "Sandbox", None)


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_a_file_that_is_no_log_is_named_before_anything_starts(tmp_path, capsys, no_sandbox, content, reason):
    """A bad file beside a good one gets one line that names it and says why, and exit status 2."""
    good, bad = written(tmp_path / "good", FORMATS["log-file"]), written(tmp_path / "bad", content)
    assert main(["replay", str(good), str(bad)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"replay: {bad} is not a CloudTrail log: ")
    assert err.count("\n") == 1
    assert reason in err


def test_files_that_cannot_be_opened_are_named_each(tmp_path, capsys, no_sandbox):
    """A missing file and a folder get a line each, and exit status 2."""
    assert main(["replay", "--json", str(tmp_path / "missing"), str(tmp_path)]) == 2
    missing, folder = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "missing") in missing
    assert "No such file" in missing
    assert "Is a directory" in folder


def test_a_log_without_iam_calls_starts_nothing(tmp_path, capsys, no_sandbox):
    """Calls to other services count nowhere, and a log that holds nothing else is no error."""
    log = {"Records": [record(user("bob"), "PutObject", "s3"), {"eventCategory": "Insight", "eventID": "1"}]}
    assert main(["replay", str(written(tmp_path / "log", json.dumps(log)))]) == 0
    assert capsys.readouterr().out == "These files hold no call to IAM.\n"


# Decisions


FORGED = {**cloudtrail.envelope(record(user("forged"))), "source": "my.application"}
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
                    record(user("reader"), "GetUser"),
                    {**record(without(user("past"), "principalId")), "eventTime": "2019-01-05T10:00:00Z"},
                    record(ROLE),
                    record(ROOT_USER),
                    record(SERVICE),
                    without(record({}), "userIdentity"),
                    record("nobody"),
                    {"eventSource": "iam.amazonaws.com"},
                    {"eventID": "1"},
                    "no record at all",
                    None,
                    record({"type": "IAMUser", "userName": "half-known"}),
                    without(record(user("old")), "recipientAccountId", "eventTime", "awsRegion"),
                ]
            }
        ).encode()
    ),
    "second.json": json.dumps({"Records": [record(user(n, OTHER), account=OTHER) for n in ("alice", "bob")]}),
    "china.json": json.dumps(record(user("li", CHINA, partition="aws-cn"), account=CHINA)),
    "events.jsonl": lines(
        [cloudtrail.envelope(record(federated("fred"))), FORGED, {**FORGED, "detail": None}]
    ),
}
NOT = ("not-delivered", None)
MANAGED = ("revoked", "managed")
ROWS = {
    "an admin, named in another case": (ACCOUNT, "alice", "IAMUser", 1, 1, "let-pass", None),
    "writes and a failed call, not the read": (ACCOUNT, "bob", "IAMUser", 3, 2, *MANAGED),
    "a user with a path, a call of any name": (ACCOUNT, "paul", "IAMUser", 1, 1, *MANAGED),
    "a federated session of a user": (ACCOUNT, "fred", "FederatedUser", 1, 1, *MANAGED),
    "a record of an early version": (ACCOUNT, "old", "IAMUser", 1, 1, *MANAGED),
    "a call of long ago, without the user's id": (ACCOUNT, "past", "IAMUser", 1, 1, *MANAGED),
    "a user who only reads": (ACCOUNT, "reader", "IAMUser", 1, 0, *NOT),
    "a role": (ACCOUNT, "deployer/ci", "AssumedRole", 1, 0, *NOT),
    "root": (ACCOUNT, "root", "Root", 1, 0, *NOT),
    "a service": (ACCOUNT, "autoscaling.amazonaws.com", "AWSService", 1, 0, *NOT),
    "an event of another source": (ACCOUNT, "forged", "IAMUser", 1, 0, *NOT),
    "what says of nobody": (ACCOUNT, "?", "?", 7, 0, *NOT),
    "a user without an ARN": (ACCOUNT, "half-known", "IAMUser", 1, 1, "let-pass", None),
    "the admin's namesake in another account": (OTHER, "alice", "IAMUser", 1, 1, "let-pass", None),
    "a user of another account": (OTHER, "bob", "IAMUser", 1, 1, *MANAGED),
    "a user of another partition": (CHINA, "li", "IAMUser", 1, 1, *MANAGED),
}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The logs of three accounts, replayed at the command line of a user who has settings of their own."""
    folder = tmp_path_factory.mktemp("logs")
    files = [written(folder / name, content) for name, content in LOGS.items()]
    command = [sys.executable, "-m", "sandbox", "replay", "--json", *files, "--admin", "ALICE", "zoe"]
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
    assert replayed.returncode == 0


def test_an_admin_whom_the_logs_do_not_know_is_warned_of(replayed):
    """A name after ``--admin`` that appears nowhere gets a warning on stderr, one that does gets none."""
    warnings = [line for line in replayed.stderr.splitlines() if "warning" in line]
    assert warnings == ["replay: warning: no user named zoe appears in these files"]


@pytest.mark.parametrize(
    ("changes", "region"),
    [
        ({"arn": f"arn:aws-cn:iam::{ACCOUNT}:user/li"}, "cn-north-1"),
        ({"arn": f"arn:aws-us-gov:iam::{ACCOUNT}:user/sam"}, "us-gov-west-1"),
        ({"arn": f"arn:aws:iam::{ACCOUNT}:user/bob"}, "us-east-1"),
    ],
)
def test_the_sandbox_runs_where_the_partition_gets_iams_events(changes, region):
    """The users' ARNs tell the partition, and with it the region that the guard is deployed in."""
    call = replay.call_of(record({"type": "IAMUser", "accountId": ACCOUNT, **changes}))
    assert replay.region_of([call]) == region


def test_calls_of_roles_alone_tell_the_region_too():
    """Where no user called, the records' own region tells the partition."""
    entry = {**record(ROLE), "awsRegion": "cn-northwest-1"}
    assert replay.region_of([replay.call_of(entry)]) == "cn-north-1"


def test_a_user_of_another_account_is_not_made_in_this_one():
    """A caller is a user of the log's account only where the ARN says so."""
    assert replay.call_of(record(user("guest", OTHER))).user is None
    assert replay.call_of(record(user("bob"))).user.name == "bob"


def test_the_account_holds_the_users_of_the_log():
    """Users keep their paths, one of each name is made, and admins are in each admin group."""
    account = "510987654321"  # the test's own, for users are made in moto without a sandbox
    callers = [user("paul", account, "/team/data/"), user("Alice", account), user("alice", account)]
    calls = [replay.call_of(record(caller, account=account)) for caller in callers]
    users = replay.create_users(account, "us-east-1", calls, {"alice", "zoe"}, ["admins", "security"])
    assert {name: made.path for name, made in users.items()} == {"paul": "/team/data/", "alice": "/"}
    for group in ("admins", "security"):
        members = [member.name for member in iam_backends[account]["aws"].get_group(group).users]
        assert members[1:] == ["Alice"]


def test_an_event_finds_its_user_under_the_id_that_it_names():
    """A name that changes hands in the log has, at each event, the unique id of whoever called."""
    seen, users = [], {"bob": SimpleNamespace(id="AIDARANDOM")}
    sandbox = SimpleNamespace(deliver=lambda event, region: seen.append(users["bob"].id))
    for unique_id in ("AIDAFIRST", "AIDASECOND"):
        call = replay.call_of(record({**user("bob"), "principalId": unique_id}))
        replay.deliver(sandbox, call, users, "us-east-1")
    assert seen == ["AIDAFIRST", "AIDASECOND"]


# Output


def invocation(succeeded=True, *decisions):
    attempt = SimpleNamespace(error={"errorMessage": "AccessDenied"})
    return SimpleNamespace(succeeded=succeeded, decisions=list(decisions), attempts=[attempt])


def test_one_revocation_decides_for_all_events_of_a_caller():
    """A caller is revoked if any event led to it, whatever the others led to."""
    row = replay.Row(ACCOUNT, "bob", "IAMUser")
    row.add([invocation(True, {"decision": "revoked", "how": "inline"})])
    row.add([invocation(True, {"decision": "let-pass"})])
    row.add([])
    assert (row.calls, row.delivered, row.decision, row.how) == (3, 2, "revoked", "inline")


def test_a_failed_invocation_is_no_decision(tmp_path, capsys, monkeypatch):
    """Where the function failed, the row says so, and the exit status is 1."""
    row = replay.Row(ACCOUNT, "bob", "IAMUser")
    row.add([invocation(True, {"decision": "let-pass"})])
    row.add([invocation(False)])
    monkeypatch.setattr(replay, "replay", lambda *_: [row])
    assert main(["replay", str(written(tmp_path / "log", SINGLE["record"]))]) == 1
    out, err = capsys.readouterr()
    assert "failed" in out
    assert err == "replay: the function failed on an event of bob: AccessDenied\n"


def test_people_get_a_table(capsys):
    """Without ``--json`` there is a line per caller, and no log can write to the terminal as it likes."""
    role = replay.Row(ACCOUNT, "role/\x1b[31m", "AssumedRole", 1)
    replay.print_table([replay.Row(ACCOUNT, "bob", "IAMUser", 2, 1, *MANAGED), role])
    head, _, *rows, _, verdict, _ = capsys.readouterr().out.splitlines()
    assert head.split() == COLUMNS
    assert [row.split() for row in rows] == [
        [ACCOUNT, "bob", "IAMUser", "2", "1", "revoked", "managed"],
        [ACCOUNT, "role/?[31m", "AssumedRole", "1", "0", "not-delivered", "-"],
    ]
    assert verdict == "The guard would have revoked IAM access of 1 of these 2 callers."


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
        main(["replay", str(written(tmp_path / "log", SINGLE["record"]))])
