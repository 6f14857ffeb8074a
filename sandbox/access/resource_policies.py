"""The policies of resources: event buses, queues, topics, functions, and the trust policies of roles."""

import json

from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from sandbox.access import policies
from sandbox.organizations import scps


def policy_on(arn):
    """A resource's policy as a dict; None if it has none, or is not there."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[2] not in READERS:
        return None
    _, partition, service, region, account, resource = parts
    return READERS[service](account, partition if service == "iam" else region, resource, arn)


def verdict(arn, principal, action, context):
    """What a resource's policy says of a call.

    :returns: ``None`` by a deny, else how the policy allows it: ``""`` not at all, ``"account"`` to whomever
        the caller's account lets, ``"caller"`` to the caller by name, or to everybody
    """
    document = policy_on(arn)
    if document is None:
        return ""
    allowed = {
        how: policies.grants(document, names, action, arn, context)
        for how, names in names_of(principal).items()
    }
    if None in allowed.values():
        return None
    return next((how for how, yes in allowed.items() if yes), "")


def names_of(principal):
    """What a caller may be called as ``Principal``: by name, and as one of its account."""
    if principal.kind == "Service":
        return {"caller": {"Service": {principal.name}}, "account": {}}
    root = f"arn:{principal.partition}:iam::{principal.account}:root"
    return {
        "caller": {"AWS": {principal.arn, principal.policy_arn}},
        "account": {"AWS": {principal.account, root}},
    }


def _of_bus(account, region, resource, arn):
    kind, _, name = resource.partition("/")
    bus = events_backends[account][region].event_buses.get(name) if kind == "event-bus" else None
    return json.loads(bus.policy) if bus and bus.policy else None


def _of_queue(account, region, resource, arn):
    queue = sqs_backends[account][region].queues.get(resource)
    return _read(queue.policy) if queue and queue.policy else None


def _of_topic(account, region, resource, arn):
    topic = sns_backends[account][region].topics.get(arn)
    return topic._policy_json if topic else None


def _of_function(account, region, resource, arn):
    try:
        function = lambda_backends[account][region].get_function(resource.split(":")[1])
    except Exception:  # there is no such function
        return None
    statements = function.policy.statements
    return {"Statement": statements} if statements else None


def _of_role(account, partition, resource, arn):
    for role in iam_backends[account][partition].roles.values():
        if role.arn == arn:
            return _read(role.assume_role_policy_document)
    return None


def _read(document):
    return json.loads(document) if isinstance(document, str) else document


READERS = {
    "events": _of_bus,
    "iam": _of_role,
    "lambda": _of_function,
    "organizations": scps.delegation_policy,
    "sns": _of_topic,
    "sqs": _of_queue,
}
