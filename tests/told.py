"""Shared by the tests of telling: the schema, cases as they are told, and a stand-in for the policy."""

import json

from helpers import ROOT, case
from jsonschema import Draft202012Validator

from c7n_iamguard import plugin  # noqa: F401  the import registers the plugin
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam.principals import ROLE, USER
from c7n_iamguard.notify import detail

SCHEMA = json.loads((ROOT / "deploy" / "iam-guard-event.schema.json").read_text())
EVENT = Draft202012Validator(SCHEMA)
DETAIL = Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": "#/$defs/detail"})
TELLER = detail.Teller("a-policy", "111122223333", "us-east-1", "sandbox")


ROLE_ID = "AROADEPLOYERXXXXXXXXX"


def decided(principal, decision="revoked", **fields):
    """A principal about whom an action has decided."""
    return {**principal, "c7n:IAMGuard": {"decision": decision, **fields}}


def by_event(event, decision="revoked", **fields):
    """The caller of an event, about whom an action has decided."""
    who = IAMEvent(event).who
    kind = USER if who.kind == "user" else ROLE
    return decided(kind.of_caller(who), decision, **fields), kind


def told_of(event, decision="revoked", teller=TELLER, **fields):
    """The detail of what is told about an event's caller."""
    fields = {"how": "managed", **fields} if decision == "revoked" else fields
    principal, kind = by_event(event, decision, **fields)
    return detail.describe(principal, kind, IAMEvent(event), teller)


def of_role(role="Deployer", session="ci", path="/", account="111122223333", role_id=ROLE_ID, **identity):
    """An event of a role's session."""
    event = case("revoked-create-user")
    event["account"] = event["detail"]["recipientAccountId"] = account
    issuer = {
        "type": "Role",
        "principalId": role_id,
        "arn": f"arn:aws:iam::{account}:role{path}{role}",
        "accountId": account,
        "userName": role,
    }
    event["detail"]["userIdentity"] = {
        "type": "AssumedRole",
        "principalId": f"{role_id}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        "accountId": account,
        "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "true"}},
        **identity,
    }
    return event


def of_person(person="jane@example.com", **identity):
    """An event of a person of Identity Center, who calls through a role that only AWS can change."""
    path = "/aws-reserved/sso.amazonaws.com/"
    return of_role("AWSReservedSSO_Developer_0123456789abcdef", person, path, **identity)


def listen(sandbox, bus="iam-guard", account=None):
    """Subscribe a queue to everything on an event bus, as a person's own rule does.

    :returns: a function that tells the events that have come since, or since it was last called
    """
    events, sqs = sandbox.client("events", account=account), sandbox.client("sqs", account=account)
    if bus not in [found["Name"] for found in events.list_event_buses()["EventBuses"]]:
        events.create_event_bus(Name=bus)
    service = {"Service": "events.amazonaws.com"}
    allow = {"Effect": "Allow", "Principal": service, "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    url = sqs.create_queue(QueueName=f"listener-on-{bus}", Attributes={"Policy": policy})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"source": ["iam-guard"]})
    events.put_rule(Name="listener", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="listener", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])

    def told():
        """The events that have come since the last time."""
        found = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
        return found

    told()
    return told
