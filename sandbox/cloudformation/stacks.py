"""Additions to moto's CloudFormation: lists without ``AWS::NoValue``, rollbacks, refusals of deletions.

A call that makes or changes a stack does all of it at once. If it fails, its error is the resource's. A stack that
cannot be made is then as CloudFormation leaves it; one that cannot be changed stays where the change stopped.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-console-delete-stack.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

import re

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import ChangeSet, CloudFormationBackend, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.events.exceptions import ValidationException
from moto.iam.exceptions import DeleteConflictException
from moto.sns.models import Topic
from moto.utilities.utils import get_partition

from sandbox.cloudformation.resources import TYPES
from sandbox.replacements import replaces


@replaces(parsing)
def clean_json(resource_json, resources_map):
    """Evaluate the functions in a part of a template, and drop ``AWS::NoValue`` from lists."""
    cleaned = clean_json.original(resource_json, resources_map)
    return [item for item in cleaned if item is not None] if isinstance(cleaned, list) else cleaned


@replaces(parsing)
def parse_and_update_resource(logical_id, resource_json, resources_map, account_id, region_name):
    """Update a resource, or delete it if its condition no longer holds.

    What moto cannot change, such as a log group, stays as it is, and stays the stack's.
    """
    condition = resource_json.get("Condition")
    if condition and not resources_map.lazy_condition_map[condition]:
        gone = resources_map._parsed_resources.pop(logical_id, None)
        if gone is not None:
            resources_map._delete_resource(gone, resource_json)
        return None
    changed = parse_and_update_resource.original(
        logical_id, resource_json, resources_map, account_id, region_name
    )
    return changed or resources_map._parsed_resources.get(logical_id)


@replaces(parsing)
def resource_class_from_type(resource_type):
    return TYPES.get(resource_type) or resource_class_from_type.original(resource_type)


@replaces(Topic, "update_from_cloudformation_json")
def update_topic(cls, original_resource, **place):
    """A topic keeps its subscriptions."""
    return original_resource


@replaces(CloudFormationBackend)
def delete_stack(self, name_or_stack_id):
    """Delete a stack. If a resource cannot be deleted, the stack stays, in state DELETE_FAILED."""
    stacks = [stack for stack in self.stacks.values() if name_or_stack_id in (stack.stack_id, stack.name)]
    try:
        delete_stack.original(self, name_or_stack_id)
    except (DeleteConflictException, ValidationException) as error:
        for stack in stacks:
            stack.status, stack.status_reason = "DELETE_FAILED", error.message
            self.stacks[stack.stack_id] = stack


@replaces(Stack)
def create_resources(self):
    created(self, lambda: create_resources.original(self))


@replaces(ChangeSet)
def apply(self):
    if self.change_set_type == "CREATE":
        created(self.stack, lambda: apply.original(self))
    else:
        apply.original(self)
    self.stack.parameters = {**self.stack.parameters, **self.parameters}
    self.stack.output_map = parsing.OutputMap(self.stack.resource_map, self.template_dict, self.stack_id)


def created(stack, work):
    """Do something that makes a stack. If it fails, whatever it has made goes away again."""
    try:
        work()
    except Exception as error:
        stack.resource_map.delete()
        stack.output_map = parsing.OutputMap(stack.resource_map, {}, stack.stack_id)
        stack.status, stack.status_reason = "ROLLBACK_COMPLETE", getattr(error, "message", str(error))
        raise


@replaces(CloudFormationBackend)
def update_stack(self, name, *args, **kwargs):
    check_state(self, name)
    return update_stack.original(self, name, *args, **kwargs)


@replaces(CloudFormationBackend)
def create_change_set(self, stack_name, parameters, **kwargs):
    """A change set for a stack that can be changed. It may name a parameter's value before, which can be a list."""
    check_state(self, stack_name)
    check_patterns(kwargs["template"], texts(parameters))
    return create_change_set.original(self, stack_name, parameters=texts(parameters), **kwargs)


@replaces(CloudFormationBackend, "_resolve_update_parameters")
def resolve_update_parameters(self, instance, incoming_params):
    """The parameters of an update. The value before of one that was never named is the template's default."""
    before = instance.parameters
    known = [one for one in incoming_params if "ParameterValue" in one or one["ParameterKey"] in before]
    return resolve_update_parameters.original(self, instance, known)


@replaces(Stack)
def has_parameters(self, parameters):
    """Whether a stack's parameters are these already; one that is not named keeps its value."""
    return texts(self.stack_parameters) == texts({**self.stack_parameters, **parameters})


def texts(parameters):
    """Parameters as they are written: a list is a text with commas."""
    return {k: ",".join(v) if isinstance(v, list) else str(v) for k, v in parameters.items()}


@replaces(CloudFormationResponse, "_validate_different_update")
def validate_different_update(self, *args):
    """An update without changes is an error; a change set without any is a change set that failed."""
    if self._get_action() != "CreateChangeSet":
        validate_different_update.original(self, *args)


def check_state(backend, name):
    for stack in backend.stacks.values():
        if name in (stack.name, stack.stack_id) and stack.status in ("ROLLBACK_COMPLETE", "DELETE_FAILED"):
            raise ValidationError(
                message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
            )


def check_patterns(template, parameters):
    """Refuse a parameter, or an item of one that is a list, that does not have the template's pattern."""
    for name, slot in Stack.parse_template(template).get("Parameters", {}).items():
        value, pattern = parameters.get(name, ""), slot.get("AllowedPattern")
        items = value.split(",") if slot["Type"] == "CommaDelimitedList" else [value]
        if name in parameters and pattern and not all(re.fullmatch(pattern, item) for item in items):
            raise ValidationError(message=f"Parameter {name} must match pattern {pattern}")


@replaces(parsing.ResourceMap, "__init__")
def init_resource_map(self, *args, **kwargs):
    """``AWS::Partition`` of a stack is that of its region; moto knows ``aws`` alone."""
    init_resource_map.original(self, *args, **kwargs)
    self._parsed_resources["AWS::Partition"] = get_partition(self._region_name)


@replaces(parsing.ResourceMap)
def load_parameters(self):
    """Take over the parameters: moto keeps those of older templates, and leaves a list's default a text."""
    slots = self._template.get("Parameters", {})
    self.resolved_parameters = {name: self.resolved_parameters.get(name) for name in slots}
    load_parameters.original(self)
    for name, slot in slots.items():
        if slot["Type"] == "CommaDelimitedList" and isinstance(self.resolved_parameters[name], str):
            self.resolved_parameters[name] = self.resolved_parameters[name].split(",")
    self._parsed_resources.update(self.resolved_parameters)
