"""The sandbox that the tests share, and the ways in which they use it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from sandbox import Sandbox
from sandbox.server import DEPLOY

ROOT = Path(__file__).parent.parent
POLICIES = ROOT / "policies"
EVENTS = Path(__file__).parent / "events"
REVOKE = "revoke-unintended-iam-access"
FUNCTION = f"iam-guard-{REVOKE}"


def functions():
    """The policy files that are deployed as functions: those with a mode. The others are run by hand."""
    policies = {file: yaml.safe_load(file.read_text())["policies"] for file in sorted(POLICIES.glob("*.yml"))}
    return [file for file, (policy,) in policies.items() if "mode" in policy]


def stock(command, *arguments, environ, cwd=ROOT):
    """Run a stock command of this environment: ``custodian`` or ``c7n-org``."""
    return subprocess.run(
        [Path(sys.executable).parent / command, *map(str, arguments)],
        env=environ,
        cwd=cwd,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="session")
def sandbox():
    """An empty AWS account with the stack of ``deploy/account.yml``."""
    with Sandbox() as running:
        running.deploy(DEPLOY / "account.yml", AdminGroup="Admins")
        yield running


@pytest.fixture(scope="session")
def deployed(sandbox, tmp_path_factory):
    """The account with its admins (``alice``), and the pack's functions deployed by stock custodian."""
    iam = sandbox.client("iam")
    iam.create_group(GroupName="Admins")
    for name, groups, path in (("alice", ["Admins"], "/"), ("bob", [], "/"), ("paul", [], "/team/data/")):
        sandbox.create_user(name, groups=groups, path=path)
        moto_user(sandbox, name).id = f"AIDA{name.upper():X<17}"
    run = stock(
        "custodian", "run", "-s", tmp_path_factory.mktemp("out"), "-r", sandbox.region,
        *functions(), environ=sandbox.environ(),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    sandbox.pending.clear()
    return sandbox


@pytest.fixture
def fresh(deployed):
    """The deployed account, with nobody revoked, no fault injected, nothing pending and nothing counted."""
    for name in ("alice", "bob", "paul"):
        restore(deployed, name)
    deployed.pending.clear()
    deployed.calls.clear()
    deployed.faults.clear()
    from moto.iam.models import iam_backends

    backend = iam_backends[deployed.account]["aws"]
    known = set(backend.users)
    yield deployed
    deployed.faults.clear()
    for name in set(backend.users) - known:  # whom the test's own users have made
        gone = backend.users.pop(name)
        for group in backend.groups.values():
            group.users = [member for member in group.users if member is not gone]


def moto_user(sandbox, name):
    """moto's own user object, to look at or to bend in ways that no API offers."""
    from moto.iam.models import iam_backends

    return iam_backends[sandbox.account]["aws"].users[name]


def restore(sandbox, name):
    user = moto_user(sandbox, name)
    user.policies.pop("DenyIAM", None)
    user.managed_policies.pop(deny_arn(sandbox), None)


def deny_arn(sandbox, name="DenyIAMAccess"):
    return f"arn:aws:iam::{sandbox.account}:policy/{name}"


def revoked(sandbox, name):
    """In which forms a user carries the guard's deny, as IAM tells it."""
    iam = sandbox.client("iam")
    attached = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    inline = iam.list_user_policies(UserName=name)["PolicyNames"]
    managed = ["managed"] if any(p["PolicyName"] == "DenyIAMAccess" for p in attached) else []
    return managed + (["inline"] if "DenyIAM" in inline else [])


def guards_calls(sandbox):
    """The API calls that the guard's function has made, in their order."""
    return [call.action for call in sandbox.calls if ":assumed-role/iam-guard/" in call.caller]


def case(name, policy=REVOKE):
    """The event of one case file."""
    return json.loads((EVENTS / policy / f"{name}.json").read_text())


def policy(data, environ, monkeypatch, **options):
    """A c7n policy in this process, bound to the sandbox."""
    from c7n.config import Config
    from c7n.policy import PolicyCollection
    from c7n.resources import aws, load_resources
    from c7n.utils import reset_session_cache

    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    reset_session_cache()
    monkeypatch.setattr(aws, "_profile_session", None)  # c7n keeps the first one, and its account
    load_resources(("aws.iam-user",))
    options = {"output_dir": "/dev/null", "region": environ["AWS_REGION"], **options}
    config = aws.AWS().initialize(Config.empty(**options))
    (found,) = PolicyCollection.from_data({"policies": [data]}, config)
    found.validate()
    return found


@pytest.fixture
def in_process(sandbox, monkeypatch):
    """``in_process(filters=…, actions=…)``: an ``iam-user`` policy run in this process, on the sandbox."""

    def make(name="a-policy", account=None, **data):
        environ = sandbox.environ(account=account)
        return policy({"name": name, "resource": "aws.iam-user", **data}, environ, monkeypatch)

    return make


@pytest.fixture
def user(sandbox):
    """``user("name", groups=[…])``: a user who is gone again after the test."""
    made = []

    def make(name, **how):
        made.append(name)
        key = sandbox.create_user(name, **how)
        sandbox.pending.clear()
        return SimpleNamespace(name=name, key=key, iam=sandbox.client("iam", key))

    yield make
    from moto.iam.models import iam_backends

    backend = iam_backends[sandbox.account]["aws"]
    for name in made:
        gone = backend.users.pop(name, None)
        for group in backend.groups.values():
            group.users = [member for member in group.users if member is not gone]
