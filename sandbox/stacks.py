"""What moto's CloudFormation lacks: lists without ``AWS::NoValue``, policies and buses that refuse to be deleted.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-console-delete-stack.html
"""

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend
from moto.events.exceptions import ValidationException
from moto.iam.exceptions import DeleteConflictException
from moto.sns.models import Topic
from moto.utilities.utils import get_partition

from sandbox.stack_resources import TYPES

#: What moto's CloudFormation passes over: nothing of the sandbox's own looks at them.
PASSED_OVER = {
    "AWS::CloudTrail::Trail",
    "AWS::S3::BucketPolicy",
}


def patches():
    """The methods of moto that are replaced while a sandbox runs, as (class, name, replacement)."""
    return [
        (parsing, "clean_json", clean_json),
        (parsing, "parse_resource", parse_resource),
        (parsing, "parse_and_update_resource", parse_and_update_resource),
        (parsing, "resource_class_from_type", resource_class_from_type),
        (Topic, "update_from_cloudformation_json", classmethod(update_topic)),
        (Topic, "get_cfn_attribute", get_topic_attribute),
        (Topic, "has_cfn_attr", classmethod(lambda cls, name: name in ("TopicArn", "TopicName"))),
        (CloudFormationBackend, "delete_stack", delete_stack),
        (parsing.ResourceMap, "__init__", init_resource_map),
    ]


def clean_json(resource_json, resources_map):
    """A part of a template with its functions worked out; ``AWS::NoValue`` is no item of a list."""
    cleaned = originals["clean_json"](resource_json, resources_map)
    return [item for item in cleaned if item is not None] if isinstance(cleaned, list) else cleaned


def parse_resource(resource_json, resources_map):
    """A resource with its class; None for a type that is passed over, without moto's warning."""
    if resource_json["Type"] in PASSED_OVER:
        return None
    return originals["parse_resource"](resource_json, resources_map)


def parse_and_update_resource(logical_id, resource_json, resources_map, account_id, region_name):
    """A resource as the template says now; one whose condition no longer holds goes away."""
    condition = resource_json.get("Condition")
    if condition and not resources_map.lazy_condition_map[condition]:
        gone = resources_map._parsed_resources.pop(logical_id, None)
        if gone is not None:
            resources_map._delete_resource(gone, resource_json)
        return None
    return originals["parse_and_update_resource"](
        logical_id, resource_json, resources_map, account_id, region_name
    )


def resource_class_from_type(resource_type):
    """The class that makes resources of a type: moto's, or the sandbox's own."""
    return TYPES.get(resource_type) or originals["resource_class_from_type"](resource_type)


def update_topic(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
    """A topic that changes keeps its subscriptions."""
    original_resource.display_name = cloudformation_json["Properties"].get("DisplayName", "")
    return original_resource


def get_topic_attribute(self, attribute_name):
    """``Fn::GetAtt`` of a topic."""
    if attribute_name == "TopicArn":
        return self.arn
    return originals["get_cfn_attribute"](self, attribute_name)


def delete_stack(self, name_or_stack_id):
    """A stack of which something could not be deleted stays, in state DELETE_FAILED."""
    stacks = [stack for stack in self.stacks.values() if name_or_stack_id in (stack.stack_id, stack.name)]
    try:
        originals["delete_stack"](self, name_or_stack_id)
    except (DeleteConflictException, ValidationException) as error:
        for stack in stacks:
            stack.status, stack.status_reason = "DELETE_FAILED", error.message
            self.stacks[stack.stack_id] = stack


def init_resource_map(self, *args, **kwargs):
    """``AWS::Partition`` of a stack is that of its region; moto knows ``aws`` alone."""
    originals["__init__"](self, *args, **kwargs)
    self._parsed_resources["AWS::Partition"] = get_partition(self._region_name)


originals = {name: getattr(owner, name, None) for owner, name, _ in patches()}
