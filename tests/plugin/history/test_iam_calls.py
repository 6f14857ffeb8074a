"""Filter iam-calls: whose call a record is, which calls count, and what is said of them."""

import pytest
from trail import ACCOUNT, Clock, Trail, federated, record, role, user

from c7n_iamguard.history import iam_calls, lookup_events
from c7n_iamguard.history.iam_calls import Calls, summary
from c7n_iamguard.history.lookup_events import IncompleteHistory
from c7n_iamguard.iam.principals import ROLE, USER

BOB = {"UserName": "bob", "UserId": user("bob")["principalId"]}
CAROL = {"UserName": "carol", "UserId": user("carol")["principalId"]}
APP = {"RoleName": "app", "RoleId": role("app")["principalId"].partition(":")[0]}
EVE = f"arn:aws:iam::{ACCOUNT}:user/eve"


def without(identity, key):
    return {k: v for k, v in identity.items() if k != key}


def told(collected, name):
    """What a report has of a principal's calls."""
    return [summary(call, who) for call, who in collected.of_principals[name]]


def found(records, *principals, kind=USER, **options):
    """The names of the calls of each principal, by the principal's name."""
    collected = Calls(kind, principals, ACCOUNT, **options)
    for one in records:
        collected.add(one)
    return {name: [call["eventName"] for call, _ in made] for name, made in collected.of_principals.items()}


