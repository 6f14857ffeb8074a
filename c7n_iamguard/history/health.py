"""Filter ``iam-guard-health``: what would keep a function of the guard from being invoked, and when it last ran."""

import json
from datetime import datetime, timezone

from c7n.filters import Filter
from c7n.resources.awslambda import AWSLambda
from c7n.utils import local_session, type_schema


@AWSLambda.filter_registry.register("iam-guard-health")
class GuardHealth(Filter):
    """The functions of the guard, each with its rule and when it last ran.

    All functions match. What was found is in ``c7n:IAMGuardHealth``:

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
        "events:DescribeRule",
        "events:ListTargetsByRule",
        "lambda:GetPolicy",
        "lambda:GetFunctionConcurrency",
        "logs:DescribeLogStreams",
        "organizations:ListTargetsForPolicy",
    )
    annotation = "c7n:IAMGuardHealth"

    def process(self, resources, event=None):
        """All functions, annotated.

        :raises botocore.exceptions.ClientError: whatever AWS answers, but that something does not exist
        """
        session = local_session(self.manager.session_factory)
        services = ("events", "lambda", "logs", "organizations")
        clients = {service: session.client(service) for service in services}
        for function in resources:
            function[self.annotation] = self.health_of(clients, function)
        return resources

    def health_of(self, clients, function):
        """What was found about one function."""
        name, arn = function["FunctionName"], function["FunctionArn"]
        rule, targets = self.rule_of(clients["events"], name)
        found = {
            "rule": rule.get("State", "deleted"),
            "target": arn in [target["Arn"] for target in targets],
            "permission": rule.get("Arn") in self.permitted(clients["lambda"], name),
            "concurrency": self.concurrency_of(clients["lambda"], name),
            "last-run": self.last_run(clients["logs"], name),
        }
        scp = function.get("Environment", {}).get("Variables", {}).get("IAM_GUARD_SCP")
        if scp:
            targets = clients["organizations"].list_targets_for_policy(PolicyId=scp)["Targets"]
            found["attached"] = len(targets)
        problems = {
            f"its rule is {found['rule'].lower()}": not found["rule"].startswith("ENABLED"),
            "its rule does not have it as target": not found["target"],
            "its rule may not invoke it": not found["permission"],
            "its reserved concurrency is 0": found["concurrency"] == 0,
            "its SCP is attached to nothing": found.get("attached") == 0,
        }
        return {**found, "problem": "; ".join(text for text, holds in problems.items() if holds) or "none"}

    @staticmethod
    def rule_of(client, name):
        """The function's rule, and its targets."""
        try:
            return client.describe_rule(Name=name), client.list_targets_by_rule(Rule=name)["Targets"]
        except client.exceptions.ResourceNotFoundException:
            return {}, []

    @staticmethod
    def permitted(client, name):
        """The ARNs of the rules that may invoke the function."""
        try:
            document = json.loads(client.get_policy(FunctionName=name)["Policy"])
        except client.exceptions.ResourceNotFoundException:
            return []
        conditions = [
            statement.get("Condition", {}).get("ArnLike", {}) for statement in document["Statement"]
        ]
        return [condition.get("AWS:SourceArn") for condition in conditions]

    @staticmethod
    def concurrency_of(client, name):
        """The function's reserved concurrency; None if it has none."""
        return client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")

    @staticmethod
    def last_run(client, name):
        """When the function last wrote into its log; ``never`` if it has not."""
        try:
            streams = client.describe_log_streams(
                logGroupName=f"/aws/lambda/{name}", orderBy="LastEventTime", descending=True, limit=1
            )["logStreams"]
        except client.exceptions.ResourceNotFoundException:
            streams = []
        times = [stream["lastEventTimestamp"] for stream in streams if "lastEventTimestamp" in stream]
        return datetime.fromtimestamp(times[0] / 1000, timezone.utc).isoformat() if times else "never"
