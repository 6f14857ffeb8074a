"""The admin group: whom a non-admin added to it."""

import time

from c7n.exceptions import PolicyExecutionError
from c7n.resources.iam import User

from c7n_iamguard.admins import groups
from c7n_iamguard.admins.filters import MeantFilter, meant_schema
from c7n_iamguard.admins.judge import Verdict
from c7n_iamguard.event import IAMEvent, MalformedEvent, str_or_none
from c7n_iamguard.iam.client import answer_or_none, iam
from c7n_iamguard.iam.principals import USER

#: How many seconds to wait before an addition by an admin counts as lawful. Events come in any order, and by then
#: the event that made the caller an admin has been handled, too.
SETTLED_SECONDS = 20


@User.filter_registry.register("unintended-admin-group-member")
class UnintendedAdminGroupMember(MeantFilter):
    """Users whom a caller who is no admin made members of an admin group, by an AddUserToGroup event.

    Users and caller may be the same. A caller who is meant to use IAM may add users, unless this call itself made
    them an admin. An admin's addition is judged once more after 20 seconds, because the event that made the
    caller an admin may come later.

    A rename of the users or groups makes no difference. If nobody can tell who was added to which group, or whether
    the caller of an old event was an admin, the event fails.

    :example:

    .. code-block:: yaml

        policies:
          - name: members-of-the-admin-group-by-somebody-else
            resource: aws.iam-user
            filters:
              - {type: unintended-admin-group-member, groups: [admins]}

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddUserToGroup.html
    """

    schema = meant_schema("unintended-admin-group-member")
    permissions = ("iam:ListGroupsForUser", "iam:GetGroup", "iam:ListGroups", "iam:GetUser", "iam:ListUsers")

    def process(self, resources, event=None):
        """The users among ``resources`` who were added; nobody outside of an event."""
        event = IAMEvent.of(event)
        record = {} if event is None else event.record
        if record.get("eventName") != "AddUserToGroup" or record.get("errorCode"):
            return []
        group = str_or_none(record, "requestParameters", "groupName")
        if group is None:
            raise MalformedEvent("requestParameters.groupName is missing")
        meant = self.who_is_meant(event)
        self.groups.check()
        names = {name.lower() for name in (*self.groups.names.values(), *self.groups.pins)}
        if group.lower() not in names:
            for user in resources:
                self.check_another_group(event, group, user, meant)
            return []
        if self.is_meant(event, meant):
            time.sleep(SETTLED_SECONDS if event.is_fresh else 0)
            if self.is_meant(event, meant):
                return []
        if not event.is_fresh:
            raise PolicyExecutionError(
                f"{event.who.name}, who added somebody to the admin group, is no admin now, and nobody can tell "
                "whether they were one: review the admin group's members"
            )
        return [self.added_user(user, event.who) for user in resources]

    def check_another_group(self, event, group, user, meant):
        """Make sure that a group of another name is no admin group that had this name for a while."""
        client = iam(self.manager)
        of_user = groups.of_user(client, user["UserName"])
        if of_user is not None and not any(each["GroupId"] in self.groups.names for each in of_user):
            return
        if of_user is None:
            found = answer_or_none(client.get_group, GroupName=group)
            named = [found["Group"]] if found else []
            if groups.explains(event.record, group, named) and named[0]["GroupId"] not in self.groups.names:
                return
        # A member of an admin group was added to some group. Names may have been swapped, so an admin may do this.
        if not self.is_meant(event, meant):
            raise PolicyExecutionError(
                f"{event.who.name}, who is no admin, added {user['UserName']} to the group {group!r}, and nobody "
                "can tell whether that was the admin group under another name: review the admin group's members"
            )

    def is_meant(self, event, meant):
        """Whether an event's caller is meant to use IAM, under whatever name they have now."""
        verdict = self.judge_call(event, event.who, meant, lambda ids: self.callers_membership(event, ids))
        if verdict.meant is None:
            raise PolicyExecutionError(verdict.reason)
        return verdict.meant

    def callers_membership(self, event, admin_ids):
        """Whether an event's caller is in an admin group now; see :func:`.groups.membership_now`."""
        client, who, of_user = iam(self.manager), event.who, None
        if event.is_fresh:
            of_user = groups.of_user(client, who.name)
        if of_user is None and who.id:
            user = USER.by_id(client, who.id)
            of_user = groups.of_user(client, user["UserName"]) if user else None
        if of_user is None and not event.is_fresh:
            reason = "nobody can tell whether they were an admin: review the admin group's members"
            return Verdict(None, f"{who.name}, who added somebody to the admin group, is gone, and {reason}")
        return groups.membership_now(of_user or [], admin_ids, event)

    def added_user(self, user, who):
        """The added user under the name that they have now."""
        client, name = iam(self.manager), user["UserName"]
        themself = who.id and who.is_principal("user", name, None)  # another user may have the name now
        current = USER.now(client, name, who.id) if themself else USER.by_name(client, name)
        if current is None:
            raise PolicyExecutionError(
                f"{name}, who was added to the admin group, is gone or renamed: review the admin group's members"
            )
        return current
