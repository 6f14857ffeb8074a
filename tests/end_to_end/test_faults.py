"""When things go wrong: no admin revoked on a guess, nobody missed, no event lost.

All of it runs the uploaded zip under AWS's runtime client, with faults injected into the sandbox's API.
"""

import copy
import json

import pytest
from helpers import FUNCTION, GUARD, case, environment, outcomes, revoked

from sandbox.server import Fault


def fault(action, code, status=400, **more):
    return Fault(f"iam:{action}", code, status, caller=GUARD, **more)


PASSING, FAILING = "succeeded", "failed failed failed dead-lettered"
#: What goes wrong, what the user ends with, the invocation of a user's event, and that of an admin's if it differs.
FAULTS = {
    "a throttle while asking for groups": (fault("ListGroupsForUser", "Throttling", times=1), ["managed"], PASSING, PASSING),
    "a throttle while attaching": (fault("AttachUserPolicy", "Throttling", times=1), ["managed"], PASSING, None),
    "throttles for one invocation": (
        fault("ListGroupsForUser", "Throttling", times=2), ["managed"], "failed succeeded", "failed succeeded",
    ),
    "throttles without end while attaching": (fault("AttachUserPolicy", "Throttling"), [], FAILING, None),
    "AccessDenied while asking for groups": (fault("ListGroupsForUser", "AccessDenied", 403), [], FAILING, FAILING),
    "AccessDenied while looking at the group": (fault("GetGroup", "AccessDenied", 403), [], FAILING, PASSING),
    "ServiceFailure without end": (fault("*", "ServiceFailure", 500), [], FAILING, None),
    "no deny policy in the account": (fault("AttachUserPolicy", "NoSuchEntity", 404), ["inline"], PASSING, None),
    "a deny policy that cannot be attached": (fault("AttachUserPolicy", "PolicyNotAttachable", 400), ["inline"], PASSING, None),
    "an invalid input": (fault("AttachUserPolicy", "InvalidInput", 400), [], FAILING, None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "who"),
    [(name, who) for who, end in (("user", 2), ("admin", 3)) for name, row in FAULTS.items() if row[end]],
)
def test_the_fault_table(impatient, queue, name, who):
    """Each fault, for an admin and for a non-admin: what the user ends with, the invocation, and the log."""
    injected, forms, of_users, of_admins = FAULTS[name]
    impatient.faults.append(copy.copy(injected))
    event = case("let-pass-admin" if who == "admin" else "revoked-create-user")
    (invocation,) = impatient.deliver(event)
    impatient.faults.clear()
    assert outcomes(invocation) == (of_admins if who == "admin" else of_users)
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


@pytest.mark.parametrize("queue", ["iam-guard-protect-admin-group", None])
def test_another_queue_than_the_functions_own_feeds_it_nothing(fresh, queue):
    """Messages of any other queue frame nobody and are not taken for handled: they stay where they are, the whole batch."""
    record = {"eventSource": "aws:sqs", "body": json.dumps(case("revoked-create-user"))}
    record["eventSourceARN"] = queue and f"arn:aws:sqs:us-east-1:111122223333:{queue}"
    own = {**record, "eventSourceARN": f"arn:aws:sqs:us-east-1:111122223333:{FUNCTION}"}
    attempt = fresh.functions.attempt(FUNCTION, {"Records": [own, record]})
    assert attempt.outcome == "failed"
    assert "is not this function's dead-letter queue" in attempt.error["errorMessage"]
    assert revoked(fresh, "bob") == []
