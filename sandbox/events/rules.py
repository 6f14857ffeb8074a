"""EventBridge at work: the rules of a bus, and what they hand to functions, queues, topics and other buses.

Each target has to let EventBridge in, by its own policy or by the role that the target names. What does not
get through is counted as a failed invocation, and lost.
"""

import functools
import json
import uuid
from datetime import datetime, timezone

from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends
from moto.events.responses import EventsHandler
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.access import authorization, principals
from sandbox.access.contexts import entry_context
from sandbox.cloudtrail import records
from sandbox.events.inputs import NoInput, input_of
from sandbox.replacements import replaces
from sandbox.sts import sessions

SERVICE = "events.amazonaws.com"
#: SNS takes no longer messages.
MESSAGE_BYTES = 262144
#: Over how many buses of one account an event goes at most.
BUSES_PER_ACCOUNT = 2


class Refused(Exception):
    """A target that EventBridge cannot reach."""


class EventBridge:
    def __init__(self, sandbox):
        self.sandbox = sandbox

    def run(self, event, account, region, bus="default", path=()):
        """Run the rules of a bus on an event.

        :param path: the buses that the event came over before, as (account, name)
        :returns: the :class:`~sandbox.lambda_.invocations.Invocation` of every function that a rule invoked
        """
        found, invocations = events_backends[account][region].event_buses.get(bus), []
        for rule in list(found.rules.values()) if found else ():
            if takes(rule, event):
                self.sandbox.metrics.of_rule(rule, "TriggeredRules")
                for target in rule.targets:
                    invocations += self.hand(rule, target, event, [*path, (account, bus)])
        return invocations

    def hand(self, rule, target, event, path):
        """Hand an event to one target of a rule, and return the invocations of functions."""
        self.sandbox.metrics.of_rule(rule, "Invocations")
        _, _, kind, region, account, name = target["Arn"].split(":", 5)
        try:
            return HANDS[kind](self, rule, target, event, path, account, region, name) or []
        except (KeyError, NoInput, Refused):
            self.sandbox.metrics.of_rule(rule, "FailedInvocations")
            return []

    def check(self, rule, target, action, context=()):
        """See to it that EventBridge may reach a target: as itself, or in the role that the target names."""
        partition = get_partition(rule.region_name)
        caller = service = principals.service(SERVICE, rule.account_id, partition, rule.arn)
        if target.get("RoleArn"):
            if not authorization.authorized(service, "sts:AssumeRole", target["RoleArn"], {}):
                raise Refused(f"{target['RoleArn']} does not trust EventBridge")
            caller = sessions.begin(target["RoleArn"], "EventBridge", rule.region_name)
        if not authorization.authorized(caller, action, target["Arn"], dict(context), self.sandbox.scps):
            raise Refused(f"{target['Arn']} does not let EventBridge in")

    def to_function(self, rule, target, event, path, account, region, name):
        name = name.split(":")[1]
        if name not in [f.function_name for f in lambda_backends[account][region].list_functions()]:
            raise Refused(f"there is no function {name}")
        self.check(rule, target, "lambda:InvokeFunction")
        payload = json.loads(input_of(target, event))
        return [self.sandbox.functions.invoke(name, payload, account, region)]

    def to_topic(self, rule, target, event, path, account, region, name):
        text = input_of(target, event)
        self.check(rule, target, "sns:Publish")
        topics = sns_backends[account][region]
        if target["Arn"] not in topics.topics or len(text.encode()) > MESSAGE_BYTES:
            raise Refused(f"{name} takes no such message")
        topics.publish(text, target["Arn"])

    def to_queue(self, rule, target, event, path, account, region, name):
        text = input_of(target, event)
        self.check(rule, target, "sqs:SendMessage")
        group = target.get("SqsParameters", {}).get("MessageGroupId")
        sqs_backends[account][region].send_message(name, text, group_id=group)

    def to_bus(self, rule, target, event, path, account, region, name):
        name = name.partition("/")[2]
        elsewhere, visited = account != rule.account_id, [owner for owner, _ in path]
        if elsewhere and (not target.get("RoleArn") or "InputTransformer" in target):
            raise Refused("another account's bus wants a role, and the event as it is")
        if visited.count(account) >= BUSES_PER_ACCOUNT or (elsewhere and len(set(visited)) > 1):
            raise Refused("an event is not handed on that often")
        self.check(rule, target, "events:PutEvents", entry_context({"Source": event["source"]}))
        if name not in events_backends[account][region].event_buses:
            raise Refused(f"there is no bus {name}")
        return self.run(event, account, region, name, path)

    def tick(self, function, account, region):
        """Play one round of the schedules that have a function as their target, and return the invocations."""
        invocations = []
        for rule in list(events_backends[account][region].event_buses["default"].rules.values()):
            mine = [target for target in rule.targets if target["Arn"].endswith(f":function:{function}")]
            if mine and rule.scheduled_expression and rule.state != "DISABLED":
                self.sandbox.metrics.of_rule(rule, "TriggeredRules")
                event = envelope("aws.events", "Scheduled Event", {}, account, region, [rule.arn])
                for target in mine:
                    invocations += self.hand(rule, target, event, [])
        return invocations


@replaces(EventsHandler)
def put_events(self):
    """Answer PutEvents: an entry's event runs the rules of its bus, unless it says that it is of AWS.

    An entry for a bus that is not there is taken, and lost.
    """
    account, region, entries = self.current_account, self.region, []
    for entry in self._get_param("Entries"):
        if entry["Source"].lower().startswith("aws."):
            problem = "Not authorized for the source."
            entries.append({"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": problem})
            continue
        said = entry["Source"], entry["DetailType"], json.loads(entry["Detail"])
        event = envelope(*said, account, region, entry.get("Resources", []))
        entries.append({"EventId": event["id"]})
        owner, where, bus = place_of(entry.get("EventBusName") or "default", account, region)
        running.sandbox.eventbridge.run(event, owner, where, bus)
    return json.dumps({"FailedEntryCount": sum("ErrorCode" in e for e in entries), "Entries": entries})


def targets(event, account, region):
    """The (rule, function) names of what an account's default bus invokes for an event."""
    caller = functools.partial(principals.service, SERVICE, account, get_partition(region))
    return [
        (rule.name, target["Arn"].split(":")[6])
        for rule in events_backends[account][region].event_buses["default"].rules.values()
        if takes(rule, event)
        for target in rule.targets
        if authorization.authorized(caller(rule.arn), "lambda:InvokeFunction", target["Arn"], {})
    ]


def envelope(source, detail_type, detail, account, region, resources):
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": resources,
        "detail": detail,
    }


def place_of(bus, account, region):
    """Account, region and name of a bus that is named by its name or its ARN."""
    if bus.startswith("arn:"):
        *_, region, account, bus = bus.split(":")
        bus = bus.partition("/")[2]
    return account, region, bus


def takes(rule, event):
    """Whether a rule is enabled and its pattern matches an event.

    A rule in state ENABLED gets no read-only management events; one of a schedule has no pattern, and gets none.
    """
    gets = rule.state == records.ALL_MANAGEMENT_EVENTS or (
        rule.state == "ENABLED" and not records.is_read(event)
    )
    return gets and bool(rule.event_pattern.get_pattern()) and rule.event_pattern.matches_event(event)


HANDS = {
    "lambda": EventBridge.to_function,
    "sns": EventBridge.to_topic,
    "sqs": EventBridge.to_queue,
    "events": EventBridge.to_bus,
}
