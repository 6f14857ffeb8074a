"""The admin group: whom a non-admin added to it (a filter), and taking them out again (an action)."""

import time

from c7n.exceptions import PolicyExecutionError
from c7n.resources.iam import User
from c7n.utils import type_schema

from c7n_iamguard.admins.groups import AdminGroups, explains
from c7n_iamguard.admins.judge import AdminGroupMember
from c7n_iamguard.event import IAMEvent, MalformedEvent, str_or_none
from c7n_iamguard.iam.actions import DecidingAction
from c7n_iamguard.iam.client import iam, retry_conflicts
from c7n_iamguard.iam.principals import USER
from c7n_iamguard.settings import GroupsOption

#: Events come in any order. How many seconds to wait before an addition by an admin counts as lawful: by then, the
#: event that made the admin one has been handled, too.
SETTLED_SECONDS = 20
#: How often, and after how many seconds, to look whether somebody is really out of a group.
LOOKS, PAUSE = 3, 1


@User.filter_registry.register("unintended-admin-group-member")
class UnintendedAdminGroupMember(AdminGroupMember):
    """Users whom an AddUserToGroup event made a member of an admin group, by a caller who is no admin.

    The user is the one who was added, the caller the one who added them; they may be the same. A caller is an
    admin if they are in one of ``groups``, not counting a group that the same call made them a member of. An
    admin's addition is judged once more after 20 seconds, because the event that made the caller an admin may come
    later.

    Users and groups are found under new names, too. If it cannot be told who was added to which group, or
    whether the caller of an old event was an admin, the event fails.

    :example:

    .. code-block:: yaml

        policies:
          - name: members-of-the-admin-group-by-somebody-else
            resource: aws.iam-user
            filters:
              - type: unintended-admin-group-member
                groups: [admins]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddUserToGroup.html
    """

    schema = type_schema("unintended-admin-group-member", **{"groups": {}, "allow-missing-group": {}})
    schema["patternProperties"] = {".": {}}
    permissions = (*AdminGroupMember.permissions, "iam:GetUser", "iam:ListUsers")
    spares_admins = False

    def process(self, resources, event=None):
        """The users among ``resources`` who were added; nobody outside of an event.

        :raises MalformedEvent: if the event does not say who called, or which group it is about
        :raises PolicyExecutionError: if it cannot be told who was added, to which group, or by whom
        :raises botocore.exceptions.ClientError: whatever IAM answers, but that a user does not exist
        """
        event = IAMEvent.of(event)
        record = {} if event is None else event.record
        if record.get("eventName") != "AddUserToGroup" or record.get("errorCode"):
            return []
        group = str_or_none(record.get("requestParameters"), "groupName")
        if group is None:
            raise MalformedEvent("detail.requestParameters.groupName is missing")
        self.groups.by_id(event)  # fails if the function does not know them
        self.groups.check(event)
        admin_groups = self.groups.by_id(event)  # under the names of now
        names = {name.lower() for name in (*admin_groups.values(), *self.groups.pins)}
        who = event.who
        if group.lower() not in names:
            for user in resources:
                self.check_another_group(event, group, user, admin_groups, who)
            return []
        if self.is_admin(event, who, admin_groups):
            time.sleep(SETTLED_SECONDS if event.is_fresh else 0)
            if self.is_admin(event, who, admin_groups):
                return []
        if not event.is_fresh:
            raise PolicyExecutionError(
                f"{who.name}, who added somebody to the admin group, is no admin now, and nobody can tell whether "
                "they were one: look at the admin group"
            )
        return [self.added_user(user, who) for user in resources]

    def check_another_group(self, event, group, user, admin_groups, who):
        """Make sure that a group of another name is no admin group that had this name for a while.

        :raises PolicyExecutionError: if nobody can tell
        """
        client = iam(self.manager)
        groups = self.groups.of_user(client, user["UserName"])
        if groups is not None and not any(found["GroupId"] in admin_groups for found in groups):
            return
        if groups is None:
            found = self.groups.named(client, group)
            if explains(event.record, group, found) and found[0]["GroupId"] not in admin_groups:
                return
        # A member of an admin group was added to some group. Names may have been swapped, so an admin may do this.
        if not self.is_admin(event, who, admin_groups):
            raise PolicyExecutionError(
                f"{who.name}, who is no admin, added {user['UserName']} to the group {group!r}, and nobody can "
                "tell whether that was the admin group under another name: look at the admin group"
            )

    def is_admin(self, event, who, admin_groups):
        """Whether an event's caller is an admin, under whatever name they have now.

        :raises PolicyExecutionError: if the caller of an old event is gone: not knowing is not "no"
        """
        client = iam(self.manager)
        groups = None
        if event.is_fresh:
            groups = self.groups.of_user(client, who.name)
        if groups is None and who.id:
            user = USER.by_id(client, who.id)
            groups = self.groups.of_user(client, user["UserName"]) if user else None
        if groups is None and not event.is_fresh:
            raise PolicyExecutionError(
                f"{who.name}, who added somebody to the admin group, is gone, and nobody can tell whether they "
                "were an admin: look at the admin group"
            )
        found = self.groups.lawful(groups or [], admin_groups, event)
        event.meant = "in admin group " + ", ".join(found) if found else None
        return bool(found)

    def added_user(self, user, who):
        """The added user under the name that they have now.

        :raises PolicyExecutionError: if IAM knows no such user
        """
        client = iam(self.manager)
        found = USER.by_name(client, user["UserName"])
        themself = user["UserName"].lower() == who.name.lower()
        if themself and who.id and (found is None or found["UserId"] != who.id):
            found = USER.by_id(client, who.id)  # somebody else has taken the name since
        if found is None:
            raise PolicyExecutionError(
                f"{user['UserName']}, who was added to the admin group, is gone or renamed: look at the admin group"
            )
        return found


