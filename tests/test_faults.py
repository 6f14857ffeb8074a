"""When things go wrong: no admin revoked on a guess, nobody missed, no event lost.

All of it runs the uploaded zip under AWS's runtime client, with faults injected into the sandbox's API.
"""

import copy
import json
from contextlib import contextmanager

import pytest
from conftest import FUNCTION, REVOKE, case, guards_calls, moto_user, revoked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_event import any_json, paths

from c7n_iamguard.event import MalformedEvent, accounts, caller
from sandbox.server import Fault

GUARD = "*:assumed-role/iam-guard/*"
QUEUE = FUNCTION
OWN_QUEUE = f"arn:aws:sqs:us-east-1:111122223333:{QUEUE}"


@contextmanager
def environment(sandbox, timeout=120, **variables):
    """The function with other environment variables or another timeout, as long as the block lasts."""
    functions = sandbox.client("lambda")
    before = functions.get_function_configuration(FunctionName=FUNCTION)
    own = before["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=FUNCTION, Environment={"Variables": own | variables}, Timeout=timeout
    )
    try:
        yield
    finally:
        functions.update_function_configuration(
            FunctionName=FUNCTION, Environment={"Variables": own}, Timeout=before["Timeout"]
        )


@pytest.fixture(scope="module")
def impatient(deployed):
    """The function with two tries per API call instead of five, to save the backoff's seconds."""
    with environment(deployed, AWS_MAX_ATTEMPTS="2"):
        yield deployed


@pytest.fixture
def queue(fresh):
    """Empties the dead-letter queue, and returns a function that tells what is in it."""
    sqs = fresh.client("sqs")
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]

    def drain():
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def messages():
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    drain()
    yield messages
    drain()


def fault(action, code, status=400, **more):
    return Fault(f"iam:{action}", code, status, caller=GUARD, **more)


THROTTLES = ["Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"]
PASSING = "succeeded"
FAILING = "failed failed failed dead-lettered"
#  what goes wrong                                             the user       a non-admin's   an admin's
#                                                              ends with      invocation      invocation
FAULTS = {
    "a throttle while asking for groups": (fault("ListGroupsForUser", "Throttling", times=1), ["managed"], PASSING, PASSING),
    **{
        f"{code} while attaching": (fault("AttachUserPolicy", code, times=1), ["managed"], PASSING, PASSING)
        for code in THROTTLES
    },
    "throttles without end while asking": (fault("ListGroupsForUser", "Throttling"), [], FAILING, FAILING),
    "throttles without end while attaching": (fault("AttachUserPolicy", "Throttling"), [], FAILING, PASSING),
    "throttles for one invocation": (
        fault("ListGroupsForUser", "Throttling", times=2), ["managed"], "failed succeeded", "failed succeeded",
    ),
    "AccessDenied while asking for groups": (fault("ListGroupsForUser", "AccessDenied", 403), [], FAILING, FAILING),
    "AccessDenied while attaching": (fault("AttachUserPolicy", "AccessDenied", 403), [], FAILING, PASSING),
    "one ServiceFailure while asking": (fault("ListGroupsForUser", "ServiceFailure", 500, times=1), ["managed"], PASSING, PASSING),
    "ServiceFailure without end": (fault("*", "ServiceFailure", 500), [], FAILING, FAILING),
    "ServiceUnavailable without end": (fault("*", "ServiceUnavailable", 503), [], FAILING, FAILING),
    "an expired token": (fault("*", "ExpiredToken", 403), [], FAILING, FAILING),
    "a concurrent change of the user": (fault("AttachUserPolicy", "ConcurrentModification", 409, times=1), ["managed"], PASSING, PASSING),
    "ten managed policies": (fault("AttachUserPolicy", "LimitExceeded", 409), ["inline"], PASSING, PASSING),
    "no deny policy in the account": (fault("AttachUserPolicy", "NoSuchEntity", 404), ["inline"], PASSING, PASSING),
    "a deny policy that cannot be attached": (fault("AttachUserPolicy", "PolicyNotAttachable", 400), ["inline"], PASSING, PASSING),
    "an invalid input": (fault("AttachUserPolicy", "InvalidInput", 400), [], FAILING, PASSING),
}  # fmt: skip


