"""The admin group is known by the id that it had when the policy was deployed, whatever happens to its name."""

import pytest
from helpers import FUNCTION, PROTECT_FUNCTION, case, old, outcomes, revoked


@pytest.fixture
def forgotten(fresh):
    """The fresh account, for tests that break the admin group: the functions forget what they have seen of it."""
    yield fresh
    fresh.functions.cool()


@pytest.mark.usefixtures("forgotten")
def test_nobody_is_revoked_while_the_pinned_group_is_gone(warm):
    """The group is deleted, and made again under its name: events fail, and say what to do."""
    iam = warm.client("iam")
    iam.remove_user_from_group(GroupName="Admins", UserName="alice")
    iam.delete_group(GroupName="Admins")
    iam.create_group(GroupName="Admins")
    iam.add_user_to_group(GroupName="Admins", UserName="alice")
    for name, who in (("let-pass-admin", "alice"), ("revoked-create-user", "bob")):
        invocation = warm.functions.invoke(FUNCTION, case(name))
        assert outcomes(invocation) == "failed failed failed dead-lettered"
        assert "the admin group 'admins'" in invocation.log.lower()  # a warm function knows how IAM writes it
        assert "put the group right and deploy the policy again" in invocation.log
        assert revoked(warm, who) == []


# Events that are not what they seem


def test_a_replayed_event_changes_nothing(warm):
    """An archive of EventBridge replays an old event: it is let pass, and the log says why."""
    event = case("revoked-create-user") | {"replay-name": "incident-7"}
    invocation = warm.functions.invoke(FUNCTION, event)
    assert invocation.decisions[0]["reason"] == "replayed from an archive of EventBridge"
    assert revoked(warm, "bob") == []


def test_an_old_event_that_names_nobody_by_id_fails(fresh):
    """A redriven event without principalId: the user of that name may be somebody else by now."""
    event = old(case("revoked-create-user"))
    del event["detail"]["userIdentity"]["principalId"]
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert invocation.dead_lettered
    assert "does not say by id which user bob was" in invocation.log
    assert revoked(fresh, "bob") == []


# Who was put into the group


def test_a_friend_who_joined_under_another_name_of_the_group_does_not_stay_unseen(fresh, attacker, user):
    """The group is renamed, gets a friend and its name back: the event fails loudly."""
    user("friend")
    attacker.iam.update_group(GroupName="Admins", NewGroupName="x")
    attacker.iam.add_user_to_group(GroupName="x", UserName="friend")
    attacker.iam.update_group(GroupName="x", NewGroupName="Admins")
    event = next(e for e in fresh.pending if e["detail"]["eventName"] == "AddUserToGroup")
    fresh.pending.clear()
    invocation = fresh.functions.invoke(PROTECT_FUNCTION, event)
    assert invocation.dead_lettered
    assert "review the admin group's members" in invocation.log
