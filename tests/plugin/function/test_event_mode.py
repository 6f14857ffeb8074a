"""An event's way through the function: whose event it is, who called, and under which name they are found."""

import json

import pytest
from helpers import FUNCTION, case, edit, guards_calls, moto_user, old, outcomes, revoked

from sandbox.server import Fault

OWN_QUEUE = f"arn:aws:sqs:us-east-1:111122223333:{FUNCTION}"
DEAD_LETTER = {"eventSource": "aws:sqs", "eventSourceARN": OWN_QUEUE, "body": "no JSON"}
OTHER = "444455556666"
THERE = {"accountId": OTHER, "arn": f"arn:aws:iam::{OTHER}:user/bob"}
BOB_THERE = case("revoked-create-user")["detail"]["userIdentity"] | THERE


def bobs(path, value):
    """The event of bob's call, with one part replaced."""
    return edit(case("revoked-create-user"), path, value)


def of_a_service():
    """The event of a service that makes its own service-linked role with bob's rights."""
    event = bobs("detail.eventName", "CreateServiceLinkedRole")
    event["detail"]["userIdentity"]["invokedBy"] = "es.amazonaws.com"
    return edit(event, "detail.requestParameters", {"aWSServiceName": "es.amazonaws.com"})


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (bobs("account", OTHER), "another account"),
        (bobs("detail.recipientAccountId", OTHER), "another account"),
        (bobs("detail.userIdentity", BOB_THERE), "another account"),
        (bobs("source", "my.app"), "not an event of CloudTrail"),
        (bobs("detail-type", "Scheduled Event"), "not an event of CloudTrail"),
        (bobs("detail.eventSource", "s3.amazonaws.com"), "not a call to IAM"),
        (case("not-delivered-root"), "no IAM user but Root"),
        (case("not-delivered-assumed-role"), "no IAM user but AssumedRole"),
        (of_a_service(), "es.amazonaws.com made its own service-linked role"),
        *((event, "malformed") for event in (None, [{}], {"detail": "{}"}, {"Records": [DEAD_LETTER]})),
    ],
)
def test_an_event_that_came_another_way_is_judged_by_itself(warm, event, reason):
    """The function lets pass what the rule would not have let through, makes no call, and logs one reason."""
    invocation = warm.functions.invoke(FUNCTION, event)
    assert invocation.succeeded
    (decision,) = invocation.decisions
    assert decision["decision"] == "let-pass"
    assert reason in decision["reason"]
    assert guards_calls(warm) == []
    assert revoked(warm, "bob") == []


@pytest.mark.parametrize(
    "event",
    [bobs("detail.userIdentity.type", "SomethingNew"), bobs("detail.recipientAccountId", {"id": 1})],
)
def test_a_caller_who_cannot_be_read_is_not_let_pass(warm, event):
    """If nobody can tell who called, the event fails, is tried again and ends in the dead-letter queue."""
    invocation = warm.functions.invoke(FUNCTION, event)
    assert outcomes(invocation) == "failed failed failed dead-lettered", invocation.log
    assert {decision["decision"] for decision in invocation.decisions} == {"failed"}
    assert guards_calls(warm) == ["SendMessage"]  # Lambda's own, to the dead-letter queue


def test_a_name_that_changes_hands_while_it_is_looked_at_betrays_nobody(fresh, user):
    """IAM does not know the caller's name, and a moment later somebody else has it: the caller alone is denied."""
    rex = user("rex")
    rex.iam.create_user(UserName="friend-of-rex")
    (event,) = fresh.pending
    fresh.client("iam").update_user(UserName="rex", NewUserName="rex-renamed")
    fresh.client("iam").create_user(UserName="rex")
    fresh.pending.clear()
    guard = "*:assumed-role/iam-guard/*"
    fresh.faults.append(Fault("iam:ListGroupsForUser", "NoSuchEntity", 404, times=1, caller=guard))
    (invocation,) = fresh.deliver(event)
    assert [(line["decision"], line["user"]) for line in invocation.decisions] == [("revoked", "rex-renamed")]
    assert (revoked(fresh, "rex"), revoked(fresh, "rex-renamed")) == ([], ["managed"])


def test_an_old_event_finds_its_user_under_the_new_name(fresh, user):
    """An old event of a user who was renamed since, whose old name has a new owner, hits the right one."""
    user("old-name"), user("new-name")
    moto_user(fresh, "new-name").id = "AIDATHEONEWHOCALLEDXX"
    text = json.dumps(old(case("revoked-create-user"))).replace("bob", "old-name")
    event = json.loads(text.replace("AIDABOBXXXXXXXXXXXXXX", "AIDATHEONEWHOCALLEDXX"))
    fresh.deliver(event)
    assert revoked(fresh, "new-name") == ["managed"]
    assert revoked(fresh, "old-name") == []
