"""``authorization-details``: the users or roles of a whole account, in a few calls."""

from collections import namedtuple

from c7n.cache import NullCache
from c7n.query import DescribeSource, sources

from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import USER, kind_of
from c7n_iamguard.settings import refuse

Group = namedtuple("Group", "name id empty")

#: The groups of a user of this source, with their ids, as ListGroupsForUser names them.
GROUPS = "c7n:Groups"


@sources.register("authorization-details")
class AuthorizationDetails(DescribeSource):
    """All users or roles of an account with their policies, boundary and tags, 1,000 a call.

    A user or role has what the stock filters expect, and what IAM returns beside it: AttachedManagedPolicies,
    UserPolicyList or RolePolicyList, GroupList, PermissionsBoundary. PasswordLastUsed is missing;
    ``source: describe`` has it.

    Every run reads them anew. An event's user or role is read by GetUser or GetRole, without the policies.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-outside-the-admin-group
            resource: aws.iam-user
            source: authorization-details
            filters:
              - not: [{type: admin-group-member, groups: [admins]}]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
    """

    def __init__(self, manager):
        self.kind = kind_of(manager)
        if self.kind is None:
            problem, fix = "reads IAM users and roles alone", "use resource: aws.iam-user or aws.iam-role"
            refuse(manager.ctx.policy, "source", f"authorization-details {problem}", fix)
        super().__init__(manager)
        #: The account's groups as :class:`Group`, by their names in lower case, once they have been read.
        self.groups = {}
        #: The names of all users or roles by their ids, and who is in which group: (group's id, user's id).
        self.names, self.members = {}, set()
        # Custodian keeps what it has read for 15 minutes. Somebody who has become an admin since then would
        # be denied IAM. c7n has no public way to switch its cache off for one policy.
        manager._cache = NullCache(manager.config)

    def get_permissions(self):
        """The rights to read the account, and to read an event's user or role."""
        return ["iam:GetAccountAuthorizationDetails", *self.kind.permissions("iam:Get{}")]

    def resources(self, query):
        """Every user or role of the account. An error of IAM ends the run, so that nobody is missing."""
        groups = ["Group"] if self.kind is USER else []
        pages = iam(self.manager).get_paginator("get_account_authorization_details")
        pages = pages.paginate(Filter=[self.kind.noun, *groups], PaginationConfig={"PageSize": 1000})
        # IAM leaves out of the answer what is empty.
        lists = ("GroupList", "AttachedManagedPolicies", "Tags", self.kind.inline)
        principals, group_ids = [], {}
        for page in pages:
            for principal in page[f"{self.kind.noun}DetailList"]:
                principals.append({**{key: [] for key in lists}, **principal})
            group_ids.update((group["GroupName"], group["GroupId"]) for group in page["GroupDetailList"])
        self.names = {principal[self.kind.id_key]: principal[self.kind.name_key] for principal in principals}
        if self.kind is USER:
            self.note_groups(principals, group_ids)
        return principals

    def note_groups(self, users, group_ids):
        """Note who is in which group, in each user and for the whole account."""
        for user in users:
            user[GROUPS] = [{"GroupName": name, "GroupId": group_ids[name]} for name in user["GroupList"]]
        self.members = {(group["GroupId"], user["UserId"]) for user in users for group in user[GROUPS]}
        full = {name for user in users for name in user["GroupList"]}
        self.groups = {name.lower(): Group(name, id_, name not in full) for name, id_ in group_ids.items()}

    def get_resources(self, names, cache=True):
        """The users or roles of these names, without those who do not exist."""
        client = iam(self.manager)
        return [principal for name in names if (principal := self.kind.by_name(client, name))]

    def augment(self, resources):
        """The users or roles as they are: there is nothing more to ask for."""
        return resources


def has_details(manager, principal):
    """Whether this run has read a principal with its groups and policies. Those of AWS Config may be old."""
    return isinstance(manager.source, AuthorizationDetails) and "AttachedManagedPolicies" in principal
