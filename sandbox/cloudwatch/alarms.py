"""CloudWatch's alarms, as stacks make them: what they make of the metrics, and whom they mail.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

import ast
import json
import operator
from datetime import datetime, timedelta, timezone

from moto.sns.models import sns_backends
from moto.utilities.utils import get_partition

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

#: The properties of all alarms, as CloudFormation gives them, by account, region and name; and their states.
known, states = {}, {}


def evaluate(metrics, account, region, now=None, tell=lambda event: None):
    """Work out the states of an account's alarms, and let those that have gone off do what they are for.

    The periods that count end with the one that a moment is in.

    :param tell: what gets the event of each change for the account's default bus
    :param now: the moment; the present one if left out
    :returns: ``OK``, ``ALARM`` or ``INSUFFICIENT_DATA`` by the alarms' names
    """
    now = now or datetime.now(timezone.utc)
    found = {}
    for (owner, where, name), properties in list(known.items()):
        if (owner, where) == (account, region):
            before = states.get((account, region, name), "INSUFFICIENT_DATA")
            after = state_of(series(metrics, account, region, properties, now), properties, before)
            states[account, region, name] = found[name] = after
            if after in ACTIONS and after != before:
                go_off(account, region, name, properties, after)
            if after != before:
                tell(change(account, region, name, properties, before, after))
    return found


def series(metrics, account, region, properties, now):
    """The value of each period that counts, oldest first; None where there is no data."""
    count = properties["EvaluationPeriods"]
    period = properties.get("Period") or next(
        one["MetricStat"]["Period"] for one in properties["Metrics"] if "MetricStat" in one
    )
    end = datetime.fromtimestamp((now.timestamp() // period + 1) * period, timezone.utc)
    starts = [end - timedelta(seconds=period * number) for number in range(count, 0, -1)]
    return [
        value_of(metrics, account, region, properties, start, start + timedelta(seconds=period))
        for start in starts
    ]


def value_of(metrics, account, region, properties, start, end):
    """The value of one period: of the alarm's metric, or of the expression that it returns."""

    def statistic(metric, name):
        dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", ())}
        values = metrics.values(
            account, region, metric["Namespace"], metric["MetricName"], dimensions, start, end
        )
        return STATISTICS[name](values) if values else None

    if "Metrics" not in properties:
        return statistic(properties, properties["Statistic"])
    values, result = {}, None
    for one in properties["Metrics"]:
        if "MetricStat" in one:
            values[one["Id"]] = statistic(one["MetricStat"]["Metric"], one["MetricStat"]["Stat"])
    for one in properties["Metrics"]:
        if "Expression" in one:
            values[one["Id"]] = calculated(one["Expression"], values)
        if one.get("ReturnData", True):
            result = values[one["Id"]]
    return result


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


def state_of(found, properties, before):
    """The state of an alarm, by the values of its periods and by what it makes of missing ones."""
    missing = properties.get("TreatMissingData", "missing")
    breaches = COMPARISONS[properties["ComparisonOperator"]]
    judged = [None if value is None else breaches(value, properties["Threshold"]) for value in found]
    if missing in ("breaching", "notBreaching"):
        judged = [missing == "breaching" if one is None else one for one in judged]
    there = [one for one in judged if one is not None]
    if not there:
        return before if missing == "ignore" else "INSUFFICIENT_DATA"
    needed = properties.get("DatapointsToAlarm", properties["EvaluationPeriods"])
    return "ALARM" if sum(there) >= min(needed, len(there)) else "OK"


def change(account, region, name, properties, before, after):
    """The event of an alarm that has come to another state."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    detail = {
        "alarmName": name,
        "configuration": {"description": properties.get("AlarmDescription")},
        "previousState": {"value": before, "timestamp": now},
        "state": {"value": after, "timestamp": now, "reason": "Threshold Crossed", "reasonData": "{}"},
    }
    arn = arn_of(account, region, name)
    return envelope("aws.cloudwatch", "CloudWatch Alarm State Change", detail, account, region, [arn])


def arn_of(account, region, name):
    return f"arn:{get_partition(region)}:cloudwatch:{region}:{account}:alarm:{name}"


def go_off(account, region, name, properties, state):
    """Tell the topics that an alarm names for its new state, as far as they let CloudWatch in."""
    arn = arn_of(account, region, name)
    caller = principals.service(SERVICE, account, get_partition(region), arn)
    told = {
        "AlarmName": name,
        "AlarmDescription": properties.get("AlarmDescription"),
        "AWSAccountId": account,
        "NewStateValue": state,
        "Region": region,
        "AlarmArn": arn,
    }
    text = (
        f'You are receiving this email because your Amazon CloudWatch Alarm "{name}" in the {region} region '
        f"has entered the {state} state.\n\nAlarm Details:\n- Name: {name}\n"
        f"- Description: {properties.get('AlarmDescription')}\n- AWS Account: {account}\n"
    )
    message = json.dumps({"default": json.dumps(told), "email": text})
    for topic in properties.get(ACTIONS[state], ()):
        if authorization.authorized(caller, "sns:Publish", topic, {"aws:sourceowner": account}):
            subject = f'{state}: "{name}" in {region}'[:100]
            sns_backends[account][region].publish(message, topic, subject=subject, message_structure="json")


def reset():
    """Forget all alarms."""
    known.clear()
    states.clear()
