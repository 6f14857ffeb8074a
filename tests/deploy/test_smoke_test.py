"""deploy/smoke-test: it finds out whether the guard works, and leaves nothing behind, whatever happens."""

import io
import json
import re
import signal
import sys
from importlib.machinery import SourceFileLoader
from types import SimpleNamespace

import pytest
from helpers import CONTAIN, FUNCTION, HARMLESS, POLICIES, PROTECT, REVOKE, ROOT, settings_file, stock
from moto.events.models import events_backends
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from c7n_iamguard.aws_names import IAM_REGIONS
from sandbox.server import DEPLOY, Fault

ACCOUNT = "272727272727"
PREFIX = "smoke-test-of-iam-guard-"
RIGHT = "IAMSelfManageServiceSpecificCredentials"
SMOKE = SourceFileLoader("smoke_test", str(ROOT / "deploy" / "smoke-test")).load_module()
SCPS = [HARMLESS, *(json.loads((DEPLOY / name).read_text()) for name in ("scp.json", "scp-parts.json"))]


@pytest.fixture(scope="module")
def admin(sandbox, tmp_path_factory):
    """The access key of an admin of an account with the guard and its containment."""
    for stack, parameters in {
        "account": {"NotifyEmail": "security@example.com"},
        "contain": {},
        "access": {"ResponseRoles": f"arn:aws:iam::{ACCOUNT}:user/ada"},
    }.items():
        sandbox.deploy(DEPLOY / f"{stack}.yml", f"iam-guard-{stack}", account=ACCOUNT, **parameters)
    sandbox.client("iam", account=ACCOUNT).create_group(GroupName="admins")
    folder, environ = tmp_path_factory.mktemp("out"), sandbox.environ(account=ACCOUNT)
    key = sandbox.create_user("ada", groups=["admins"], account=ACCOUNT)
    files = [POLICIES / f"{name}.yml" for name in (REVOKE, CONTAIN, PROTECT)]
    settings = settings_file(folder, observe_containment=False)
    only = ("-p", REVOKE, "-p", CONTAIN, "-p", PROTECT)  # each function takes its time
    done = stock("custodian", "run", "-s", folder, *only, *files, environ=environ, settings=settings)
    assert done.returncode == 0, done.stderr
    # AWS's own policy, which moto leaves out. The sandbox knows no policy variables: so it is for all users.
    data = json.loads(aws_managed_policies_data)[RIGHT]
    data["Document"]["Statement"][0]["Resource"] = "*"
    policy = AWSManagedPolicy.from_data(RIGHT, ACCOUNT, "us-east-1", data)
    iam_backends[ACCOUNT]["aws"].managed_policies[policy.arn] = policy
    return key


@pytest.fixture
def smoke_test(sandbox, admin, monkeypatch, capsys):
    """``smoke_test("--yes", …)``: run the command as the account's admin; its exit status, and what it printed.

    It leaves nothing behind in any of the tests, or says so.

    :param guarded: whether EventBridge works while the command waits. A clock of its own goes on meanwhile
    :param at: what happens when the command prints a text, by that text
    """
    clock = SimpleNamespace(now=100.0, guarded=False, at={})
    handlers = {number: signal.getsignal(number) for number in SMOKE.SIGNALS}

    def sleep(seconds):
        clock.now += seconds
        if clock.guarded:
            sandbox.deliver()

    def say(*words):
        print(*words)
        for moment in [moment for moment in clock.at if moment in str(words[0])]:
            clock.at.pop(moment)()

    def run(*words, answer="", guarded=False, at=()):
        clock.guarded, clock.at = guarded, dict(at)
        monkeypatch.setattr(sys, "argv", ["smoke-test", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        status, out = SMOKE.main(), capsys.readouterr().out
        assert left() == [] or "Left: " in out
        return status, out

    monkeypatch.setattr(SMOKE, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    monkeypatch.setattr(SMOKE, "say", say)
    for name, value in sandbox.environ(admin, ACCOUNT).items():
        monkeypatch.setenv(name, value)
    sandbox.pending.clear()
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for kept in (sandbox.scps, sandbox.faults, sandbox.pending):
        kept.clear()


def left():
    """The traces of all smoke tests in the account: users first, in the order in which they were made."""
    users = iam_backends[ACCOUNT]["aws"].users
    buses = events_backends[ACCOUNT]["us-east-1"].event_buses.values()
    rules = [name for bus in buses for name in bus.rules]
    queues = sqs_backends[ACCOUNT]["us-east-1"].queues
    return [name for name in [*users, *rules, *queues] if name.startswith(PREFIX)]


def test_it_says_how_long_denial_message_and_containment_took(smoke_test):
    """If all works, each step is named with its time, the exit status is 0, and nothing is left."""
    status, out = smoke_test("--yes", "--region", "us-east-1", guarded=True)
    assert status == 0, out
    assert f"Account {ACCOUNT}, as arn:aws:iam::{ACCOUNT}:user/ada" in out
    steps = ("it called IAM", "denied: DenyIAMAccess", "told: revoked", "mailed: the topic", "contained: ")
    for step in (*steps, "admin group: out of the group admins"):
        assert re.search(rf"^ *\d+\.\d s  {step}", out, re.M), out
    assert "Nobody in this account is mailed" not in out


def test_a_guard_that_does_nothing_fails_the_test(smoke_test):
    """Without an event nobody is denied: what did not happen is named, and the exit status is 1."""
    status, out = smoke_test("--yes", "--timeout", "3")
    assert status == 1
    for what in ("denied", "told", "contained", "admin group"):
        assert f"not {what} within 3 seconds" in out


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "made the user"), (signal.SIGTERM, "it called IAM")]
)
def test_an_interrupted_test_leaves_nothing_behind(smoke_test, number, moment):
    """Interrupted or ended at any moment, it removes what it has made."""

    def interrupt():
        assert left()
        assert signal.getsignal(number) is signal.default_int_handler
        signal.raise_signal(number)

    status, out = smoke_test("--yes", at={moment: interrupt})
    assert status == 130
    assert "Interrupted" in out


