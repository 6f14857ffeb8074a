"""Calls that the event path has missed, judged in this process by the event history of the sandbox."""

from datetime import timedelta

import pytest
from helpers import EVENTS, REVOKE, backend, case, deny_arn, event_time, fill_managed, moto_group, moto_user

from c7n_iamguard.aws_names import OBSERVED
from c7n_iamguard.errors import Refusal
from c7n_iamguard.history import lookup_events
from sandbox.iam import entities as sandbox_iam
from sandbox.server import Fault

CALLS = {"type": "unintended-iam-calls", "groups": ["Admins"]}
USERS = [{"not": ["iam-access-revoked"]}, CALLS]


def test_a_call_that_reached_no_function_ends_as_its_event_would_have(history, caught, fresh):
    """Whom the event path denies the catch-up finds, and nobody whom it lets pass or never gets to see."""
    names = {file.stem for file in (EVENTS / REVOKE).glob("*.json") if "forged" not in file.stem}
    for name in names:
        history.append({**case(name)["detail"], "eventID": name})
    history.pass_by()
    found = {call["eventID"] for user in caught(USERS).values() for call in user["c7n:IAMCalls"]}
    assert found == {name for name in names if name.startswith("revoked")}


@pytest.mark.parametrize(
    ("minutes", "expected"), [(10, []), (29, []), (31, ["mallory"]), (5 * 60, ["mallory"]), (6 * 60 + 5, [])]
)
def test_a_call_is_judged_when_the_event_path_has_had_its_time(history, caught, attacker, minutes, expected):
    """Calls of the last half hour are left to the event path, and those before the span are past."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by(minutes)
    assert list(caught(USERS)) == expected


@pytest.mark.parametrize("name", ["Admins", "Chefs"])
def test_who_was_an_admin_when_they_called_is_not_denied_for_it(history, caught, fresh, user, name):
    """An admin calls, and another takes them out of the group, by its name of now: the call stays lawful."""
    ada, eve = user("ada", groups=["Admins"]), user("eve", groups=["Admins"])
    pins = {"groups": {"Admins": moto_group(fresh, "Admins").id}, "roles": {}}
    fresh.client("iam").update_group(GroupName="Admins", NewGroupName=name)
    history.clear()
    eve.iam.create_user(UserName="colleague")
    history.pass_by(20)
    ada.iam.remove_user_from_group(GroupName=name, UserName="eve")
    history.pass_by(40)
    assert list(caught(USERS, pins=pins)) == []
    eve.iam.create_user(UserName="another")
    history.pass_by(35)
    assert list(caught(USERS, pins=pins)) == ["eve"]


def test_the_past_of_an_account_that_was_not_guarded_is_not_judged(history, caught, attacker):
    """Calls before the first deployment, or before observing ended, deny nobody."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    an_hour, half_an_hour = event_time(timedelta(hours=1)), event_time(timedelta(minutes=30))
    assert list(caught(USERS, mark=an_hour)) == ["mallory"]
    assert list(caught(USERS, mark=half_an_hour)) == []
    assert list(caught(USERS, mark=half_an_hour + OBSERVED)) == []


@pytest.mark.parametrize("why", ["observing", "full quotas and an own boundary"])
def test_what_no_denial_ends_is_found_in_one_hour_alone(history, caught, attacker, fresh, why):
    """Each call counts once, and not in every run until it is forgotten."""
    attacker.iam.create_user(UserName="backdoor")
    observing = {"actions": [{"type": "revoke-iam-access", "bulk": True, "observe": True}]}
    if why != "observing":
        observing = {}
        fill_managed(fresh, "mallory")
        fresh.client("iam").put_user_permissions_boundary(
            UserName="mallory", PermissionsBoundary=deny_arn(fresh)
        )
    history.pass_by(45)
    assert list(caught(USERS, **observing)) == ["mallory"]
    history.pass_by(60)
    assert list(caught(USERS, **observing)) == []
    if observing:
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


def test_a_call_of_nobody_knows_whom_is_reported(history, caught, attacker, logged):
    """Its caller is of a type that nobody knows: nobody is denied, and one line says so, in one hour alone."""
    attacker.iam.create_user(UserName="backdoor")
    history[-1]["userIdentity"]["type"] = "SomethingNew"
    history.pass_by(45)
    assert caught(USERS) == {}
    (line,) = logged()
    assert (line["decision"], "nobody can tell who made the call" in line["reason"]) == ("failed", True)
    history.pass_by(60)
    assert caught(USERS) == {}
    assert len(logged()) == 1


def test_of_an_admin_group_that_is_gone_nobody_knows_the_members(history, caught, attacker, fresh, logged):
    """It was on the list when mallory called: nobody can tell whether she was in it, and she is not denied."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()
    gone = {"groups": {"AGPAGONE": 1e12}}
    pins = {"groups": {"Admins": moto_group(fresh, "Admins").id}, "roles": {}, "off": gone}
    assert caught(USERS, pins=pins) == {}
    assert [(line["decision"], line["user"]) for line in logged()] == [("failed", "mallory")]


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


def test_a_large_account_is_judged_in_a_handful_of_calls(history, caught, fresh, attacker, monkeypatch):
    """Ten times as many users would be 1,000 a call, and there is one call for 50 events, reads included."""
    monkeypatch.setattr(lookup_events, "SECONDS_PER_REQUEST", 0)  # CloudTrail's limit is another test's
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 100)
    users = backend(fresh)
    for number in range(500 - len(users.users)):
        users.create_user(fresh.region, f"crowd-{number}")
    attacker.iam.create_user(UserName="backdoor")
    made = history[-1]
    history.clear()
    for number in range(500):
        read = {"eventName": "GetUser", "readOnly": True} if number % 10 else {}
        history.append({**made, **read, "eventID": f"event-{number}"})
    history.pass_by()
    fresh.calls.clear()
    found = caught(USERS)
    assert len(found["mallory"]["c7n:IAMCalls"]) == 50
    calls = [call for call in fresh.calls if call.service in ("iam", "cloudtrail")]
    assert {call.params["MaxItems"] for call in calls if "Details" in call.action} == {1000}
    actions = [call.action for call in calls]
    assert actions.count("GetAccountAuthorizationDetails") == 6
    assert actions.count("LookupEvents") == 11  # the history has the run's own six reads, too
    assert set(actions) - {"GetAccountAuthorizationDetails", "LookupEvents"} <= {"ListRoles"}
