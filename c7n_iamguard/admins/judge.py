"""Who is meant to use IAM: what such filters have in common, and the filter ``admin-group-member``.

A criterion is pinned when its policy is deployed: the function knows groups and roles by the ids that they had
then, because ids survive renaming, and names can be taken by somebody else.
"""

from functools import cached_property

from c7n.filters import Filter
from c7n.resources.iam import User
from c7n.utils import type_schema

from c7n_iamguard.admins.groups import AdminGroups
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam import authorization_details
from c7n_iamguard.iam.client import iam, map_threaded
from c7n_iamguard.settings import GroupsOption, check_boolean, check_keys, filled_in


class AdminCriterion(Filter):
    """A filter for principals who are meant to use IAM.

    The mode finds a policy's criteria by this class: it has them pinned when the policy is deployed, and
    prepared when the function starts. A policy that revokes without a criterion is refused.
    """

    #: Whether ``not`` of the filter leaves those alone who are meant to use IAM.
    spares_admins = True

    def pin(self):
        """The ids of what the criterion names, for the function to know it by; nothing if it names nothing.

        :returns: a JSON object that becomes part of the policy's pins
        :raises PolicyExecutionError: if nobody in the account would be meant to use IAM
        """
        return {}

    def prepare(self):
        """Ask IAM, while the function starts, what can be asked before the first event."""

    def check_allow(self, key):
        """Check the key that allows what the criterion names to be missing."""
        check_boolean(self.manager.ctx.policy, f"filter:{self.type} {key}", self.value_of(key, False))

    def value_of(self, key, default=None):
        """What the policy says under a key, with its variable filled in."""
        value = self.data.get(key, default)
        return filled_in(self.manager.ctx.policy, f"filter:{self.type} {key}", value)


@User.filter_registry.register("admin-group-member")
class AdminGroupMember(GroupsOption, AdminCriterion):
    """Users who are in one of the admin groups.

    ``groups`` names the groups, ``admins`` by default; names match without regard to case, as in IAM.
    ``{admin_group}`` stands for what c7n-org's ``vars`` say of the account, a name or a list, or else for the
    policy's own ``metadata: {admin-group: …}``.

    Deploying a policy pins the groups' ids. From then on the function knows them under any name, and takes no
    other group for them. If one of them is gone, or all are empty, events of users outside of them fail.

    An error of IAM ends the run with that error: it never counts as "in no group". A user who does not exist
    does not match.

    If an admin group does not exist, or none has a member, the policy is neither deployed nor run over an
    account, because it would deny everybody. ``allow-missing-group: true`` says that this is meant, as in an
    account where everybody comes in through roles.

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

    # c7n reports a schema error inside a "not" block as a page of alternatives. So the schema lets wrong
    # values and keys pass here, and validate() refuses them in one sentence.
    schema = type_schema("admin-group-member", **{"groups": {}, "allow-missing-group": {}})
    schema["patternProperties"] = {".": {}}
    permissions = ("iam:ListGroupsForUser", "iam:GetGroup", "iam:ListGroups")
    annotation = "c7n:AdminGroups"

    @cached_property
    def groups(self):
        """The :class:`~c7n_iamguard.admins.groups.AdminGroups` of the filter."""
        return AdminGroups(self, self.group_names, self.value_of("allow-missing-group", False))

    def validate(self):
        """Check the groups' names, and that there is no other key.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        policy, where = self.manager.ctx.policy, f"filter:{self.type}"
        check_keys(policy, where, set(self.data) - {"type"}, ("groups", "allow-missing-group"))
        self.check_groups()
        self.check_allow("allow-missing-group")

    def pin(self):
        """The admin groups' ids; see :meth:`c7n_iamguard.admins.groups.AdminGroups.pin`."""
        return self.groups.pin()

    def prepare(self):
        """Look at the admin groups."""
        self.groups.prepare()

    def process(self, resources, event=None):
        """The users among ``resources`` who are in an admin group.

        :raises PolicyExecutionError: if it is unknown who the admins are
        :raises botocore.exceptions.ClientError: whatever IAM answers, but that a user does not exist
        """
        event = IAMEvent.of(event)
        client, admin_groups = iam(self.manager), self.groups.by_id(event)
        if all(authorization_details.has_details(self.manager, user) for user in resources):
            memberships = [user[authorization_details.GROUPS] for user in resources]
        else:
            names = [user["UserName"] for user in resources]
            memberships = map_threaded(self, lambda name: self.groups.of_user(client, name), names)

        members = []
        for user, groups in zip(resources, memberships, strict=True):
            if groups is None:
                if event is not None:
                    event.gone = True
                continue
            found = self.groups.lawful(groups, admin_groups, event)
            if found:
                if event is not None:
                    event.meant = "in admin group " + ", ".join(found)
                user[self.annotation] = found
                members.append(user)
        if len(members) < len(resources):
            self.groups.check(event)
        return members
