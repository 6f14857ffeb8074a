"""What moto's IAM lacks: quotas per user, names without regard to case, sessions, pages, last-accessed data.

Quotas and their error texts:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

When a user last used a service is made up: the sandbox keeps no such book, and answers what a test has
written into :data:`last_used`.
"""

import re
from urllib.parse import quote

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.iam import exceptions
from moto.iam.models import IAMBackend
from moto.iam.responses import IamResponse
from moto.moto_api._internal import mock_random
from moto.sts.responses import TokenResponse

from sandbox.principals import Principal, principal_of, sessions

MANAGED_POLICIES_PER_USER = 10
GROUPS_PER_USER = 10
INLINE_CHARACTERS_PER_USER = 2048
#: Items per page where the caller names no number, and at most.
PAGE_ITEMS, MAX_PAGE_ITEMS = 100, 1000

#: When users last used the services that they may use, by their ARN, such as {"iam": None, "s3": a datetime}.
last_used = {}
#: What GenerateServiceLastAccessedDetails found, by job.
jobs = {}


def patches():
    """The methods of moto that are replaced while a sandbox runs, as (class, name, replacement)."""
    return [
        (IAMBackend, "get_user", get_user),
        (IAMBackend, "attach_user_policy", attach_user_policy),
        (IAMBackend, "put_user_policy", put_user_policy),
        (IAMBackend, "add_user_to_group", add_user_to_group),
        (IamResponse, "list_users", list_users),
        (IamResponse, "get_account_authorization_details", get_account_authorization_details),
        (IamResponse, "generate_service_last_accessed_details", generate_service_last_accessed_details),
        (IamResponse, "get_service_last_accessed_details", get_service_last_accessed_details),
        (IamResponse, "put_user_permissions_boundary", put_user_permissions_boundary),
        (IamResponse, "delete_user_permissions_boundary", delete_user_permissions_boundary),
        (TokenResponse, "get_session_token", get_session_token),
        (TokenResponse, "get_federation_token", get_federation_token),
    ]


def get_user(self, name):
    """IAM finds users without regard to case, and keeps the case they were made with."""
    if name in self.users:
        return self.users[name]
    for known in self.users:
        if known.lower() == str(name).lower():
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


def page_of(response, items):
    """The items that a request asks for, and what its answer says of the pages."""
    start = int(response._get_param("Marker") or 0)
    end = start + min(int(response._get_param("MaxItems") or PAGE_ITEMS), MAX_PAGE_ITEMS)
    more = {"Marker": str(end)} if end < len(items) else {}
    return items[start:end], {"IsTruncated": bool(more), **more}


def list_users(self):
    """Users by pages."""
    users, pages = page_of(self, list(self.backend.list_users(self._get_param("PathPrefix"), None, None)))
    return ActionResult({"Users": users, **pages})


def get_account_authorization_details(self):
    """Users, groups, roles and policies, in this order, by pages that all of them share."""
    kinds = self._get_param("Filter", [])
    found = self.backend.get_account_authorization_details(kinds)
    lists = {
        "UserDetailList": found["users"],
        "GroupDetailList": found["groups"],
        "RoleDetailList": found["roles"],
        "Policies": found["managed_policies"],
    }
    page, pages = page_of(self, [(key, item) for key, items in lists.items() for item in items])
    groups = groups_by_user(self.backend)
    answer = {key: [] for key in lists}
    for key, item in page:
        detail = user_detail(self.backend, item, groups) if key == "UserDetailList" else item
        answer[key].append(detail)
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
    boundary = getattr(user, "permissions_boundary", None)
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": user.create_date,
        "UserPolicyList": [
            {"PolicyName": name, "PolicyDocument": quote(text)} for name, text in user.policies.items()
        ],
        "GroupList": groups.get(user.name, []),
        "AttachedManagedPolicies": user.attached_managed_policies,
        "Tags": backend.tagger.list_tags_for_resource(user.arn)["Tags"],
        **({"PermissionsBoundary": boundary} if boundary else {}),
    }


def generate_service_last_accessed_details(self):
    """A job about a user that is done at once. What it found is made up, from :data:`last_used`."""
    arn = self._get_param("Arn")
    if arn not in [user.arn for user in self.backend.users.values()]:
        raise exceptions.NoSuchEntity(f"ARN {arn} does not exist.")
    job = str(mock_random.uuid4())
    jobs[job] = (utcnow(), arn, dict(last_used.get(arn, {})))
    return ActionResult({"JobId": job})


def get_service_last_accessed_details(self):
    """What a job found, service by service, by pages."""
    job = self._get_param("JobId")
    if job not in jobs:
        raise exceptions.NoSuchEntity(f"Job {job} does not exist.")
    made, arn, found = jobs[job]
    services, pages = page_of(self, [service_detail(arn, name, when) for name, when in found.items()])
    return ActionResult(
        {
            "JobStatus": "COMPLETED",
            "JobType": "SERVICE_LEVEL",
            "JobCreationDate": made,
            "JobCompletionDate": made,
            "ServicesLastAccessed": services,
            **pages,
        }
    )


def service_detail(arn, namespace, when):
    """A service that a user may use, and where they did, when."""
    used = {"LastAuthenticated": when, "LastAuthenticatedEntity": arn} if when else {}
    return {
        "ServiceName": namespace.upper(),
        "ServiceNamespace": namespace,
        "TotalAuthenticatedEntities": 1 if when else 0,
        **used,
    }


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


def reset():
    """Forget when users last used what."""
    last_used.clear()
    jobs.clear()


originals = {name: getattr(owner, name, None) for owner, name, _ in patches()}
