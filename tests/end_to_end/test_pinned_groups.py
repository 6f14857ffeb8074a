"""The admin group is known by the id that it had when the policy was deployed, whatever happens to its name."""

import threading

import pytest
from helpers import (
    FUNCTION,
    PROTECT_FUNCTION,
    case,
    groups_of,
    made,
    outcomes,
    play,
    revoked,
)


def taken(sandbox):
    """The events of the calls made so far, which are pending no more."""
    events, sandbox.pending = sandbox.pending, []
    return events


def seconds_ago(event, seconds):
    """The event, as if its call had been made so long ago."""
    from datetime import timedelta

    return made(event, timedelta(seconds=seconds))


@pytest.fixture
def forgotten(fresh):
    """The fresh account, for tests that break the admin group: the functions forget what they have seen of it."""
    yield fresh
    fresh.functions.cool()


def cool_and_invoke(sandbox, event, function=FUNCTION):
    """What a function makes of an event in an environment that has just started."""
    sandbox.functions.cool()
    return sandbox.functions.invoke(function, event)


@pytest.mark.parametrize("start", ["warm", "cold"])
def test_an_admin_whose_group_was_renamed_is_an_admin(warm, start):
    """The admin group gets another name: alice, its member, is let pass, and others are revoked as before."""
    warm.client("iam").update_group(GroupName="Admins", NewGroupName="crew")
    if start == "cold":
        warm.functions.cool()
    invocation = warm.functions.invoke(FUNCTION, case("let-pass-admin"))
    assert invocation.decisions[0]["reason"] == "in admin group crew"
    warm.functions.invoke(FUNCTION, case("revoked-create-user"))
    assert revoked(warm, "bob") == ["managed"]


def test_a_group_that_takes_the_name_makes_no_admin(fresh, attacker):
    """The admin group is renamed, and another group of its old name is made: its members are no admins."""
    attacker.iam.update_group(GroupName="Admins", NewGroupName="crew")
    attacker.iam.create_group(GroupName="Admins")
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="mallory")
    play(fresh)
    assert revoked(fresh, "mallory") == ["managed"]


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("remade", [False, True], ids=["gone", "made again"])
def test_nobody_is_revoked_while_the_pinned_group_is_gone(fresh, remade):
    """The group is deleted, and perhaps made again under its name: events fail, and say what to do."""
    iam = fresh.client("iam")
    iam.remove_user_from_group(GroupName="Admins", UserName="alice")
    iam.delete_group(GroupName="Admins")
    if remade:
        iam.create_group(GroupName="Admins")
        iam.add_user_to_group(GroupName="Admins", UserName="alice")
    for name, who in (("let-pass-admin", "alice"), ("revoked-create-user", "bob")):
        invocation = cool_and_invoke(fresh, case(name))
        assert outcomes(invocation) == "failed failed failed dead-lettered"
        assert "the admin group 'admins'" in invocation.log
        assert "put the group right and deploy the policy again" in invocation.log
        assert revoked(fresh, who) == []


@pytest.mark.usefixtures("forgotten")
def test_nobody_is_revoked_while_the_pinned_group_is_empty(fresh):
    """The group has lost all of its members: events of users outside of it fail."""
    fresh.client("iam").remove_user_from_group(GroupName="Admins", UserName="alice")
    invocation = cool_and_invoke(fresh, case("revoked-create-user"))
    assert invocation.dead_lettered
    assert "the admin groups have no members any more" in invocation.log
    assert revoked(fresh, "bob") == []


@pytest.mark.usefixtures("forgotten")
def test_the_call_that_deletes_the_group_is_judged_by_the_group_as_it_is(warm):
    """A warm function asks IAM once more before it denies somebody."""
    iam = warm.client("iam")
    iam.remove_user_from_group(GroupName="Admins", UserName="alice")
    iam.delete_group(GroupName="Admins")
    event = case("revoked-create-user")
    event["detail"] |= {"eventName": "DeleteGroup", "requestParameters": {"groupName": "Admins"}}
    assert warm.functions.invoke(FUNCTION, event).dead_lettered
    assert revoked(warm, "bob") == []


# Events that are not what they seem


def test_a_replayed_event_changes_nothing(warm):
    """An archive of EventBridge replays an old event: it is let pass, and the log says why."""
    event = case("revoked-create-user") | {"replay-name": "incident-7"}
    invocation = warm.functions.invoke(FUNCTION, event)
    assert invocation.decisions[0]["reason"] == "replayed from an archive of EventBridge"
    assert revoked(warm, "bob") == []


def test_an_old_event_that_names_nobody_by_id_fails(fresh):
    """A redriven event without principalId: the user of that name may be somebody else by now."""
    event = seconds_ago(case("revoked-create-user"), 86400)
    del event["detail"]["userIdentity"]["principalId"]
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert invocation.dead_lettered
    assert "does not say by id which user bob was" in invocation.log
    assert revoked(fresh, "bob") == []


# Who was put into the group


def added(sandbox, attacker, group="Admins"):
    """The events by which mallory makes herself an admin and adds a friend."""
    attacker.iam.add_user_to_group(GroupName=group, UserName="mallory")
    attacker.iam.add_user_to_group(GroupName=group, UserName="friend")
    return taken(sandbox)


@pytest.mark.parametrize("first", [0, 1], ids=["in order", "reversed"])
def test_a_friend_is_out_in_whatever_order_the_events_come(fresh, attacker, user, first):
    """Two warm environments, two events at once: whoever mallory added is no admin in the end."""
    user("friend")
    events = added(fresh, attacker)
    one = threading.Thread(target=fresh.functions.invoke, args=(PROTECT_FUNCTION, events[first]))
    two = threading.Thread(target=fresh.functions.invoke, args=(PROTECT_FUNCTION, events[1 - first]))
    one.start()
    one.join(0.5)  # the second comes while the first is being judged, or after it
    two.start()
    for thread in (one, two):
        thread.join()
    assert groups_of(fresh, "mallory") == []
    assert groups_of(fresh, "friend") == []


def test_a_friend_who_joined_under_another_name_of_the_group_does_not_stay_unseen(fresh, attacker, user):
    """The group is renamed, gets a friend and its name back: the event fails loudly."""
    user("friend")
    attacker.iam.update_group(GroupName="Admins", NewGroupName="x")
    attacker.iam.add_user_to_group(GroupName="x", UserName="friend")
    attacker.iam.update_group(GroupName="x", NewGroupName="Admins")
    event = next(e for e in taken(fresh) if e["detail"]["eventName"] == "AddUserToGroup")
    invocation = fresh.functions.invoke(PROTECT_FUNCTION, event)
    assert invocation.dead_lettered
    assert "review the admin group's members" in invocation.log
