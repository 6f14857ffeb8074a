"""Faults of AWS: no admin is revoked on a guess, nobody is missed, no event is lost.

All of it runs the uploaded zip under AWS's runtime client, with faults injected into the sandbox's API.
"""

import copy
import json

import pytest
from helpers import FUNCTION, GUARD, PROTECT_FUNCTION, case, environment, outcomes, revoked

from sandbox.server import Fault


def fault(action, code, status=400, **more):
    return Fault(f"iam:{action}", code, status, caller=GUARD, **more)


FAILING = "failed failed failed dead-lettered"
#: Each fault, the forms of the user's denial in the end, and the invocation.
FAULTS = {
    "throttles for one invocation": (fault("ListGroupsForUser", "Throttling", times=2), ["managed"], "failed succeeded"),
    "AccessDenied while asking for groups": (fault("ListGroupsForUser", "AccessDenied", 403), [], FAILING),
    "AccessDenied while looking at the group": (fault("GetGroup", "AccessDenied", 403), [], FAILING),
    "throttles without end while attaching": (fault("AttachUserPolicy", "Throttling"), [], FAILING),
    "no deny policy in the account": (fault("AttachUserPolicy", "NoSuchEntity", 404), ["inline"], "succeeded"),
    "a deny policy that cannot be attached": (fault("AttachUserPolicy", "PolicyNotAttachable"), ["inline"], "succeeded"),
}  # fmt: skip
ADMINS = list(FAULTS)[:2]


@pytest.mark.parametrize(
    ("name", "who"), [*((name, "user") for name in FAULTS), *((name, "admin") for name in ADMINS)]
)
def test_the_fault_table(impatient, queue, name, who):
    """Each fault, for an admin and for a non-admin: what the user ends with, the invocation, and the log."""
    injected, forms, expected = FAULTS[name]
    impatient.faults.append(copy.copy(injected))
    event = case("let-pass-admin" if who == "admin" else "revoked-create-user")
    (invocation,) = impatient.deliver(event)
    impatient.faults.clear()
    assert outcomes(invocation) == expected
    assert revoked(impatient, "bob") == ([] if who == "admin" else forms)
    assert revoked(impatient, "alice") == []
    decisions = [decision["decision"] for decision in invocation.decisions]
    assert len(decisions) == len(invocation.attempts)  # no attempt without a word, and none with two
    assert queue() == ([event] if invocation.dead_lettered else [])
    if not invocation.dead_lettered:
        assert decisions[-1] == ("let-pass" if who == "admin" else "revoked")


def test_a_guardrail_against_one_step_leads_to_the_next_and_the_event_fails(impatient):
    """If an SCP refuses AttachUserPolicy, the caller is denied by the inline policy, and the event is dead-lettered."""
    impatient.faults.append(fault("AttachUserPolicy", "AccessDenied", 403))
    (invocation,) = impatient.deliver(case("revoked-create-user"))
    assert revoked(impatient, "bob") == ["inline"]
    assert invocation.dead_lettered
    assert [d["decision"] for d in invocation.decisions if d["decision"] != "failed"] == ["revoked"] * 3
    assert "AccessDenied" in invocation.decisions[0]["rungs"]["managed"]
    assert "is denied IAM, but AWS refused a step" in invocation.decisions[1]["reason"]


def test_a_guardrail_against_every_step_is_an_error_and_no_denial(impatient):
    """If AWS refuses all steps, nothing is said to be revoked."""
    for operation in ("AttachUserPolicy", "PutUserPolicy", "GetUser"):
        impatient.faults.append(fault(operation, "AccessDenied", 403))
    (invocation,) = impatient.deliver(case("revoked-create-user"))
    assert revoked(impatient, "bob") == []
    assert {d["decision"] for d in invocation.decisions} == {"failed"}
    assert invocation.dead_lettered


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


def test_another_queue_than_the_functions_own_feeds_it_nothing(fresh):
    """Messages of any other queue frame nobody and are not taken for handled: they stay where they are, the whole batch."""
    queues = f"arn:aws:sqs:{fresh.region}:{fresh.account}:"
    record = {"eventSource": "aws:sqs", "body": json.dumps(case("revoked-create-user"))}
    records = [record | {"eventSourceARN": queues + name} for name in (FUNCTION, PROTECT_FUNCTION)]
    attempt = fresh.functions.attempt(FUNCTION, {"Records": records})
    assert attempt.outcome == "failed"
    assert "is not this function's dead-letter queue" in attempt.error["errorMessage"]
    assert revoked(fresh, "bob") == []