@pytest.mark.parametrize(
    ("identity", "principal", "counts"),
    [
        (user("bob"), BOB, True),
        (user("bobby", BOB["UserId"]), BOB, True),  # renamed since
        (user("bob", "AIDA0000000000000OLD"), BOB, False),  # another user, who had the name before
        (without(user("bob"), "principalId"), BOB, True),  # CloudTrail gave no id
        (without(user("carol"), "principalId"), BOB, False),
        (user("bob", account="444455556666"), BOB, False),
        (user("bob", sessionContext={"attributes": {"mfaAuthenticated": "true"}}), BOB, True),  # GetSessionToken
        (federated("bob"), BOB, True),
        (role("bob"), BOB, False),
        ({"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT}, BOB, False),
        (role("app"), APP, True),
        (role("app", unique_id="AROA0000000000000OLD"), APP, False),
        (role("app", account="444455556666"), APP, False),
        (user("app"), APP, False),
    ],
)  # fmt: skip
def test_a_call_is_its_principals(identity, principal, counts):
    """The caller is found by unique id under any name, and by name only where CloudTrail gives no id."""
    kind = USER if "UserName" in principal else ROLE
    expected = {principal[kind.name_key]: ["CreateUser"]} if counts else {}
    assert found([record(identity)], principal, kind=kind) == expected


def test_what_reaches_no_rule_does_not_count():
    """Reads by their names, whatever CloudTrail marks, and the role that a service makes for itself."""
    service = {"invokedBy": "autoscaling.amazonaws.com"}
    asked = {"requestParameters": {"aWSServiceName": service["invokedBy"]}}
    records = [
        record(user("bob"), "GetSomethingNew"),
        record(user("bob"), "ListNothing", 1, readOnly=False),
        record(user("bob"), "GenerateCredentialReport", 2, readOnly=True),
        record(user("bob", **service), "CreateServiceLinkedRole", 3, **asked),
        record(user("bob"), "CreateServiceLinkedRole", 4),
    ]
    assert found(records, BOB) == {"bob": ["GenerateCredentialReport", "CreateServiceLinkedRole"]}


def test_a_record_that_comes_twice_counts_once():
    """CloudTrail may list an event twice."""
    assert found([record(user("bob")), record(user("bob"))], BOB) == {"bob": ["CreateUser"]}


@pytest.mark.parametrize("identity", [user("bob", userName="carol"), {"type": "SomethingNew"}])
def test_a_record_that_does_not_say_who_called_is_kept_apart(identity):
    """A record that contradicts itself about its caller, or is of a new type, is told, and the others count."""
    odd = record(identity, number=1)
    collected = Calls(USER, [BOB], ACCOUNT)
    collected.add(odd), collected.add(record(user("bob")))
    assert [problem[0] for problem in collected.unreadable] == [odd]
    assert [call["eventName"] for call, _ in collected.of_principals["bob"]] == ["CreateUser"]


def test_a_call_is_told_with_what_cloudtrail_says_of_it():
    """The annotation has the record's own words and the caller's circumstances, and no empty ones."""
    answer = {"accessKey": {"accessKeyId": "AKIAI44QH8DHBEXAMPLE"}}
    identity, more = (
        role("app", invokedBy="ssm.amazonaws.com"),
        {"responseElements": answer, "errorMessage": "no"},
    )
    collected = Calls(ROLE, [APP], ACCOUNT)
    collected.add(record(identity, errorCode="AccessDenied", requestParameters=None, **more))
    assert told(collected, "app") == [
        {
            "eventTime": "2026-11-25T12:00:00Z",
            "eventName": "CreateUser",
            "eventID": "00000000-0000-4000-8000-000000000000",
            "errorCode": "AccessDenied",
            "sourceIPAddress": "198.51.100.7",
            "userAgent": "aws-cli/2.31",
            "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
            "mfaAuthenticated": "false",
            "sessionName": "i-0abc",
            "invokedBy": "ssm.amazonaws.com",
            **more,
        }
    ]
    collected.add(record(identity, number=1))
    assert told(collected, "app")[1]["requestParameters"] == {"userName": "backdoor"}


@pytest.mark.parametrize(
    ("parameters", "target"),
    [
        ({"userName": "backdoor"}, "backdoor"),
        ({"userName": "eve", "policyArn": "arn:aws:iam::aws:policy/X"}, "eve, arn:aws:iam::aws:policy/X"),
        ({"roleName": "r", "policyName": "p", "policyDocument": "{}", "maxSessionDuration": 3600}, "r, p"),
        ({"userName": "x\nbob\x1b[2J\u202e", "tags": []}, "x?bob?[2J?"),
        ({"userName": "x" * 5000}, "x" * 100),
        (None, None),
    ],
)
def test_a_calls_target_is_a_line_of_its_parameters(parameters, target):
    """The names among the parameters make one printable line, whatever the caller has written in them."""
    collected = Calls(USER, [BOB], ACCOUNT)
    collected.add(record(user("bob"), requestParameters=parameters))
    assert told(collected, "bob")[0].get("target") == target


@pytest.mark.parametrize(
    ("message", "target"),
    [
        (f"on resource: {EVE} because no identity-based policy allows the iam:CreateUser action", EVE),
        (f"on resource: {EVE} with an explicit deny in a service control policy", EVE),
        ("on resource: user eve", "user eve"),
        ("", None),
    ],
)  # fmt: skip
def test_a_denied_calls_target_is_in_its_message(message, target):
    """CloudTrail keeps no parameters of a call that IAM denied, but the message names the resource."""
    message = f"User: arn:aws:iam::{ACCOUNT}:user/bob is not authorized to perform: iam:CreateUser {message}"
    collected = Calls(USER, [BOB], ACCOUNT)
    denied = {"errorCode": "AccessDenied", "errorMessage": message, "requestParameters": None}
    collected.add(record(user("bob"), **denied))
    assert told(collected, "bob")[0].get("target") == target


# The filter


@pytest.fixture
def lookup(in_process, monkeypatch):
    """``lookup(records, resources, hours=…)``: what the filter returns, and the requests that it made."""
    monkeypatch.setattr(lookup_events, "time", Clock())

    def run(records, resources, answers=None, resource="aws.iam-user", region=None, **options):
        policy = in_process(resource=resource, filters=[{"type": "iam-calls", **options}])
        policy.options.region = region or policy.options.region
        trail, asked = Trail(records, answers), []

        def client_of(*arguments):
            asked.append(arguments[1:])
            return trail.client

        monkeypatch.setattr(iam_calls, "client_of", client_of)
        kept = policy.resource_manager.filter_resources(resources)
        return kept, trail.requests, asked

    return run


def test_who_called_last_comes_first(lookup):
    """The users are in the order of their newest calls, and each one's calls are the newest first."""
    records = [
        record(user("carol"), "A", 1),
        record(user("bob"), "B", 2),
        record(user("carol"), "C", 3),
        record(user("dave"), "D", 4),
    ]
    idle = {"UserName": "idle", "UserId": "AIDAIDLE"}
    kept, requests, _ = lookup(records, [dict(BOB), idle, dict(CAROL)])
    assert [one["UserName"] for one in kept] == ["carol", "bob"]
    assert [call["eventName"] for call in kept[0]["c7n:IAMCalls"]] == ["A", "C"]
    assert len(requests) == 1


@pytest.mark.parametrize(("options", "hours"), [({}, 24), ({"hours": 2160}, 2160)])
def test_the_last_hours_are_looked_up(lookup, options, hours):
    """A day is looked up, or as many hours as the policy says, in the region that has IAM's events."""
    _, (request,), (arguments,) = lookup([], [dict(BOB)], region="cn-northwest-1", **options)
    assert request["EndTime"] - request["StartTime"] == pytest.approx(hours * 3600)
    assert arguments == ("cloudtrail", lookup_events.CONFIG, "cn-north-1")


@pytest.mark.parametrize(
    ("options", "counted"),
    [
        ({}, "CreateUser DeleteUser"),
        ({"read-only": True}, "CreateUser ListUsers DeleteUser GetUser"),
        ({"failed": False}, "CreateUser"),
    ],
)
def test_reads_and_failures_count_as_the_policy_says(lookup, options, counted):
    """Reads are left out and failures are counted, unless the policy says otherwise."""
    names, bob = ("CreateUser", "ListUsers", "DeleteUser", "GetUser"), user("bob")
    records = [record(bob, name, number) for number, name in enumerate(names)]
    records[2]["errorCode"] = records[3]["errorCode"] = "AccessDenied"
    (kept,), _, _ = lookup(records, [dict(BOB)], **options)
    assert [call["eventName"] for call in kept["c7n:IAMCalls"]] == counted.split()


def test_nobody_is_looked_up_if_there_is_nobody(lookup):
    """Without users there is no request."""
    assert lookup([record(user("bob"))], [])[1] == []


def test_an_unknown_partition_is_an_error(lookup):
    """Nobody knows which region of the partition has IAM's events, so that an empty answer would mean nothing."""
    with pytest.raises(Exception, match="which region of the partition aws-iso has IAM's events"):
        lookup([], [dict(BOB)], region="us-iso-east-1")


@pytest.mark.parametrize("broken", [{...: "ThrottlingException", 0: None}, {1: "AccessDeniedException"}])
def test_some_calls_are_never_shown_as_all_calls(lookup, broken):
    """If a part of the history cannot be read, the run fails and no user is annotated."""
    bob = dict(BOB)
    with pytest.raises(IncompleteHistory):
        lookup([record(user("bob"), number=n) for n in range(60)], [bob], answers=broken)
    assert bob == BOB
