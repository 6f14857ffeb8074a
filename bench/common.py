"""What the parts share: users straight into moto, deployments, stock commands that are watched."""

import io
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import moto.backends
from moto.iam.models import iam_backends

from sandbox import Sandbox, cloudtrail
from sandbox.principals import Principal

ROOT = Path(__file__).parent.parent
POLICY = ROOT / "policies" / "revoke-unintended-iam-access.yml"
OURS = "iam-guard-revoke-unintended-iam-access"
MANAGED_POLICY = "policy/DenyIAMAccess"
ADMIN_GROUP = "admins"
ADMIN = "admin"
#: As from Lambda to IAM: seconds per API call and per new connection.
LATENCY = (0.020, 0.040)
SAMPLING_SECONDS = 0.25

numbers = itertools.count()


def say(text):
    """Progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def sandbox():
    """A sandbox whose moto doesn't list its own folders at every call, so that less of the time is moto's."""
    logging.getLogger("moto").setLevel(logging.ERROR)  # not what it cannot do with our stack's alarms
    modules = tuple(moto.backends.list_of_moto_modules())
    with patch.object(moto.backends, "list_of_moto_modules", lambda: modules), Sandbox() as box:
        yield box


def backend(account):
    return iam_backends[account]["aws"]


def add_users(box, names, groups=(), account=None):
    """Users of these names, made in moto directly, because calls would take minutes."""
    iam = backend(account or box.account)
    for name in names:
        user = iam.create_user(box.region, name)
        for group in groups:
            iam.groups[group].users.append(user)


def new_user(box, account=None):
    """The name of a user who has not existed before."""
    name = f"user-{next(numbers)}"
    add_users(box, [name], account=account)
    return name


def prepare(box, account=None):
    """What the functions need in an account: our stack, the admin group with one member, and a free role."""
    box.deploy(account=account)
    add_admin_group(box, account)
    add_role(box, "bench", {"Service": "lambda.amazonaws.com"}, account)


def add_admin_group(box, account=None):
    """The admin group, with one member."""
    backend(account or box.account).create_group(ADMIN_GROUP)
    add_users(box, [ADMIN], [ADMIN_GROUP], account)


def add_role(box, name, principal, account=None):
    """A role that may do anything."""
    iam = box.client("iam", account=account)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
    iam.put_role_policy(RoleName=name, PolicyName="anything", PolicyDocument=document(allow))


def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def event(box, name, account=None):
    """EventBridge's event of a user who has called CreateUser just now."""
    account = account or box.account
    identity = Principal("IAMUser", account, "aws", "AKIABENCH", name).identity()
    params = {"UserName": "somebody"}
    return cloudtrail.envelope(cloudtrail.record(identity, "iam", "CreateUser", params, account, box.region))


def is_revoked(name, account):
    policies = backend(account).users[name].managed_policies
    return any(arn.endswith(MANAGED_POLICY) for arn in policies)


@dataclass
class Finished:
    """A command that has ended, with what all its processes took together.

    :param cpu: seconds of processor time
    :param memory: the most MB at any time
    """

    output: str
    seconds: float
    cpu: float
    memory: float


def command(box, *arguments, **environ):
    """Run a stock command in the sandbox.

    :param arguments: the command, without its output folder
    :param environ: environment variables, beside those that bind it to the sandbox
    :returns: :class:`Finished`
    :raises RuntimeError: where its status is not 0
    """
    arguments = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        started, ended, samples = time.perf_counter(), threading.Event(), []
        process = subprocess.Popen(
            [*arguments, "-s", folder],
            env={**box.environ(), **environ},
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        watch = threading.Thread(target=watch_memory, args=(process.pid, ended, samples))
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watch.join()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}\n{text[-5000:]}")
    return Finished(text, seconds, usage.ru_utime + usage.ru_stime, max(samples, default=0))


def watch_memory(session, ended, samples):
    """Note the MB that a session's processes use together, shared pages once, until they have ended."""
    while not ended.wait(SAMPLING_SECONDS):
        samples.append(sum(map(proportional_memory, session_members(session))))


def session_members(session):
    """The processes of a session, by the sixth field of their /proc/PID/stat."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            yield folder


def proportional_memory(folder):
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def deploy_policy(box, policy, account=None):
    """Deploy a policy with stock ``custodian run``."""
    key = box.environ(account=account)["AWS_ACCESS_KEY_ID"]
    command(box, "custodian", "run", policy, "-r", box.region, AWS_ACCESS_KEY_ID=key)


def deploy_module(box, path, name, account=None, more=None, environment=None):
    """Upload a Python file as a function, as one does it with boto3.

    :param path: the file; its function ``run`` is the handler
    :param more: the archive of another function, that it is added to
    """
    archive = io.BytesIO(more or b"")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as into:
        into.write(path, path.name)
    box.client("lambda", account=account).create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=f"arn:aws:iam::{account or box.account}:role/bench",
        Handler=f"{path.stem}.run",
        Code={"ZipFile": archive.getvalue()},
        Timeout=120,
        MemorySize=512,
        Environment={"Variables": environment or {}},
    )


def cpu_seconds(pid):
    """The processor time that a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
