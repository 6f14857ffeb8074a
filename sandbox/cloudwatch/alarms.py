"""The alarms that stacks create: how metrics become states, and which topics hear of a new state.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

import operator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from moto.sns.models import sns_backends
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.access import authorization, principals
from sandbox.events.rules import envelope

SERVICE = "cloudwatch.amazonaws.com"
STATISTICS = {"Sum": sum, "Maximum": max}
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
#: Whether a period without data breaches; None if it does not count.
MISSING = {"missing": None, "breaching": True, "notBreaching": False}
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
        ends = [end - number * length for number in range(count)]
        return [self.value(end - length, end) for end in reversed(ends)]

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
                values[one["Id"]] = added(one["Expression"], values)
            if one.get("ReturnData", True):
                result = values[one["Id"]]
        return result

    def state_of(self, values):
        """The state that the values of the periods make, by what the alarm makes of missing ones."""
        missing = MISSING[self.properties.get("TreatMissingData", "missing")]
        breaches, threshold = COMPARISONS[self.properties["ComparisonOperator"]], self.properties["Threshold"]
        judged = [missing if value is None else breaches(value, threshold) for value in values]
        there = [breaching for breaching in judged if breaching is not None]
        if not there:
            return "INSUFFICIENT_DATA"
        return "ALARM" if all(there) else "OK"

    def change(self, before):
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        detail = {
            "alarmName": self.name,
            "previousState": {"value": before, "timestamp": now},
            "state": {"value": self.state, "timestamp": now},
        }
        kind = "CloudWatch Alarm State Change"
        return envelope("aws.cloudwatch", kind, detail, self.account, self.region, [self.arn])

    def tell_topics(self):
        """Tell the topics that the alarm names for its new state, as far as they let CloudWatch in."""
        caller = principals.service(SERVICE, self.account, get_partition(self.region), self.arn)
        description = self.properties.get("AlarmDescription")
        text = (
            f'You are receiving this email because your Amazon CloudWatch Alarm "{self.name}" in the {self.region} '
            f"region has entered the {self.state} state.\n\nAlarm Details:\n- Name: {self.name}\n"
            f"- Description: {description}\n- AWS Account: {self.account}\n"
        )
        subject = f'{self.state}: "{self.name}" in {self.region}'[:100]
        for topic in self.properties.get(ACTIONS.get(self.state), ()):
            if authorization.authorized(caller, "sns:Publish", topic, {"aws:sourceowner": self.account}):
                sns_backends[self.account][self.region].publish(text, topic, subject=subject)


def added(expression, values):
    """The sum of some metrics; None if none of them has data. One without data counts as zero.

    :raises KeyError: if the expression is more than a sum of their ids
    """
    parts = [values[name.strip()] for name in expression.split("+")]
    return None if parts.count(None) == len(parts) else sum(part or 0 for part in parts)
