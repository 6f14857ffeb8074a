"""Filter iam-calls: whose call a record is, which calls count, and what is said of them."""

import pytest
from trail import ACCOUNT, Clock, Trail, federated, record, role, user

from c7n_iamguard.event import caller
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


def found(records, *principals, kind=USER):
    """The names of the calls of each principal, by the principal's name."""
    collected = Calls(kind, principals, ACCOUNT)
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
    """Reads by their names, whatever CloudTrail marks, a service's role for itself, and a record's second copy."""
    service = {"invokedBy": "autoscaling.amazonaws.com"}
    asked = {"requestParameters": {"aWSServiceName": service["invokedBy"]}}
    records = [
        record(user("bob"), "GetSomethingNew"),
        record(user("bob"), "ListNothing", 1, readOnly=False),
        record(user("bob"), "GenerateCredentialReport", 2, readOnly=True),
        record(user("bob", **service), "CreateServiceLinkedRole", 3, **asked),
        *[record(user("bob"), "CreateServiceLinkedRole", 4)] * 2,
    ]
    assert found(records, BOB) == {"bob": ["GenerateCredentialReport", "CreateServiceLinkedRole"]}


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
    more = {"responseElements": {"accessKey": {"accessKeyId": "AKIAI44QH8DHBEXAMPLE"}}, "errorMessage": "no"}
    call = record(role("app", invokedBy="ssm.amazonaws.com"), errorCode="AccessDenied", **more)
    assert summary(call, caller(call)) == {
        "eventTime": "2026-11-25T12:00:00Z",
        "eventName": "CreateUser",
        "eventID": "00000000-0000-4000-8000-000000000000",
        "errorCode": "AccessDenied",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.31",
        "requestParameters": {"userName": "backdoor"},
        "target": "backdoor",
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "mfaAuthenticated": "false",
        "sessionName": "i-0abc",
        "invokedBy": "ssm.amazonaws.com",
        **more,
    }


DENIED = f"User: arn:aws:iam::{ACCOUNT}:user/bob is not authorized to perform: iam:CreateUser"


@pytest.mark.parametrize(
    ("parameters", "message", "target"),
    [
        (
            {"roleName": "r", "policyName": "p", "policyDocument": "{}", "maxSessionDuration": 3600},
            None,
            "r, p",
        ),
        ({"userName": "x\nbob\x1b[2J\u202e", "tags": []}, None, "x?bob?[2J?"),
        ({"userName": "x" * 5000}, None, "x" * 100),
        (None, f"{DENIED} on resource: {EVE} because no identity-based policy allows the action", EVE),
        (None, f"{DENIED} on resource: {EVE} with an explicit deny in a service control policy", EVE),
        (None, f"{DENIED} on resource: user eve", "user eve"),
        (None, DENIED, None),
        (None, None, None),
    ],
)
def test_a_calls_target_is_a_line_of_its_parameters_or_its_error(parameters, message, target):
    """One printable line, whatever the caller wrote; the message of a denied call names the resource."""
    assert iam_calls.target({"requestParameters": parameters, "errorMessage": message}) == target


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
    made = [("carol", "A"), ("bob", "B"), ("carol", "C"), ("dave", "D")]
    records = [record(user(name), call, number) for number, (name, call) in enumerate(made)]
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
