"""The admin groups of a policy: pinned by id when it is deployed, found under any name after that."""

import time
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError
from c7n.exceptions import PolicyExecutionError

from c7n_iamguard.event import joined_group, seconds_of
from c7n_iamguard.iam.authorization_details import Group
from c7n_iamguard.iam.client import iam
from c7n_iamguard.settings import pinned, stop

#: How many seconds the function relies on what it knows of the admin groups.
SECONDS = 60
#: Calls after which it asks IAM at once.
CHANGES = ("DeleteGroup", "RemoveUserFromGroup", "UpdateGroup")


class AdminGroups:
    """The admin groups of a filter or action.

    :param element: c7n's filter or action
    :param names: the groups' names, as written in the policy
    :param may_be_missing: whether it is meant that nobody is an admin
    """

    def __init__(self, element, names, may_be_missing=False):
        self.element, self.manager = element, element.manager
        self.written, self.may_be_missing = names, may_be_missing
        self.names = {}  # by id, as of the last look
        self.checked, self.problem = None, None

    @property
    def pins(self):
        """The groups' ids by their names, as of the deployment; None outside a function."""
        return pinned(self.manager.ctx.policy).get("groups")

    def pin(self):
        """The admin groups' ids by their names, as of now.

        :raises PolicyExecutionError: if a group does not exist, or none of them has a member
        :raises botocore.exceptions.ClientError: whatever else IAM answers
        """
        spares = getattr(self.element, "spares_admins", False)
        risk = "every user there would be revoked" if spares else "nobody would be an admin"
        mend = (
            f"{risk}; name the right group as admin-group at the top of the file (or "
            "under groups), or add allow-missing-group: true if nobody there is meant to be an admin"
        )
        found = {name: self.find_group(name) for name in self.written}
        if not self.may_be_missing:
            for name, group in found.items():
                if group is None:
                    stop(self.element, f"the admin group {name!r} does not exist", mend)
            if all(group.empty for group in found.values()):
                named = ", ".join(map(repr, found))
                stop(self.element, f"no user is a member of the admin group {named}", mend)
        return {"groups": {group.name: group.id for group in found.values() if group}}

    def find_group(self, name):
        """The :class:`.Group` of a name in any case; None if there is no such group."""
        known = getattr(self.manager.source, "groups", None)  # read along with the whole account
        if known is not None:
            return known.get(name.lower())
        client = iam(self.manager)
        return self._get(client, name) or self._list(client, lambda g: g["GroupName"].lower() == name.lower())

    @staticmethod
    def _get(client, name):
        try:
            answer = client.get_group(GroupName=name)
        except client.exceptions.NoSuchEntityException:
            return None
        group = answer["Group"]
        empty = not answer["Users"] and not answer.get("IsTruncated")
        return Group(group["GroupName"], group["GroupId"], empty)

    def _list(self, client, wanted):
        """The first of all groups that ``wanted`` says yes to; None if there is none."""
        for page in client.get_paginator("list_groups").paginate():
            for group in page["Groups"]:
                if wanted(group):
                    return self._get(client, group["GroupName"])
        return None

    def by_id(self, event):
        """The admin groups' names by their ids: pinned when deployed, or as of now outside a function.

        :raises PolicyExecutionError: if a function was deployed without pins
        """
        ids = self.pins
        if ids is None:
            if event is not None:
                stop(
                    self.element,
                    "the function does not know the admin groups' ids",
                    "deploy the policy again",
                )
            ids = self.pin()["groups"]
        return {group_id: self.names.get(group_id, name) for name, group_id in ids.items()}

    def prepare(self):
        """Look at the admin groups while the function starts; what is wrong is said with the first event."""
        if self.pins is not None:
            with suppress(BotoCoreError, ClientError):
                self._look()

    def check(self, event):
        """Make sure that the pinned groups are still there, before somebody outside of them is denied.

        IAM is asked at most once a minute, and after each call that changes groups.

        :raises PolicyExecutionError: if one is gone, or all of them are empty
        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        if self.pins is None:
            return  # they have been looked at a moment ago
        changed = event is not None and event.record.get("eventName") in CHANGES
        if changed or self.checked is None or time.monotonic() - self.checked >= SECONDS:
            self._look()
        if self.problem:
            stop(
                self.element,
                self.problem,
                "nobody is denied IAM while it is unknown who the admins are; put the group right and deploy "
                "the policy again, then redrive the dead letters",
            )

    def _look(self):
        """Ask IAM for the pinned groups by their ids, under whatever names they have now."""
        client, problem, empty = iam(self.manager), None, True
        for name, group_id in self.pins.items():
            group = self._get(client, self.names.get(group_id, name))
            if group is None or group.id != group_id:
                group = self._list(client, lambda g, wanted=group_id: g["GroupId"] == wanted)
            if group is None:
                problem = f"the admin group {name!r} ({group_id}) is gone"
                break
            self.names[group_id], empty = group.name, empty and group.empty
        if not problem and empty and not self.may_be_missing:
            problem = "the admin groups have no members any more"
        self.problem, self.checked = problem, time.monotonic()

    @staticmethod
    def named(client, name):
        """The groups of a name, as GetGroup describes them: one, or an empty list."""
        try:
            return [client.get_group(GroupName=name)["Group"]]
        except client.exceptions.NoSuchEntityException:
            return []

    @staticmethod
    def of_user(client, user_name):
        """All groups that a user is in, as ListGroupsForUser describes them; None if there is no such user."""
        pages = client.get_paginator("list_groups_for_user").paginate(UserName=user_name)
        try:
            return [group for page in pages for group in page["Groups"]]
        except client.exceptions.NoSuchEntityException:
            return None

    def lawful(self, groups, admin_groups, event):
        """The names of the admin groups among a caller's groups, without one that the very event granted.

        :raises PolicyExecutionError: if the group that the event names cannot be told from an admin group
        """
        found = [group for group in groups if group["GroupId"] in admin_groups]
        joined = None if event is None else joined_group(event.record, event.who)
        if joined is None or not found:
            return [group["GroupName"] for group in found]
        if not explains(event.record, joined, groups):
            raise PolicyExecutionError(
                f"the group {joined!r} has been renamed, deleted or replaced since its new member called, so that "
                "nobody can tell whether the call made them an admin: look at the admin group"
            )
        return [group["GroupName"] for group in found if group["GroupName"].lower() != joined.lower()]


def explains(record, name, groups):
    """Whether the group that a call added somebody to is, without doubt, one of ``groups``.

    A group that took the name later is not the one that the event names.
    """
    for group in groups:
        if group["GroupName"].lower() == name.lower():
            return int(group["CreateDate"].timestamp()) <= seconds_of(record["eventTime"])
    return False