def outcomes(invocation):
    words = [attempt.outcome for attempt in invocation.attempts]
    return " ".join(words + ["dead-lettered"] * invocation.dead_lettered)


@pytest.mark.parametrize("who", ["non-admin", "admin"])
@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_table(impatient, fresh, queue, name, who):
    """Each fault, for an admin and for a non-admin: what the user ends with, the invocation, and the log."""
    injected, forms, of_others, of_admins = FAULTS[name]
    fresh.faults.append(copy.copy(injected))
    event = case("let-pass-admin" if who == "admin" else "revoked-create-user")
    (invocation,) = fresh.deliver(event)
    fresh.faults.clear()
    assert outcomes(invocation) == (of_admins if who == "admin" else of_others)
    assert revoked(fresh, "bob") == ([] if who == "admin" else forms)
    assert revoked(fresh, "alice") == []
    decisions = [decision["decision"] for decision in invocation.decisions]
    assert len(decisions) == len(invocation.attempts)  # no attempt without a word, and none with two
    assert queue() == ([event] if invocation.dead_lettered else [])
    if not invocation.dead_lettered:
        assert decisions[-1] == ("let-pass" if who == "admin" else "revoked")


def test_a_timeout_is_tried_again(fresh):
    """An invocation that runs into the function's timeout is tried again, and the user revoked then."""
    fresh.faults.append(Fault("iam:ListGroupsForUser", delay=4, times=1, caller=GUARD))
    with environment(fresh, timeout=2):
        (invocation,) = fresh.deliver(case("revoked-create-user"))
    assert outcomes(invocation) == "timed out succeeded"
    assert revoked(fresh, "bob") == ["managed"]


def test_no_connection_to_iam_revokes_nobody_and_keeps_the_event(fresh, queue):
    """Where IAM cannot be reached, admins are safe, and their events go to the dead-letter queue."""
    with environment(fresh, AWS_MAX_ATTEMPTS="1", AWS_ENDPOINT_URL_IAM="http://127.0.0.1:9"):
        (invocation,) = fresh.deliver(case("let-pass-admin"))
    assert outcomes(invocation) == FAILING
    assert "EndpointConnectionError" in invocation.log
    assert revoked(fresh, "alice") == []
    assert queue() == [case("let-pass-admin")]


def test_dead_letters_go_back_through_the_function(fresh, queue, impatient):
    """An event that was dead-lettered is handled when its queue is mapped to the function, and gone then."""
    fresh.faults.append(fault("*", "ServiceFailure", 500))
    fresh.deliver(case("revoked-create-user"))
    fresh.faults.clear()
    assert queue() == [case("revoked-create-user")]
    functions = fresh.client("lambda")
    arn = f"arn:aws:sqs:{fresh.region}:{fresh.account}:{QUEUE}"
    made = functions.create_event_source_mapping(FunctionName=FUNCTION, EventSourceArn=arn, BatchSize=1)
    (invocation,) = fresh.functions.poll()
    functions.delete_event_source_mapping(UUID=made["UUID"])
    assert invocation.decisions[-1]["decision"] == "revoked"
    assert revoked(fresh, "bob") == ["managed"]
    assert queue() == []


@pytest.mark.parametrize("queue", ["evil", "iam-guard-protect-admin-group", None])
def test_another_queue_than_the_functions_own_feeds_it_nothing(fresh, queue):
    """Messages of any other queue frame nobody and are not taken for handled: they stay where they are."""
    record = {"eventSource": "aws:sqs", "body": json.dumps(case("revoked-create-user"))}
    record["eventSourceARN"] = queue and f"arn:aws:sqs:us-east-1:111122223333:{queue}"
    attempt = fresh.functions.attempt(FUNCTION, {"Records": [record]})
    assert attempt.outcome == "failed"
    assert "is not this function's dead-letter queue" in attempt.error["errorMessage"]
    assert revoked(fresh, "bob") == []


