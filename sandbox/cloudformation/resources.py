"""Resources of CloudFormation that moto does not know: policies, subscriptions, alarms, metric filters.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

import json

from moto.events.models import EventBusPolicyStatement, events_backends
from moto.logs.models import logs_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from sandbox import running
from sandbox.cloudwatch import alarms

#: The properties of an alarm that are whole numbers, whatever a template writes.
NUMBERS = ("EvaluationPeriods", "Period")


class StackResource:
    """A resource that a stack makes, changes by making it anew, and takes away; ``name`` is its id."""

    def __init__(self, name, properties, account, region):
        self.physical_resource_id = name
        self.properties, self.account, self.region = properties, account, region

    def apply(self):
        """Make it."""

    def take_away(self):
        """Delete it."""

    def is_created(self):
        return True

    @classmethod
    def has_cfn_attr(cls, attr):
        return False

    @classmethod
    def create_from_cloudformation_json(cls, name, cloudformation_json, account_id, region_name, **more):
        made = cls(name, cloudformation_json["Properties"], account_id, region_name)
        made.apply()
        return made

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, cloudformation_json, **place):
        original_resource.take_away()
        name = original_resource.physical_resource_id
        return cls.create_from_cloudformation_json(
            name, cloudformation_json, place["account_id"], place["region_name"]
        )

    def delete(self, account_id, region_name):
        self.take_away()


class QueuePolicy(StackResource):
    """The policy of queues, which it replaces as a whole, and with which it goes, as do the next two."""

    def apply(self):
        for url in self.properties["Queues"]:
            queue = sqs_backends[self.account][self.region].get_queue(url.rsplit("/", 1)[-1])
            queue.policy = json.dumps(self.properties["PolicyDocument"])


class TopicPolicy(StackResource):
    """The policy of topics, which it replaces as a whole."""

    def apply(self):
        for arn in self.properties["Topics"]:
            topic = sns_backends[self.account][self.region].topics[arn]
            topic._policy_json = self.properties["PolicyDocument"]


class EventBusPolicy(StackResource):
    """One statement in the policy of an event bus."""

    def apply(self):
        buses, sid = events_backends[self.account][self.region].event_buses, self.properties["StatementId"]
        statement = EventBusPolicyStatement.from_dict({**self.properties["Statement"], "Sid": sid})
        buses[self.properties["EventBusName"]]._statements[sid] = statement


class Subscription(StackResource):
    """A subscription of a topic. One by mail counts as confirmed: its owner has clicked the link."""

    def apply(self):
        place = (self.properties[name] for name in ("TopicArn", "Endpoint", "Protocol"))
        made = sns_backends[self.account][self.region].subscribe(*place)
        self.physical_resource_id = made.arn

    def take_away(self):
        sns_backends[self.account][self.region].subscriptions.pop(self.physical_resource_id, None)


class Alarm(StackResource):
    @property
    def key(self):
        return self.account, self.region, self.properties["AlarmName"]

    def apply(self):
        if "DatapointsToAlarm" in self.properties:
            raise ValueError("the sandbox does not know DatapointsToAlarm")
        number = {name: int(self.properties[name]) for name in NUMBERS if name in self.properties}
        threshold = {"Threshold": float(self.properties["Threshold"])}
        properties = {**self.properties, **number, **threshold}
        running.sandbox.known_alarms[self.key] = alarms.Alarm(*self.key, properties)

    def take_away(self):
        running.sandbox.known_alarms.pop(self.key, None)


class MetricFilter(StackResource):
    def apply(self):
        wanted, made = self.properties, self.properties["MetricTransformations"]
        made = [{name[0].lower() + name[1:]: str(value) for name, value in one.items()} for one in made]
        names = (wanted[name] for name in ("FilterName", "FilterPattern", "LogGroupName"))
        logs_backends[self.account][self.region].put_metric_filter(*names, made)

    def take_away(self):
        filters = logs_backends[self.account][self.region].filters
        filters.delete_filter(self.properties["FilterName"], self.properties["LogGroupName"])


#: The classes by their types. Nothing in the sandbox looks at trails and at the policies of buckets.
TYPES = {
    "AWS::CloudTrail::Trail": StackResource,
    "AWS::S3::BucketPolicy": StackResource,
    "AWS::CloudWatch::Alarm": Alarm,
    "AWS::Events::EventBusPolicy": EventBusPolicy,
    "AWS::Logs::MetricFilter": MetricFilter,
    "AWS::SNS::Subscription": Subscription,
    "AWS::SNS::TopicPolicy": TopicPolicy,
    "AWS::SQS::QueuePolicy": QueuePolicy,
}
