"""IAM's lists, by pages: users, groups, members, and a whole account at once. moto has one page of everything.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from sandbox.iam.entities import page_of
from sandbox.replacements import replaces

KINDS = ["User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"]


def list_by_pages(call, key, find):
    """Have a call list by pages what ``find`` finds, in moto's IAM."""

    @replaces(IamResponse, call)
    def answer(self):
        page, pages = page_of(self, list(find(self.backend, self._get_param)))
        return ActionResult({key: page, **pages})


def groups(backend, param):
    return [one for one in backend.groups.values() if one.path.startswith(param("PathPrefix") or "/")]


list_by_pages("list_users", "Users", lambda iam, param: iam.list_users(param("PathPrefix"), None, None))
list_by_pages("list_groups", "Groups", groups)
list_by_pages("list_groups_for_user", "Groups", lambda iam, param: iam.get_groups_for_user(param("UserName")))


@replaces(IamResponse)
def get_group(self):
    group = self.backend.get_group(self._get_param("GroupName"))
    users, pages = page_of(self, group.users)
    return ActionResult({"Group": group, "Users": users, **pages})


@replaces(IamResponse)
def get_account_authorization_details(self):
    """Users, groups, roles and policies, in this order, by pages that all of them share."""
    kinds, backend = self._get_param("Filter") or KINDS, self.backend
    of_aws = list(backend.aws_managed_policies)
    found = [
        *(("UserDetailList", user) for user in backend.users.values() if "User" in kinds),
        *(("GroupDetailList", group) for group in backend.groups.values() if "Group" in kinds),
        *(("RoleDetailList", role) for role in backend.roles.values() if "Role" in kinds),
        *(("Policies", policy) for policy in backend.managed_policies.values()
          if policy not in of_aws and "LocalManagedPolicy" in kinds),
        *(("Policies", policy) for policy in of_aws if policy.attachment_count and "AWSManagedPolicy" in kinds),
    ]  # fmt: skip
    page, pages = page_of(self, found)
    answer = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    for key, item in page:
        answer[key].append(item)
    return ActionResult({**answer, **pages})
