"""``python -m sandbox serve``: what a person has who pastes its lines into a shell."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import aws_cli
import pytest
import stock_commands
from helpers import REVOKE, ROOT, ok

from sandbox.__main__ import main
from sandbox.commands import serve

RUN = "custodian run --vars-file iam-guard.yml"
LAST_LINE = "Ctrl-C ends the accounts"
#: What a person's shell may hold before: it would lead elsewhere.
BEFORE = {"AWS_PROFILE": "production", "AWS_ENDPOINT_URL_IAM": "http://192.0.2.1:9", "AWS_SESSION_TOKEN": "t"}
SECONDS = 180


def start(python):
    """Start an account, and read what it says until it is ready."""
    command, output = (
        [python, "-m", "sandbox", "serve"],
        {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT},
    )
    process = subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, **output)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if LAST_LINE in line:
            return process, lines
    raise AssertionError("".join(lines))


def end(process):
    process.send_signal(signal.SIGINT)
    return process.wait(timeout=SECONDS)


@contextmanager
def serving(folder, python=sys.executable, copy=False):
    """The running sandbox: ``run`` is a command in a shell with its lines pasted, ``said`` what it prints since.

    :param copy: whether commands run in a copy of the project's files, because they write some
    """
    process, lines = start(python)
    said, place = [], folder / "project" if copy else ROOT
    (folder / "bin").mkdir()
    aws_cli.stand_in(folder / "bin")
    if copy:
        place.mkdir()
        shutil.copytree(ROOT / "deploy", place / "deploy")
        shutil.copy(ROOT / "iam-guard.yml", place)
        (place / "policies").symlink_to(ROOT / "policies")
    threading.Thread(target=lambda: said.extend(process.stdout), daemon=True).start()
    pasted = re.search(r"^unset .*?(?=^$)", "".join(lines), re.M | re.S)[0]

    def run(command):
        environ = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", **BEFORE}
        faster = f"export PATH={stock_commands.path('.')}:$PATH"
        shell = ["bash", "-euo", "pipefail", "-c", f"{pasted}\n{faster}\n{command}"]
        return subprocess.run(shell, cwd=place, env=environ, capture_output=True, text=True)

    def wait(text):
        deadline = time.monotonic() + SECONDS
        while not (found := [line for line in said if text in line]):
            assert time.monotonic() < deadline, said
            time.sleep(0.2)
        return found[0]

    yield SimpleNamespace(run=run, wait=wait, said=said, folder=folder, process=process)
    assert end(process) == 0


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """The running sandbox, whose operator is in the central account."""
    with serving(tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(account):
    """The account with the guard, deployed by the commands of README."""
    stack = "aws cloudformation deploy --stack-name iam-guard --template-file deploy/account.yml"
    ok(account.run(f"{stack} --capabilities CAPABILITY_NAMED_IAM --parameter-overrides AdminGroups=admins"))
    ok(account.run(f"{RUN} -s {account.folder} -r us-east-1 policies/{REVOKE}.yml"))
    return account


def test_a_shell_in_which_the_lines_are_pasted_knows_no_other_account(account):
    """The shell has lost its own AWS settings, and has those of the account."""
    found = dict(line.split("=", 1) for line in ok(account.run("env | grep ^AWS_")).splitlines())
    assert not BEFORE.items() & found.items()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", found["AWS_ENDPOINT_URL"])


def test_a_command_is_the_operators_unless_a_persons_name_stands_before_it(account):
    """The operator is root; a person's name in front of a command runs it with that person's key."""
    ask = "aws sts get-caller-identity"
    root, bob = re.findall(r"arn:aws:iam::111122223333:([\w/]+)", ok(account.run(f"{ask}; bob {ask}")))
    assert (root, bob) == ("root", "user/bob")


def test_somebody_who_calls_iam_is_denied_without_anybody_delivering_the_event(guarded):
    """Soon after bob's call he is denied, and a line says which function decided so."""
    ok(guarded.run("bob aws iam create-user --user-name backdoor"))
    guarded.wait(f"CreateUser  iam-guard-{REVOKE} -> bob: revoked (managed)")
    assert "AccessDenied" in guarded.run("bob aws iam create-user --user-name backdoor-2").stderr


def test_a_catch_up_can_be_run_by_hand(guarded):
    """The command of docs/health.md runs it, and shows the end of its log."""
    page = (ROOT / "docs/health.md").read_text()
    command = re.search(r"^\$ (aws lambda invoke .*)$", page, re.M)[1]
    assert "IAM events read" in ok(guarded.run(command))


def test_nothing_listens_on_another_address_than_the_loopback_one(guarded):
    """All sockets of the process that listen are bound to 127.0.0.1, those of its functions' runtimes too."""
    handles = Path(f"/proc/{guarded.process.pid}/fd").iterdir()
    mine = {
        found[1] for handle in handles if (found := re.match(r"socket:\[(\d+)\]", str(handle.readlink())))
    }
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()
    ]
    listening = [row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in mine]
    assert set(listening) == {"0100007F"}


SWALLOWED = """
import os, signal
import sandbox
from sandbox.commands import serve
def work(sandbox):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        pass
serve.work = work
raise SystemExit(serve.run())
"""


def test_ctrl_c_ends_it_even_if_something_swallows_the_interrupt(tmp_path):
    """A library that catches KeyboardInterrupt while an event is delivered does not keep the account running."""
    (tmp_path / "swallowed.py").write_text(SWALLOWED)
    command = [stock_commands.path("python"), tmp_path / "swallowed.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nThe accounts are gone. Close the shells that used them.\n")


def test_a_port_that_is_taken_is_said_in_one_line(monkeypatch, capsys):
    """With ``--port`` of somebody else, nothing starts, and the exit status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(serve, "Sandbox", lambda port: socket.socket().bind(("127.0.0.1", port)))
        port = other.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    assert capsys.readouterr() == ("", f"serve: port {port}: Address already in use\n")


@pytest.mark.parametrize(
    ("said", "is_deaf"),
    [
        ("aws-cli/2.9.19 Python/3.11.2 Linux/6.1 source/x86_64.debian.12 prompt/off", True),
        ("aws-cli/1.28.9 Python/3.11", True),
        ("aws-cli/1.29.0 Python/3.11", False),
        ("aws-cli/2.13.0 Python/3.11", False),
        ("", False),
    ],
)
def test_a_command_line_that_would_call_aws_itself_is_refused(said, is_deaf):
    """An AWS CLI that does not know AWS_ENDPOINT_URL gets no lines to paste; it is named, with the fix."""
    problem = serve.deaf(said)
    assert bool(problem) is is_deaf
    assert not is_deaf or (said.split()[0] in problem and "Install version 2.13 or newer" in problem)
