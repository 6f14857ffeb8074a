"""Additions to moto's IAM: quotas, permissions boundaries, renaming, ids, calls that change nothing.

Quotas and their error texts:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

import functools
import json
import re

from moto.core.responses import EmptyResult
from moto.iam import exceptions
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, Group, IAMBackend, ManagedPolicy, Role, User
from moto.iam.responses import IamResponse
from moto.iam.utils import generate_access_key_id_from_account_id

from sandbox.replacements import REPLACEMENTS, replaces

MANAGED_POLICIES = 10
GROUPS_PER_USER = 10
#: Over all inline policies of one user, group or role.
INLINE_CHARACTERS = {"user": 2048, "group": 5120, "role": 10240}
#: Items per page where the caller names no number, and at most.
PAGE_ITEMS, MAX_PAGE_ITEMS = 100, 1000
#: Where roles live that nobody but AWS can change.
PROTECTED_PATHS = ("/aws-reserved/", "/aws-service-role/")


def give_id(kind, prefix):
    """Give users or groups ids that look like IAM's."""

    @replaces(kind)
    def __init__(self, account_id, *args, **kwargs):
        __init__.original(self, account_id, *args, **kwargs)
        self.id = generate_access_key_id_from_account_id(account_id, prefix, 21)


give_id(User, "AIDA")
give_id(Group, "AGPA")
REPLACEMENTS += [
    (User, "permissions_boundary_arn", None),
    (User, "permissions_boundary", Role.permissions_boundary),
]


@replaces(IamResponse)
def create_user(self):
    """Create a user with the permissions boundary that the call names."""
    arn = self._get_param("PermissionsBoundary")
    if arn not in (None, *self.backend.managed_policies):
        raise exceptions.NoSuchEntity(f"Policy {arn} does not exist.")
    answer = create_user.original(self)
    holder_of(self).permissions_boundary_arn = arn
    return answer


@replaces(IAMBackend)
def update_user(self, user_name, new_path=None, new_user_name=None):
    """Rename or move a user, who keeps their id, keys, groups, policies and tags."""
    user, before = self.get_user(user_name), self.get_user(user_name).arn
    tags = user.tags or []
    user.path, user.name = new_path or user.path, new_user_name or user.name
    self.users[user.name] = self.users.pop(user_name)
    for key in user.access_keys:
        key.user_name = user.name
    self.tagger.delete_all_tags_for_resource(before)
    self.tagger.tag_resource(user.arn, tags)


@replaces(IAMBackend)
def update_group(self, group_name, new_group_name, new_path):
    """Rename or move a group, which keeps its id, members and policies."""
    group = self.get_group(group_name)
    group.path, group.name = new_path or group.path, new_group_name or group.name
    self.groups[group.name] = self.groups.pop(group_name)


@replaces(IAMBackend)
def add_user_to_group(self, group_name, user_name):
    user = self.get_user(user_name)
    groups = self.get_groups_for_user(user.name)
    if len(groups) >= GROUPS_PER_USER and group_name not in [group.name for group in groups]:
        raise exceptions.LimitExceededException(f"Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER}")
    add_user_to_group.original(self, group_name, user_name)


@replaces(IAMBackend)
def remove_user_from_group(self, group_name, user_name):
    """Take a user out of a group. IAM does not complain if they are no member."""
    group, user = self.get_group(group_name), self.get_user(user_name)
    group.users = [member for member in group.users if member is not user]


@replaces(ManagedPolicy)
def attach_to(self, holder):
    """Allow ten managed policies per user, group or role. Attaching one again changes nothing."""
    if self.arn in holder.managed_policies:
        return
    if len(holder.managed_policies) >= MANAGED_POLICIES:
        quota = f"{'Attached' if isinstance(holder, Group) else ''}PoliciesPer{kind_of(holder)}"
        raise exceptions.LimitExceededException(f"Cannot exceed quota for {quota}: {MANAGED_POLICIES}")
    attach_to.original(self, holder)


@replaces(User)
@replaces(Group)
@replaces(Role)
def put_policy(self, policy_name, policy_json):
    """Limit the characters of all inline policies together, without white space."""
    others = [text for name, text in self.policies.items() if name != policy_name]
    kind = kind_of(self).lower()
    limit = INLINE_CHARACTERS[kind]
    if sum(len(re.sub(r"\s", "", text)) for text in [*others, policy_json]) > limit:
        problem = f"Maximum policy size of {limit} bytes exceeded for {kind} {self.name}"
        raise exceptions.LimitExceededException(problem)
    self.policies[policy_name] = policy_json


def kind_of(holder):
    return type(holder).__name__


@replaces(IamResponse, "put_user_permissions_boundary", "put_role_permissions_boundary")
def put_boundary(self):
    """Set a permissions boundary: any managed policy of the account or of AWS."""
    holder, arn = holder_of(self), self._get_param("PermissionsBoundary")
    if arn not in self.backend.managed_policies:
        raise exceptions.NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")
    holder.permissions_boundary_arn = arn
    return EmptyResult()


@replaces(IamResponse, "delete_user_permissions_boundary", "delete_role_permissions_boundary")
def delete_boundary(self):
    holder = holder_of(self)
    if not holder.permissions_boundary_arn:
        raise exceptions.NoSuchEntity(f"{holder.name} does not have a permission boundary")
    holder.permissions_boundary_arn = None
    return EmptyResult()


@functools.cache
def policies_of_aws():
    return json.loads(aws_managed_policies_data.replace("${aws:username}", "*"))


def add_policy_of_aws(backend, name):
    """Add one of AWS's own policies, which moto leaves out, if there is one of that name.

    The sandbox knows no policy variables, so that what is for oneself is for all.
    """
    data = policies_of_aws().get(name)
    if data:
        policy = AWSManagedPolicy.from_data(name, backend.account_id, backend.region_name, data)
        backend.managed_policies[policy.arn] = policy


def holder_of(response):
    backend, name = response.backend, response._get_param("UserName")
    return backend.get_user(name) if name else backend.get_role(response._get_param("RoleName"))


def page_of(response, items):
    """The items that a request asks for, and what its answer says of the pages."""
    start = int(response._get_param("Marker") or 0)
    end = start + min(int(response._get_param("MaxItems") or PAGE_ITEMS), MAX_PAGE_ITEMS)
    more = {"Marker": str(end)} if end < len(items) else {}
    return items[start:end], {"IsTruncated": bool(more), **more}
