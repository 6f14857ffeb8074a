"""The judge's facts from the event history: restorations, and who might make admins. In this process."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from helpers import deny_arn, event_time, moto_group

from c7n_iamguard.admins.judge import FOREVER, Meant
from c7n_iamguard.aws_names import RESTORED_TAG
from c7n_iamguard.event import Caller
from c7n_iamguard.history import lookup_events, past
from c7n_iamguard.history.past import Past
from sandbox.server import Fault

CALLS = {"type": "unintended-iam-calls", "groups": ["Admins"]}
USERS = [{"not": ["iam-access-revoked"]}, CALLS]


def tag(sandbox, name, value, key=RESTORED_TAG):
    """Put a tag on a user, as an operator does."""
    sandbox.client("iam").tag_user(UserName=name, Tags=[{"Key": key, "Value": value}])


def test_what_was_forgiven_is_not_judged_again(history, caught, fresh, attacker):
    """A user is given IAM back: calls before that do not count, calls after it do."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(120)
    tag(fresh, "mallory", event_time(timedelta(minutes=100)))
    assert list(caught(USERS)) == []
    attacker.iam.create_user(UserName="backdoor-2")
    history.pass_by(40)
    assert list(caught(USERS)) == ["mallory"]


@pytest.mark.parametrize("problem", ["a time in the future", "no time"])
def test_a_tag_that_makes_no_sense_is_ignored_and_reported(history, caught, fresh, attacker, logged, problem):
    """A restoration in the future would forgive everything that is still to come."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    tag(fresh, "mallory", "soon" if problem == "no time" else event_time(-timedelta(hours=1)))
    assert list(caught(USERS)) == ["mallory"]
    (line,) = logged()
    assert (line["decision"], line["user"]) == ("ignored", "mallory")
    assert problem in line["reason"]


def test_a_tag_that_somebody_set_for_themselves_forgives_nothing(history, caught, attacker, logged):
    """By the same history, a non-admin set the tag: it is ignored and reported."""
    attacker.iam.create_user(UserName="backdoor")
    restored = {"Key": "IAM-Guard-Restored", "Value": event_time(timedelta(minutes=30))}
    attacker.iam.tag_user(UserName="mallory", Tags=[restored])
    history.pass_by()
    assert list(caught(USERS)) == ["mallory"]
    assert "set by somebody who is no admin" in logged()[-1]["reason"]


@pytest.mark.parametrize("lawful", [True, False], ids=["an admin", "a non-admin"])
def test_a_denial_that_was_taken_off_by_hand_is_a_restoration_if_an_admin_did_it(
    history, caught, fresh, attacker, user, lawful
):
    """An admin detaches the denial: what was before is forgiven; a non-admin's detaching forgives nothing."""
    attacker.iam.create_user(UserName="backdoor")
    fresh.deliver()
    history.pass_by(60)
    who = user("ada", groups=["Admins"]) if lawful else user("friend")
    who.iam.detach_user_policy(UserName="mallory", PolicyArn=deny_arn(fresh))
    history.pass_by(40)
    assert list(caught(USERS)) == ([] if lawful else ["friend", "mallory"])


def test_a_restoration_is_still_one_after_a_lawful_renaming(history, caught, user, logged):
    """An admin tags a user and then renames them: the tag was set by the admin, and forgives."""
    ada, eve = user("ada", groups=["Admins"]), user("eve")
    eve.iam.create_user(UserName="backdoor")
    history.pass_by(60)
    restored = {"Key": RESTORED_TAG, "Value": event_time(timedelta(hours=3))}
    ada.iam.tag_user(UserName="eve", Tags=[restored])
    ada.iam.update_user(UserName="eve", NewUserName="eve2")
    history.pass_by(3 * 60)
    assert list(caught(USERS)) == []
    assert logged() == []


def test_a_restoration_is_not_inherited_with_a_name(history, caught, fresh, user, attacker):
    """An admin gives somebody IAM back; whoever takes that name afterwards is not forgiven."""
    iam, ada, _ = fresh.client("iam"), user("ada", groups=["Admins"]), user("eve")
    deny = {"UserName": "eve", "PolicyArn": deny_arn(fresh)}
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(30)
    iam.attach_user_policy(**deny)
    ada.iam.detach_user_policy(**deny)
    history.pass_by(30)
    iam.update_user(UserName="eve", NewUserName="eve2")
    iam.update_user(UserName="mallory", NewUserName="eve")
    history.pass_by(60)
    assert "eve" in caught(USERS)


@pytest.mark.parametrize("case", ["old", "recent", "before the span", "unread"])
def test_a_tag_that_nobody_set_forgives_nothing(history, caught, fresh, attacker, logged, monkeypatch, case):
    """A setter can be missing from the last hour and a half, from before the span and from what was not read."""
    hours, expected = {"recent": (1.3, []), "before the span": (7, ["mallory"])}.get(case, (3, []))
    if case == "unread":
        monkeypatch.setattr(lookup_events, "PATIENCE", 0)
        fresh.faults.append(Fault("cloudtrail:LookupEvents", "ThrottlingException", skip=1))
        for _ in range(60):
            fresh.client("iam").list_users(MaxItems=1)
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(4 * 60)
    tag(fresh, "mallory", event_time(timedelta(hours=hours)))
    history[-1]["eventName"] = "GetUser"
    assert list(caught(USERS)) == (["mallory"] if case == "old" else expected)
    said = "".join(line["reason"] for line in logged())
    assert ("set by nobody" in said) == (case == "old")
    assert ("nobody can tell whether an admin gave them IAM back" in said) == (case in ("recent", "unread"))


