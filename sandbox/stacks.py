"""What moto's CloudFormation lacks: lists without ``AWS::NoValue``, policies that refuse to be deleted.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
"""

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend
from moto.iam.exceptions import DeleteConflictException
from moto.iam.models import IAMBackend, ManagedPolicy, iam_backends
from moto.utilities.utils import get_partition

#: What moto's CloudFormation passes over: nothing of the sandbox's own looks at them.
PASSED_OVER = {
    "AWS::CloudTrail::Trail",
    "AWS::CloudWatch::Alarm",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SQS::QueuePolicy",
}


def patches():
    """The methods of moto that are replaced while a sandbox runs, as (class, name, replacement)."""
    return [
        (parsing, "clean_json", clean_json),
        (parsing, "parse_resource", parse_resource),
        (IAMBackend, "delete_policy", delete_policy),
        (ManagedPolicy, "delete_from_cloudformation_json", classmethod(delete_from_cloudformation_json)),
        (ManagedPolicy, "create_from_cloudformation_json", classmethod(create_from_cloudformation_json)),
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


def delete_policy(self, policy_arn):
    """IAM deletes no managed policy that somebody carries, attached or as permissions boundary."""
    policy = self.get_policy(policy_arn)
    holders = [*self.users.values(), *self.groups.values(), *self.roles.values()]
    carried = [
        holder
        for holder in holders
        if policy.arn in holder.managed_policies
        or getattr(holder, "permissions_boundary_arn", None) == policy.arn
    ]
    if carried:
        raise DeleteConflictException("Cannot delete a policy attached to entities.")
    originals["delete_policy"](self, policy.arn)


def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **more):
    """A managed policy that knows to which roles its own stack has attached it."""
    policy = originals["create_from_cloudformation_json"](
        resource_name, cloudformation_json, account_id, region_name, **more
    )
    policy.attached_by_stack = cloudformation_json["Properties"].get("Roles", [])
    return policy


def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
    """The stack detaches what it has attached itself, and then deletes the policy."""
    backend = iam_backends[account_id][get_partition(region_name)]
    for role in backend.roles.values():
        if role.name in backend.get_policy(resource_name).attached_by_stack:
            role.managed_policies.pop(resource_name, None)
    backend.delete_policy(resource_name)


def delete_stack(self, name_or_stack_id):
    """A stack of which something could not be deleted stays, in state DELETE_FAILED."""
    stacks = [stack for stack in self.stacks.values() if name_or_stack_id in (stack.stack_id, stack.name)]
    try:
        originals["delete_stack"](self, name_or_stack_id)
    except DeleteConflictException as error:
        for stack in stacks:
            stack.status, stack.status_reason = "DELETE_FAILED", str(error)
            self.stacks[stack.stack_id] = stack


def init_resource_map(self, *args, **kwargs):
    """``AWS::Partition`` of a stack is that of its region; moto knows ``aws`` alone."""
    originals["__init__"](self, *args, **kwargs)
    self._parsed_resources["AWS::Partition"] = get_partition(self._region_name)


originals = {name: getattr(owner, name, None) for owner, name, _ in patches()}
