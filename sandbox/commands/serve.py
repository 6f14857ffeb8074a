"""``python -m sandbox serve``: an organization to try the guard in by hand, until Ctrl-C.

The operator is root: the guard does not look at root's calls. Everybody else is who they would be on AWS.
"""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

from moto.organizations.models import organizations_backends

from sandbox.access import principals
from sandbox.commands import demo, example_accounts
from sandbox.organizations import organization
from sandbox.server import ACCOUNT, Sandbox

PAUSE = 1  # seconds between two looks for events
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BIN = Path(sys.executable).parent
#: From which minor version on the AWS CLI knows AWS_ENDPOINT_URL, by its major version.
OLDEST_CLI = {1: (1, 29), 2: (2, 13)}
#: What a shell keeps of its own; the command line of AWS gets no pager, so that commands can be pasted.
OWN = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")
MORE = {"AWS_PROFILE": "central", "AWS_PAGER": "", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
#: The accounts beside the management account, as (id, name, whether it is in the unit).
MEMBERS = [
    (ACCOUNT, "central", False),
    ("222233334444", "production", True),
    ("333344445555", "staging", True),
    ("444455556666", "sandbox", True),
]
#: The roles that are profiles, each with the guard's roles that it may take, which are profiles, too.
TAKEN = {"platform": ("iam-guard-deployer", "iam-guard-reader"), "on-call": ("iam-guard-response",)}


def run(port=0):
    """Keep the accounts running, and deliver their events, until a signal comes.

    :param port: the port to listen on; a free one by default
    :returns: the exit status: 0, or 1 if the AWS CLI on the PATH would call AWS itself
    :raises OSError: if the port is taken
    """
    signals = []

    def stop(number, frame):
        signals.append(number)  # libraries swallow an exception here and there
        raise KeyboardInterrupt

    if problem := deaf(aws_version()):
        demo.say(problem)
        return 1
    with Sandbox(port=port) as sandbox:
        for number in SIGNALS:
            signal.signal(number, stop)
        with suppress(KeyboardInterrupt):
            organization.found(sandbox, MEMBERS)
            keys = example_accounts.populate(sandbox)
            profiles(sandbox)
            others = [function for account, *_ in MEMBERS[1:] for function in joined(sandbox, account)]
            demo.say(*welcome(sandbox, others, keys))
            while not signals:
                work(sandbox)
                time.sleep(PAUSE)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        demo.say("", "The accounts are gone. Close the shells that used them.")
    return 0


# What is said


def welcome(sandbox, others, keys):
    """The lines that say what there is, and what to paste: the functions of people of all accounts."""
    yield from (
        f"An AWS organization, simulated at {sandbox.endpoint}. Nothing leaves this machine.",
        "",
        f"  organization  {organization.ID}, with the root {organization.ROOT}",
        f"  account       management {organization.MANAGEMENT}",
        *(f"  account       {name} {number}" for number, name, in_unit in MEMBERS if not in_unit),
        f"  unit          workloads {organization.UNIT}, with the accounts",
        *(f"                {name} {number}" for number, name, in_unit in MEMBERS if in_unit),
        "",
        "You are in central. `export AWS_PROFILE=management` takes you to another account. In central, there are:",
        "",
        "  ada       an admin, in the group admins",
        "  bob       in the groups developers and data, with the rights of an administrator",
        "  carol     in the group developers, with the same rights",
        f"  roles     pipeline, which everybody here may assume, and {example_accounts.SSO_ROLE};",
        "            platform, which is a profile, too, and with it iam-guard-deployer and iam-guard-reader;",
        "            on-call, with iam-guard-response",
        "  trail     management-events",
        "",
        "Paste the lines from unset to carol() into a second shell, in the project's folder. Close that shell",
        "afterwards: its AWS settings and its HOME, in which custodian keeps its cache, are then the sandbox's.",
        "",
        *exports(sandbox),
        *others,
        *(function(name, sandbox.environ(key)) for name, key in keys.items()),
        "",
        "You are root then, whose calls the guard does not look at. To call as somebody else, put their",
        "name first:",
        "",
        "  bob aws iam create-user --user-name backdoor",
        "  staging_bob aws iam create-user --user-name backdoor",
        "  ada deploy/smoke-test --yes",
        "",
        "Below stands each function that an event invokes, within seconds of the call, and each mail.",
        "Schedules do not run by themselves here: docs/health.md has the command that runs a catch-up now.",
        "Ctrl-C ends the accounts.",
        "",
    )


def aws_version():
    """The version line of the AWS CLI on the PATH; empty if there is no such CLI."""
    aws = shutil.which("aws")
    if aws is None:
        return ""
    done = subprocess.run([aws, "--version"], capture_output=True, text=True)
    return done.stdout + done.stderr  # old ones write to stderr


def deaf(said):
    """The sentence about an AWS CLI that does not know AWS_ENDPOINT_URL, by its ``--version``; or None."""
    version = re.match(r"aws-cli/(\d+)\.(\d+)\.", said)
    if not version or tuple(map(int, version.groups())) >= OLDEST_CLI[int(version[1])]:
        return None
    problem = f"The AWS CLI on your PATH is {said.split()[0]}, which would send the commands to AWS itself."
    return f"{problem} Install version 2.13 or newer."


def exports(sandbox):
    """Lines for bash and zsh that bind a shell to the account, and to nothing else."""
    yield "unset AWS_PROFILE $(env | grep -o '^AWS_[A-Z0-9_]*')"
    yield f'export PATH={shlex.quote(str(BIN))}:"$PATH"'
    environ = sandbox.environ() | MORE | {"AWS_CONFIG_FILE": str(config_file(sandbox))}
    own = (*OWN, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    yield from (f"export {name}={shlex.quote(environ[name])}" for name in environ if name not in own)


def function(name, environ):
    """A line for bash and zsh that makes a person's name a command, which runs others with their key."""
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    words = " ".join(f"{key}={shlex.quote(environ[key])}" for key in keys)
    return f'{name}() {{ {words} "$@"; }}'


# Accounts


def config_file(sandbox):
    return Path(sandbox.home) / "config"


def profiles(sandbox):
    """Begin the AWS CLI's settings: with the two accounts that deploy, and with the roles that do."""
    add_profile(sandbox, "management", {"AccessKeyId": principals.operator_key(organization.MANAGEMENT)})
    add_profile(sandbox, "central", {"AccessKeyId": principals.operator_key(ACCOUNT)})
    for name, roles in TAKEN.items():
        add_profile(sandbox, name, sandbox.session(f"arn:aws:iam::{ACCOUNT}:role/{name}", "operator"))
        for role in roles:
            taken = {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/{role}", "source_profile": name}
            add_profile(sandbox, role, {}, **taken)


def add_profile(sandbox, name, keys, **more):
    """Add a profile, of an access key or of a role that is taken."""
    if keys:
        more = {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys.get("SecretAccessKey", "sandbox"),
        }
    if "SessionToken" in keys:
        more["aws_session_token"] = keys["SessionToken"]
    more |= {"region": sandbox.region, "endpoint_url": sandbox.endpoint}
    lines = [f"[profile {name}]", *(f"{key} = {value}" for key, value in more.items()), ""]
    with config_file(sandbox).open("a") as file:
        print(*lines, sep="\n", file=file)


def joined(sandbox, account):
    """Give an account people and a profile, and return the lines that make its people commands."""
    found = organizations_backends[organization.MANAGEMENT]["aws"].get_account_by_id(account)
    name = re.sub(r"\W", "-", found.name)
    add_profile(sandbox, name, {"AccessKeyId": principals.operator_key(account)})
    keys = example_accounts.populate_member(sandbox, account)
    return [function(f"{name}_{person}", sandbox.environ(key)) for person, key in keys.items()]


def new_accounts(sandbox):
    """The accounts that have joined since the last look."""
    known = config_file(sandbox).read_text()
    for account in organizations_backends[organization.MANAGEMENT]["aws"].accounts:
        if f"= {principals.operator_key(account.id)}\n" not in known:
            yield account


# Events


def work(sandbox):
    """Deliver what has happened, event by event, and say what came of it; look for accounts that have joined."""
    with sandbox.lock:
        events, sandbox.pending = sandbox.pending, []
        sandbox.calls.clear()
    for account in new_accounts(sandbox):
        said = f"{now()}  the account {account.name} {account.id} has joined. Paste:"
        demo.say(said, *joined(sandbox, account.id))
    for event in (*events, None):
        try:
            invocations = sandbox.functions.poll() if event is None else sandbox.deliver(event)
            for invocation in invocations:
                demo.say(told(invocation))
        except Exception as error:  # such as a function whose role somebody has deleted
            demo.say(f"{now()}  an event was not delivered: {type(error).__name__}: {error}")
    for alarm in list(sandbox.known_alarms.values()):
        alarm.evaluate()
    while sandbox.sent:
        mail = sandbox.sent.pop(0)
        demo.say(f"{now()}  mail to {mail.to}: {mail.subject}", textwrap.indent(mail.text, " " * 10))


def told(invocation):
    """One line about an invocation: which function decided what about whom."""
    found, event = demo.decided([invocation]), invocation.event
    if "Records" in event:  # a dead letter that comes again
        event = json.loads(event["Records"][0]["body"])
    name = found.get("user") or found.get("role") or demo.caller_of(event)
    call = f"{event['detail']['eventName']}  {invocation.function}"
    return f"{now()}  {event['account']}  {call} -> {name}: {demo.verdict(found)}"


def now():
    return time.strftime("%H:%M:%S")
