"""The rows of a replay: which of a caller's decisions counts, and how people and programs read it."""

import json
from types import SimpleNamespace

import pytest
from records import ACCOUNT
from test_replay import COLUMNS

from sandbox.commands import rows


def invocation(succeeded=True, *decisions):
    attempt = SimpleNamespace(error={"errorMessage": "AccessDenied"})
    return SimpleNamespace(succeeded=succeeded, decisions=list(decisions), attempts=[attempt])


@pytest.mark.parametrize(
    ("decisions", "strongest"),
    [
        (["let-pass", "failed"], "failed"),
        (["contained", "revoked", "left"], "revoked"),
        (["cannot-revoke", "acted"], "cannot-revoke"),
        (["let-pass", "a-new-one"], "a-new-one"),
    ],
)
def test_the_strongest_of_all_decisions_is_the_callers(decisions, strongest):
    """The strongest decision counts, in any order, and also beside one that is not known."""
    for order in (decisions, decisions[::-1]):
        row = rows.Row(ACCOUNT, "bob", "IAMUser")
        for decision in order:
            row.add([invocation(decision != "failed", {"decision": decision, "how": f"how {decision}"})])
        row.decide("not-delivered", why="reads alone")
        assert (row.delivered, row.decision) == (len(order), strongest)
        assert row.how == (None if strongest == "failed" else f"how {strongest}")


def row_of(*decisions, why=None, failed=False):
    row = rows.Row(ACCOUNT, "bob", "IAMUser")
    for decision in decisions:
        row.decide(decision, "managed" if decision == "revoked" else None, why, failed)
        row.decided.append(rows.Decided("2026-11-20T09:01:00Z", "CreateUser\x1b", decision, why))
    return row


def test_people_get_a_table(capsys):
    """Without ``--json`` there is a line per caller, and no log can write to the terminal as it likes."""
    session = rows.Row(ACCOUNT, "role/\x1b[31m", "AssumedRole", 1, why="reads alone")
    rows.print_table([row_of("revoked"), session])
    head, _, *found, _, verdict = capsys.readouterr().out.splitlines()
    assert head.split() == COLUMNS
    assert [row.split() for row in found] == [
        [ACCOUNT, "bob", "IAMUser", "0", "0", "revoked", "managed", "-"],
        [ACCOUNT, "role/?[31m", "AssumedRole", "1", "0", "not-delivered", "-", "reads", "alone"],
    ]
    assert verdict == "The guard would have revoked IAM access of 1 of these 2 callers."


def test_the_calls_that_led_to_a_decision_are_printed_on_demand(capsys):
    """With ``calls``, people and programs get those calls, and no others."""
    row = row_of("not-delivered", "revoked", why="in no admin group")
    rows.print_table([row], calls=True)
    out = capsys.readouterr().out
    assert f"bob in {ACCOUNT}: revoked\n  2026-11-20T09:01:00Z  CreateUser?  in no admin group\n" in out
    assert out.count("CreateUser") == 1
    rows.print_json([row], calls=True)
    (event,) = json.loads(capsys.readouterr().out)["events"]
    assert (event["name"], event["decision"]) == ("CreateUser\x1b", "revoked")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (row_of("revoked", failed=True), "revoked IAM access of 1 of these 1 caller"),
        (row_of("would-revoke"), "would-revoke for 1"),
        (row_of("cannot-revoke"), "could not have revoked 1"),
        (row_of("contained", "left"), "taken back calls of 1 caller, and left calls of 1 to a person"),
        (row_of("let-pass", "unreadable", "unreadable"), "could not judge 2 calls of 1 caller:"),
        (row_of("not-delivered", why="roles are not judged yet"), "Roles are judged once you say"),
    ],
)
def test_the_verdict_counts_every_kind_of_decision(capsys, row, says):
    """The lines below the table count callers by what became of them."""
    rows.print_table([row])
    assert says in capsys.readouterr().out
