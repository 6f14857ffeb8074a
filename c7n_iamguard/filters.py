"""Filters on ``iam-user``."""

from c7n.filters import Filter
from c7n.resources.iam import User
from c7n.utils import type_schema

from c7n_iamguard.client import iam
from c7n_iamguard.event import notes


@User.filter_registry.register("admin-group-member")
class AdminGroupMember(Filter):
    """Users who are in one of the admin groups.

    ``groups`` names the groups, ``admins`` if it is left out; names match without regard to case, as in
    IAM. An error of IAM ends the run with that error: it never counts as "in no group". A user who no
    longer exists is no match.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-outside-the-admin-group
            resource: aws.iam-user
            filters:
              - not:
                  - type: admin-group-member
                    groups: [admins]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupsForUser.html
    """

    schema = type_schema(
        "admin-group-member",
        groups={"type": "array", "items": {"type": "string"}, "minItems": 1},
    )
    permissions = ("iam:ListGroupsForUser",)
    annotation = "c7n:AdminGroups"

    @property
    def groups(self):
        """The admin groups' names, as the policy gives them."""
        return self.data.get("groups", ["admins"])

    def process(self, resources, event=None):
        """The users among ``resources`` who are in an admin group.

        :raises botocore.exceptions.ClientError: whatever IAM answers, but that a user does not exist
        """
        client = iam(self.manager)
        admin_groups = {name.lower() for name in self.groups}

        def membership(user):
            return self.groups_of(client, user["UserName"])

        with self.executor_factory(max_workers=4) as workers:
            memberships = list(workers.map(membership, resources))

        members = []
        for user, groups in zip(resources, memberships, strict=True):
            if groups is None:
                notes(event)["gone"] = True
                continue
            found = [name for name in groups if name.lower() in admin_groups]
            if found:
                notes(event)["admin-groups"] = user[self.annotation] = found
                members.append(user)
        return members

    @staticmethod
    def groups_of(client, user_name):
        """The names of all groups that a user is in; None where there is no such user."""
        pages = client.get_paginator("list_groups_for_user").paginate(UserName=user_name)
        try:
            return [group["GroupName"] for page in pages for group in page["Groups"]]
        except client.exceptions.NoSuchEntityException:
            return None
