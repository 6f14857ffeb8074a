"""Repeats: of which further calls nobody is told, and of which always."""

import copy
from itertools import count
from types import SimpleNamespace

import pytest
from helpers import case
from told import by_event, of_person, of_role

from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam.principals import ROLE, USER
from c7n_iamguard.notify import repeats

EVENTS = count()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it: ``clock.now += 60``."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(repeats, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def user(clock):
    """The memory of a function for users."""
    return repeats.Repeats(USER)


def call(name="CreateUser", error=None, parameters=None, event=None):
    """An event of a call that succeeded, or failed with an error."""
    event = IAMEvent(event or case("revoked-create-user"))
    event["detail"] |= {
        "eventName": name,
        "requestParameters": parameters,
        "eventID": f"event-{next(EVENTS)}",
    }
    event["detail"] |= {"errorCode": error} if error else {}
    return event


def tell(memory, event, decision="revoked"):
    """Tell of an event unless nobody needs to hear of it.

    :returns: whether somebody was told
    """
    event = IAMEvent.of(event)
    principal, _ = by_event(event, decision)
    if memory.is_repeat(principal, event):
        return False
    memory.remember(principal, event)
    return True


def test_after_a_denial_calls_that_fail_are_not_told_for_15_minutes(clock, user):
    """A denied user who goes on trying is told of once in 15 minutes."""
    assert tell(user, call())
    for seconds in (0, 1, 898):
        clock.now += seconds
        assert not tell(user, call(error="AccessDenied"))
    clock.now += 1
    assert tell(user, call(error="AccessDenied"))
    clock.now += 899
    assert not tell(user, call(error="AccessDenied"))


DENIED = {"error": "AccessDenied"}
OF_ROLE, AGAIN = {"event": of_role()}, {"event": of_role(session="other"), **DENIED}
JANE, JOHN = {"event": of_person("jane")}, {"event": of_person("john")}
#: what was decided about a call and about the next one, the calls, and whether somebody is told of the next one
NEXT = {
    "a call that gets through after the denial": ("revoked", {}, "revoked", {}, True),
    "a denial after an observation": ("would-revoke", DENIED, "revoked", DENIED, True),
    "another member or call that was taken back": ("acted", {}, "acted", {}, True),
    "a call that is observed as well": ("would-revoke", {}, "would-revoke", {"name": "DeleteUser"}, False),
    "a gift that is observed as well": ("would-contain", {}, "would-contain", {}, False),
    "the person behind a role again": ("cannot-revoke", JANE, "cannot-revoke", JANE, False),
    "another person behind the role": ("cannot-revoke", JANE, "cannot-revoke", JOHN, True),
    # Also if it fails. CloudTrail does not say what a refused call was about, and in doubt it was this.
    **{
        f"an attempt to take off the denial: {name} of {parameters}": (
            "revoked", {}, "revoked", {"name": name, "parameters": parameters, **DENIED}, True
        )
        for name, parameters in (
            ("DetachUserPolicy", None), ("DeleteUserPolicy", {"userName": "bob"}),
            ("DeleteUserPermissionsBoundary", {"userName": "BOB"}), ("PutUserPermissionsBoundary", None),
        )
    },
    "an attempt on somebody else": (
        "revoked", {}, "revoked", {"name": "DetachUserPolicy", "parameters": {"userName": "carol"}, **DENIED}, False
    ),
    "an attempt on a role": ("revoked", OF_ROLE, "revoked", {**AGAIN, "name": "DetachRolePolicy"}, True),
    "a role's attempt on a user": ("revoked", OF_ROLE, "revoked", {**AGAIN, "name": "DetachUserPolicy"}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", NEXT)
def test_a_call_that_matters_by_itself_is_told(clock, name):
    """Beside what repeats what somebody was just told: the first call is told, even if it failed."""
    first, one, second, other, is_told = NEXT[name]
    memory = repeats.Repeats(ROLE if one.keys() & {"event"} else USER)
    assert tell(memory, call(**copy.deepcopy(one)), first)
    assert tell(memory, call(**copy.deepcopy(other)), second) is is_told


def test_a_new_name_makes_nobody_new(user):
    """Users are known by their ids."""
    assert tell(user, call())
    principal, _ = by_event(call(error="AccessDenied"))
    assert user.is_repeat({**principal, "UserName": "bobby"}, call(error="AccessDenied"))
    assert not user.is_repeat({**principal, "UserId": "AIDAOTHER"}, call(error="AccessDenied"))


@pytest.mark.parametrize("decision", ["revoked", "acted"])
def test_an_event_that_comes_twice_is_told_once(clock, user, decision):
    """If Lambda tries an event again because something else failed, nobody hears of it again."""
    event = call()
    assert tell(user, event, decision)
    assert not tell(user, event, decision)
    clock.now += 900
    assert tell(user, event, decision)


def test_what_may_be_another_call_is_told(user):
    """Events that do not say which call they are about are all told, and so is everything outside an event."""
    event = call()
    del event["detail"]["eventID"]
    assert tell(user, event)
    assert tell(user, event)
    principal, _ = by_event(event)
    user.remember(principal, None)
    assert not user.is_repeat(principal, None)


def test_what_is_told_no_more_is_forgotten(clock, user):
    """A function that stays warm for days keeps nothing that is older than 15 minutes."""
    assert tell(user, call())
    clock.now += 900
    assert tell(user, call(event=case("revoked-user-with-a-path")))
    assert all("PAUL" in str(key) for key in user.times)
