"""``python -m sandbox serve``: an AWS account to try the guard in by hand, until Ctrl-C.

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

from sandbox import demo, people, sns
from sandbox.server import Sandbox

PAUSE = 1  # seconds between two looks for events
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BIN = Path(sys.executable).parent
#: From which minor version on the AWS CLI knows AWS_ENDPOINT_URL, by its major version.
OLDEST_CLI = {1: (1, 29), 2: (2, 13)}
#: What a shell keeps of its own; the command line of AWS gets no pager, so that commands can be pasted.
OWN = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")
MORE = {"AWS_PAGER": "", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def run(port=0):
    """Keep an account running, and deliver its events, until a signal comes.

    :param port: the port to listen on; a free one by default
    :returns: the exit status: 0, or 1 if the AWS CLI on the PATH would call AWS itself
    :raises OSError: if the port is taken
    """
    signals = []

    def stop(number, frame):
        signals.append(number)  # libraries swallow an exception here and there
        raise KeyboardInterrupt

    problem = deaf(aws_version())
    if problem:
        demo.say(problem)
        return 1
    with Sandbox(port=port) as sandbox:
        for number in SIGNALS:
            signal.signal(number, stop)
        with suppress(KeyboardInterrupt):
            demo.say(*welcome(sandbox, people.populate(sandbox)))
            while not signals:
                work(sandbox)
                time.sleep(PAUSE)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        demo.say("", "The account is gone. Close the shells that used it.")
    return 0


# What is said


def welcome(sandbox, keys):
    """The lines that say what there is, and what to paste into another shell."""
    yield from (
        f"An AWS account, simulated at {sandbox.endpoint}. Nothing leaves this machine.",
        "",
        "  ada       an admin, in the group admins",
        "  bob       in the groups developers and data, with the rights of an administrator",
        "  carol     in the group developers, with the same rights",
        f"  roles     pipeline, which everybody here may assume, and {people.SSO_ROLE}",
        "  trail     management-events",
        "",
        "Paste the lines from unset to carol() into a second shell, in the project's folder. Close that shell",
        "afterwards: its AWS settings and its HOME, in which custodian keeps its cache, are then this account's.",
        "",
        *exports(sandbox),
        *(function(name, sandbox.environ(key)) for name, key in keys.items()),
        "",
        "You are root then, whose calls the guard does not look at. To call as somebody else, put their",
        "name first:",
        "",
        "  bob aws iam create-user --user-name backdoor",
        "  ada deploy/smoke-test --yes",
        "",
        "Below stands each function that an event invokes, within seconds of the call, and each mail.",
        "Schedules do not run by themselves here: docs/health.md has the command that runs a catch-up now.",
        "Ctrl-C ends the account.",
        "",
    )


def aws_version():
    """What the AWS CLI on the PATH says of its version; empty if there is none."""
    aws = shutil.which("aws")
    if aws is None:
        return ""
    done = subprocess.run([aws, "--version"], capture_output=True, text=True)
    return done.stdout + done.stderr  # old ones write to stderr


def deaf(said):
    """What is wrong with an AWS CLI that does not know AWS_ENDPOINT_URL; None if it knows it, or there is none.

    :param said: what ``aws --version`` printed
    """
    version = re.match(r"aws-cli/(\d+)\.(\d+)\.", said)
    if not version or tuple(map(int, version.groups())) >= OLDEST_CLI[int(version[1])]:
        return None
    return (
        f"The AWS CLI on your PATH is {said.split()[0]}, which would send the commands to AWS itself. "
        "Install version 2.13 or newer."
    )


def exports(sandbox):
    """Lines for bash and zsh that bind a shell to the account, and to nothing else."""
    yield "unset AWS_PROFILE $(env | grep -o '^AWS_[A-Z0-9_]*')"
    yield f'export PATH={shlex.quote(str(BIN))}:"$PATH"'
    environ = sandbox.environ() | MORE
    yield from (f"export {name}={shlex.quote(environ[name])}" for name in environ if name not in OWN)


def function(name, environ):
    """A line for bash and zsh that makes a person's name a command, which runs others with their key."""
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    words = " ".join(f"{key}={shlex.quote(environ[key])}" for key in keys)
    return f'{name}() {{ {words} "$@"; }}'


# Events


def work(sandbox):
    """Deliver what has happened, event by event, and say what came of it."""
    with sandbox.lock:
        events, sandbox.pending = sandbox.pending, []
        sandbox.calls.clear()
    for event in (*events, None):
        try:
            invocations = sandbox.functions.poll() if event is None else sandbox.deliver(event)
            for invocation in invocations:
                demo.say(told(invocation))
        except Exception as error:  # such as a function whose role somebody has deleted
            demo.say(f"{now()}  an event was not delivered: {type(error).__name__}: {error}")
    while sns.mails:
        mail = sns.mails.pop(0)
        demo.say(f"{now()}  mail to {mail.to}: {mail.subject}", textwrap.indent(mail.text, " " * 10))


def told(invocation):
    """One line about an invocation: which function decided what about whom."""
    found, event = demo.decided([invocation]), invocation.event
    if "Records" in event:  # a dead letter that comes again
        event = json.loads(event["Records"][0]["body"])
    name = found.get("user") or found.get("role") or demo.caller_of(event)
    call = f"{event['detail']['eventName']}  {invocation.function}"
    return f"{now()}  {call} -> {name}: {demo.verdict(found)}"


def now():
    return time.strftime("%H:%M:%S")
