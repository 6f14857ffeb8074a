"""The sandbox that the tests share, and the ways in which they use it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import aws_cli
import contained as contained_account
import helpers
import kept
import people_world
import pytest
import stock_commands
import yaml
from helpers import (  # noqa: F401  some test modules import these from here
    FUNCTION,
    POLICIES,
    REVOKE,
    ROOT,
    SETTINGS,
    policy,
    stock,
)
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from c7n_iamguard.aws_names import SINCE_TAG
from sandbox import Sandbox
from sandbox.lambda_ import environments
from sandbox.server import DEPLOY


def pytest_xdist_auto_num_workers():
    """One worker more than there are processors: some tests wait for commands and functions."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # its workers use the commands of the run
        config.add_cleanup(stock_commands.start())
    environments.PYTHON = stock_commands.path("python")


def pytest_collection_modifyitems(items):
    """The longest files come first, so that no process waits for them in the end."""
    longest = ("test_organization_walk", "test_pages", "test_ci", "test_wheel", "test_demo", "test_replay")
    items.sort(key=lambda item: (item.path.stem not in longest, "plugin" in item.path.parts))


def pytest_xdist_make_scheduler(config, log):
    """A file runs in one process, and so do all files about people, or containment, which share an account."""

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return next((subject for subject in ("people", "contain") if subject in file), file)

    return Files(config, log)


