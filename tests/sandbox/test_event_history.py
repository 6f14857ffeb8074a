"""The sandbox's LookupEvents, held against what AWS documents: what is in it, pages, attributes, the limit."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from sandbox.cloudtrail import records

ACCOUNT = "300000000008"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def history(sandbox):
    """The event history, without anything in it."""
    sandbox.history.clear()
    return sandbox.history


@pytest.fixture
def trail(sandbox, history):
    return sandbox.client("cloudtrail", account=ACCOUNT)


def record(number, name="CreateUser", user="ann", account=ACCOUNT, **more):
    """A record of the second ``number``, of a user."""
    identity = {"type": "IAMUser", "userName": user, "accessKeyId": f"AKIA{user}"}
    made = records.record(identity, "iam", name, {"UserName": "new"}, account, "us-east-1")
    at = (START + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**made, "eventTime": at, "eventID": f"event-{number}", **more}


def ids(answer):
    return [event["EventId"] for event in answer["Events"]]


def test_calls_to_iam_are_in_the_history_reads_and_failures_too(sandbox, trail):
    """Each call is an event, newest first, with its whole record as text; other services' calls are not."""
    keys = sandbox.create_user("una", account=ACCOUNT)
    sandbox.history.clear()
    una = sandbox.client("iam", keys, ACCOUNT)
    una.list_users()
    with pytest.raises(ClientError):
        una.delete_user(UserName="nobody")
    sandbox.client("s3", keys, ACCOUNT).list_buckets()
    failed, read = trail.lookup_events()["Events"]
    assert (read["EventName"], read["ReadOnly"]) == ("ListUsers", "true")
    told = {
        "EventName": "DeleteUser",
        "ReadOnly": "false",
        "Username": "una",
        "EventSource": "iam.amazonaws.com",
    }
    assert (told | {"AccessKeyId": keys["AccessKeyId"]}).items() <= failed.items()
    detail = json.loads(failed["CloudTrailEvent"])
    assert (detail["eventID"], detail["errorCode"]) == (failed["EventId"], "NoSuchEntityException")
    assert failed["EventTime"].strftime("%Y-%m-%dT%H:%M:%SZ") == detail["eventTime"]


def test_a_sessions_calls_are_of_the_sessions_name(sandbox, trail):
    """Username of a role's call is the name of its session; root's is root."""
    role = sandbox.create_role("worker", account=ACCOUNT)
    sandbox.history.clear()
    sandbox.client("iam", sandbox.session(role["Arn"], "i-0abc"), ACCOUNT).list_users()
    sandbox.client("iam", account=ACCOUNT).list_users()
    assert [event["Username"] for event in trail.lookup_events()["Events"]] == ["root", "i-0abc"]


def test_the_history_is_that_of_one_account_and_of_the_region_of_iam(sandbox, history, trail):
    """Another account's events are not told, and another region has none of IAM's."""
    history.append(record(1))
    history.append(record(2, account="300000000009"))
    assert ids(trail.lookup_events()) == ["event-1"]
    assert ids(sandbox.client("cloudtrail", account=ACCOUNT, region="eu-central-1").lookup_events()) == []


def test_pages_hold_fifty_events_newest_first(history, trail):
    """A token leads to the next page, also when newer events have come meanwhile."""
    for number in range(120):
        history.append(record(number))
    first = trail.lookup_events()
    history.append(record(500))
    second = trail.lookup_events(NextToken=first["NextToken"])
    third = trail.lookup_events(NextToken=second["NextToken"])
    assert "NextToken" not in third
    assert ids(first) + ids(second) + ids(third) == [f"event-{n}" for n in reversed(range(120))]
    assert [len(page["Events"]) for page in (first, second, third)] == [50, 50, 20]


def test_a_time_range_includes_its_ends(history, trail):
    """StartTime and EndTime are inclusive, and in this order."""
    for number in range(5):
        history.append(record(number))
    within = {"StartTime": START + timedelta(seconds=1), "EndTime": START + timedelta(seconds=3)}
    assert ids(trail.lookup_events(**within)) == ["event-3", "event-2", "event-1"]
    wrong = {"StartTime": within["EndTime"], "EndTime": within["StartTime"]}
    with pytest.raises(ClientError, match="InvalidTimeRangeException"):
        trail.lookup_events(**wrong)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("EventSource", "iam.amazonaws.com", [3, 2, 1]),
        ("Username", "bob", [2]),
        ("ReadOnly", "true", [3]),
        ("EventId", "event-1", [1]),
        ("AccessKeyId", "AKIAbob", [2]),
    ],
)
def test_one_attribute_can_be_looked_up(history, trail, key, value, found):
    """Each attribute finds the events that have just this value."""
    for made in (record(1), record(2, user="bob"), record(3, "GetUser")):
        history.append(made)
    answer = trail.lookup_events(LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}])
    assert ids(answer) == [f"event-{number}" for number in found]


def test_more_than_one_attribute_is_refused(history, trail):
    """LookupEvents takes one attribute."""
    one = {"AttributeKey": "EventName", "AttributeValue": "CreateUser"}
    with pytest.raises(ClientError, match="InvalidLookupAttributesException"):
        trail.lookup_events(LookupAttributes=[one, one])
