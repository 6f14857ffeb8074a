"""``python -m sandbox demo``: the story it tells, and that it tells the truth."""

import os
import subprocess

import pytest
import stock_commands
from helpers import POLICIES, REVOKE, ROOT
from test_replay import FOREIGN

from sandbox import Sandbox
from sandbox.__main__ import main
from sandbox.commands import demo, guard

TABLE = [
    ["alice", "CreateUser", "let-pass", "-"],
    ["bob", "CreateUser", "revoked", "managed"],
    ["carol", "CreateUser", "revoked", "inline"],
    ["dave", "CreateUser", "(denied)", "revoked", "managed"],
    ["bob", "CreateUser", "(repeated)", "revoked", "managed"],
    ["pipeline", "CreateUser", "revoked", "managed"],
    ["mallory", "CreateAccessKey", "revoked", "managed"],
    ["mallory", "CreateAccessKey", "contained", "-"],
]


def test_the_demo_ends_with_the_decision_on_every_caller():
    """The demo says what it touches, shows the stock command and denied calls, and ends with its table."""
    command = [stock_commands.path("python"), "-m", "sandbox", "demo"]
    shown = subprocess.run(command, cwd=ROOT, env=os.environ | FOREIGN, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    before, _, table = shown.stdout.partition("== What happened\n")
    assert "Nothing leaves this machine" in before
    assert "$ custodian run" in before
    assert "-> AccessDenied: User: arn:aws:iam::111122223333:user/bob" in before
    assert "FAILED" not in before
    assert [line.split() for line in table.splitlines()[2:-2]] == TABLE
    assert table.endswith("checks held.\n")
    assert shown.stderr == ""


def test_the_demo_fails_where_a_claim_does_not_hold(sandbox, capsys):
    """The demo goes on, names what did not hold at the end, and exits 1."""
    story = demo.Story(sandbox)
    story.check("the guard revoked dave's IAM access", False)
    story.check("bob's S3 call still works", True)
    assert demo.ending(story) == 1
    verdict = capsys.readouterr().out.partition("These did not hold:\n")[2]
    assert verdict.splitlines() == ["  - the guard revoked dave's IAM access"]


def test_the_demo_says_why_custodian_refuses_a_policy(sandbox, tmp_path, monkeypatch, capsys):
    """A failing ``custodian run`` ends the demo with status 1, its reason in the first line and its words below."""
    text = (POLICIES / f"{REVOKE}.yml").read_text()
    (tmp_path / "policy.yml").write_text(text.replace("{type: revoke-iam-access,", "{type: no-such-action,"))
    monkeypatch.setattr(demo, "run", lambda policy: guard.deploy_policies(sandbox, [policy]))
    assert main(["demo", "--policy", str(tmp_path / "policy.yml")]) == 1
    first, second, *more = capsys.readouterr().err.splitlines()
    assert first.startswith("demo: the guard was not deployed: {'type': 'no-such-action', ")
    assert second == "custodian run ended with status 1, and said:"
    assert "invalid policy file" in "".join(more)


class Elsewhere(Sandbox):
    """A sandbox that claims to be at an address that is not this machine's, and never starts."""

    def __enter__(self):
        self.endpoint = "http://192.0.2.1:9"
        return self

    def __exit__(self, *exc):
        pass


def test_nothing_but_the_loopback_address_is_called(monkeypatch):
    """A sandbox that were anywhere else is refused before the first call."""
    monkeypatch.setattr(demo, "Sandbox", Elsewhere)
    with pytest.raises(RuntimeError, match="not the loopback address"):
        demo.run()