def pytest_sessionstart():
    """Load the plugin as custodian does, right after c7n's IAM resources, whichever module a test imports."""
    import c7n.resources.iam  # noqa: F401

    # How long an example takes to make says how busy the machine is.
    settings.register_profile(
        "untimed", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("untimed")


@pytest.fixture(scope="session")
def sandbox():
    """An empty AWS account with the stack of ``deploy/account.yml``."""
    with Sandbox() as running:
        running.deploy(DEPLOY / "account.yml", AdminGroups="Admins")
        yield running


@pytest.fixture(scope="session")
def deployed(sandbox, tmp_path_factory):
    """The account with its admins (``alice``), and the pack's functions deployed by stock custodian."""
    sandbox.client("iam").create_group(GroupName="Admins")
    for name, groups, path in (("alice", ["Admins"], "/"), ("bob", [], "/"), ("paul", [], "/team/data/")):
        sandbox.create_user(name, groups=groups, path=path)
        helpers.moto_user(sandbox, name).id = f"AIDA{name.upper():X<17}"
    run = stock(
        "custodian", "run", "-s", tmp_path_factory.mktemp("out"), "-r", sandbox.region,
        *helpers.functions(), environ=sandbox.environ(),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    sandbox.pending.clear()
    return sandbox


@pytest.fixture
def unchanged(sandbox):
    """Users, groups and managed policies are after the test as before it, without faults or SCPs."""
    sandbox.pending.clear()
    sandbox.calls.clear()
    put_back = kept.iam(helpers.backend(sandbox))
    yield
    sandbox.faults.clear()
    sandbox.scps.clear()
    sandbox.last_used.clear()
    put_back()


@pytest.fixture
def fresh(deployed, unchanged):
    """The deployed account: nobody is revoked, nothing is pending or counted, no fault is injected."""
    return deployed


@pytest.fixture
def warm(fresh):
    """The fresh account, whose main function has started, so that its events alone cause calls."""
    helpers.warm_up(fresh)
    fresh.pending.clear()
    fresh.calls.clear()
    return fresh


@pytest.fixture
def impatient(fresh):
    """The fresh account, whose main function tries an API call twice instead of five times."""
    with helpers.environment(fresh, AWS_MAX_ATTEMPTS="2"):
        yield fresh


@pytest.fixture
def in_process(sandbox, unchanged, monkeypatch):
    """``in_process(filters=…, actions=…)``: an ``iam-user`` policy run in this process, on the sandbox."""

    def make(name="a-policy", account=None, **data):
        environ = sandbox.environ(account=account)
        return policy({"name": name, "resource": "aws.iam-user", **data}, environ, monkeypatch)

    return make


@pytest.fixture
def source(in_process):
    """``source(filters=…)``: a policy of ours on the source ``authorization-details``, in this process."""

    def make(**data):
        return in_process(source="authorization-details", **data)

    return make


@pytest.fixture
def logged(caplog):
    """``logged()``: the decisions that were logged in this process."""
    caplog.set_level("INFO", "c7n_iamguard")

    def decisions():
        texts = [record.getMessage() for record in caplog.records if record.name == "c7n_iamguard"]
        return [json.loads(text) for text in texts if text.startswith("{")]

    return decisions


@pytest.fixture
def history(deployed, unchanged):
    """The event history, empty at first, and ``history.pass_by(minutes)``: what has happened was so long ago."""
    deployed.history.clear()

    def pass_by(minutes=45):
        for record in deployed.history:
            then = time.mktime(time.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ")) - minutes * 60
            record["eventTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.localtime(then))

    deployed.history.pass_by = pass_by
    yield deployed.history
    deployed.history.clear()


@pytest.fixture
def caught(history, in_process):
    """``caught(filters)``: those whom a catch-up finds, by their names."""

    from c7n_iamguard.settings import PINS

    def find(filters, resource="aws.iam-user", mark=None, pins=None, **data):
        if mark is not None or pins is not None:
            variables = {} if pins is None else {PINS: json.dumps(pins)}
            data["mode"] = {
                "type": "periodic", "schedule": "rate(1 hour)", "role": "arn:aws:iam::1:role/x",
                "tags": {SINCE_TAG: mark or ""}, "environment": {"Variables": variables},
            }  # fmt: skip
        policy = in_process(resource=resource, source="authorization-details", filters=filters, **data)
        name = "UserName" if resource == "aws.iam-user" else "RoleName"
        return {one[name]: one for one in policy.resource_manager.resources()}

    return find


@pytest.fixture
def custodian(sandbox, tmp_path):
    """``custodian(policy, "--dryrun", …)``: stock ``custodian run`` of a policy, and what it left behind.

    The answer has the exit status, ``users`` (the output's, by name) and ``decisions`` (of the log).
    """

    def run(policy, *options, credentials=None, account=None, fails=False, settings=SETTINGS, **environ):
        file = POLICIES / f"{policy}.yml"
        if isinstance(policy, dict):
            file = tmp_path / "policy.yml"
            file.write_text(yaml.safe_dump({"policies": [policy]}))
        name = yaml.safe_load(file.read_text())["policies"][0]["name"]
        done = stock(
            "custodian", "run", "-s", tmp_path, "-r", sandbox.region, *options, file,
            environ=sandbox.environ(credentials, account) | environ, settings=settings,
        )  # fmt: skip
        assert bool(done.returncode) == fails, done.stderr
        output = tmp_path / name / "resources.json"
        if not fails and output.exists():
            found = json.loads(output.read_text())
            done.users = {one.get("UserName", one.get("RoleName")): one for one in found}
        lines = [line for line in done.stderr.splitlines() if '{"decision"' in line]
        done.decisions = [json.loads(line[line.index("{") :]) for line in lines]
        return done

    return run


@pytest.fixture
def queue(fresh):
    """Empties the main function's dead-letter queue, and returns a function that tells what is in it."""
    sqs = fresh.client("sqs")
    url = sqs.get_queue_url(QueueName=FUNCTION)["QueueUrl"]

    def drain():
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def messages():
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    drain()
    yield messages
    drain()


@pytest.fixture
def user(sandbox, unchanged):
    """``user("name", groups=[…])``: a user who is gone again after the test."""

    def make(name, **how):
        key = sandbox.create_user(name, **how)
        sandbox.pending.clear()
        return SimpleNamespace(name=name, key=key, iam=sandbox.client("iam", key))

    return make


@pytest.fixture
def attacker(fresh, user):
    """Somebody who may do anything, and is in no admin group."""
    return user("mallory")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A folder such as the documentation's commands run in, with ``aws`` in front of PATH."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "policies").symlink_to(POLICIES)
    shutil.copytree(DEPLOY, folder / "deploy")  # deploy/accounts.py edits the SCP
    shutil.copy(SETTINGS, folder)
    (folder / "bin").mkdir()
    aws_cli.stand_in(folder / "bin")
    return folder


@pytest.fixture(scope="session")
def shell(sandbox, workplace):
    """``shell(command, environ)``: a command of the documentation, by the shell of a CI job."""

    def run(command, environ=None, cwd=workplace):
        environ = dict(environ or sandbox.environ())
        commands, scripts = stock_commands.path("."), Path(sys.executable).parent
        path = (str(workplace / "bin"), str(commands), str(scripts), environ["PATH"])
        environ["PATH"] = os.pathsep.join(path)
        return subprocess.run(["bash", "-c", command], cwd=cwd, env=environ, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def contained(sandbox, tmp_path_factory):
    """An account of its own, whose unintended calls are contained."""
    return contained_account.Contained(sandbox, tmp_path_factory.mktemp("contained"))


@pytest.fixture(scope="session")
def people(sandbox):
    """An organization whose people of Identity Center are denied IAM by an SCP."""
    return people_world.World(sandbox)


@pytest.fixture
def world(people):
    """That organization, in which nobody is denied and nothing waits."""
    people.reset()
    yield people
    people.reset()


@pytest.fixture
def ada(world):
    """A person of it."""
    return world.person("ada@example.com")


@pytest.fixture
def bob(world):
    """Another person, with the same permission set."""
    return world.person("bob@example.com")


@pytest.fixture
def by_hand(contained, monkeypatch, tmp_path):
    """``by_hand(action)``: the users' containment in this process, with these options of its action."""

    def make(**action):
        data = helpers.pinned(helpers.shipped(helpers.CONTAIN), groups={"admins": contained.admins_id})
        data["actions"] = [{"type": "undo-iam-call", "groups": ["admins"], **action}]
        environ = contained.sandbox.environ(account=contained_account.ACCOUNT)
        return policy(data, environ, monkeypatch, output_dir=str(tmp_path), log_group="null")

    return make
