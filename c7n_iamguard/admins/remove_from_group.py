"""Action ``remove-from-admin-group``: removes users from the admin groups."""

import time
from functools import partial

from c7n.exceptions import PolicyExecutionError
from c7n.resources.iam import User
from c7n.utils import type_schema

from c7n_iamguard.admins import groups
from c7n_iamguard.admins.judge import valid
from c7n_iamguard.admins.options import GROUPS_SCHEMA, MeantOptions, check_meant
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam.client import iam, retry_conflicts
from c7n_iamguard.iam.deciding_action import OBSERVE_SCHEMA, DecidingAction

#: How often to check whether a user is out of a group, and the seconds between two checks.
CHECKS, PAUSE = 3, 1


@User.action_registry.register("remove-from-admin-group")
class RemoveFromAdminGroup(MeantOptions, DecidingAction):
    """Removes users from the admin groups, and makes sure that they are out.

    ``groups`` names the groups, as for ``admin-group-member``. With ``observe: true`` nothing changes in IAM, and
    the decision is ``would-revoke``.

    :example:

    .. code-block:: yaml

        policies:
          - name: contractors-are-no-admins
            resource: aws.iam-user
            max-resources: 20
            filters:
              - {type: value, key: Path, value: /contractors/}
              - {type: admin-group-member, groups: [admins]}
            actions:
              - {type: remove-from-admin-group, groups: [admins]}

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveUserFromGroup.html
    """

    schema = type_schema(
        "remove-from-admin-group", groups=GROUPS_SCHEMA, observe=OBSERVE_SCHEMA, required=["groups"]
    )
    permissions = ("iam:RemoveUserFromGroup", "iam:ListGroupsForUser", "iam:GetGroup", "iam:ListGroups")

    def validate(self):
        """Check the options."""
        check_meant(self)
        self.check_observe()

    def process(self, resources, event=None):
        """Remove every user from the admin groups, and return a record of each: UserName and the groups' names."""
        event = IAMEvent.of(event)
        admin_ids = valid(self.who_is_meant(event).groups, time.time())
        attempt = partial(self.try_to_remove, event=event, admin_ids=admin_ids)
        return self.try_all(resources, attempt, "remove from the admin group")

    def try_to_remove(self, user, event, admin_ids):
        """Remove one user from the admin groups, and log what came of it."""
        client, name = iam(self.manager), user["UserName"]
        verdict, reason = "would-revoke" if self.observes else "acted", None
        try:
            member_of = self.memberships(client, name, admin_ids)
            if not member_of:
                verdict, reason = "let-pass", "no member of the admin group any more"
            elif not self.observes:
                self.remove(client, name, member_of, admin_ids)
        except Exception as error:
            self.record_decision("failed", user, event, reason=str(error))
            return error
        self.record_decision(verdict, user, event, groups=member_of, reason=reason)
        return {"UserName": name, "groups": member_of}

    def remove(self, client, name, member_of, admin_ids):
        """Remove a user from groups, and make sure that the user is out."""
        for group in member_of:
            retry_conflicts(client.remove_user_from_group, GroupName=group, UserName=name)
        for _ in range(CHECKS):
            if not self.memberships(client, name, admin_ids):
                return
            time.sleep(PAUSE)
        raise PolicyExecutionError(f"{name} is still a member of {', '.join(member_of)}")

    def memberships(self, client, name, admin_ids):
        """The names of the admin groups that a user is in."""
        of_user = groups.of_user(client, name)
        if of_user is None:  # they may be a member under another name
            raise PolicyExecutionError(f"{name} is gone or renamed: review the admin group's members")
        return [group["GroupName"] for group in of_user if group["GroupId"] in admin_ids]
