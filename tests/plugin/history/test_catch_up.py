"""What the event path has missed: judged in this process by the event history of the sandbox."""

from datetime import timedelta

import pytest
from helpers import backend, event_time, moto_group, moto_user, policy, shipped

from c7n_iamguard.aws_names import OBSERVED, RESTORED_TAG
from c7n_iamguard.errors import Refusal
from c7n_iamguard.history import lookup_events, past
from sandbox.server import Fault

CATCH_UP = "catch-up-unintended-iam-access"
CALLS = {"type": "unintended-iam-calls", "groups": ["Admins"]}
USERS = [{"not": ["iam-access-revoked"]}, CALLS]


def tag(sandbox, name, value, key=RESTORED_TAG):
    """Put a tag on a user, as an operator does."""
    sandbox.client("iam").tag_user(UserName=name, Tags=[{"Key": key, "Value": value}])


def test_a_call_that_the_event_path_missed_is_found(history, caught, attacker):
    """Three quarters of an hour after it, a call that revoked nobody is found, with what it was."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    found = caught(USERS)
    assert list(found) == ["mallory"]
    assert [call["eventName"] for call in found["mallory"]["c7n:IAMCalls"]] == ["CreateUser"]


@pytest.mark.parametrize(
    ("minutes", "expected"), [(10, []), (29, []), (31, ["mallory"]), (5 * 60, ["mallory"]), (6 * 60 + 5, [])]
)
def test_a_call_is_judged_when_the_event_path_has_had_its_time(history, caught, attacker, minutes, expected):
    """Calls of the last half hour are left to the event path, and those before the span are past."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(minutes)
    assert list(caught(USERS)) == expected


def test_admins_and_those_who_are_revoked_already_are_left_alone(history, caught, attacker, user, fresh):
    """An admin's calls are lawful, and whoever carries the denial needs no second one."""
    user("ada", groups=["Admins"]).iam.create_user(UserName="colleague")
    attacker.iam.create_user(UserName="backdoor")
    fresh.deliver()
    history.pass_by()
    assert list(caught(USERS)) == []


def test_a_service_that_makes_its_own_role_is_no_call_of_the_users(history, caught, attacker):
    """CreateServiceLinkedRole by a service with the user's rights does not count."""
    attacker.iam.create_user(UserName="backdoor")
    history.records[-1] |= {"eventName": "CreateServiceLinkedRole"}
    service = "elasticloadbalancing.amazonaws.com"
    history.records[-1]["userIdentity"]["invokedBy"] = service
    history.records[-1]["requestParameters"] = {"aWSServiceName": service}
    history.pass_by()
    assert list(caught(USERS)) == []


def test_who_was_an_admin_when_they_called_is_not_denied_for_it(history, caught, fresh, user):
    """An admin calls, and another admin takes them out of the group: the call stays lawful."""
    ada, eve = user("ada", groups=["Admins"]), user("eve", groups=["Admins"])
    eve.iam.create_user(UserName="colleague")
    history.pass_by(20)
    ada.iam.remove_user_from_group(GroupName="Admins", UserName="eve")
    history.pass_by(40)
    assert list(caught(USERS)) == []
    eve.iam.create_user(UserName="another")
    history.pass_by(35)
    assert list(caught(USERS)) == ["eve"]


def test_an_admin_group_that_was_renamed_is_known_by_its_new_name(history, caught, fresh, user):
    """The pins of a function hold the group's former name."""
    ada, eve = user("ada", groups=["Admins"]), user("eve", groups=["Admins"])
    pins = {"groups": {"Admins": moto_group(fresh, "Admins").id}, "roles": {}}
    fresh.client("iam").update_group(GroupName="Admins", NewGroupName="Chefs")
    history.clear()
    eve.iam.create_user(UserName="colleague")
    history.pass_by(20)
    ada.iam.remove_user_from_group(GroupName="Chefs", UserName="eve")
    history.pass_by(40)
    assert list(caught(USERS, pins=pins)) == []


def test_who_leaves_the_group_by_themselves_is_left_to_people(history, caught, user, logged):
    """Nobody can tell whether somebody who removed themselves was a member: said, and not denied."""
    eve = user("eve", groups=["Admins"])
    history.clear()
    eve.iam.create_user(UserName="colleague")
    history.pass_by(20)
    eve.iam.remove_user_from_group(GroupName="Admins", UserName="eve")
    history.pass_by(40)
    assert list(caught(USERS)) == []
    assert [(line["decision"], line["user"]) for line in logged()] == [("failed", "eve")]


