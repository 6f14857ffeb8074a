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
    """A resource that a stack makes, changes by making it anew, and takes away.

    :param name: its physical id
    """

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
    """The policy of queues, which it replaces as a whole."""

    def queues(self):
        known = sqs_backends[self.account][self.region].queues
        names = [url.rsplit("/", 1)[-1] for url in self.properties["Queues"]]
        return [known[name] for name in names if name in known]

    def apply(self):
        for queue in self.queues():
            queue.policy = json.dumps(self.properties["PolicyDocument"])

    def take_away(self):
        for queue in self.queues():
            queue.policy = None


class TopicPolicy(StackResource):
    """The policy of topics, which it replaces as a whole; without it they have the default one again."""

    def topics(self):
        known = sns_backends[self.account][self.region].topics
        return [known[arn] for arn in self.properties["Topics"] if arn in known]

    def apply(self):
        for topic in self.topics():
            topic._policy_json = self.properties["PolicyDocument"]

    def take_away(self):
        for topic in self.topics():
            topic._policy_json = topic._create_default_topic_policy(self.region, self.account, topic.name)


class Subscription(StackResource):
    """A subscription of a topic. One by mail counts as confirmed: its owner has clicked the link."""

    def apply(self):
        sns = sns_backends[self.account][self.region]
        wanted = self.properties
        made = sns.subscribe(wanted["TopicArn"], wanted["Endpoint"], wanted["Protocol"])
        self.physical_resource_id = made.arn
        for name in ("FilterPolicyScope", "FilterPolicy", "RawMessageDelivery"):
            if name in wanted:
                value = wanted[name]
                text = value if isinstance(value, str) else json.dumps(value)
                sns.set_subscription_attributes(made.arn, name, text)

    def take_away(self):
        sns_backends[self.account][self.region].subscriptions.pop(self.physical_resource_id, None)


class EventBusPolicy(StackResource):
    """One statement in the policy of an event bus."""

    def bus(self):
        buses = events_backends[self.account][self.region].event_buses
        return buses.get(self.properties.get("EventBusName", "default"))

    def apply(self):
        sid = self.properties["StatementId"]
        statement = {**self.properties["Statement"], "Sid": sid}
        self.bus()._statements[sid] = EventBusPolicyStatement.from_dict(statement)

    def take_away(self):
        bus = self.bus()
        if bus:
            bus._statements.pop(self.properties["StatementId"], None)


class Alarm(StackResource):
    def key(self):
        name = self.properties.get("AlarmName") or self.physical_resource_id
        return self.account, self.region, name

    def apply(self):
        if "DatapointsToAlarm" in self.properties:
            raise ValueError("the sandbox does not know DatapointsToAlarm")
        number = {name: int(self.properties[name]) for name in NUMBERS if name in self.properties}
        threshold = {"Threshold": float(self.properties["Threshold"])}
        properties = {**self.properties, **number, **threshold}
        running.sandbox.known_alarms[self.key()] = alarms.Alarm(*self.key(), properties)

    def take_away(self):
        running.sandbox.known_alarms.pop(self.key(), None)


class MetricFilter(StackResource):
    def apply(self):
        wanted = self.properties
        transformations = [
            {name[0].lower() + name[1:]: str(value) for name, value in one.items()}
            for one in wanted["MetricTransformations"]
        ]
        logs_backends[self.account][self.region].put_metric_filter(
            self.name(), wanted["FilterPattern"], wanted["LogGroupName"], transformations
        )

    def name(self):
        return self.properties.get("FilterName") or self.physical_resource_id

    def take_away(self):
        filters = logs_backends[self.account][self.region].filters
        filters.delete_filter(self.name(), self.properties["LogGroupName"])


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
