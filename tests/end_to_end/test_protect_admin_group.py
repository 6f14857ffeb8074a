"""Joining the admin group, and adding others: protect-admin-group, together with the main policy."""

import pytest
from helpers import (
    GUARD,
    PROTECT,
    PROTECT_FUNCTION,
    case,
    decisions,
    denied,
    edit,
    groups_of,
    guards_calls,
    outcomes,
    play,
    revoked,
)

from sandbox.server import Fault

# Joining the admins


@pytest.mark.parametrize("order", [list, lambda events: events[::-1]], ids=["in order", "reversed"])
def test_calls_that_follow_the_joining_end_the_same_in_any_order(fresh, attacker, order):
    """AddUserToGroup, then two more calls; delivered in any order, the attacker ends out and revoked."""
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="mallory")
    attacker.iam.create_user(UserName="helper")
    attacker.iam.create_access_key(UserName="helper")
    played = play(fresh, order)
    assert decisions(played, PROTECT)[0]["decision"] == "acted"
    assert groups_of(fresh, "mallory") == []
    assert revoked(fresh, "mallory") == ["managed"]
    assert denied(attacker)


def test_a_friend_who_is_renamed_at_once_is_not_taken_for_removed(fresh, attacker, user):
    """If somebody adds a friend and renames them, the event fails loudly instead of saying that all is done."""
    user("friend")
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="friend")
    (event,) = fresh.pending
    fresh.pending.clear()
    fresh.client("iam").update_user(UserName="friend", NewUserName="friend-2")
    invocation = fresh.functions.invoke(PROTECT_FUNCTION, event)
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert "is gone or renamed: review the admin group's members" in invocation.log


@pytest.mark.parametrize("decoy", [False, True])
def test_who_adds_and_renames_themselves_is_out_of_the_group(fresh, attacker, user, decoy):
    """A user who makes themselves an admin is found by id under another name, even if the old one is taken."""
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="mallory")
    (event,) = fresh.pending
    iam = fresh.client("iam")
    iam.update_user(UserName="mallory", NewUserName="innocent")
    if decoy:
        user("mallory")
    fresh.functions.invoke(PROTECT_FUNCTION, event)
    assert groups_of(fresh, "innocent") == []


def test_a_group_that_takes_the_admins_name_makes_no_admin(fresh, attacker):
    """A user who gives the admin group's name to a group of their own is revoked, and admins are not."""
    iam = fresh.client("iam")
    iam.create_group(GroupName="devs")
    iam.add_user_to_group(GroupName="devs", UserName="mallory")
    fresh.pending.clear()
    attacker.iam.update_group(GroupName="Admins", NewGroupName="former-admins")
    attacker.iam.update_group(GroupName="devs", NewGroupName="Admins")
    played = play(fresh)
    assert {decision["decision"] for decision in decisions(played)} == {"revoked"}
    assert revoked(fresh, "mallory") == ["managed"]
    (invocation,) = fresh.deliver(case("let-pass-admin"))
    assert invocation.decisions[0]["reason"] == "in admin group former-admins"


def test_an_error_while_judging_who_added_fails_the_event(fresh, attacker):
    """If IAM cannot say who the caller is, nobody is taken out, and the event is tried again."""
    event = case("revoked-create-user")
    event["detail"] |= {
        "eventName": "AddUserToGroup",
        "requestParameters": {"groupName": "Admins", "userName": "alice"},
    }
    fresh.faults.append(Fault("iam:ListGroupsForUser", "AccessDenied", 403, caller=GUARD))
    invocation = fresh.functions.invoke(PROTECT_FUNCTION, event)
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert groups_of(fresh, "alice")


@pytest.mark.parametrize("name", [7, ...], ids=str)
def test_a_user_name_that_is_no_text_is_nobody(fresh, name):
    """An event that does not say by a text whom it is about is let pass, and IAM is not asked for it."""
    event = case("acted-user-adds-somebody", PROTECT)
    edit(event, "detail.requestParameters.userName", name)
    invocation = fresh.functions.invoke(PROTECT_FUNCTION, event)
    assert [decision["reason"] for decision in invocation.decisions] == ["the event names no user"]
    assert "GetUser" not in guards_calls(fresh)
