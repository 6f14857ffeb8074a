"""IAM's resources in CloudFormation, with what moto leaves out: updates, and what is attached to a role."""

import json

from moto.iam.exceptions import DeleteConflictException
from moto.iam.models import IAMBackend, ManagedPolicy, Role, iam_backends
from moto.utilities.utils import get_partition

from sandbox.replacements import replaces


@replaces(IAMBackend)
def delete_policy(self, policy_arn):
    """IAM deletes no managed policy that somebody carries, attached or as permissions boundary."""
    policy = self.get_policy(policy_arn)
    for holder in (*self.users.values(), *self.groups.values(), *self.roles.values()):
        if policy.arn in (*holder.managed_policies, getattr(holder, "permissions_boundary_arn", None)):
            raise DeleteConflictException("Cannot delete a policy attached to entities.")
    delete_policy.original(self, policy.arn)


@replaces(ManagedPolicy, "create_from_cloudformation_json")
def create_policy(cls, resource_name, cloudformation_json, account_id, region_name, **more):
    """Create a managed policy, and remember to which roles its stack has attached it."""
    policy = create_policy.original(resource_name, cloudformation_json, account_id, region_name, **more)
    policy.attached_by_stack = cloudformation_json["Properties"].get("Roles", [])
    return policy


@replaces(ManagedPolicy, "update_from_cloudformation_json")
def update_policy(cls, original_resource, cloudformation_json, **place):
    """Update a managed policy's document, and attach it to the roles that the template names now."""
    properties, policy = cloudformation_json["Properties"], original_resource
    policy.backend.create_policy_version(policy.arn, json.dumps(properties["PolicyDocument"]), "true")
    for version in policy.versions[:-1]:
        policy.backend.delete_policy_version(policy.arn, version.version_id)
    roles = properties.get("Roles", [])
    for name in set(policy.attached_by_stack) - set(roles):
        policy.detach_from(policy.backend.get_role(name))
    for name in roles:
        policy.attach_to(policy.backend.get_role(name))
    policy.attached_by_stack = roles
    return policy


@replaces(ManagedPolicy, "delete_from_cloudformation_json")
def delete_stack_policy(cls, resource_name, cloudformation_json, account_id, region_name):
    """Delete a policy, after detaching it from the roles to which the stack has attached it."""
    backend = iam_backends[account_id][get_partition(region_name)]
    policy = backend.get_policy(resource_name)
    for role in backend.roles.values():
        if role.name in policy.attached_by_stack and policy.arn in role.managed_policies:
            policy.detach_from(role)
    backend.delete_policy(resource_name)


@replaces(Role, "create_from_cloudformation_json")
def create_role(cls, resource_name, cloudformation_json, account_id, region_name, **more):
    properties = cloudformation_json["Properties"]
    for arn in properties.get("ManagedPolicyArns", ()):  # a missing one would leave the role behind
        iam_backends[account_id][get_partition(region_name)].get_policy(arn)
    without = {**cloudformation_json, "Properties": {**properties, "Policies": []}}
    role = create_role.original(resource_name, without, account_id, region_name, **more)
    role.of_stack = {}
    attach(role, properties)
    return role


@replaces(Role, "update_from_cloudformation_json")
def update_role(cls, original_resource, cloudformation_json, **place):
    role, properties = original_resource, cloudformation_json["Properties"]
    role.description = properties.get("Description", "")
    role.max_session_duration = properties.get("MaxSessionDuration", 3600)
    role.assume_role_policy_document = json.dumps(properties["AssumeRolePolicyDocument"])
    role.permissions_boundary_arn = properties.get("PermissionsBoundary")
    attach(role, properties)
    return role


def attach(role, properties):
    """Give a role the tags and policies that a template names, and remove those of an earlier template."""
    backend = iam_backends[role.account_id][role.partition]
    role.tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in properties.get("Tags", ())]
    inline = {policy["PolicyName"]: policy["PolicyDocument"] for policy in properties.get("Policies", ())}
    managed = properties.get("ManagedPolicyArns", [])
    for name in set(role.of_stack.get("inline", ())) - set(inline):
        role.policies.pop(name, None)
    for arn in set(role.of_stack.get("managed", ())) - set(managed):
        if arn in role.managed_policies:
            role.managed_policies[arn].detach_from(role)
    for name, document in inline.items():
        role.put_policy(name, json.dumps(document))
    for arn in managed:
        backend.attach_role_policy(arn, role.name)
    role.of_stack = {"inline": list(inline), "managed": managed}


@replaces(Role, "delete_from_cloudformation_json")
def delete_role(cls, resource_name, cloudformation_json, account_id, region_name):
    backend = iam_backends[account_id][get_partition(region_name)]
    role = backend.get_role(resource_name)
    for arn in role.of_stack["managed"]:
        if arn in role.managed_policies:
            role.managed_policies[arn].detach_from(role)
    delete_role.original(resource_name, cloudformation_json, account_id, region_name)