def test_a_flood_of_renames_ends_incomplete_and_what_was_read_counts(
    history, caught, attacker, user, logged, monkeypatch
):
    """If no time is left for the names before a removal, later calls count, and earlier ones are unknown."""
    ada, eve = user("ada", groups=["Admins"]), user("eve")
    history.clear()
    attacker.iam.create_user(UserName="backdoor")
    eve.iam.create_user(UserName="another")
    history.pass_by(20)
    ada.iam.remove_user_from_group(GroupName="Admins", UserName="eve")
    history.pass_by(20)
    attacker.iam.create_access_key(UserName="backdoor")
    history.pass_by(40)
    assert {name: len(each["c7n:IAMCalls"]) for name, each in caught(USERS).items()} == {"mallory": 2}
    assert [(line["decision"], line["user"]) for line in logged()] == [("failed", "eve")]
    monkeypatch.setattr(past, "NAMING_SECONDS", -1)
    found = caught(USERS)["mallory"]["c7n:IAMCalls"]
    assert [call["eventName"] for call in found] == ["CreateAccessKey"]
    decisions = {line["decision"]: line for line in logged()}
    assert decisions.keys() == {"incomplete", "failed"}
    assert "renamed" in decisions["incomplete"]["reason"]


@pytest.mark.parametrize("by", ["an admin", "whoever took the group's name"])
def test_a_role_is_given_iam_back_by_members_of_the_group_that_was_pinned(history, caught, fresh, user, by):
    """The admin group is renamed, and another takes its name: its members' restorations count for nothing."""
    iam, ada = fresh.client("iam"), user("ada", groups=["Admins"])
    arn = fresh.create_role("pipeline")["Arn"]
    fresh.client("iam", fresh.session(arn)).create_user(UserName="backdoor")
    deny = {"RoleName": "pipeline", "PolicyArn": deny_arn(fresh)}
    iam.attach_role_policy(**deny)
    pins = {"groups": {"Admins": moto_group(fresh, "Admins").id}, "roles": {}}
    iam.update_group(GroupName="Admins", NewGroupName="Chefs")
    iam.create_group(GroupName="Admins")
    mallory = user("mallory", groups=["Admins"])
    history.pass_by(60)
    who = ada if by == "an admin" else mallory
    who.iam.detach_role_policy(**deny)
    history.pass_by()
    filters = [{**CALLS, "roles": ["Terraform"]}]
    found = caught(filters, "aws.iam-role", pins=pins)
    assert list(found) == ([] if by == "an admin" else ["pipeline"])


HERE, THERE = "111122223333", "444455556666"
SPAN = SimpleNamespace(
    manager=SimpleNamespace(config=SimpleNamespace(account_id=HERE)),
    meant=Meant(roles={"AROA1": 5}, exempt={"AIDA1": FOREVER}),
    judge=lambda record, who: past.Verdict(None, "in doubt"),
)


@pytest.mark.parametrize(
    ("who", "second", "trusted", "lawful"),
    [
        (Caller("Root", HERE), 9, True, True),
        (Caller("Root", THERE), 9, False, False),
        (Caller("AssumedRole", HERE, "role", "Terraform", "AROA1", path="/"), 4, True, None),
        (Caller("AssumedRole", HERE, "role", "Terraform", "AROA1", path="/"), 5, False, None),
        (Caller("AssumedRole", THERE, "role", "Terraform", "AROA1", path="/"), 4, False, False),
        (Caller("AssumedRole", HERE, "role", "iam-guard", "AROA2", path="/"), 4, None, None),
        (Caller("IAMUser", HERE, "user", "eve", "AIDA1", path="/"), 9, True, None),
        (Caller("IAMUser", HERE, "user", "bob", "AIDA2", path="/"), 9, False, None),
    ],
)
def test_nobody_of_another_account_makes_admins_or_gives_iam_back(monkeypatch, who, second, trusted, lawful):
    """Root here, and whoever was exempt or a listed role at that moment, may make admins; others have to be one."""
    assert Past.is_trusted(SPAN, who, second) is trusted
    monkeypatch.setattr(past, "caller", lambda record: who)
    assert Past.is_lawful(SPAN, {}) is lawful


@pytest.mark.parametrize(
    ("call", "parameters", "ours"),
    [
        ("DetachUserPolicy", {"policyArn": f"arn:aws:iam::{HERE}:policy/NoIAM"}, True),
        ("DetachUserPolicy", {"policyArn": f"arn:aws:iam::{HERE}:policy/Other"}, False),
        ("DeleteUserPolicy", {"policyName": "DenyIAM"}, True),
        ("DeleteUserPolicy", {"policyName": "other"}, False),
        ("DeleteRolePermissionsBoundary", None, True),
        ("AttachUserPolicy", {"policyArn": f"arn:aws:iam::{HERE}:policy/NoIAM"}, False),
    ],
)
def test_each_form_of_the_denial_can_be_taken_off(in_process, call, parameters, ours):
    """The managed policy is the one that the policy's revocation attaches."""
    action = {"type": "revoke-iam-access", "bulk": True, "policy": "NoIAM"}
    span = SimpleNamespace(manager=in_process(actions=[action]).resource_manager)
    span.deny_name = Past.deny_name.fget(span)
    assert Past.takes_off(span, {"eventName": call, "requestParameters": parameters}) is ours
