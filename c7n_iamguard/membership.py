"""Who was an admin when, worked out from CloudTrail's records of what changed the admin groups. Pure.

IAM tells who is a member now, and not since when or by whom. The records of a span of time tell who was added
and removed, by whom and under which names. They carry whole seconds, so that the order within one second is
unknown: an addition is lawful only if it is lawful in every order.

A membership that began before the span is lawful. Both calls also succeed if they change nothing, and the record
does not say so. So a member whose first record is an addition counts as added by it. Somebody whose first record
is a removal counts as a member before it if an admin removed them; else nobody can tell, and what follows from
it is in doubt.
"""

import time
from calendar import timegm
from collections import defaultdict
from itertools import groupby

from c7n_iamguard.event import MalformedEvent, caller, text

#: What the records of a span are needed for.
CHANGES = frozenset(
    ("AddUserToGroup", "RemoveUserFromGroup", "UpdateGroup", "UpdateUser", "CreateUser", "DeleteUser")
)


class Membership:
    """The admin groups' members over a span of time.

    :param records: CloudTrail records of the span, in any order; those that are no :data:`CHANGES` are ignored
    :param groups: the names that the admin groups have now, by id
    :param users: the names that all users have now, by id
    :param members: who is a member now, as a set of (group's id, user's id)
    :param is_trusted: whether a :class:`~c7n_iamguard.event.Caller` that is no user may change the admin groups
    """

    def __init__(self, records, groups, users, members, is_trusted):
        self.is_trusted = is_trusted
        changes = sorted(filter(None, map(_change, records)), key=lambda change: change["second"])
        self.seconds = [(second, list(found)) for second, found in groupby(changes, lambda c: c["second"])]
        self.groups = self._names_at_start(groups, "UpdateGroup", "groupName", "newGroupName")
        self.users = self._names_at_start(users, "UpdateUser", "userName", "newUserName")
        #: Since and until when somebody was lawfully a member, and may have been one, by user: lists of
        #: [from, to], inclusive.
        self.spans, self.doubts = defaultdict(list), defaultdict(list)
        self._replay(members)

    def was_admin(self, user_id, second):
        """Whether a user was lawfully an admin in a second, at least for a part of it.

        :param second: seconds since the epoch, as CloudTrail's ``eventTime`` has them
        """
        return _within(self.spans, user_id, second)

    def may_have_been_admin(self, user_id, second):
        """Whether nobody can tell if a user was an admin in a second."""
        return not self.was_admin(user_id, second) and _within(self.doubts, user_id, second)

    def unlawful_members(self):
        """The ids of those who are members now through somebody who was no admin when they added them."""
        return {user for group, user in self.present - self.lawful - self.doubtful}

    def doubtful_members(self):
        """The ids of those who are members now, and of whom nobody can tell whether they are lawful."""
        return {user for group, user in (self.present & self.doubtful) - self.lawful}

    def _names_at_start(self, names, event_name, old, new):
        """The names at the start of the span: those of now, with all renames undone, the latest first."""
        known = {name.lower(): unique_id for unique_id, name in names.items()}
        for _, changes in reversed(self.seconds):
            renames = [change for change in changes if change["event"] == event_name and change.get(new)]
            found = True
            while renames and found:
                found = next((change for change in reversed(renames) if change[new] in known), None)
                if found:
                    renames.remove(found)
                    known[found[old]] = known.pop(found[new])
            if old == "userName":
                for change in changes:
                    if change["event"] == "CreateUser":
                        known.pop(change["userName"], None)
                    elif change["event"] == "DeleteUser":
                        known.setdefault(change["userName"], f"deleted in {change['second']}")
        return known

    def _replay(self, members):
        self.present = set(members)
        groups, users = dict(self.groups), dict(self.users)
        steps = []
        for second, changes in self.seconds:
            named_groups = self._names_within(groups, changes, "UpdateGroup", "groupName", "newGroupName")
            named_users = self._names_within(users, changes, "UpdateUser", "userName", "newUserName")
            steps.append((second, [], []))
            for change in changes:
                pairs = {
                    (group, user)
                    for group in named_groups.get(change.get("groupName"), ())
                    for user in named_users.get(change.get("userName"), ())
                }
                if pairs and change["event"] in ("AddUserToGroup", "RemoveUserFromGroup"):
                    steps[-1][1 + (change["event"] == "RemoveUserFromGroup")].append((change["who"], pairs))
        self.lawful, self.doubtful = self._members_at_start(steps)
        for found, spans in ((self.lawful, self.spans), (self.doubtful, self.doubts)):
            for _, user in found:
                spans[user].append([float("-inf"), float("inf")])
        for second, added, removed in steps:
            lawful, doubtful = set(self.lawful), set(self.doubtful)
            gone = set().union(*(pairs for _, pairs in removed))
            self._end(gone, second)
            for who, pairs in added:
                if self._is_among(who, lawful - gone):
                    self._begin(pairs, self.lawful, self.spans, second)
                elif self._is_among(who, doubtful):
                    self._begin(pairs, self.doubtful, self.doubts, second)

    def _begin(self, pairs, found, spans, second):
        for pair in pairs - found:
            found.add(pair)
            spans[pair[1]].append([second, float("inf")])

    def _end(self, pairs, second):
        for found, spans in ((self.lawful, self.spans), (self.doubtful, self.doubts)):
            for pair in pairs & found:
                found.discard(pair)
                if not any(user == pair[1] for _, user in found):
                    spans[pair[1]][-1][1] = second

    def _is_among(self, who, members):
        """Whether a caller is one of these members, or may change the admin groups without being one."""
        if who is None:
            return False
        if who.kind != "user":
            return self.is_trusted(who)
        return any(user == who.id for _, user in members)

    def _members_at_start(self, steps):
        """The members at the start of the span, and those of whom nobody can tell.

        :returns: two sets of (group's id, user's id)
        """
        lawful, first_removals, seen = set(self.present), [], set()
        for _, added, removed in steps:
            new = set().union(*(pairs for _, pairs in added)) - seen
            lawful -= new
            first_removals += [(who, pairs - new - seen) for who, pairs in removed]
            seen |= new.union(*(pairs for _, pairs in removed))
        lawful -= set().union(*(pairs for _, pairs in first_removals))
        known = True
        while known:  # an admin may have been removed by one who was removed later
            known = set()
            for who, pairs in first_removals:
                for pair in pairs - lawful:
                    if self._is_among(who, {member for member in lawful if member[1] != pair[1]}):
                        known.add(pair)
            lawful |= known
        return lawful, set().union(*(pairs for _, pairs in first_removals)) - lawful

    @staticmethod
    def _names_within(known, changes, event_name, old, new):
        """Whom each name may stand for within a second: before, between or after its renames.

        ``known`` is brought up to the end of the second.
        """
        may = defaultdict(set)
        for name, unique_id in known.items():
            may[name].add(unique_id)
        renames = [change for change in changes if change["event"] == event_name and change.get(new)]
        for change in changes:
            if change["event"] == "CreateUser" and old == "userName" and change["id"]:
                known[change["userName"]] = change["id"]
                may[change["userName"]].add(change["id"])
        found = True
        while renames and found:
            found = next((change for change in renames if change[old] in known), None)
            if found:
                renames.remove(found)
                known[found[new]] = known.pop(found[old])
                may[found[new]].add(known[found[new]])
        for change in changes:
            if change["event"] == "DeleteUser" and old == "userName":
                known.pop(change["userName"], None)
        return may


def _within(spans, user_id, second):
    return any(since <= second <= until for since, until in spans.get(user_id, ()))


def _change(record):
    """What a record says of a change; None if it is about something else, or the call failed."""
    if record.get("eventName") not in CHANGES or record.get("errorCode"):
        return None
    try:
        who = caller({"detail": record})
    except MalformedEvent:
        who = None
    parameters = record.get("requestParameters")
    keys = ("groupName", "newGroupName", "userName", "newUserName")
    names = {key: name.lower() for key in keys if (name := text(parameters, key))}
    elements = record.get("responseElements")
    made = elements.get("user") if isinstance(elements, dict) else None
    second = timegm(time.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ"))
    return {
        "event": record["eventName"],
        "second": second,
        "who": who,
        "id": text(made, "userId"),
        **names,
    }