@User.action_registry.register("remove-from-admin-group")
class RemoveFromAdminGroup(GroupsOption, DecidingAction):
    """Takes users out of the admin groups, and makes sure that they are out.

    ``groups`` names the groups, as for ``admin-group-member``; in a function they are known by the ids that
    they had when the policy was deployed. With ``observe: true`` nothing changes in IAM, and the decision is
    ``would-revoke``.

    :example:

    .. code-block:: yaml

        policies:
          - name: contractors-are-no-admins
            resource: aws.iam-user
            max-resources: 20
            filters:
              - type: value
                key: Path
                value: /contractors/
              - type: admin-group-member
                groups: [admins]
            actions:
              - type: remove-from-admin-group
                groups: [admins]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveUserFromGroup.html
    """

    schema = type_schema(
        "remove-from-admin-group",
        groups={"type": "array", "items": {"type": ["string", "array"]}},
        observe={"type": ["boolean", "string"]},
    )
    permissions = ("iam:RemoveUserFromGroup", "iam:ListGroupsForUser", "iam:GetGroup", "iam:ListGroups")

    def validate(self):
        """Check the options.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        self.check_groups()
        self.check_observe()

    def process(self, resources, event=None):
        """Take every user in ``resources`` out of the admin groups.

        :returns: a record per user who was taken out: UserName and the groups' names
        :raises PolicyExecutionError: if any user could not be taken out, after all were tried
        """
        event, self.groups = IAMEvent.of(event), AdminGroups(self, self.group_names)
        admin_groups = self.groups.by_id(event)
        return self.try_all(
            resources,
            lambda user: self.try_to_remove(user, event, admin_groups),
            "remove from the admin group",
        )

    def try_to_remove(self, user, event, admin_groups):
        """Take one user out of the admin groups, and log what came of it.

        :returns: the record for Custodian's output; None if there was nothing to do; the error if it failed
        """
        client, name = iam(self.manager), user["UserName"]
        try:
            found = self.memberships(client, name, admin_groups)
            if not found:  # as in a second try, after a first one that told nobody
                self.record_decision(
                    "acted", user, event, groups=[], reason="no member of the admin group any more"
                )
                return {"UserName": name, "groups": []}
            if self.observes:
                self.record_decision("would-revoke", user, event, groups=found)
                return {"UserName": name, "groups": found}
            for group in found:
                retry_conflicts(client.remove_user_from_group, GroupName=group, UserName=name)
            for _ in range(LOOKS):
                if not self.memberships(client, name, admin_groups):
                    break
                time.sleep(PAUSE)
            else:
                raise PolicyExecutionError(f"{name} is still a member of {', '.join(found)}")
        except Exception as error:
            self.record_decision("failed", user, event, reason=str(error))
            return error
        self.record_decision("acted", user, event, groups=found)
        return {"UserName": name, "groups": found}

    def memberships(self, client, name, admin_groups):
        """The names of the admin groups that a user is in.

        :raises PolicyExecutionError: if IAM does not know the user: they may be a member under another name
        """
        groups = self.groups.of_user(client, name)
        if groups is None:
            raise PolicyExecutionError(f"{name} is gone or renamed: look at the admin group")
        return [group["GroupName"] for group in groups if group["GroupId"] in admin_groups]
