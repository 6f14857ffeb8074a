"""The metrics that AWS's services and metric filters put into CloudWatch, as far as the guard's alarms look."""

import time
from collections import defaultdict
from datetime import datetime, timezone

from moto.sqs.models import sqs_backends

from sandbox.cloudwatch import log_filters

#: The metrics of a queue. Its past is unknown: it counts as having been so all the time.
OF_QUEUE = {
    "ApproximateNumberOfMessagesVisible": lambda queue: queue.approximate_number_of_messages,
    "ApproximateAgeOfOldestMessage": lambda queue: (
        time.time() - min([one.sent_timestamp for one in queue._messages], default=1000 * time.time()) / 1000
    ),
}


class Metrics:
    """All data points of a sandbox. A minute in which nothing happened has no data point, not a zero."""

    def __init__(self):
        self.points = defaultdict(list)

    def count(self, account, region, namespace, name, value=1, **dimensions):
        key = (account, region, namespace, name, frozenset(dimensions.items()))
        self.points[key].append((datetime.now(timezone.utc), value))

    def of_rule(self, rule, name):
        """Count something of an EventBridge rule: by its name alone on the default bus, with the bus elsewhere."""
        bus = {} if rule.event_bus_name == "default" else {"EventBusName": rule.event_bus_name}
        self.count(rule.account_id, rule.region_name, "AWS/Events", name, RuleName=rule.name, **bus)

    def of_function(self, account, region, function, name):
        self.count(account, region, "AWS/Lambda", name, FunctionName=function)

    def of_log(self, account, region, group, text):
        """Count what the metric filters of a log group match in the lines that were just written."""
        for line in text.splitlines():
            for namespace, name, value in log_filters.matched(account, region, group, line):
                self.count(account, region, namespace, name, value)

    def values(self, account, region, namespace, name, dimensions, start, end):
        if namespace == "AWS/SQS":
            queue = sqs_backends[account][region].queues.get(dimensions["QueueName"])
            return [OF_QUEUE[name](queue) if queue else 0]
        key = (account, region, namespace, name, frozenset(dimensions.items()))
        return [value for at, value in self.points.get(key, ()) if start <= at < end]

    def total(self, namespace, name, account=None, **dimensions):
        """The sum of all data points of a metric, for tests; of the dimensions that are named."""
        return sum(
            value
            for (owner, _, *found, has), points in self.points.items()
            if found == [namespace, name]
            and account in (None, owner)
            and dimensions.items() <= dict(has).items()
            for _, value in points
        )
