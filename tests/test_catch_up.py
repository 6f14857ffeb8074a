"""What the event path has missed: judged in this process by the event history of the sandbox."""

import time
from datetime import timedelta

import pytest
from helpers import backend, event_time, groups_of, moto_group, moto_user, policy, shipped

from c7n_iamguard.aws_names import RESTORED_TAG, SINCE_TAG
from c7n_iamguard.function.deployment import OBSERVED
from sandbox.server import Fault

CATCH_UP, CATCH_UP_ROLES = "catch-up-unintended-iam-access", "catch-up-unintended-iam-access-of-roles"
CATCH_UP_GROUP = "catch-up-admin-group"
ADMINS = {"type": "admin-group-member", "groups": ["Admins"]}
USERS = [{"not": [ADMINS]}, {"not": ["iam-access-revoked"]}, "unintended-iam-calls"]
MEMBERS = [ADMINS, "unlawful-admin-group-member"]


@pytest.fixture
def history(deployed, unchanged):
    """The event history, empty at first, and ``history.pass_by(minutes)``: what has happened was so long ago."""
    deployed.history.clear()

    def pass_by(minutes=45):
        for record in deployed.history.records:
            then = time.mktime(time.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ")) - minutes * 60
            record["eventTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.localtime(then))

    deployed.history.pass_by = pass_by
    yield deployed.history
    deployed.history.clear()


@pytest.fixture
def caught(history, in_process):
    """``caught()``: the names of those whom a catch-up finds, by the filters of the shipped policies."""

    def run(filters=USERS, resource="aws.iam-user", mark=None, **data):
        if mark is not None:
            mode = {**shipped(CATCH_UP)["mode"], "tags": {SINCE_TAG: mark}, "role": "arn:aws:iam::1:role/x"}
            data["mode"] = mode
        policy = in_process(resource=resource, source="authorization-details", filters=filters, **data)
        name = "UserName" if resource == "aws.iam-user" else "RoleName"
        return {one[name]: one for one in policy.resource_manager.resources()}

    return run


def tag(sandbox, name, value, key=RESTORED_TAG):
    """Put a tag on a user, as moto's own."""
    arn = moto_user(sandbox, name).arn
    sandbox.client("iam").tag_user(UserName=name, Tags=[{"Key": key, "Value": value}])
    assert arn


def test_a_call_that_the_event_path_missed_is_found(history, caught, attacker):
    """Three quarters of an hour after it, a call that revoked nobody is found, with what it was."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    found = caught()
    assert list(found) == ["mallory"]
    assert [call["eventName"] for call in found["mallory"]["c7n:IAMCalls"]] == ["CreateUser"]


@pytest.mark.parametrize(
    ("minutes", "expected"), [(10, []), (29, []), (31, ["mallory"]), (5 * 60, ["mallory"]), (6 * 60 + 5, [])]
)
def test_a_call_is_judged_when_the_event_path_has_had_its_time(history, caught, attacker, minutes, expected):
    """Calls of the last half hour are left to the event path, and those before the span are past."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(minutes)
    assert list(caught()) == expected


def test_admins_and_those_who_are_revoked_already_are_left_alone(history, caught, attacker, user, fresh):
    """An admin's calls are lawful, and whoever carries the denial needs no second one."""
    user("ada", groups=["Admins"]).iam.create_user(UserName="colleague")
    attacker.iam.create_user(UserName="backdoor")
    fresh.deliver()
    history.pass_by()
    assert list(caught()) == []


def test_a_service_that_makes_its_own_role_is_no_call_of_the_users(history, caught, attacker):
    """CreateServiceLinkedRole by a service with the user's rights does not count."""
    attacker.iam.create_user(UserName="backdoor")
    history.records[-1] |= {"eventName": "CreateServiceLinkedRole"}
    history.records[-1]["userIdentity"]["invokedBy"] = "elasticloadbalancing.amazonaws.com"
    history.pass_by()
    assert list(caught()) == []


def test_who_was_an_admin_when_they_called_is_not_denied_for_it(history, caught, fresh, user):
    """An admin calls, and another admin takes them out of the group: the call stays lawful."""
    ada, eve = user("ada", groups=["Admins"]), user("eve", groups=["Admins"])
    eve.iam.create_user(UserName="colleague")
    history.pass_by(20)
    ada.iam.remove_user_from_group(GroupName="Admins", UserName="eve")
    history.pass_by(40)
    assert list(caught()) == []
    eve.iam.create_user(UserName="another")
    history.pass_by(35)
    assert list(caught()) == ["eve"]


def test_an_admin_group_that_was_renamed_is_known_by_its_new_name(history, caught, fresh, user):
    """A policy that asks IAM who is an admin last of all: it has only the pinned name until then."""
    ada, eve = user("ada", groups=["Admins"]), user("eve", groups=["Admins"])
    pins = {"groups": {"Admins": moto_group(fresh, "Admins").id}, "roles": {}}
    fresh.client("iam").update_group(GroupName="Admins", NewGroupName="Chefs")
    history.clear()
    eve.iam.create_user(UserName="colleague")
    history.pass_by(20)
    ada.iam.remove_user_from_group(GroupName="Chefs", UserName="eve")
    history.pass_by(40)
    assert list(caught(USERS[::-1], metadata={"iam-guard": pins})) == []


def test_who_leaves_the_group_by_themselves_is_left_to_people(history, caught, user, logged):
    """Nobody can tell whether somebody who removed themselves was a member: said, and not denied."""
    eve = user("eve", groups=["Admins"])
    history.clear()
    eve.iam.create_user(UserName="colleague")
    history.pass_by(20)
    eve.iam.remove_user_from_group(GroupName="Admins", UserName="eve")
    history.pass_by(40)
    assert list(caught()) == []
    assert [(line["decision"], line["user"]) for line in logged()] == [("failed", "eve")]


def test_the_past_of_an_account_that_was_not_guarded_is_not_judged(history, caught, attacker):
    """Calls before the first deployment, or before observing ended, deny nobody."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    an_hour, half_an_hour = event_time(timedelta(hours=1)), event_time(timedelta(minutes=30))
    assert list(caught(mark=an_hour)) == ["mallory"]
    assert list(caught(mark=half_an_hour)) == []
    assert list(caught(mark=half_an_hour + OBSERVED)) == []


# Restorations


def test_what_was_forgiven_is_not_judged_again(history, caught, fresh, attacker):
    """A user is given IAM back: calls before that do not count, calls after it do."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(120)
    tag(fresh, "mallory", event_time(timedelta(minutes=100)))
    assert list(caught()) == []
    attacker.iam.create_user(UserName="backdoor-2")
    history.pass_by(40)
    assert list(caught()) == ["mallory"]


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
    assert list(caught()) == ["mallory"]
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
    assert list(caught()) == ["mallory"]
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
    assert list(caught()) == ([] if lawful else ["friend", "mallory"])


def test_a_restoration_is_still_one_after_a_lawful_renaming(history, caught, user, logged):
    """An admin tags a user and then renames them: the tag was set by the admin, and forgives."""
    ada, eve = user("ada", groups=["Admins"]), user("eve")
    eve.iam.create_user(UserName="backdoor")
    history.pass_by(60)
    restored = {"Key": RESTORED_TAG, "Value": event_time(timedelta(hours=3))}
    ada.iam.tag_user(UserName="eve", Tags=[restored])
    ada.iam.update_user(UserName="eve", NewUserName="eve2")
    history.pass_by(3 * 60)
    assert list(caught()) == []
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
    assert "eve" in caught()


@pytest.mark.parametrize("case", ["old", "recent", "before the span", "unread"])
def test_a_tag_that_nobody_set_forgives_nothing(history, caught, fresh, attacker, logged, monkeypatch, case):
    """A setter can be missing: in the last hour and a half, before the span, and where reading stopped."""
    from c7n_iamguard import history as reading

    hours, expected = {"recent": (1.3, []), "before the span": (7, ["mallory"])}.get(case, (3, []))
    if case == "unread":
        monkeypatch.setattr(reading, "PATIENCE", 0)
        fresh.faults.append(Fault("cloudtrail:LookupEvents", "ThrottlingException", skip=1))
        for _ in range(60):
            fresh.client("iam").list_users(MaxItems=1)
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(4 * 60)
    tag(fresh, "mallory", event_time(timedelta(hours=hours)))
    history.records[-1]["eventName"] = "GetUser"
    assert list(caught()) == (["mallory"] if case == "old" else expected)
    assert ("set by nobody" in "".join(line["reason"] for line in logged())) == (case == "old")


# Observing, floods and faults


def test_what_is_only_observed_is_found_in_one_hour_alone(history, caught, attacker):
    """No denial ends it, so that each call counts once and not in every run until it is forgotten."""
    attacker.iam.create_user(UserName="backdoor")
    observing = {"actions": [{"type": "revoke-iam-access", "bulk": True, "observe": True}]}
    history.pass_by(45)
    assert list(caught(**observing)) == ["mallory"]
    history.pass_by(60)
    assert list(caught(**observing)) == []
    assert list(caught()) == ["mallory"]


def test_what_was_read_counts_and_the_rest_is_incomplete(
    history, caught, attacker, fresh, logged, monkeypatch
):
    """LookupEvents stops to answer: who is found so far is found, and a line says that it is not all."""
    from c7n_iamguard import history as reading

    monkeypatch.setattr(reading, "PATIENCE", 0)
    for number in range(60):
        attacker.iam.create_user(UserName=f"backdoor-{number}")
    history.pass_by()
    fresh.faults.append(Fault("cloudtrail:LookupEvents", "ThrottlingException", skip=1))
    found = caught()
    assert 0 < len(found["mallory"]["c7n:IAMCalls"]) < 60
    (line,) = logged()
    assert line["decision"] == "incomplete"
    assert "ThrottlingException" in line["reason"]


def test_an_error_of_iam_is_no_empty_answer(history, caught, fresh, few_tries):
    """If the account cannot be read, the run fails."""
    fresh.faults.append(Fault("iam:GetAccountAuthorizationDetails", "AccessDenied", 403))
    with pytest.raises(Exception, match="AccessDenied"):
        caught()


# Roles


def test_a_role_whose_call_was_missed_is_found(history, caught, fresh):
    """A role that is not on the list is found; one that is, and the guard's own, are not."""
    for name in ("pipeline", "Terraform"):
        arn = fresh.create_role(name)["Arn"]
        fresh.client("iam", fresh.session(arn)).create_user(UserName=f"{name}-user")
    history.pass_by()
    filters = [{"not": [{"type": "admin-role", "roles": ["Terraform"]}]}, "unintended-iam-calls"]
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
    filters = [{"type": "unintended-iam-calls", "roles": ["Terraform"], "groups": ["Admins"]}]
    found = caught(filters, "aws.iam-role", metadata={"iam-guard": pins})
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


# The admin group


def test_a_member_whom_no_admin_added_is_found(history, caught, attacker, user, fresh):
    """mallory adds herself and a friend while nobody looks: both are unlawful, whom an admin added is not."""
    user("friend")
    user("eve")
    ada = user("ada", groups=["Admins"])
    history.pass_by(1)
    ada.iam.add_user_to_group(GroupName="Admins", UserName="eve")
    for name in ("mallory", "friend"):
        attacker.iam.add_user_to_group(GroupName="Admins", UserName=name)
    assert list(caught(MEMBERS)) == []
    history.pass_by()
    assert set(caught(MEMBERS)) == {"mallory", "friend"}
    assert groups_of(fresh, "eve") == ["Admins"]


def test_names_that_were_swapped_within_the_last_half_hour_frame_no_admin(history, caught, attacker, user):
    """Somebody adds a friend, who swaps names with an admin later: the friend is found, and not the admin."""
    user("eve", groups=["Admins"])
    user("friend")
    history.clear()
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="friend")
    history.pass_by(45)
    for old, new in (("friend", "x"), ("eve", "friend"), ("x", "eve")):
        attacker.iam.update_user(UserName=old, NewUserName=new)
    assert list(caught(MEMBERS)) == ["eve"]


def test_a_listed_role_may_make_admins(history, caught, user, fresh):
    """A role on the list adds somebody: lawful. A role that is not adds somebody: unlawful."""
    for name in ("Terraform", "pipeline"):
        user(f"{name}s-friend")
        arn = fresh.create_role(name)["Arn"]
        client = fresh.client("iam", fresh.session(arn))
        client.add_user_to_group(GroupName="Admins", UserName=f"{name}s-friend")
    history.pass_by()
    members = [ADMINS, {"type": "unlawful-admin-group-member", "roles": ["Terraform"]}]
    assert list(caught(members)) == ["pipelines-friend"]


def test_a_large_account_is_judged_in_a_handful_of_calls(history, caught, fresh, attacker, monkeypatch):
    """5,000 users and 2,000 events, reads included: 6 calls for the account, one for 50 events, no more."""
    from c7n_iamguard import history as reading

    monkeypatch.setattr(reading, "SECONDS_PER_REQUEST", 0)  # CloudTrail's limit is another test's
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
    found = caught()
    assert len(found["mallory"]["c7n:IAMCalls"]) == 200
    actions = [call.action for call in fresh.calls if call.service in ("iam", "cloudtrail")]
    assert actions.count("GetAccountAuthorizationDetails") == 6
    assert actions.count("LookupEvents") == 41  # the history has the run's own six reads, too
    assert set(actions) - {"GetAccountAuthorizationDetails", "LookupEvents"} <= {"ListRoles"}
