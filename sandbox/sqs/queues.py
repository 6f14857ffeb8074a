"""Additions to moto's SQS: policies that stay, stacks that update a queue, dead letters that move back.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from moto.core.responses import ActionResult
from moto.sqs.models import Queue
from moto.sqs.responses import SQSResponse

from sandbox.replacements import REPLACEMENTS, replaces

# The sandbox hands messages to functions itself; moto would at once, by Docker.
no_mappings = property(lambda self: {}, lambda self, mappings: None)
REPLACEMENTS.append((Queue, "lambda_event_source_mappings", no_mappings))


@replaces(Queue, "_set_attributes")
def set_attributes(self, attributes, now=None):
    """Change the attributes that the call names, and no others: a queue keeps its policy."""
    kept = {"Policy": getattr(self, "policy", None)}
    set_attributes.original(self, {**kept, **attributes}, now)


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
