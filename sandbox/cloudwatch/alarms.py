"""The alarms that stacks create: how metrics become states, and which topics hear of a new state.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

import ast
import json
import operator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from moto.sns.models import sns_backends
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.access import authorization, principals
from sandbox.events.rules import envelope

SERVICE = "cloudwatch.amazonaws.com"
STATISTICS = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Average": lambda values: sum(values) / len(values),
}
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanOrEqualToThreshold": operator.le,
    "LessThanThreshold": operator.lt,
}
ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}

#: The states that an alarm acts on as it comes to them, with the property that names the topics.
ACTIONS = {"ALARM": "AlarmActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


@dataclass
class Alarm:
    """An alarm, with its properties as CloudFormation gives them."""

    account: str
    region: str
    name: str
    properties: dict
    state: str = "INSUFFICIENT_DATA"

    @property
    def arn(self):
        return f"arn:{get_partition(self.region)}:cloudwatch:{self.region}:{self.account}:alarm:{self.name}"

    def evaluate(self, now=None):
        """Work out the state, and let an alarm that has changed it do what it is for.

        :param now: a moment in the last period that counts; the present one if left out
        """
        before, self.state = self.state, self.state_of(self.series(now or datetime.now(timezone.utc)))
        if self.state != before:
            self.tell_topics()
            running.sandbox.eventbridge.run(self.change(before), self.account, self.region)

    def series(self, now):
        """The value of each period that counts, oldest first; None if there is no data."""
        count = self.properties["EvaluationPeriods"]
        period = self.properties.get("Period") or next(
            one["MetricStat"]["Period"] for one in self.properties["Metrics"] if "MetricStat" in one
        )
        length = timedelta(seconds=period)
        end = datetime.fromtimestamp((now.timestamp() // period + 1) * period, timezone.utc)
        return [
            self.value(end - number * length, end - (number - 1) * length) for number in range(count, 0, -1)
        ]

    def value(self, start, end):
        """The value of one period: of the alarm's metric, or of the expression that it returns."""

        def statistic(metric, name):
            dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", ())}
            names = self.account, self.region, metric["Namespace"], metric["MetricName"]
            values = running.sandbox.metrics.values(*names, dimensions, start, end)
            return STATISTICS[name](values) if values else None

        if "Metrics" not in self.properties:
            return statistic(self.properties, self.properties["Statistic"])
        values, result = {}, None
        for one in self.properties["Metrics"]:
            if "MetricStat" in one:
                values[one["Id"]] = statistic(one["MetricStat"]["Metric"], one["MetricStat"]["Stat"])
        for one in self.properties["Metrics"]:
            if "Expression" in one:
                values[one["Id"]] = calculated(one["Expression"], values)
            if one.get("ReturnData", True):
                result = values[one["Id"]]
        return result

    def state_of(self, values):
        """The state that the values of the periods make, by what the alarm makes of missing ones."""
        missing = self.properties.get("TreatMissingData", "missing")
        breaches = COMPARISONS[self.properties["ComparisonOperator"]]
        judged = [
            None if value is None else breaches(value, self.properties["Threshold"]) for value in values
        ]
        if missing in ("breaching", "notBreaching"):
            judged = [missing == "breaching" if one is None else one for one in judged]
        there = [one for one in judged if one is not None]
        if not there:
            return self.state if missing == "ignore" else "INSUFFICIENT_DATA"
        needed = self.properties.get("DatapointsToAlarm", self.properties["EvaluationPeriods"])
        return "ALARM" if sum(there) >= min(needed, len(there)) else "OK"

    def change(self, before):
        """The event of an alarm that has come to another state."""
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        detail = {
            "alarmName": self.name,
            "configuration": {"description": self.properties.get("AlarmDescription")},
            "previousState": {"value": before, "timestamp": now},
            "state": {
                "value": self.state,
                "timestamp": now,
                "reason": "Threshold Crossed",
                "reasonData": "{}",
            },
        }
        kind = "CloudWatch Alarm State Change"
        return envelope("aws.cloudwatch", kind, detail, self.account, self.region, [self.arn])

    def tell_topics(self):
        """Tell the topics that the alarm names for its new state, as far as they let CloudWatch in."""
        caller = principals.service(SERVICE, self.account, get_partition(self.region), self.arn)
        description = self.properties.get("AlarmDescription")
        told = {
            "AlarmName": self.name,
            "AlarmDescription": description,
            "AWSAccountId": self.account,
            "NewStateValue": self.state,
            "Region": self.region,
            "AlarmArn": self.arn,
        }
        text = (
            f'You are receiving this email because your Amazon CloudWatch Alarm "{self.name}" in the {self.region} '
            f"region has entered the {self.state} state.\n\nAlarm Details:\n- Name: {self.name}\n"
            f"- Description: {description}\n- AWS Account: {self.account}\n"
        )
        message = json.dumps({"default": json.dumps(told), "email": text})
        subject = f'{self.state}: "{self.name}" in {self.region}'[:100]
        for topic in self.properties.get(ACTIONS.get(self.state), ()):
            if authorization.authorized(caller, "sns:Publish", topic, {"aws:sourceowner": self.account}):
                topics = sns_backends[self.account][self.region]
                topics.publish(message, topic, subject=subject, message_structure="json")


def calculated(expression, values):
    """What an expression of metric math comes to; None if it has no data.

    Where some parts have none, these count as zero.
    """

    def work_out(node):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return values[node.id]
        if isinstance(node, ast.BinOp):
            left, right = work_out(node.left), work_out(node.right)
            return None if left is right is None else ARITHMETIC[type(node.op)](left or 0, right or 0)
        raise ValueError(f"the sandbox does not know the metric math {expression}")

    return work_out(ast.parse(expression, mode="eval").body)