def test_the_past_of_an_account_that_was_not_guarded_is_not_judged(history, caught, attacker):
    """Calls before the first deployment, or before observing ended, deny nobody."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    an_hour, half_an_hour = event_time(timedelta(hours=1)), event_time(timedelta(minutes=30))
    assert list(caught(USERS, mark=an_hour)) == ["mallory"]
    assert list(caught(USERS, mark=half_an_hour)) == []
    assert list(caught(USERS, mark=half_an_hour + OBSERVED)) == []


# Restorations


def test_what_was_forgiven_is_not_judged_again(history, caught, fresh, attacker):
    """A user is given IAM back: calls before that do not count, calls after it do."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(120)
    tag(fresh, "mallory", event_time(timedelta(minutes=100)))
    assert list(caught(USERS)) == []
    attacker.iam.create_user(UserName="backdoor-2")
    history.pass_by(40)
    assert list(caught(USERS)) == ["mallory"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [(event_time(-timedelta(hours=1)), "a time in the future"), ("soon", "no time")],
    ids=["future", "no time"],
)
def test_a_tag_that_makes_no_sense_is_ignored_and_reported(
    history, caught, fresh, attacker, logged, value, problem
):
    """A restoration in the future would forgive everything that is still to come."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    tag(fresh, "mallory", value)
    assert list(caught(USERS)) == ["mallory"]
    (line,) = logged()
    assert (line["decision"], line["user"]) == ("ignored", "mallory")
    assert problem in line["reason"]


def test_a_tag_that_somebody_set_for_themselves_forgives_nothing(history, caught, attacker, logged):
    """By the same history, a non-admin set the tag: it is ignored and reported."""
    attacker.iam.create_user(UserName="backdoor")
    attacker.iam.tag_user(
        UserName="mallory", Tags=[{"Key": "IAM-Guard-Restored", "Value": event_time(timedelta(minutes=30))}]
    )
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
    arn = f"arn:aws:iam::{fresh.account}:policy/DenyIAMAccess"
    who.iam.detach_user_policy(UserName="mallory", PolicyArn=arn)
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
    deny = {"UserName": "eve", "PolicyArn": f"arn:aws:iam::{fresh.account}:policy/DenyIAMAccess"}
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
    """A setter can be missing: in the last hour and a half, before the span, and where reading stopped."""
    hours, expected = {"recent": (1.3, []), "before the span": (7, ["mallory"])}.get(case, (3, []))
    if case == "unread":
        monkeypatch.setattr(lookup_events, "PATIENCE", 0)
        fresh.faults.append(Fault("cloudtrail:LookupEvents", "ThrottlingException", skip=1))
        for _ in range(60):
            fresh.client("iam").list_users(MaxItems=1)
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(4 * 60)
    tag(fresh, "mallory", event_time(timedelta(hours=hours)))
    history.records[-1]["eventName"] = "GetUser"
    assert list(caught(USERS)) == (["mallory"] if case == "old" else expected)
    assert ("set by nobody" in "".join(line["reason"] for line in logged())) == (case == "old")


# Observing, floods and faults


def test_what_is_only_observed_is_found_in_one_hour_alone(history, caught, attacker):
    """No denial ends it, so that each call counts once and not in every run until it is forgotten."""
    attacker.iam.create_user(UserName="backdoor")
    observing = {"actions": [{"type": "revoke-iam-access", "bulk": True, "observe": True}]}
    history.pass_by(45)
    assert list(caught(USERS, **observing)) == ["mallory"]
    history.pass_by(60)
    assert list(caught(USERS, **observing)) == []
    assert list(caught(USERS)) == ["mallory"]


def test_what_was_read_counts_and_the_rest_is_incomplete(
    history, caught, attacker, fresh, logged, monkeypatch
):
    """LookupEvents stops to answer: who is found so far is found, and a line says that it is not all."""
    monkeypatch.setattr(lookup_events, "PATIENCE", 0)
    for number in range(60):
        attacker.iam.create_user(UserName=f"backdoor-{number}")
    history.pass_by()
    fresh.faults.append(Fault("cloudtrail:LookupEvents", "ThrottlingException", skip=1))
    found = caught(USERS)
    assert 0 < len(found["mallory"]["c7n:IAMCalls"]) < 60
    (line,) = logged()
    assert line["decision"] == "incomplete"
    assert "ThrottlingException" in line["reason"]


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


def test_an_error_of_iam_is_no_empty_answer(history, caught, fresh, few_tries):
    """If the account cannot be read, the run fails."""
    fresh.faults.append(Fault("iam:GetAccountAuthorizationDetails", "AccessDenied", 403))
    with pytest.raises(Exception, match="AccessDenied"):
        caught(USERS)


def test_more_callers_than_max_resources_are_named_and_nobody_is_found(history, caught, user):
    """Many at once are an accident until somebody has looked: the run fails, and says who they are."""
    for name in ("eve", "mallory"):
        user(name).iam.create_user(UserName=f"{name}s-backdoor")
    history.pass_by()
    assert set(caught(USERS, **{"max-resources": 2})) == {"eve", "mallory"}
    with pytest.raises(
        Refusal, match=r"2 users called IAM .+ max-resources is 1, .+: (eve, mallory|mallory, eve)\."
    ):
        caught(USERS, **{"max-resources": 1})


def test_a_caller_who_is_gone_is_reported(history, caught, attacker, fresh, logged):
    """mallory calls and is deleted: there is nobody to deny, and one line says so, in one hour alone."""
    attacker.iam.create_user(UserName="backdoor")
    attacker.iam.create_user(UserName="backdoor-2")
    unique_id = moto_user(fresh, "mallory").id
    del backend(fresh).users["mallory"]
    history.pass_by(45)
    assert caught(USERS) == {}
    (line,) = logged()
    assert (line["decision"], line["user"]) == ("failed", "mallory")
    assert f"{unique_id} called IAM and does not exist any more" in line["reason"]
    history.pass_by(60)
    assert caught(USERS) == {}
    assert len(logged()) == 1


# Roles


def test_a_role_whose_call_was_missed_is_found(history, caught, fresh):
    """A role that is not on the list is found; one that is, and the guard's own, are not."""
    for name in ("pipeline", "Terraform"):
        arn = fresh.create_role(name)["Arn"]
        fresh.client("iam", fresh.session(arn)).create_user(UserName=f"{name}-user")
    history.pass_by()
    filters = [{**CALLS, "roles": ["Terraform"]}]
    found = caught(filters, "aws.iam-role")
    assert list(found) == ["pipeline"]


