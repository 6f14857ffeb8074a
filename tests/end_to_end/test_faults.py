"""When things go wrong: no admin revoked on a guess, nobody missed, no event lost.

All of it runs the uploaded zip under AWS's runtime client, with faults injected into the sandbox's API.
"""

import copy
import json

import pytest
from helpers import FUNCTION, GUARD, POLICIES, REVOKE, case, environment, outcomes, policies_of, revoked
from rights import of_type

from c7n_iamguard.aws_names import FUNCTION_PREFIX
from sandbox.server import Fault


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
    "a throttle while looking at the group": (fault("GetGroup", "Throttling", times=1), ["managed"], PASSING, PASSING),
    "AccessDenied while looking at the group": (fault("GetGroup", "AccessDenied", 403), [], FAILING, PASSING),
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


@pytest.mark.parametrize("who", ["non-admin", "admin"])
@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_table(impatient, queue, name, who):
    """Each fault, for an admin and for a non-admin: what the user ends with, the invocation, and the log."""
    injected, forms, of_others, of_admins = FAULTS[name]
    impatient.faults.append(copy.copy(injected))
    event = case("let-pass-admin" if who == "admin" else "revoked-create-user")
    (invocation,) = impatient.deliver(event)
    impatient.faults.clear()
    assert outcomes(invocation) == (of_admins if who == "admin" else of_others)
    assert revoked(impatient, "bob") == ([] if who == "admin" else forms)
    assert revoked(impatient, "alice") == []
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
    """Admins are safe if IAM cannot be reached, and their events go to the dead-letter queue."""
    event = case("let-pass-admin")
    with environment(fresh, AWS_MAX_ATTEMPTS="1", AWS_ENDPOINT_URL_IAM="http://127.0.0.1:9"):
        (invocation,) = fresh.deliver(event)
    assert outcomes(invocation) == FAILING
    assert "EndpointConnectionError" in invocation.log
    assert revoked(fresh, "alice") == []
    assert queue() == [event]


def test_dead_letters_go_back_through_the_function(impatient, queue):
    """An event that was dead-lettered is handled when its queue is mapped to the function, and gone then."""
    impatient.faults.append(fault("*", "ServiceFailure", 500))
    event = case("revoked-create-user")
    impatient.deliver(event)
    impatient.faults.clear()
    assert queue() == [event]
    functions = impatient.client("lambda")
    arn = f"arn:aws:sqs:{impatient.region}:{impatient.account}:{FUNCTION}"
    made = functions.create_event_source_mapping(FunctionName=FUNCTION, EventSourceArn=arn, BatchSize=1)
    (invocation,) = impatient.functions.poll()
    functions.delete_event_source_mapping(UUID=made["UUID"])
    assert invocation.decisions[-1]["decision"] == "revoked"
    assert revoked(impatient, "bob") == ["managed"]
    assert queue() == []


@pytest.mark.parametrize("queue", ["evil", "iam-guard-protect-admin-group", None])
def test_another_queue_than_the_functions_own_feeds_it_nothing(fresh, queue):
    """Messages of any other queue frame nobody and are not taken for handled: they stay where they are, the whole batch."""
    record = {"eventSource": "aws:sqs", "body": json.dumps(case("revoked-create-user"))}
    record["eventSourceARN"] = queue and f"arn:aws:sqs:us-east-1:111122223333:{queue}"
    own = {**record, "eventSourceARN": f"arn:aws:sqs:us-east-1:111122223333:{FUNCTION}"}
    attempt = fresh.functions.attempt(FUNCTION, {"Records": [own, record]})
    assert attempt.outcome == "failed"
    assert "is not this function's dead-letter queue" in attempt.error["errorMessage"]
    assert revoked(fresh, "bob") == []


def test_the_stacks_make_the_queue_of_every_function():
    """The dead-letter queue of a policy has its function's name, and one of the stacks makes it."""
    templates = ("account.yml", "contain.yml")
    queues = {queue["QueueName"] for name in templates for queue in of_type(name, "AWS::SQS::Queue")}
    policies = [policy for file in POLICIES.glob("*.yml") for policy in policies_of(file)]
    assert {f"{FUNCTION_PREFIX}{policy['name']}" for policy in policies if "mode" in policy} == queues
    assert f"iam-guard-{REVOKE}" in queues