def test_only_the_guard_may_write_dead_letters():
    """The queues' policy denies SendMessage to everyone but the guard's role: a dead letter is trusted."""
    from cfnlint.decode import decode
    from conftest import ROOT

    template, _ = decode(str(ROOT / "deploy/account.yml"))
    resources = template["Resources"]
    queues = {name for name, resource in resources.items() if resource["Type"] == "AWS::SQS::Queue"}
    policy = resources["DeadLettersPolicy"]["Properties"]
    assert {queue["Ref"] for queue in policy["Queues"]} == queues
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"], statement["Principal"]) == (
        "Deny",
        "sqs:SendMessage",
        "*",
    )
    assert statement["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": {"Fn::GetAtt": ["Role", "Arn"]}}}


# Another account's events, and events that come another way than by the rule


def aside(path, value):
    """The event of bob's call, with one part replaced, and put to the function without a rule."""
    event = case("revoked-create-user")
    *parents, last = path.split(".")
    place = event
    for key in parents:
        place = place[key]
    place[last] = value
    return event


OTHER = "444455556666"
BOB_THERE = {**case("revoked-create-user")["detail"]["userIdentity"], "accountId": OTHER,
             "arn": f"arn:aws:iam::{OTHER}:user/bob"}  # fmt: skip


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (aside("account", OTHER), "another account"),
        (aside("detail.recipientAccountId", OTHER), "another account"),
        (aside("detail.userIdentity", BOB_THERE), "another account"),
        (aside("source", "my.app"), "not an event of CloudTrail"),
        (aside("detail-type", "Scheduled Event"), "not an event of CloudTrail"),
        (aside("detail.eventSource", "s3.amazonaws.com"), "not a call to IAM"),
        (case("not-delivered-root"), "no IAM user but Root"),
        (case("not-delivered-aws-service"), "no IAM user but AWSService"),
    ],
)
def test_an_event_that_came_another_way_is_judged_by_itself(fresh, event, reason):
    """What the rule would not have let through is let pass by the function, too, and the reason is logged."""
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert invocation.succeeded
    (decision,) = invocation.decisions
    assert decision["decision"] == "let-pass"
    assert reason in decision["reason"]
    assert guards_calls(fresh) == []
    assert revoked(fresh, "bob") == []


def test_a_role_of_a_users_name_never_touches_the_user(fresh):
    """A role called bob, in a session called bob, calls IAM: the user bob keeps his rights."""
    event = case("not-delivered-assumed-role")
    role = {"arn": f"arn:aws:iam::{fresh.account}:role/bob", "userName": "bob"}
    event["detail"]["userIdentity"]["arn"] = f"arn:aws:sts::{fresh.account}:assumed-role/bob/bob"
    event["detail"]["userIdentity"]["sessionContext"]["sessionIssuer"].update(role)
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert "no IAM user but AssumedRole" in invocation.decisions[0]["reason"]
    assert revoked(fresh, "bob") == []


@pytest.mark.parametrize(
    "event",
    [
        None, 5, "text", [], [{}], {}, {"detail": None}, {"detail": "{}"}, {"detail": []}, {"detail": {}},
        aside("detail.userIdentity", None),
        aside("detail.userIdentity", "bob"),
        aside("detail.userIdentity.arn", None),
        aside("detail.userIdentity.userName", "b" * 200),
        aside("detail.userIdentity.arn", "arn:aws:iam::111122223333:user/" + "b" * 200),
        aside("detail.recipientAccountId", {"id": 1}),
        aside("detail.errorCode", {"code": 1}),
        {"Records": [{"eventSource": "aws:sqs", "eventSourceARN": OWN_QUEUE, "body": "no JSON"}]},
        {"Records": [{"eventSource": "aws:sqs", "eventSourceARN": OWN_QUEUE}]},
    ],
    ids=lambda event: json.dumps(event)[:40],
)  # fmt: skip
def test_a_malformed_event_is_one_log_line(fresh, event):
    """Anything that is no event of CloudTrail costs no revocation, no retry and no call, but one log line."""
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert outcomes(invocation) == "succeeded", invocation.log
    if event != aside("detail.errorCode", {"code": 1}):
        (decision,) = invocation.decisions
        assert decision["decision"] == "let-pass"
        assert decision["reason"]
        assert guards_calls(fresh) == []
        assert revoked(fresh, "bob") == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(paths),
    value=any_json,
    name=st.sampled_from(["revoked-create-user", "let-pass-admin"]),
)
def test_only_a_well_formed_caller_who_is_no_admin_is_revoked(fresh, path, value, name):
    """Whatever is put into an event, only bob is revoked, and only when he called."""
    fresh.calls.clear()
    event = case(name)
    *parents, last = path.split(".")
    place = event
    for key in parents:
        place = place[key]
    place[last] = value
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert invocation.succeeded
    assert len(invocation.decisions) == 1
    try:
        who, named = caller(event), accounts(event)
    except MalformedEvent:
        who = None
    touched = [
        call.params["UserName"]
        for call in fresh.calls
        if call.action in ("AttachUserPolicy", "PutUserPolicy")
    ]
    if touched:
        assert who.name == "bob" == touched[0]
        assert named | {who.account} == {fresh.account}
    assert revoked(fresh, "alice") == []