@pytest.mark.parametrize("by", ["an admin", "whoever took the group's name"])
def test_a_role_is_given_iam_back_by_members_of_the_group_that_was_pinned(history, caught, fresh, user, by):
    """The admin group is renamed, and another takes its name: its members' restorations count for nothing."""
    iam, ada = fresh.client("iam"), user("ada", groups=["Admins"])
    arn = fresh.create_role("pipeline")["Arn"]
    fresh.client("iam", fresh.session(arn)).create_user(UserName="backdoor")
    iam.attach_role_policy(
        RoleName="pipeline", PolicyArn=f"arn:aws:iam::{fresh.account}:policy/DenyIAMAccess"
    )
    pins = {"groups": {"Admins": moto_group(fresh, "Admins").id}, "roles": {}}
    iam.update_group(GroupName="Admins", NewGroupName="Chefs")
    iam.create_group(GroupName="Admins")
    mallory = user("mallory", groups=["Admins"])
    history.pass_by(60)
    who = ada if by == "an admin" else mallory
    who.iam.detach_role_policy(
        RoleName="pipeline", PolicyArn=f"arn:aws:iam::{fresh.account}:policy/DenyIAMAccess"
    )
    history.pass_by()
    filters = [{**CALLS, "roles": ["Terraform"]}]
    found = caught(filters, "aws.iam-role", pins=pins)
    assert list(found) == ([] if by == "an admin" else ["pipeline"])


@pytest.mark.parametrize("account", ["000000000000", None], ids=["another account", "this account"])
def test_a_catch_up_keeps_to_the_policys_conditions(history, monkeypatch, tmp_path, attacker, fresh, account):
    """A policy with conditions that do not hold here acts on nobody."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    condition = {"type": "value", "key": "account_id", "value": account or fresh.account}
    data = {**shipped(CATCH_UP), "conditions": [condition], "filters": USERS, "actions": []}
    data["mode"] = {**data["mode"], "role": "arn:aws:iam::1:role/x"}
    catch_up = policy(data, fresh.environ(), monkeypatch, output_dir=str(tmp_path))
    found = [one["UserName"] for one in catch_up.get_execution_mode().run_all()]
    assert found == ([] if account else ["mallory"])


def test_a_large_account_is_judged_in_a_handful_of_calls(history, caught, fresh, attacker, monkeypatch):
    """5,000 users and 2,000 events, reads included: 6 calls for the account, one for 50 events, no more."""
    monkeypatch.setattr(lookup_events, "SECONDS_PER_REQUEST", 0)  # CloudTrail's limit is another test's
    users = backend(fresh)
    for number in range(5000 - len(users.users)):
        users.create_user(fresh.region, f"crowd-{number}")
    attacker.iam.create_user(UserName="backdoor")
    made = history.records[-1]
    history.clear()
    for number in range(2000):
        read = {"eventName": "GetUser", "readOnly": True} if number % 10 else {}
        history.append({**made, **read, "eventID": f"event-{number}"})
    history.pass_by()
    fresh.calls.clear()
    found = caught(USERS)
    assert len(found["mallory"]["c7n:IAMCalls"]) == 200
    actions = [call.action for call in fresh.calls if call.service in ("iam", "cloudtrail")]
    assert actions.count("GetAccountAuthorizationDetails") == 6
    assert actions.count("LookupEvents") == 41  # the history has the run's own six reads, too
    assert set(actions) - {"GetAccountAuthorizationDetails", "LookupEvents"} <= {"ListRoles"}
