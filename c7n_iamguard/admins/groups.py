"""The admin groups: a deployment pins their ids, and the function finds them under any later name."""

from c7n_iamguard.admins.judge import Verdict
from c7n_iamguard.event import seconds_of, str_or_none
from c7n_iamguard.iam.authorization_details import Group
from c7n_iamguard.iam.client import answer_or_none, iam
from c7n_iamguard.settings import refuse_account


def pin(element, names):
    """The ids of groups by their names or ids. A missing group is refused, and so are groups without members."""
    groups = {name: find(element, name) for name in names}
    fix = "every user there would be denied; name the right group under admin_groups, or [] for no group"
    for name, group in groups.items():
        if group is None:
            refuse_account(element, f"the admin group {name!r} does not exist", fix)
    if groups and all(group.empty for group in groups.values()):
        named = ", ".join(map(repr, groups))
        refuse_account(element, f"no user is a member of the admin group {named}", fix)
    return {name: group.id for name, group in groups.items()}


def find(element, name):
    """The :class:`.Group` of a name, in any case, or of an id; None if there is no such group."""
    known = getattr(element.manager.source, "groups", None)  # read along with the whole account
    if known:
        return next((g for g in known.values() if g.id == name or g.name.lower() == name.lower()), None)
    client = iam(element.manager)
    return by_name(client, name) or search(
        client, lambda g: g["GroupId"] == name or g["GroupName"].lower() == name.lower()
    )


def by_name(client, name):
    """The :class:`.Group` of a name; None if there is none."""
    found = answer_or_none(client.get_group, GroupName=name)
    if found is None:
        return None
    empty = not found["Users"] and not found.get("IsTruncated")
    return Group(found["Group"]["GroupName"], found["Group"]["GroupId"], empty)


def search(client, wanted):
    """The first :class:`.Group` that ``wanted`` says yes to; None if there is none."""
    every = client.get_paginator("list_groups").paginate().search("Groups[]")
    name = next((group["GroupName"] for group in every if wanted(group)), None)
    return name and by_name(client, name)


def of_user(client, user_name):
    """All groups that a user is in, as ListGroupsForUser describes them; None if there is no such user."""
    pages = client.get_paginator("list_groups_for_user").paginate(UserName=user_name)
    try:
        return list(pages.search("Groups[]"))
    except client.exceptions.NoSuchEntityException:
        return None


class AdminGroups:
    """The admin groups of a filter or action, by the ids that were pinned, under the names that they have now."""

    def __init__(self, element, pins):
        self.element, self.pins = element, pins
        #: The last known names of the groups, by id.
        self.names = {group_id: name for name, group_id in pins.items()}

    def check(self):
        """Refuse to go on if a group is gone, or all are empty: nobody would know whom to leave alone."""
        fix = (
            "nobody is denied IAM while it is unknown who the admins are; put the group right and deploy "
            "the policy again, then redrive the dead letters"
        )
        groups = {group_id: self.find(group_id) for group_id in self.names}
        for group_id, group in groups.items():
            if group is None:
                problem = f"the admin group {self.names[group_id]!r} ({group_id}) is gone"
                refuse_account(self.element, problem, fix)
        if groups and all(group.empty for group in groups.values()):
            refuse_account(self.element, "the admin groups have no members any more", fix)
        self.names = {group_id: group.name for group_id, group in groups.items()}

    def find(self, group_id):
        """The group of an id, under whatever name it has now; None if it is gone."""
        client = iam(self.element.manager)
        group = by_name(client, self.names[group_id])
        if group is None or group.id != group_id:
            group = search(client, lambda g: g["GroupId"] == group_id)
        return group


def membership_now(groups, admin_ids, event):
    """Whether a user of these groups is in an admin group, as :class:`.Verdict`.

    An admin group into which the event's call has just put the user does not count.
    """
    names = [group["GroupName"] for group in groups if group["GroupId"] in admin_ids]
    joined = None if event is None else joined_group(event.record, event.who)
    if joined is not None and names:
        if not explains(event.record, joined, groups):
            return Verdict(
                None,
                f"the group {joined!r} has been renamed, deleted or replaced since its new member called, so that "
                "nobody can tell whether the call made them an admin: review the admin group's members",
            )
        names = [name for name in names if name.lower() != joined.lower()]
    return Verdict(bool(names), f"in admin group {', '.join(names)}" if names else "in no admin group")


def explains(record, name, groups):
    """Whether one of ``groups`` has this name, and existed before the call of a record."""
    return any(
        group["GroupName"].lower() == name.lower()
        and int(group["CreateDate"].timestamp()) <= seconds_of(record["eventTime"])
        for group in groups
    )


def joined_group(record, who):
    """The name of the group that a call put its own caller into; None if it did not, or failed."""
    if record.get("eventName") != "AddUserToGroup" or record.get("errorCode"):
        return None
    name = str_or_none(record, "requestParameters", "userName")
    joins = name and who.is_principal("user", name, None)
    return str_or_none(record, "requestParameters", "groupName") if joins else None
