"""Somebody is told: the deployed functions, from their uploaded zips, and what comes over the bus iam-guard."""

import pytest
from helpers import GUARD, PROTECT, REVOKE, ok, outcomes, play, revoked
from told import EVENT, listen

from sandbox.server import Fault


@pytest.fixture
def told(fresh):
    """``told()``: what came over the bus iam-guard since it was last called."""
    return listen(fresh)


def test_a_revocation_is_told_with_the_command_that_restores(fresh, told, shell, user):
    """The event comes over the bus as its schema says, and the command in it gives IAM back."""
    user("olga").iam.create_user(UserName="helper")
    fresh.deliver()
    (event,) = told()
    EVENT.validate(event)
    detail = event["detail"]
    assert (event["source"], event["account"]) == ("iam-guard", fresh.account)
    assert (event["detail-type"], detail["principal"]["name"]) == ("IAM access revoked", "olga")
    assert not detail["observed"]
    assert revoked(fresh, "olga") == ["managed"]
    ok(shell(detail["commands"]["restore"]))
    assert revoked(fresh, "olga") == []


def test_a_removal_from_the_admin_group_is_told(fresh, told, attacker, user):
    """The removed user is the principal, and whoever had added them is the caller, who is revoked as well."""
    user("friend")
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="friend")
    play(fresh)
    events = {event["detail"]["policy"]["name"]: event for event in told()}
    removed, denied = events[PROTECT], events[REVOKE]
    EVENT.validate(removed)
    assert removed["detail-type"] == "Admin group member removed"
    assert removed["detail"]["principal"]["name"] == "friend"
    assert removed["detail"]["caller"]["name"] == denied["detail"]["principal"]["name"] == "mallory"
    assert removed["detail"]["groups"] == ["Admins"]


def test_if_nobody_can_be_told_the_event_fails_and_the_denial_stays(impatient, told, queue, user):
    """The event is tried three times and dead-lettered, the log says why, and the user is denied IAM."""
    impatient.faults.append(Fault("events:PutEvents", "AccessDeniedException", caller=GUARD))
    user("ines").iam.create_user(UserName="helper")
    (invocation,) = impatient.deliver()
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert revoked(impatient, "ines") == ["managed"]
    assert [line["decision"] for line in invocation.decisions] == ["revoked", "failed"] * 3
    problem = (
        "could not tell the event bus iam-guard of 1 decisions: the first error is AccessDeniedException"
    )
    assert problem in invocation.log
    assert told() == []
    assert len(queue()) == 1
