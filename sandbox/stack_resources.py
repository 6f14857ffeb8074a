"""Resources of CloudFormation that moto does not know: policies of queues, topics and buses, subscriptions.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

import json

from moto.events.models import events_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends


class StackResource:
    """A resource that a stack makes, changes by making it anew, and takes away.

    :param name: its physical id
    """

    def __init__(self, name, properties, account, region):
        self.physical_resource_id = name
        self.properties, self.account, self.region = properties, account, region

    def is_created(self):
        return True

    @classmethod
    def has_cfn_attr(cls, attr):
        return False

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name, cloudformation_json, account_id, region_name, **more
    ):
        made = cls(resource_name, cloudformation_json["Properties"], account_id, region_name)
        made.apply()
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        original_resource.delete(account_id, region_name)
        made = cls(
            original_resource.physical_resource_id, cloudformation_json["Properties"], account_id, region_name
        )
        made.apply()
        return made

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
        wanted, bus = self.properties, self.bus()
        sid = wanted["StatementId"]
        statement = wanted.get("Statement") or {
            "Effect": "Allow",
            "Principal": wanted["Principal"],
            "Action": wanted["Action"],
            "Resource": bus.arn,
        }
        bus._statements[sid] = {**statement, "Sid": sid}

    def take_away(self):
        bus = self.bus()
        if bus:
            bus._statements.pop(self.properties["StatementId"], None)


TYPES = {
    "AWS::Events::EventBusPolicy": EventBusPolicy,
    "AWS::SNS::Subscription": Subscription,
    "AWS::SNS::TopicPolicy": TopicPolicy,
    "AWS::SQS::QueuePolicy": QueuePolicy,
}
