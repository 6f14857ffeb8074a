"""What IAM tells by pages: users, groups with their ids, members, and a whole account at once.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

import json
from urllib.parse import quote

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from sandbox.iam.entities import page_of
from sandbox.replacements import replaces


@replaces(IamResponse)
def list_users(self):
    """Users by pages."""
    users, pages = page_of(self, list(self.backend.list_users(self._get_param("PathPrefix"), None, None)))
    return ActionResult({"Users": users, **pages})


@replaces(IamResponse)
def list_groups(self):
    """Groups by pages."""
    prefix = self._get_param("PathPrefix") or "/"
    found = [group for group in self.backend.groups.values() if group.path.startswith(prefix)]
    groups, pages = page_of(self, found)
    return ActionResult({"Groups": [group_of(group) for group in groups], **pages})


@replaces(IamResponse)
def list_groups_for_user(self):
    """The groups that a user is in, by pages."""
    groups, pages = page_of(self, self.backend.get_groups_for_user(self._get_param("UserName")))
    return ActionResult({"Groups": [group_of(group) for group in groups], **pages})


@replaces(IamResponse)
def get_group(self):
    """A group, and its members by pages."""
    group = self.backend.get_group(self._get_param("GroupName"))
    users, pages = page_of(self, group.users)
    return ActionResult({"Group": group_of(group), "Users": users, **pages})


def group_of(group):
    """What IAM tells of a group wherever it names one."""
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": group.arn,
        "CreateDate": group.create_date,
    }


@replaces(IamResponse)
def get_account_authorization_details(self):
    """Users, groups, roles and policies, in this order, by pages that all of them share."""
    kinds = self._get_param("Filter") or ["User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"]
    backend, groups = self.backend, groups_by_user(self.backend)
    of_aws = [policy for policy in backend.aws_managed_policies if policy.attachment_count]
    own = [policy for policy in backend.managed_policies.values() if policy not in of_aws]
    own = [policy for policy in own if policy not in backend.aws_managed_policies]
    found = [
        *(("UserDetailList", user) for user in backend.users.values() if "User" in kinds),
        *(("GroupDetailList", group) for group in backend.groups.values() if "Group" in kinds),
        *(("RoleDetailList", role) for role in backend.roles.values() if "Role" in kinds),
        *(("Policies", policy) for policy in own if "LocalManagedPolicy" in kinds),
        *(("Policies", policy) for policy in of_aws if "AWSManagedPolicy" in kinds),
    ]
    page, pages = page_of(self, found)
    answer = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    for key, item in page:
        answer[key].append(DETAILS[key](backend, item, groups))
    return ActionResult({**answer, **pages})


def groups_by_user(backend):
    """The names of the groups that users are in, by the users' names."""
    groups = {}
    for group in backend.groups.values():
        for user in group.users:
            groups.setdefault(user.name, []).append(group.name)
    return groups


def user_detail(backend, user, groups):
    """What GetAccountAuthorizationDetails tells of a user."""
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": user.create_date,
        "UserPolicyList": inline(user),
        "GroupList": groups.get(user.name, []),
        "AttachedManagedPolicies": user.attached_managed_policies,
        "Tags": user.tags or [],
        **boundary(user),
    }


def group_detail(backend, group, groups):
    """What GetAccountAuthorizationDetails tells of a group. It does not name the members."""
    return {
        **group_of(group),
        "GroupPolicyList": inline(group),
        "AttachedManagedPolicies": group.attached_managed_policies,
    }


def role_detail(backend, role, groups):
    """What GetAccountAuthorizationDetails tells of a role."""
    used = {"LastUsedDate": role.last_used, "Region": "us-east-1"} if role.last_used else {}
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": role.create_date,
        "AssumeRolePolicyDocument": encoded(role.assume_role_policy_document),
        "InstanceProfileList": role.instance_profile_list,
        "RolePolicyList": inline(role),
        "AttachedManagedPolicies": role.attached_managed_policies,
        "Tags": role.tags or [],
        "RoleLastUsed": used,
        **boundary(role),
    }


def inline(holder):
    return [{"PolicyName": n, "PolicyDocument": encoded(text)} for n, text in holder.policies.items()]


def encoded(text):
    return quote(text if isinstance(text, str) else json.dumps(text))


def boundary(holder):
    found = getattr(holder, "permissions_boundary", None)
    return {"PermissionsBoundary": found} if found else {}


DETAILS = {
    "UserDetailList": user_detail,
    "GroupDetailList": group_detail,
    "RoleDetailList": role_detail,
    "Policies": lambda backend, policy, groups: policy,
}
