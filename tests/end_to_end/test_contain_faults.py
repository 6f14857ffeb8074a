"""Containing unintended calls while things go wrong: what is gone, refused, throttled or rewritten."""

import random
from datetime import timedelta

import pytest
from contained import ADMINISTRATOR, ANYTHING, PASSWORD, QUARANTINE, SAML, allowed, decided, once
from helpers import CONTAIN, made, outcomes

from sandbox.server import Fault

GUARD = "*:assumed-role/iam-guard-contain/*"


@pytest.fixture(autouse=True)
def without_faults(sandbox):
    """No fault outlives its test."""
    yield
    sandbox.faults.clear()
    sandbox.pending.clear()


def gone(contained, mallory, operation, parameters, undo, arguments):
    """The decision about a call whose work somebody else has undone before the event came."""
    contained.events()
    getattr(mallory.iam, operation)(**parameters)
    (event,) = contained.events()
    getattr(contained.iam, undo)(**arguments)
    contained.events()
    return contained.contain(made(event, timedelta(seconds=11)))


def test_what_is_gone_already_is_fine(contained):
    """Somebody was faster: nothing is left to do, and nothing fails."""
    mallory = contained.person()
    me, eve = {"UserName": mallory.name}, {"UserName": f"eve-{mallory.name}"}
    inline = {**me, "PolicyName": "p"}
    attached = {**me, "PolicyArn": ADMINISTRATOR}
    member = {**me, "GroupName": contained.group()}
    group = next(g for g in contained.backend.groups.values() if g.name == member["GroupName"])
    group.create_date -= timedelta(minutes=1)
    on_group = {"GroupName": member["GroupName"], "PolicyName": "p"}
    on_role = {"RoleName": contained.role().name, "PolicyName": "p"}
    saml = {"Name": "gone", "SAMLMetadataDocument": SAML}
    provider = {"SAMLProviderArn": "arn:aws:iam::151515151515:saml-provider/gone"}
    password = {**me, "Password": PASSWORD}
    steps = [
        ("put_user_policy", {**inline, "PolicyDocument": ANYTHING}, "delete_user_policy", inline),
        ("put_group_policy", {**on_group, "PolicyDocument": ANYTHING}, "delete_group_policy", on_group),
        ("put_role_policy", {**on_role, "PolicyDocument": ANYTHING}, "delete_role_policy", on_role),
        ("attach_user_policy", attached, "detach_user_policy", attached),
        ("add_user_to_group", member, "remove_user_from_group", member),
        ("create_user", eve, "delete_user", eve),
        ("create_saml_provider", saml, "delete_saml_provider", provider),
        ("create_login_profile", password, "delete_login_profile", me),
    ]
    found = [gone(contained, mallory, *step) for step in steps]
    assert [d["decision"] for d in found] == ["contained"] * len(steps), found
    done = [step[2] for step, decision in zip(steps, found, strict=True) if "did" in decision]
    assert done == ["remove_user_from_group"]  # which IAM answers the same, whether it was a member or not


def test_a_policy_that_is_gone_takes_its_rights_along(contained):
    """It was attached to the caller, and somebody has deleted it since."""
    mallory, arn = contained.person(), contained.policy(ANYTHING)
    attached = {"UserName": mallory.name, "PolicyArn": arn}
    contained.events()
    mallory.iam.attach_user_policy(**attached)
    (event,) = contained.events()
    contained.iam.detach_user_policy(**attached)
    contained.iam.delete_policy(PolicyArn=arn)
    contained.events()
    decision = contained.contain(event)
    assert (decision["decision"], decision["containment"]) == ("contained", "the policy is gone already")
    assert decision["target"] == f"user {mallory.name}"


def test_a_password_that_is_just_being_made_is_deleted_a_little_later(contained):
    """IAM answers that the login profile cannot be modified yet; the call is made again."""
    mallory = contained.person()
    fault = Fault("iam:DeleteLoginProfile", "EntityTemporarilyUnmodifiable", 409, times=1, caller=GUARD)
    contained.sandbox.faults.append(fault)
    parameters = {"UserName": mallory.name, "Password": PASSWORD}
    _, decision = once(contained, mallory, "create_login_profile", **parameters)
    assert decision["did"] == [f"aws iam delete-login-profile --user-name {mallory.name}"]
    assert not allowed(contained.iam.get_login_profile, UserName=mallory.name)


def test_a_quarantine_that_denies_nothing_is_not_relied_on(contained):
    """If somebody has rewritten it, attaching it would help them: the event fails until it is put right."""
    mallory, eve, quarantine = contained.person(), {"UserName": "eve-rewrites"}, {"PolicyArn": QUARANTINE}
    mallory.iam.create_policy_version(**quarantine, PolicyDocument=ANYTHING, SetAsDefault=True)
    mallory.iam.create_user(**eve)
    changed, made_user = contained.events()
    decision = contained.contain(changed)
    (invocation,) = [i for i in contained.sandbox.deliver(made_user) if CONTAIN in i.function]
    contained.iam.set_default_policy_version(**quarantine, VersionId="v1")
    contained.iam.delete_policy_version(**quarantine, VersionId="v2")
    assert decision["decision"] == "left"
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert f"{QUARANTINE}, version v2, does not deny *" in invocation.log
    contained.contain(changed)  # a call that changed it is why it is read again
    assert contained.contain(made_user)["decision"] == "contained"


def test_no_event_is_lost_while_iam_throttles(contained):
    """With three of ten calls throttled, every event ends as a decision."""
    mallory = contained.person()
    for number in range(3):
        eve = f"eve{number}-{mallory.name}"
        mallory.iam.create_user(UserName=eve)
        mallory.iam.create_access_key(UserName=eve)
        mallory.iam.put_user_policy(UserName=eve, PolicyName="p", PolicyDocument=ANYTHING)
    events = contained.events()
    random.Random(1).shuffle(events)  # noqa: S311  not for secrets
    contained.sandbox.faults.append(Fault("iam:*", "Throttling", caller=GUARD, share=0.3))
    invocations = contained.deliver(*events)
    assert contained.sandbox.faults[0].hits > 5
    assert [line["decision"] for line in decided(invocations) if line["decision"] != "failed"] == [
        "contained"
    ] * 9
    for number in range(3):
        eve = f"eve{number}-{mallory.name}"
        (key,) = contained.iam.list_access_keys(UserName=eve)["AccessKeyMetadata"]
        assert key["Status"] == "Inactive"
        assert contained.quarantined("user", eve)
        assert contained.iam.list_user_policies(UserName=eve)["PolicyNames"] == []
