"""deploy/smoke-test: it finds out whether the guard works, and leaves nothing behind, whatever happens."""

import json
import re
import signal
import subprocess
import threading
from importlib.machinery import SourceFileLoader

import pytest
import stock_commands
from helpers import FUNCTION, HARMLESS, POLICIES, REVOKE, ROOT, settings_file, stock
from moto.events.models import events_backends
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from c7n_iamguard.aws_names import IAM_REGIONS
from sandbox.server import DEPLOY, Fault

ACCOUNT = "272727272727"
PREFIX = "smoke-test-of-iam-guard-"
CONTAIN, PROTECT = "contain-unintended-iam-calls", "protect-admin-group"
RIGHT = "IAMSelfManageServiceSpecificCredentials"
SMOKE = SourceFileLoader("smoke_test", str(ROOT / "deploy" / "smoke-test")).load_module()
SCPS = [HARMLESS, *(json.loads((DEPLOY / name).read_text()) for name in ("scp.json", "scp-parts.json"))]


class Identity:
    """STS, as it answers in a partition that the sandbox does not play."""

    def __init__(self, partition):
        self.arn = f"arn:{partition}:iam::{ACCOUNT}:user/ada"

    def get_caller_identity(self):
        return {"Account": ACCOUNT, "Arn": self.arn}


def provide_right():
    """AWS's own policy, which moto leaves out. The sandbox knows no policy variables: so it is for all users."""
    data = json.loads(aws_managed_policies_data)[RIGHT]
    data["Document"]["Statement"][0]["Resource"] = "*"
    policy = AWSManagedPolicy.from_data(RIGHT, ACCOUNT, "us-east-1", data)
    iam_backends[ACCOUNT]["aws"].managed_policies[policy.arn] = policy


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
    key, folder = (
        sandbox.create_user("ada", groups=["admins"], account=ACCOUNT),
        tmp_path_factory.mktemp("out"),
    )
    files = [POLICIES / f"{name}.yml" for name in (REVOKE, CONTAIN, PROTECT)]
    settings = settings_file(folder, observe_containment=False)
    environ = sandbox.environ(account=ACCOUNT)
    done = stock("custodian", "run", "-s", folder, *files, environ=environ, settings=settings)
    assert done.returncode == 0, done.stderr
    provide_right()
    return key


@pytest.fixture
def events(sandbox):
    """``events()`` lets EventBridge work from now on, until the test ends."""
    ended = threading.Event()
    sandbox.pending.clear()

    def work():
        while not ended.wait(0.1):
            sandbox.deliver()

    thread = threading.Thread(target=work)
    yield thread.start
    ended.set()
    if thread.ident:
        thread.join()
    sandbox.scps.clear()
    sandbox.faults.clear()
    sandbox.pending.clear()


@pytest.fixture
def smoke_test(sandbox, admin, events):
    """``smoke_test("--yes", …)``: start the command as the account's admin."""

    def start(*words):
        return subprocess.Popen(
            [stock_commands.path("python"), ROOT / "deploy" / "smoke-test", *words],
            env=sandbox.environ(admin, ACCOUNT), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


def finished(process, answer=""):
    """What a command printed until its end; it must not have ended with a traceback."""
    out, err = process.communicate(answer, timeout=120)
    assert err == ""
    return out


def left():
    """What there is of any smoke test in the account."""
    users = iam_backends[ACCOUNT]["aws"].users
    buses = events_backends[ACCOUNT]["us-east-1"].event_buses.values()
    rules = [name for bus in buses for name in bus.rules]
    queues = sqs_backends[ACCOUNT]["us-east-1"].queues
    return [name for name in [*users, *rules, *queues] if name.startswith(PREFIX)]


def test_it_says_how_long_denial_message_and_containment_took(smoke_test, events):
    """If all works, each step is named with its time, the exit status is 0, and nothing is left."""
    events()
    process = smoke_test("--yes", "--region", "us-east-1")
    out = finished(process)
    assert process.returncode == 0, out
    assert f"Account {ACCOUNT}, as arn:aws:iam::{ACCOUNT}:user/ada" in out
    steps = ("it called IAM", "denied: DenyIAMAccess", "told: revoked", "mailed: the topic", "contained: ")
    for step in (*steps, "admin group: out of the group admins"):
        assert re.search(rf"^ *\d+\.\d s  {step}", out, re.M), out
    assert "Nobody in this account is mailed" not in out
    assert left() == []


def test_a_guard_that_does_nothing_fails_the_test(smoke_test):
    """Without an event nobody is denied: what did not happen is named, and the exit status is 1."""
    process = smoke_test("--yes", "--timeout", "3")
    out = finished(process)
    assert process.returncode == 1
    for what in ("denied", "told", "contained", "admin group"):
        assert f"not {what} within 3 seconds" in out
    assert left() == []


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "made the user"), (signal.SIGTERM, "it called IAM")]
)
def test_an_interrupted_test_leaves_nothing_behind(smoke_test, number, moment):
    """Interrupted or ended at any moment, it removes what it has made."""
    process = smoke_test("--yes")
    for line in process.stdout:
        if moment in line:
            break
    assert left()
    process.send_signal(number)
    out = finished(process)
    assert process.returncode == 130
    assert "Interrupted" in out
    assert left() == []