# Names that change hands


def test_a_renamed_user_is_found_by_id(fresh, user):
    """A user who renames themselves right after the call is revoked under the new name."""
    rex = user("rex")
    rex.iam.create_user(UserName="friend-of-rex")
    (event,) = fresh.pending
    fresh.pending.clear()
    fresh.client("iam").update_user(UserName="rex", NewUserName="rex-renamed")
    try:
        (invocation,) = fresh.deliver(event)
        assert invocation.decisions[-1]["decision"] == "revoked"
        assert invocation.decisions[-1]["user"] == "rex-renamed"
        assert revoked(fresh, "rex-renamed") == ["managed"]
    finally:
        fresh.client("iam").update_user(UserName="rex-renamed", NewUserName="rex")


def test_a_deleted_user_is_let_pass(fresh):
    """A caller whose id no longer exists is let pass as gone, and the event ends well."""
    (invocation,) = fresh.deliver(case("let-pass-user-who-is-gone"))
    assert outcomes(invocation) == "succeeded"
    assert invocation.decisions[0]["reason"] == "the user does not exist any more"
    assert "ListUsers" in guards_calls(fresh)


def test_a_name_that_changed_hands_does_not_betray_its_new_owner(fresh):
    """An old event of another user who was once called bob leaves today's bob alone."""
    event = case("revoked-create-user")
    event["detail"]["userIdentity"]["principalId"] = "AIDASOMEBODYELSEXXXXX"
    (invocation,) = fresh.deliver(event)
    assert invocation.decisions[0]["decision"] == "let-pass"
    assert revoked(fresh, "bob") == []


def test_an_old_event_finds_its_user_under_the_new_name(fresh, user):
    """An old event of a user who was renamed since, whose old name has a new owner, hits the right one."""
    user("old-name"), user("new-name")
    moto_user(fresh, "new-name").id = "AIDATHEONEWHOCALLEDXX"
    text = json.dumps(case("revoked-create-user")).replace("bob", "old-name")
    event = json.loads(text.replace("AIDABOBXXXXXXXXXXXXXX", "AIDATHEONEWHOCALLEDXX"))
    fresh.deliver(event)
    assert revoked(fresh, "new-name") == ["managed"]
    assert revoked(fresh, "old-name") == []


def test_every_policy_with_a_function_names_its_own_queue():
    """The dead-letter queue of a policy has its function's name, and the stack makes it."""
    from cfnlint.decode import decode
    from conftest import POLICIES, ROOT
    from yaml import safe_load

    template, _ = decode(str(ROOT / "deploy/account.yml"))
    queues = {
        r["Properties"]["QueueName"] for r in template["Resources"].values() if r["Type"] == "AWS::SQS::Queue"
    }
    functions = set()
    for file in POLICIES.glob("*.yml"):
        (policy,) = safe_load(file.read_text())["policies"]
        if "mode" in policy:
            name = policy["mode"]["function-prefix"] + policy["name"]
            functions.add(name)
            assert policy["mode"]["dead_letter_config"]["TargetArn"].split(":")[-1] == name
    assert functions == queues
    assert f"iam-guard-{REVOKE}" in queues
