"""What moto's IAM lacks and a revocation meets: quotas per user, names without regard to case, sessions.

Quotas and their error texts:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

import re

from moto.core.responses import ActionResult, EmptyResult
from moto.iam import exceptions
from moto.iam.models import IAMBackend
from moto.iam.responses import IamResponse
from moto.moto_api._internal import mock_random
from moto.sts.responses import TokenResponse

from sandbox.principals import Principal, principal_of, sessions

MANAGED_POLICIES_PER_USER = 10
GROUPS_PER_USER = 10
INLINE_CHARACTERS_PER_USER = 2048


def patches():
    """The methods of moto that are replaced while a sandbox runs, as (class, name, replacement)."""
    return [
        (IAMBackend, "get_user", get_user),
        (IAMBackend, "attach_user_policy", attach_user_policy),
        (IAMBackend, "put_user_policy", put_user_policy),
        (IAMBackend, "add_user_to_group", add_user_to_group),
        (IamResponse, "put_user_permissions_boundary", put_user_permissions_boundary),
        (IamResponse, "delete_user_permissions_boundary", delete_user_permissions_boundary),
        (TokenResponse, "get_session_token", get_session_token),
        (TokenResponse, "get_federation_token", get_federation_token),
    ]


def get_user(self, name):
    """IAM finds users without regard to case, and keeps the case they were made with."""
    for known in self.users:
        if known == name or known.lower() == str(name).lower():
            return self.users[known]
    raise exceptions.NoSuchEntity(f"The user with name {name} cannot be found.")


def attach_user_policy(self, policy_arn, user_name):
    """Ten managed policies per user; a second attachment of the same one changes nothing."""
    user = self.get_user(user_name)
    if policy_arn in user.managed_policies:
        return
    if policy_arn in self.managed_policies and len(user.managed_policies) >= MANAGED_POLICIES_PER_USER:
        raise exceptions.LimitExceededException(
            f"Cannot exceed quota for PoliciesPerUser: {MANAGED_POLICIES_PER_USER}"
        )
    originals["attach_user_policy"](self, policy_arn, user_name)


def put_user_policy(self, user_name, policy_name, policy_json):
    """2,048 characters per user over all inline policies, white space not counted."""
    user = self.get_user(user_name)
    others = [text for name, text in user.policies.items() if name != policy_name]
    if sum(len(re.sub(r"\s", "", text)) for text in [*others, policy_json]) > INLINE_CHARACTERS_PER_USER:
        raise exceptions.LimitExceededException(
            f"Maximum policy size of {INLINE_CHARACTERS_PER_USER} bytes exceeded for user {user.name}"
        )
    originals["put_user_policy"](self, user.name, policy_name, policy_json)


def add_user_to_group(self, group_name, user_name):
    """Ten groups per user."""
    user = self.get_user(user_name)
    groups = self.get_groups_for_user(user.name)
    if len(groups) >= GROUPS_PER_USER and group_name not in [group.name for group in groups]:
        raise exceptions.LimitExceededException(f"Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER}")
    originals["add_user_to_group"](self, group_name, user_name)


def put_user_permissions_boundary(self):
    """A user's permissions boundary, any managed policy of the account."""
    user = self.backend.get_user(self._get_param("UserName"))
    arn = self._get_param("PermissionsBoundary")
    if arn not in self.backend.managed_policies:
        raise exceptions.NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")
    user.permissions_boundary_arn = arn
    user.permissions_boundary = {
        "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
        "PermissionsBoundaryArn": arn,
    }
    return EmptyResult()


def delete_user_permissions_boundary(self):
    """A user without permissions boundary."""
    user = self.backend.get_user(self._get_param("UserName"))
    if not getattr(user, "permissions_boundary_arn", None):
        raise exceptions.NoSuchEntity(f"{user.name} does not have a permission boundary")
    user.permissions_boundary_arn = None
    del user.permissions_boundary
    return EmptyResult()


def get_session_token(self):
    """A session of the calling user."""
    return session_of(self, "IAMUser", "session", None)


def get_federation_token(self):
    """A federated session that the calling user vouches for, narrowed by the policy they pass."""
    return session_of(self, "FederatedUser", self._get_param("Name"), self._get_param("Policy"))


def session_of(response, kind, name, policy):
    caller = principal_of(response.get_access_key(), response.region)
    key = f"ASIA{mock_random.get_random_string(length=16).upper()}"
    sessions[key] = Principal(
        kind, caller.account, caller.partition, key, caller.name, session=name, policy=policy
    )
    return ActionResult(
        {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": "s" * 40,
                "SessionToken": "t" * 40,
                "Expiration": response.backend.get_session_token(duration=3600).expiration,
            },
            "FederatedUser": {
                "FederatedUserId": f"{caller.account}:{name}",
                "Arn": f"arn:{caller.partition}:sts::{caller.account}:federated-user/{name}",
            },
        }
    )


originals = {name: getattr(owner, name, None) for owner, name, _ in patches()}
