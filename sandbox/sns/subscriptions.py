"""Additions to moto's SNS: mails that a test can read, and queues that take only what their policy allows.

https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
"""

from dataclasses import dataclass

from moto.cloudwatch.models import cloudwatch_backends
from moto.sns.models import Subscription
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.access import authorization, principals
from sandbox.replacements import replaces

SERVICE = "sns.amazonaws.com"
#: The subject where the publisher, such as EventBridge, names none.
SUBJECT = "AWS Notification Message"


@dataclass
class Mail:
    """A mail, as its reader sees it, without SNS's footer."""

    to: str
    subject: str
    text: str
    topic: str


@replaces(Subscription)
def publish(self, message, message_id, subject=None, **more):
    """Hand a message to one subscriber: a mail is kept, a queue has to allow it, the rest is moto's."""
    if self.protocol == "email":
        running.sandbox.sent.append(Mail(self.endpoint, subject or SUBJECT, message, self.topic_arn))
        *_, region, account, topic = self.topic_arn.split(":")
        dimension = {"Name": "TopicName", "Value": topic}
        datum = {"MetricName": "NumberOfNotificationsDelivered", "Value": 1, "Dimensions": [dimension]}
        cloudwatch_backends[account][region].put_metric_data("AWS/SNS", [datum])
    elif self.protocol != "sqs" or allowed(self):
        publish.original(self, message, message_id, subject=subject, **more)


def allowed(subscription):
    _, _, _, region, account, _ = subscription.topic_arn.split(":")
    caller = principals.service(SERVICE, account, get_partition(region), subscription.topic_arn)
    return authorization.authorized(caller, "sqs:SendMessage", subscription.endpoint, {})
