"""``python -m sandbox demo``: the story it tells, and that it tells the truth."""

import os
import subprocess

import pytest
import stock_commands
from helpers import POLICIES, REVOKE, ROOT
from test_replay import FOREIGN, Elsewhere

from sandbox.commands import demo

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


def run(*arguments):
    """The demo at the command line of a user who has AWS settings of their own."""
    command = [stock_commands.path("python"), "-m", "sandbox", "demo", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | FOREIGN, capture_output=True, text=True)


@pytest.fixture
def edited(tmp_path):
    """``edited(old, new)``: a copy of the pack's policy file with one text replaced."""

    def edit(old, new):
        text = (POLICIES / f"{REVOKE}.yml").read_text()
        assert old in text
        copy = tmp_path / "policy.yml"
        copy.write_text(text.replace(old, new))
        return copy

    return edit


def test_the_demo_ends_with_the_decision_on_every_caller():
    """The demo says what it touches, shows the stock command and denied calls, and ends with its table."""
    shown = run()
    assert shown.returncode == 0, shown.stdout + shown.stderr
    before, _, table = shown.stdout.partition("== What happened\n")
    assert "Nothing leaves this machine" in before
    assert "$ custodian run" in before
    assert "-> AccessDenied: User: arn:aws:iam::111122223333:user/bob" in before
    assert "FAILED" not in before
    assert [line.split() for line in table.splitlines()[2:-2]] == TABLE
    assert table.endswith("checks held.\n")
    assert shown.stderr == ""


def test_the_demo_fails_where_a_claim_does_not_hold(edited):
    """With a rule that misses failed calls, the demo names what did not hold for dave, and exits 1."""
    pattern = "        detail:\n"
    shown = run("--policy", edited(pattern, f"{pattern}          errorCode: [{{exists: false}}]\n"))
    assert shown.returncode == 1, shown.stdout + shown.stderr
    _, _, verdict = shown.stdout.partition("These did not hold:\n")
    assert verdict.splitlines() == [
        "  - dave's event is delivered to the function",
        "  - the guard revoked dave's IAM access",
        "  - DenyIAMAccess is attached to dave now",
    ]


def test_the_demo_says_why_custodian_refuses_a_policy(edited):
    """A failing ``custodian run`` ends the demo with status 1, its reason in the first line and its words below."""
    shown = run("--policy", edited("{type: revoke-iam-access,", "{type: no-such-action,"))
    assert shown.returncode == 1
    first, second, *_ = shown.stderr.splitlines()
    assert first.startswith("demo: the guard was not deployed: {'type': 'no-such-action', ")
    assert second == "custodian run ended with status 1, and said:"
    assert "invalid policy file" in shown.stderr


def test_the_demo_calls_nothing_but_the_loopback_address(monkeypatch):
    """A sandbox that were anywhere else is refused before the first call."""
    monkeypatch.setattr(demo, "Sandbox", Elsewhere)
    with pytest.raises(RuntimeError, match="not the loopback address"):
        demo.run()