@pytest.mark.parametrize("action", ["sqs:CreateQueue", "iam:CreateAccessKey"])
def test_a_test_that_fails_half_way_leaves_nothing_behind(sandbox, smoke_test, action):
    """If something cannot be made, the test removes what it made before, and the error is one line."""
    sandbox.faults.append(Fault(action, "AccessDenied", status=403, caller="*:user/ada"))
    status, out = smoke_test("--yes")
    assert status == 1
    assert "AccessDenied" in out


def test_a_denial_that_comes_while_it_is_removed_is_removed_too(sandbox, smoke_test):
    """IAM refuses to delete a user who has just been denied again; then it starts over."""
    sandbox.faults.append(Fault("iam:DeleteUser", "DeleteConflict", status=409, times=2))
    assert "everything is removed again" in smoke_test("--yes", "--timeout", "1")[1]


def test_under_the_scp_the_response_role_takes_the_denial_off(sandbox, smoke_test):
    """The operator may listen and may not detach the denial; the role that may is taken, and nothing is left."""
    sandbox.scps += SCPS
    status, out = smoke_test("--yes", guarded=True)
    assert "denied: DenyIAMAccess" in out
    assert "told: revoked" in out
    assert "a user cannot get into, as with the SCP, the group admins" in out
    assert status == 0, out


def test_a_user_who_stays_is_named_and_has_no_key(sandbox, smoke_test):
    """It says which role can remove the user. Nobody can use it: its access keys are what goes first."""
    for action in ("iam:DeleteServiceSpecificCredential", "iam:RemoveUserFromGroup", "sts:AssumeRole"):
        sandbox.faults.append(Fault(action, "AccessDenied", status=403, caller="*:user/ada"))
    status, out = smoke_test("--yes", "--timeout", "1")
    assert status == 1, out
    users = [iam_backends[ACCOUNT]["aws"].users.pop(name) for name in left()]
    assert [user.access_keys for user in users] == [[], []]
    for group in iam_backends[ACCOUNT]["aws"].groups.values():
        group.users = [user for user in group.users if user not in users]
    for user in users:
        said = f"Left: the user {user.name} of this test: an SCP leaves its denial to the role iam-guard-response"
        assert said in out
    assert "If you lost IAM yourself, have an admin give it back to you" in out


def test_a_guard_that_observes_is_told_apart(sandbox, smoke_test):
    """If the guard tells would-revoke, the test says so and does not pass."""

    def observe():
        told = json.dumps({"decision": "would-revoke", "principal": {"name": left()[0]}})
        guard = sandbox.session(f"arn:aws:iam::{ACCOUNT}:role/iam-guard")
        entry = {"Source": "iam-guard", "DetailType": "x", "Detail": told, "EventBusName": "iam-guard"}
        sandbox.client("events", guard, ACCOUNT).put_events(Entries=[entry])

    status, out = smoke_test("--yes", at={"it called IAM": observe})
    assert status == 1
    assert "told: would-revoke" in out
    assert "only observes" in out


def test_without_a_yes_nothing_is_made(sandbox, smoke_test, monkeypatch):
    """It says what it would do in which account, and whether anybody is mailed; any answer but yes ends it."""
    monkeypatch.setattr(sns_backends[ACCOUNT]["us-east-1"], "subscriptions", {})
    sandbox.calls.clear()
    status, out = smoke_test(answer="n\n")
    assert status == 1
    assert ACCOUNT in out
    assert (
        "Nobody in this account is mailed: no subscription of the topic iam-guard-notices is confirmed. "
        "With CentralBus, the security account is told."
    ) in out
    assert "Go on? [y/N]" in out
    assert not [call for call in sandbox.calls if call.action.startswith(("Create", "Put"))]


def test_the_region_follows_from_the_partition(monkeypatch):
    """It looks where a partition's IAM events are; in a partition that it does not know, it asks for --region."""
    assert SMOKE.REGIONS == IAM_REGIONS

    def account_in(partition, region=None):
        identity = {"Account": ACCOUNT, "Arn": f"arn:{partition}:iam::{ACCOUNT}:user/ada"}
        sts = SimpleNamespace(get_caller_identity=lambda: identity)
        monkeypatch.setattr(SMOKE.Account, "client", lambda account, service: sts)
        return SMOKE.Account(region)

    with pytest.raises(SMOKE.Failed, match="aws-new gets IAM's events"):
        account_in("aws-new")
    assert account_in("aws-new", "here-1").region == "here-1"
    assert account_in("aws-cn").region == "cn-north-1"


def test_where_no_guard_works_nothing_is_made(sandbox, smoke_test):
    """In a region without the guard it ends at once; if its rule is disabled, it says how to start it."""
    assert "The guard is not deployed in eu-west-1" in smoke_test("--yes", "--region", "eu-west-1")[1]
    rule = events_backends[ACCOUNT]["us-east-1"].event_buses["default"].rules[FUNCTION]
    rule.disable()
    status, out = smoke_test("--yes")
    rule.enable()
    assert (status, "deploy/switch on" in out) == (1, True)
