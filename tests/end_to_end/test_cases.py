"""The main job, end to end: the deployed function, from its uploaded zip, under AWS's runtime client."""

from datetime import timedelta

import pytest
from helpers import (
    CONTAIN,
    EVENTS,
    FUNCTION,
    REVOKE,
    case,
    edit,
    groups_of,
    guards_calls,
    made,
    moto_group,
    moto_user,
    revoked,
    verdict_of,
)

CASES = sorted(file for file in EVENTS.glob("*/*.json") if CONTAIN not in file.parent.name)
WARM_REVOCATION = ["ListGroupsForUser", "GetGroup", "AttachUserPolicy", "PutEvents"]
#: Calls that the function makes in a thread of its own, for the one who is told.
IN_THE_BACKGROUND = {"ListAccountAliases", "DescribeEventBus"}


@pytest.mark.parametrize("file", CASES, ids=lambda file: f"{file.parent.name}: {file.stem}")
def test_a_case_ends_as_its_file_name_says(fresh, file):
    """Each event, through the deployed rule and function, ends with the verdict of its file's name."""
    policy = file.parent.name
    event = case(file.stem, policy)
    if file.stem == "let-pass-admin-adds-somebody":
        event = made(event, timedelta(minutes=16))  # so that the function does not wait for other events
    added = event["detail"]["requestParameters"]["userName"] if file.stem.startswith("acted") else None
    if added:
        moto_group(fresh, "Admins").users.append(moto_user(fresh, added))
    assert file.stem.startswith(verdict_of(fresh.deliver(event), policy))
    assert added is None or groups_of(fresh, added) == []
    if policy == REVOKE:
        name = "paul" if "paul" in file.read_text() else "bob"
        assert revoked(fresh, name) == (["managed"] if file.stem.startswith("revoked") else [])
    assert revoked(fresh, "alice") == []


def test_a_cold_function_prepares_itself_and_a_warm_one_makes_three_calls(fresh):
    """Cold, it looks at the deny policy before the event, and asks what it has to tell after the denial.

    Warm, it denies a user IAM by the third call, and lets an admin pass after one; nothing connects anew.
    """
    fresh.functions.cool()
    event, connections = case("revoked-create-user"), set(fresh.connections)
    (invocation,) = fresh.deliver(event)
    assert invocation.attempts[0].cold
    every = guards_calls(fresh)
    assert not IN_THE_BACKGROUND & {*every[: every.index("AttachUserPolicy")]}
    calls = [call for call in every if call not in IN_THE_BACKGROUND]
    looking_for_the_group = ["GetGroup", "ListGroups"]  # it is Admins, and the settings write admins
    user_groups, *rest = WARM_REVOCATION
    assert calls == ["GetPolicy", "GetPolicyVersion", user_groups, *looking_for_the_group, *rest]
    iam, events = 1, 1
    own_session = 1  # the sandbox's own call to STS for the role's credentials
    assert len(fresh.connections - connections) == iam + events + own_session

    fresh.calls.clear()
    connections = len(fresh.connections)
    fresh.deliver(edit(event, "detail.eventID", "another"))
    assert guards_calls(fresh) == WARM_REVOCATION
    fresh.calls.clear()
    fresh.deliver(case("let-pass-admin"))
    assert guards_calls(fresh) == ["ListGroupsForUser"]
    assert len(fresh.connections) == connections


def test_the_rules_pattern_fits_into_eventbridge(fresh):
    """The deployed rule's pattern is shorter than the 2,048 characters that EventBridge takes."""
    rule = fresh.client("events").describe_rule(Name=FUNCTION)
    assert len(rule["EventPattern"]) < 2048
    assert rule["State"] == "ENABLED"
