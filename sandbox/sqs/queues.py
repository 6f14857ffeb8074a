"""What moto's SQS lacks: which queues may name one as their dead-letter queue, and policies that stay.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

import json

from moto.core.responses import ActionResult
from moto.sqs.exceptions import SQSException
from moto.sqs.models import Queue, SQSBackend
from moto.sqs.responses import SQSResponse

from sandbox.replacements import REPLACEMENTS, replaces

#: The attribute of a dead-letter queue that says which queues may name it.
ALLOW = "RedriveAllowPolicy"
PERMISSIONS = ("allowAll", "byQueue", "denyAll")

REPLACEMENTS += [
    (Queue, "BASE_ATTRIBUTES", [*Queue.BASE_ATTRIBUTES, ALLOW]),
    (Queue, "redrive_allow_policy", None),
    # The sandbox hands messages to functions itself; moto would at once, by Docker.
    (Queue, "lambda_event_source_mappings", property(lambda self: {}, lambda self, mappings: None)),
]


@replaces(Queue, "_set_attributes")
def set_attributes(self, attributes, now=None):
    """Change the attributes that the call names, and no others: a queue keeps its policy."""
    kept = getattr(self, "policy", None)
    attributes = dict(attributes)
    if attributes.get(ALLOW) is not None:
        attributes[ALLOW] = allow_policy(attributes[ALLOW])
    if isinstance(attributes.get("Policy"), dict):
        attributes["Policy"] = json.dumps(attributes["Policy"])
    set_attributes.original(self, attributes, now)
    if "Policy" not in attributes:
        self.policy = kept


def allow_policy(value):
    """A RedriveAllowPolicy as a dict, checked; None if it is empty."""
    policy = json.loads(value or "{}") if isinstance(value, str) else value
    permission, sources = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if policy and (permission not in PERMISSIONS or bool(sources) != (permission == "byQueue")):
        raise SQSException("InvalidAttributeValue", f"Invalid value for the parameter {ALLOW}.")
    return policy or None


@replaces(Queue, "_setup_dlq")
def setup_dead_letter_queue(self, policy):
    """Set the dead-letter queue that a RedrivePolicy names, if that queue allows it."""
    before = getattr(self, "redrive_policy", None), self.dead_letter_queue
    setup_dead_letter_queue.original(self, policy)
    if self.dead_letter_queue is not None and not allows(self.dead_letter_queue, self):
        self.redrive_policy, self.dead_letter_queue = before
        text = policy if isinstance(policy, str) else json.dumps(policy)
        raise SQSException(
            "InvalidParameterValue",
            f"Value {text} for parameter RedrivePolicy is invalid. "
            "Reason: The dead-letter queue does not allow this queue as a source.",
        )


def allows(queue, source):
    policy = queue.redrive_allow_policy or {}
    permission = policy.get("redrivePermission", "allowAll")
    return permission == "allowAll" or source.queue_arn in policy.get("sourceQueueArns", ())


@replaces(Queue)
def attributes(self):
    found = attributes.original(self)
    found.pop(ALLOW, None)
    if self.redrive_allow_policy:
        found[ALLOW] = json.dumps(self.redrive_allow_policy)
    return found


@replaces(SQSBackend)
def receive_message(self, queue_name, *args, **kwargs):
    """Receive messages. One that was received too often moves on if the dead-letter queue allows it."""
    queue = self.get_queue(queue_name)
    kept = queue.dead_letter_queue
    if kept is not None and not allows(kept, queue):
        queue.dead_letter_queue = None
    try:
        return receive_message.original(self, queue_name, *args, **kwargs)
    finally:
        queue.dead_letter_queue = kept


@replaces(SQSResponse)
def start_message_move_task(self):
    """Move the messages of a dead-letter queue back to where they come from, as new ones."""
    source = self.sqs_backend.get_queue(self._get_param("SourceArn").rpartition(":")[2])
    (target,) = [one for one in self.sqs_backend.queues.values() if one.dead_letter_queue is source]
    while source._messages:
        message = source._messages.pop(0)
        message.approximate_receive_count = message.visible_at = 0
        target.add_message(message)
    return ActionResult({"TaskHandle": source.name})


@replaces(Queue)
def update_from_cloudformation_json(cls, original_resource, cloudformation_json, **place):
    """Update all attributes of a stack's queue; moto updates two."""
    properties = {
        k: v for k, v in cloudformation_json["Properties"].items() if k not in ("QueueName", "Tags")
    }
    original_resource._set_attributes(properties)
    return original_resource
