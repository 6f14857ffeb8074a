"""The policies of resources: event buses, queues, topics, functions, and the trust policies of roles."""

from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from sandbox import running
from sandbox.access import policies


def policy_on(arn):
    """A resource's policy, as a dict or JSON text; None or empty if it has none, or is not there."""
    _, partition, service, region, account, resource = [*arn.split(":", 5), *[""] * 5][:6]
    if service == "iam":
        roles = iam_backends[account][partition].roles.values()
        return next((role.assume_role_policy_document for role in roles if role.arn == arn), None)
    if service == "lambda":
        functions = lambda_backends[account][region].list_functions()
        named = (one for one in functions if [one.function_name] == resource.split(":")[1:2])
        statements = next((one.policy.statements for one in named), None)
        return statements and {"Statement": statements}
    if service == "organizations":
        return running.sandbox.delegation_policies.get(account)
    if service == "events":
        bus = events_backends[account][region].event_buses.get(resource.removeprefix("event-bus/"))
        return bus and bus.policy
    if service == "sns":
        topic = sns_backends[account][region].topics.get(arn)
        return topic and topic._policy_json
    if service == "sqs":
        queue = sqs_backends[account][region].queues.get(resource)
        return queue and queue.policy
    return None


def verdict(arn, principal, action, context):
    """The answer of a resource's policy to a call.

    :returns: ``None`` by a deny, else how the policy allows it: ``""`` not at all, ``"account"`` to whomever
        the caller's account lets, ``"caller"`` to the caller by name, or to everybody
    """
    document = policy_on(arn)
    if not document:
        return ""
    allowed = {
        how: policies.grants(document, names, action, arn, context)
        for how, names in names_of(principal).items()
    }
    if None in allowed.values():
        return None
    return next((how for how, yes in allowed.items() if yes), "")


def names_of(principal):
    """The values of ``Principal`` that mean a caller: its name, and its account."""
    if principal.kind == "Service":
        return {"caller": {"Service": {principal.name}}, "account": {}}
    root = f"arn:{principal.partition}:iam::{principal.account}:root"
    return {
        "caller": {"AWS": {principal.arn, principal.policy_arn}},
        "account": {"AWS": {principal.account, root}},
    }
