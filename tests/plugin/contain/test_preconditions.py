"""Preconditions for taking a call back. Pure."""

from calendar import timegm
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import jmespath
import pytest
from botocore.exceptions import ClientError

from c7n_iamguard.contain.plan import Call, Reversal, Target
from c7n_iamguard.contain.preconditions import AlreadyGone, Preconditions, Unsafe, is_own
from c7n_iamguard.event import IAMEvent


@pytest.mark.parametrize(("age", "moments"), [(0, [0, 10]), (3, [3, 10]), (9.5, [9.5, 10]), (10, [10])])
def test_iam_is_asked_again_when_the_call_is_ten_seconds_old(monkeypatch, age, moments):
    """IAM knows a new thing everywhere after ten seconds: the second question waits for that, and no longer."""
    error = ClientError({"Error": {"Code": "NoSuchEntity", "Message": "no"}}, "DeleteLoginProfile")
    called = timegm((2026, 11, 25, 12, 0, 0))
    clock, asked = SimpleNamespace(now=called + age), []

    def ask():
        asked.append(clock.now - called)
        if clock.now < called + 10:
            raise error
        return "done"

    monkeypatch.setattr("time.time", lambda: clock.now)
    monkeypatch.setattr("time.sleep", lambda seconds: setattr(clock, "now", clock.now + seconds))
    event = IAMEvent({"detail": {"eventTime": "2026-11-25T12:00:00Z"}})
    assert Preconditions(None, event, "mallory", None).retry_until_visible(ask) == "done"
    assert asked == moments


@pytest.mark.parametrize(
    ("kind", "name", "same"),
    [("user", "BOB", True), ("user", "BOB-2", True), ("user", "eve", False), ("role", "Bob", False)],
)
def test_the_caller_is_known_by_both_names_in_any_case(kind, name, same):
    """Bob, who is Bob-2 by now, calls on himself if he calls on BOB; a role of his name is somebody else."""
    for caller, now, expected in (("user", "Bob-2", same), ("role", "Bob", False)):
        event = SimpleNamespace(who=SimpleNamespace(kind=caller, name="Bob"))
        assert Preconditions(None, event, now, None).is_caller(Target(kind, name)) is expected


@pytest.mark.parametrize(
    ("kind", "name", "spared"),
    [
        ("role", "iam-guard-contain", True),
        ("role", "IAM-Guard", True),
        ("role", "stacksets-exec-0123", True),
        ("role", "my-iam-guard", False),
        ("role", "stacksets-exec-", False),
        ("role", "AWSCloudFormationStackSetExecutionRole2", False),
        ("user", "iam-guard", False),
    ],
)
def test_a_role_alone_is_spared_for_its_name(kind, name, spared):
    """The guard's own roles and StackSets' are spared, however their names are written, and nobody else."""
    assert is_own(Target(kind, name)) is spared


NOON = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


class IAM:
    """An IAM that answers each read with one thing that was made some seconds after the call."""

    exceptions = SimpleNamespace(NoSuchEntityException=KeyError)

    def __init__(self, seconds=0, **thing):
        self.thing = {"CreateDate": NOON + timedelta(seconds=seconds), "UserName": "ada", **thing}

    def get_login_profile(self, UserName):
        return {"LoginProfile": self.thing}

    def get_saml_provider(self, SAMLProviderArn):
        return self.thing

    def get_user(self, UserName):
        return {"User": self.thing}

    def get_paginator(self, operation):
        group = {"GroupName": "Devs", "AttachedManagedPolicies": [], "GroupPolicyList": [], **self.thing}
        page = {"GroupDetailList": [group], "Users": []}
        pages = SimpleNamespace(search=lambda path: jmespath.search(path, page))
        return SimpleNamespace(paginate=lambda **_: pages)


def refuses(check, client, operation, target, **parameters):
    """Why a precondition does not hold for a call at noon; None if it does."""
    event = IAMEvent({"detail": {"eventTime": "2026-11-25T12:00:00Z"}})
    quarantine = SimpleNamespace(refuse_admin=lambda *_: None, check=lambda _: None)
    call = Call(operation, parameters)
    plan = Reversal("done", call, call, target)
    try:
        getattr(Preconditions(client, event, "bob", quarantine), check)(plan)
    except (Unsafe, AlreadyGone) as reason:
        return str(reason)
    return None


@pytest.mark.parametrize(
    ("check", "operation", "parameters", "seconds", "reason"),
    [
        ("password", "DeleteLoginProfile", {}, 60, None),
        ("password", "DeleteLoginProfile", {}, -60, None),
        ("password", "DeleteLoginProfile", {}, 61, "is another one than the call made"),
        ("password", "DeleteLoginProfile", {}, -61, "is another one than the call made"),
        ("membership", "RemoveUserFromGroup", {"GroupName": "DEVS"}, 0.9, None),
        ("membership", "RemoveUserFromGroup", {"GroupName": "DEVS"}, 1, "deleted, renamed or replaced since"),
        ("membership", "RemoveUserFromGroup", {"GroupName": "others"}, -9, "deleted, renamed or replaced since"),
        ("new_provider", "DeleteSAMLProvider", {"SAMLProviderArn": "a"}, 5, None),
        ("new_provider", "DeleteSAMLProvider", {"SAMLProviderArn": "a"}, 6, "another provider of this name"),
        ("new_provider", "DeleteSAMLProvider", {"SAMLProviderArn": "x:saml-provider/AWSSSO_1"}, 0, "Identity"),
        ("new_principal", "AttachUserPolicy", {}, -5, None),
        ("new_principal", "AttachUserPolicy", {}, -6, "was there before the call"),
        ("new_principal", "AttachUserPolicy", {}, "of another id", "the new user is gone already"),
    ],
)  # fmt: skip
def test_a_thing_is_the_one_that_the_call_made(check, operation, parameters, seconds, reason):
    """By the moment of its creation, and by the id of a user: the name may have another owner by now."""
    client = IAM(UserId="AIDA2") if isinstance(seconds, str) else IAM(seconds, UserId="AIDA1")
    found = refuses(check, client, operation, Target("user", "ada", "AIDA1"), **parameters)
    assert reason in found if reason else found is None


@pytest.mark.parametrize(
    ("error", "raised", "reason"),
    [
        (KeyError(), AlreadyGone, "the access key is gone already"),
        ("AccessDenied", Unsafe, "IAM does not say whose access key AKIA1 is now"),
        ("Throttling", ClientError, "Throttling"),
    ],
)
def test_a_key_whose_owner_iam_does_not_tell_is_left(error, raised, reason):
    """Its user has another name by now: nobody else's key is touched, and other errors fail the event."""

    def ask(AccessKeyId):
        raise ClientError({"Error": {"Code": error}}, "x") if isinstance(error, str) else error

    client = SimpleNamespace(get_access_key_last_used=ask, exceptions=IAM.exceptions)
    with pytest.raises(raised, match=reason):
        Preconditions(client, None, "bob", None).owner("AKIA1")
