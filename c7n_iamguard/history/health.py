"""Filter ``iam-guard-health``: whether anything can invoke a function of the guard, and when it last ran."""

import json
from datetime import datetime, timezone

from c7n.filters import Filter
from c7n.resources.awslambda import AWSLambda
from c7n.utils import local_session, type_schema

from c7n_iamguard.iam.client import answer_or_none


@AWSLambda.filter_registry.register("iam-guard-health")
class GuardHealth(Filter):
    """The functions of the guard, each with its rule and when it last ran.

    All functions match. ``c7n:IAMGuardHealth`` says of each:

    - ``rule``: its state, ``ENABLED``, ``DISABLED`` or ``deleted``;
    - ``target``, ``permission``: whether the rule has the function as its target, and may invoke it;
    - ``concurrency``: how many may run at once, if that is reserved;
    - ``last-run``: when it last wrote into its log;
    - ``attached``: to how much of the organization the SCP is attached that the function writes, if it writes one;
    - ``problem``: why nothing can invoke the function; ``none`` if all is well.

    :example:

    .. code-block:: yaml

        policies:
          - name: functions-of-the-guard
            resource: aws.lambda
            filters:
              - tag:iam-guard-version: present
              - iam-guard-health

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html
    """

    schema = type_schema("iam-guard-health")
    permissions = (
        "events:DescribeRule", "events:ListTargetsByRule",
        "lambda:GetFunctionConcurrency", "lambda:GetPolicy", "logs:DescribeLogStreams",
        "organizations:ListTargetsForPolicy",
    )  # fmt: skip
    annotation = "c7n:IAMGuardHealth"

    def process(self, resources, event=None):
        """All functions, annotated."""
        session = local_session(self.manager.session_factory)
        clients = [session.client(service) for service in ("events", "lambda", "logs", "organizations")]
        for function in resources:
            function[self.annotation] = health_of(function, *clients)
        return resources


def health_of(function, events, lambda_, logs, organizations):
    """The facts that AWS tells about one function."""
    name, arn = function["FunctionName"], function["FunctionArn"]
    rule = answer_or_none(events.describe_rule, Name=name) or {}
    targets = (answer_or_none(events.list_targets_by_rule, Rule=name) or {}).get("Targets", ())
    policy = answer_or_none(lambda_.get_policy, FunctionName=name) or {"Policy": '{"Statement": []}'}
    statements = json.loads(policy["Policy"])["Statement"]
    conditions = [statement.get("Condition", {}).get("ArnLike", {}) for statement in statements]
    concurrency = lambda_.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    newest = {"orderBy": "LastEventTime", "descending": True, "limit": 1}
    streams = answer_or_none(logs.describe_log_streams, logGroupName=f"/aws/lambda/{name}", **newest) or {}
    times = [s["lastEventTimestamp"] for s in streams.get("logStreams", ()) if "lastEventTimestamp" in s]
    health = {
        "rule": rule.get("State", "deleted"),
        "target": arn in [target["Arn"] for target in targets],
        "permission": rule.get("Arn") in [condition.get("AWS:SourceArn") for condition in conditions],
        "concurrency": concurrency,
        "last-run": datetime.fromtimestamp(times[0] / 1000, timezone.utc).isoformat() if times else "never",
    }
    scp = function.get("Environment", {}).get("Variables", {}).get("IAM_GUARD_SCP")
    if scp:
        health["attached"] = len(organizations.list_targets_for_policy(PolicyId=scp)["Targets"])
    problems = {
        f"its rule is {health['rule'].lower()}": not health["rule"].startswith("ENABLED"),
        "its rule does not have it as target": not health["target"],
        "its rule may not invoke it": not health["permission"],
        "its reserved concurrency is 0": concurrency == 0,
        "its SCP is attached to nothing": health.get("attached") == 0,
    }
    return {**health, "problem": "; ".join(text for text, holds in problems.items() if holds) or "none"}
