"""The rows of a replay: which of a caller's decisions counts, and how people and programs read it."""

import json
from types import SimpleNamespace

import pytest
from records import ACCOUNT, record, user, written
from test_replay import COLUMNS

from sandbox import replay
from sandbox.__main__ import main


def invocation(succeeded=True, *decisions):
    attempt = SimpleNamespace(error={"errorMessage": "AccessDenied"})
    return SimpleNamespace(succeeded=succeeded, decisions=list(decisions), attempts=[attempt])


def test_one_revocation_decides_for_all_events_of_a_caller():
    """A caller is revoked if any event led to it, whatever the others led to."""
    row = replay.Row(ACCOUNT, "bob", "IAMUser")
    row.add([invocation(True, {"decision": "revoked", "how": "inline"})])
    row.add([invocation(True, {"decision": "let-pass"})])
    row.add([])
    assert (row.calls, row.delivered, row.decision, row.how) == (3, 2, "revoked", "inline")


@pytest.mark.parametrize(
    ("decisions", "strongest"),
    [
        (["let-pass", "failed"], "failed"),
        (["failed", "left"], "left"),
        (["contained", "left"], "contained"),
        (["contained", "revoked", "left"], "revoked"),
        (["would-revoke", "let-pass"], "would-revoke"),
        (["cannot-revoke", "acted"], "cannot-revoke"),
        (["let-pass", "a-new-one"], "a-new-one"),
    ],
)
def test_the_strongest_of_all_decisions_is_the_callers(decisions, strongest):
    """The strongest decision counts, in any order, and also beside one that is not known."""
    for order in (decisions, decisions[::-1]):
        row = replay.Row(ACCOUNT, "bob", "IAMUser")
        for decision in order:
            row.add([invocation(decision != "failed", {"decision": decision})])
        assert row.decision == strongest


def test_a_failed_invocation_is_no_decision(tmp_path, capsys, monkeypatch):
    """If the function failed, the row says so, and the exit status is 1."""
    row = replay.Row(ACCOUNT, "bob", "IAMUser")
    row.add([invocation(True, {"decision": "let-pass"})])
    row.add([invocation(False)])
    monkeypatch.setattr(replay, "replay", lambda *_: [row])
    log = written(tmp_path / "log", json.dumps(record(user("bob"))))
    assert main(["replay", str(log)]) == 1
    out, err = capsys.readouterr()
    assert "failed" in out
    assert err == "replay: the function failed on an event of bob: AccessDenied\n"


def row_of(decision, *, failed=False, **facts):
    row = replay.Row(ACCOUNT, **{"caller": "bob", "type": "IAMUser", "calls": 2, "delivered": 1, **facts})
    row.decide(decision, "managed" if decision == "revoked" else None, failed)
    return row


def test_people_get_a_table(capsys):
    """Without ``--json`` there is a line per caller, and no log can write to the terminal as it likes."""
    session = replay.Row(ACCOUNT, "role/\x1b[31m", "AssumedRole", 1)
    replay.print_table([row_of("revoked"), session])
    head, _, *rows, _, verdict, _ = capsys.readouterr().out.splitlines()
    assert head.split() == COLUMNS
    assert [row.split() for row in rows] == [
        [ACCOUNT, "bob", "IAMUser", "2", "1", "revoked", "managed"],
        [ACCOUNT, "role/?[31m", "AssumedRole", "1", "0", "not-delivered", "-"],
    ]
    assert verdict == "The guard would have revoked IAM access of 1 of these 2 callers."


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (row_of("revoked", failed=True), "revoked IAM access of 1 of these 1 callers"),
        (row_of("would-revoke"), "would-revoke for 1"),
        (row_of("cannot-revoke"), "could not have revoked 1"),
    ],
)
def test_the_verdict_counts_every_kind_of_revocation(capsys, row, says):
    """A caller counts whom the guard revoked before something failed, only observed, or could not revoke."""
    replay.print_table([row])
    assert says in capsys.readouterr().out
