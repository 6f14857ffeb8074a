"""The caller, out of any event. Pure."""

import copy
from datetime import timedelta

import pytest
from helpers import PARTS, REVOKE, any_json, case, edit, event_time, shipped
from hypothesis import given
from hypothesis import strategies as st

from c7n_iamguard.decisions import facts
from c7n_iamguard.event import OTHER_TYPES, Caller, IAMEvent, MalformedEvent

BOB = case("revoked-create-user")


def changed(path, value):
    """The event of bob's call, with one part of it replaced, or removed where value is Ellipsis."""
    return edit(copy.deepcopy(BOB), path, value)


def test_a_users_call_names_the_user():
    """An IAM user's event gives name, account, id, ARN and path, which is read off the ARN."""
    arn = "arn:aws:iam::111122223333:user/team/data/paul"
    paul = Caller("IAMUser", "111122223333", "user", "paul", "AIDAPAULXXXXXXXXXXXXX", arn, "/team/data/")
    assert IAMEvent(case("revoked-user-with-a-path")).who == paul


def test_a_federated_session_stands_for_whoever_made_it():
    """A session by GetFederationToken names the IAM user behind it, or root, who may make admins."""
    event = case("revoked-federated-user")
    who = IAMEvent(event).who
    assert (who.type, who.name, who.id) == ("FederatedUser", "bob", "AIDABOBXXXXXXXXXXXXXX")
    issuer = event["detail"]["userIdentity"]["sessionContext"]["sessionIssuer"]
    issuer.update(type="Root", arn="arn:aws:iam::111122223333:root")
    assert (IAMEvent(event).who.kind, IAMEvent(event).who.type) == (None, "Root")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("assumed-role", "role"), ("guards-own-call", "role"), ("root", None), ("aws-service", None)],
)
def test_callers_who_are_no_users_never_turn_into_one(name, kind):
    """A session stands for its role, and nobody stands for root and AWS services, whatever names they carry."""
    assert IAMEvent(case(f"not-delivered-{name}")).who.kind == kind


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        ("detail", ..., "detail"),
        ("detail", "{}", "detail"),
        ("detail.userIdentity", [], "userIdentity"),
        ("detail.userIdentity.type", 7, "type"),
        ("detail.userIdentity.arn", ..., "arn"),
        ("detail.userIdentity.arn", "arn:aws:iam::111122223333:role/bob", "arn"),
        ("detail.userIdentity.arn", "arn:aws:iam::111122223333:user/" + "b" * 200, "arn"),
        ("detail.userIdentity.arn", "arn:aws:iam::1111:user/bob", "arn"),
        ("detail.userIdentity.arn", "arn:aws:iam::111122223333:user/bob\n", "arn"),
        ("detail.userIdentity.arn", ["arn:aws:iam::111122223333:user/bob"], "arn"),
        ("detail.userIdentity.userName", "alice", "userName"),
        ("detail.userIdentity.accountId", "444455556666", "accountId"),
        ("detail.userIdentity.principalId", {"a": 1}, "principalId"),
    ],
)
def test_an_event_that_does_not_say_who_called_is_malformed(path, value, part):
    """A missing, mistyped or contradictory identity is an error that names the part."""
    with pytest.raises(MalformedEvent, match=part):
        _ = IAMEvent(changed(path, value)).who


def test_a_federated_session_of_another_account_is_malformed():
    """A session and its issuer that name different accounts contradict each other."""
    event = case("revoked-federated-user")
    event["detail"]["userIdentity"]["accountId"] = "444455556666"
    with pytest.raises(MalformedEvent, match="accountId"):
        _ = IAMEvent(event).who


def test_every_account_that_an_event_names_counts():
    """The envelope's account and the recipient's account are both told."""
    assert IAMEvent(changed("account", "444455556666")).accounts == {"111122223333", "444455556666"}
    with pytest.raises(MalformedEvent, match="recipientAccountId"):
        _ = IAMEvent(changed("detail.recipientAccountId", 5)).accounts


@given(any_json)
def test_any_json_is_a_caller_or_malformed(event):
    """Any JSON gives a caller or MalformedEvent, never another error."""
    try:
        _ = IAMEvent({"detail": event, "account": event}).who
        _ = IAMEvent({**BOB, "account": event}).accounts
    except MalformedEvent:
        pass
    facts({"detail": event})
    facts(event)


@given(st.sampled_from(PARTS), any_json)
def test_a_user_is_only_named_by_an_event_that_agrees_with_itself(path, value):
    """If an event with one part replaced still names a user, the ARN, account and name agree."""
    event = changed(path, value)
    try:
        who = IAMEvent(event).who
    except MalformedEvent:
        return
    if who.kind == "user":
        identity = event["detail"]["userIdentity"]
        assert who.arn == f"arn:aws:iam::{who.account}:user{who.path}{who.name}"
        assert identity.get("userName", who.name) == who.name
        assert identity.get("accountId", who.account) == who.account


@pytest.mark.parametrize(
    ("time", "fresh"),
    [
        (timedelta(minutes=14), True),
        (timedelta(minutes=16), False),
        (-timedelta(minutes=1), True),
        (-timedelta(minutes=16), False),
        ("yesterday", False),
        (1767607200, False),
        (..., False),
    ],
    ids=str,
)
def test_an_event_is_fresh_for_a_quarter_of_an_hour(time, fresh):
    """A time that is older, far in the future, missing or unreadable is not fresh."""
    time = event_time(time) if isinstance(time, timedelta) else time
    assert IAMEvent(changed("detail.eventTime", time)).is_fresh is fresh


def test_the_users_policy_leaves_out_the_types_that_are_known_to_have_no_user():
    """Its pattern names roles and all other known types, but federated sessions, which can be a user's."""
    identity = shipped(REVOKE)["mode"]["pattern"]["detail"]["userIdentity"]
    (named,) = (each["anything-but"] for each in identity["type"] if "anything-but" in each)
    assert {*named, "FederatedUser"} == OTHER_TYPES | {"AssumedRole"}
