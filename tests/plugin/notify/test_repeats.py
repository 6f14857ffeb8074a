"""Repeats: of which further calls nobody is told, and of which always."""

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
    """What a function for users has told."""
    return repeats.Repeats(USER)


def call(name="CreateUser", error=None, parameters=None, event=None):
    """An event of a call that succeeded, or failed with an error."""
    event = IAMEvent(event or case("revoked-create-user"))
    event["detail"] |= {
        "eventName": name,
        "requestParameters": parameters,
        "eventID": f"event-{next(EVENTS)}",
    }
    if error:
        event["detail"]["errorCode"] = error
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


def test_the_first_call_is_told_even_if_it_failed(user):
    """A user who only tries is told of."""
    assert tell(user, call(error="AccessDenied"))


def test_calls_that_succeed_are_always_told(user):
    """A call that gets through after the denial matters, and so do calls of other users."""
    assert tell(user, call())
    assert tell(user, call())
    assert tell(user, call(event=case("revoked-user-with-a-path"), error="AccessDenied"))


@pytest.mark.parametrize(
    "name",
    ["DetachUserPolicy", "DeleteUserPolicy", "DeleteUserPermissionsBoundary", "PutUserPermissionsBoundary"],
)
@pytest.mark.parametrize("parameters", [None, {"userName": "bob"}, {"userName": "BOB"}])
def test_attempts_to_take_off_the_denial_are_always_told(user, name, parameters):
    """Also if they fail. CloudTrail does not say what a refused call was about, and in doubt it was this."""
    assert tell(user, call())
    assert tell(user, call(name, "AccessDenied", parameters))


def test_a_failed_removal_from_somebody_else_is_not_told_again(user):
    """Only the denial of the user themself counts."""
    assert tell(user, call())
    assert not tell(user, call("DetachUserPolicy", "NoSuchEntityException", {"userName": "carol"}))


def test_a_role_has_its_own_ways_to_take_off_the_denial(clock):
    """For a role, the calls on roles count, and those on users do not."""
    memory = repeats.Repeats(ROLE)
    assert tell(memory, call(event=of_role()))
    assert tell(memory, call("DetachRolePolicy", "AccessDenied", event=of_role(session="other")))
    assert not tell(memory, call("DetachUserPolicy", "AccessDenied", event=of_role()))


def test_a_new_name_makes_nobody_new(user):
    """Users are known by their ids."""
    assert tell(user, call())
    principal, _ = by_event(call(error="AccessDenied"))
    assert user.is_repeat({**principal, "UserName": "bobby"}, call(error="AccessDenied"))
    assert not user.is_repeat({**principal, "UserId": "AIDAOTHER"}, call(error="AccessDenied"))


@pytest.mark.parametrize("decision", ["would-revoke", "would-contain"])
def test_what_is_only_observed_is_told_once_in_15_minutes(clock, user, decision):
    """No denial stops somebody who is only observed, so their calls that succeed are told once as well."""
    assert tell(user, call(), decision)
    assert not tell(user, call("DeleteUser"), decision)
    clock.now += 900
    assert tell(user, call(), decision)


def test_each_person_behind_a_role_that_cannot_be_denied_is_told(clock):
    """The role of Identity Center is one, and the persons behind it are several: each is told of once."""
    memory = repeats.Repeats(ROLE)
    assert tell(memory, call(event=of_person("jane")), "cannot-revoke")
    assert not tell(memory, call(event=of_person("jane")), "cannot-revoke")
    assert tell(memory, call(event=of_person("john")), "cannot-revoke")


@pytest.mark.parametrize("decision", ["acted", "contained", "left"])
def test_what_was_undone_is_always_told(user, decision):
    """Each member who was removed, and each call that was taken back, is something new."""
    assert tell(user, call(), decision)
    assert tell(user, call(), decision)


@pytest.mark.parametrize("decision", ["revoked", "acted", "contained", "left"])
def test_an_event_that_comes_twice_is_told_once(clock, user, decision):
    """If Lambda tries an event again because something else failed, nobody hears of it again."""
    event = call()
    assert tell(user, event, decision)
    assert not tell(user, event, decision)
    clock.now += 900
    assert tell(user, event, decision)


def test_an_event_without_an_id_may_be_another_one(user):
    """Two events that do not say which call they are about are both told."""
    event = call()
    del event["detail"]["eventID"]
    assert tell(user, event)
    assert tell(user, event)


def test_a_denial_is_told_after_an_observed_decision(user):
    """An observation a moment ago keeps nobody from hearing of the denial."""
    assert tell(user, call(error="AccessDenied"), "would-revoke")
    assert tell(user, call(error="AccessDenied"), "revoked")


def test_the_catch_up_tells_everything(user):
    """Outside an event, nothing is held back."""
    principal, _ = by_event(call())
    user.remember(principal, None)
    assert not user.is_repeat(principal, None)


def test_what_is_told_no_more_is_forgotten(clock, user):
    """A function that stays warm for days keeps nothing that is older than 15 minutes."""
    assert tell(user, call())
    clock.now += 900
    assert tell(user, call(event=case("revoked-user-with-a-path")))
    assert all("PAUL" in str(key) for key in user.times)