@pytest.mark.parametrize("action", ["sqs:CreateQueue", "iam:CreateAccessKey"])
def test_a_test_that_fails_half_way_leaves_nothing_behind(sandbox, smoke_test, action):
    """If something cannot be made, the test removes what it made before, and the error is one line."""
    sandbox.faults.append(Fault(action, "AccessDenied", status=403, caller="*:user/ada"))
    process = smoke_test("--yes")
    out = finished(process)
    assert process.returncode == 1
    assert "AccessDenied" in out
    assert left() == []


def test_a_denial_that_comes_while_it_is_removed_is_removed_too(sandbox, smoke_test):
    """IAM refuses to delete a user who has just been denied again; then it starts over."""
    sandbox.faults.append(Fault("iam:DeleteUser", "DeleteConflict", status=409, times=2))
    assert "everything is removed again" in finished(smoke_test("--yes", "--timeout", "1"))
    assert left() == []


def test_under_the_scp_the_response_role_takes_the_denial_off(sandbox, smoke_test, events):
    """The operator may listen and may not detach the denial; the role that may is taken, and nothing is left."""
    sandbox.scps += SCPS
    events()
    process = smoke_test("--yes")
    out = finished(process)
    assert "denied: DenyIAMAccess" in out
    assert "told: revoked" in out
    assert "a user cannot get into, as with the SCP, the group admins" in out
    assert process.returncode == 0, out
    assert left() == []


def test_a_user_who_stays_is_named_and_has_no_key(sandbox, smoke_test):
    """It says which role can remove the user. Nobody can use it: its access keys are what goes first."""
    for action in ("iam:DeleteServiceSpecificCredential", "iam:RemoveUserFromGroup", "sts:AssumeRole"):
        sandbox.faults.append(Fault(action, "AccessDenied", status=403, caller="*:user/ada"))
    process = smoke_test("--yes", "--timeout", "1")
    out = finished(process)
    assert process.returncode == 1, out
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
    process = smoke_test("--yes")
    line = next(line for line in process.stdout if "made the user" in line)
    told = {"decision": "would-revoke", "principal": {"name": line.split()[-1]}}
    next(line for line in process.stdout if "it called IAM" in line)
    sandbox.pending.clear()
    guard = sandbox.session(f"arn:aws:iam::{ACCOUNT}:role/iam-guard")
    entry = {
        "Source": "iam-guard",
        "DetailType": "x",
        "Detail": json.dumps(told),
        "EventBusName": "iam-guard",
    }
    sandbox.client("events", guard, ACCOUNT).put_events(Entries=[entry])
    out = finished(process)
    assert process.returncode == 1
    assert "told: would-revoke" in out
    assert "only observes" in out
    assert left() == []


def test_without_a_yes_nothing_is_made(sandbox, smoke_test, monkeypatch):
    """It says what it would do in which account, and whether anybody is mailed; any answer but yes ends it."""
    monkeypatch.setattr(sns_backends[ACCOUNT]["us-east-1"], "subscriptions", {})
    sandbox.calls.clear()
    process = smoke_test()
    out = finished(process, "n\n")
    assert process.returncode == 1
    assert ACCOUNT in out
    assert (
        "Nobody in this account is mailed: no subscription of the topic iam-guard-notices is confirmed. "
        "With CentralBus, the security account is told."
    ) in out
    assert "Go on? [y/N]" in out
    assert not [call for call in sandbox.calls if call.action.startswith(("Create", "Put"))]


def test_a_region_without_the_guard_is_refused(smoke_test):
    """Nothing is made where there is no guard to wait for."""
    process = smoke_test("--yes", "--region", "eu-west-1")
    assert "The guard is not deployed in eu-west-1" in finished(process)
    assert process.returncode == 1


def test_the_region_follows_from_the_partition(monkeypatch):
    """It looks where a partition's IAM events are; in a partition that it does not know, it asks for --region."""
    assert SMOKE.REGIONS == IAM_REGIONS
    monkeypatch.setattr(SMOKE.Account, "client", lambda account, service: Identity("aws-new"))
    with pytest.raises(SMOKE.Failed, match="aws-new gets IAM's events"):
        SMOKE.Account(None)
    assert SMOKE.Account("here-1").region == "here-1"
    monkeypatch.setattr(SMOKE.Account, "client", lambda account, service: Identity("aws-cn"))
    assert SMOKE.Account(None).region == "cn-north-1"


def test_a_stopped_guard_is_refused(sandbox, smoke_test):
    """If the rule is disabled, it says how to start it."""
    client = sandbox.client("events", account=ACCOUNT)
    client.disable_rule(Name=FUNCTION)
    try:
        process = smoke_test("--yes")
        assert "deploy/switch on" in finished(process)
        assert process.returncode == 1
    finally:
        client.enable_rule(Name=FUNCTION)
