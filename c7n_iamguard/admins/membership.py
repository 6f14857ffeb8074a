"""Who was an admin when, worked out from CloudTrail's records of what changed the admin groups. Pure.

IAM tells who is a member now, and not since when or by whom. The records of a span of time tell who was added
and removed, by whom and under which names. They carry whole seconds, so that the order within one second is
unknown: an addition is lawful only if it is lawful in every order.

A membership that began before the span is lawful. Both calls also succeed if they change nothing, and the record
does not say so. So a member whose first record is an addition counts as added by it. Somebody whose first record
is a removal counts as a member before it if an admin removed them; else nobody can tell, and what follows from
it is in doubt.
"""

import itertools
from collections import defaultdict

from c7n_iamguard.admins.renames import GROUPS, USERS, Names
from c7n_iamguard.event import MalformedEvent, caller, seconds_of, str_or_none

ADDS, REMOVES = "AddUserToGroup", "RemoveUserFromGroup"
#: What the records of a span are needed for.
CHANGES = frozenset((ADDS, REMOVES, "UpdateGroup", "UpdateUser", "CreateUser", "DeleteUser"))


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
        self.seconds = [
            (second, list(found)) for second, found in itertools.groupby(changes, lambda c: c["second"])
        ]
        self.groups = Names(GROUPS, groups, self.seconds)
        self.users = Names(USERS, users, self.seconds)
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

    def unlawful_members(self, until=float("inf")):
        """The ids of those who are members now through somebody who was no admin when they added them.

        :param until: the last second in which an addition counts
        """
        return self._added_until(until, self.present - self.lawful - self.doubtful)

    def doubtful_members(self, until=float("inf")):
        """The ids of those who are members now, and of whom nobody can tell whether they are lawful."""
        return self._added_until(until, (self.present & self.doubtful) - self.lawful)

    def _added_until(self, until, pairs):
        return {pair[1] for pair in pairs if self.added.get(pair, until) <= until}

    def _replay(self, members):
        self.present = set(members)
        steps = [
            (second, self._pairs(second, changes, ADDS), self._pairs(second, changes, REMOVES))
            for second, changes in self.seconds
        ]
        self.lawful, self.doubtful = self._members_at_start(steps)
        for found, spans in ((self.lawful, self.spans), (self.doubtful, self.doubts)):
            for _, user in found:
                spans[user].append([float("-inf"), float("inf")])
        self.added = {pair: second for second, added, _ in steps for _, pairs, _ in added for pair in pairs}
        both = [(second, pairs) for second, *kinds in steps for kind in kinds for _, pairs, _ in kind]
        last = {pair: second for second, pairs in both for pair in pairs}
        for second, added, removed in steps:
            lawful, doubtful = set(self.lawful), set(self.doubtful)
            gone = _all(removed)
            self._end(gone, second)
            by_admins, in_doubt, others = set(), set(), set()
            for who, pairs, is_certain in added:
                if self._is_among(who, lawful - gone):
                    (by_admins if is_certain else in_doubt).update(pairs)
                else:
                    is_doubted = self._is_among(who, doubtful) or self._is_among(who, ()) is None
                    (in_doubt if is_doubted else others).update(pairs)
            # Removed in the same second, too: any of the additions may have been the last.
            by_admins, in_doubt = by_admins - (gone & (in_doubt | others)), in_doubt - (gone & others)
            self._begin(by_admins, self.lawful, self.spans, second)
            self._begin(in_doubt - self.lawful, self.doubtful, self.doubts, second)
            # Added and removed in one second: what they are now tells which came last, if nothing came after.
            unknown = {pair for pair in gone & self.lawful if last[pair] > second or pair not in self.present}
            self._end(unknown, second)
            unknown = {pair for pair in unknown if last[pair] > second}
            unknown |= {pair for _, pairs, is_certain in removed if not is_certain for pair in pairs & lawful}
            self._begin(unknown - self.lawful, self.doubtful, self.doubts, second)

    def _pairs(self, second, changes, event_name):
        """Who put whom into or out of which group within a second, as (caller, pairs, whether they are certain).

        Under a name that changed its owner within the second, several pairs may be meant.
        """
        found = []
        for change in changes:
            if change["event"] == event_name and "groupName" in change and "userName" in change:
                groups = self.groups.within(second, change["groupName"])
                users = self.users.within(second, change["userName"])
                pairs = {(group, user) for group in groups for user in users if group and user}
                if pairs:
                    found.append((change["who"], pairs, len(groups) == len(users) == 1))
        return found

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
            new = _all(added) - seen
            lawful -= new
            first_removals += [(who, pairs - new - seen) for who, pairs, _ in removed]
            seen |= new | _all(removed)
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


def _all(entries):
    return set().union(*(pairs for _, pairs, _ in entries))


def _within(spans, user_id, second):
    return any(since <= second <= until for since, until in spans.get(user_id, ()))


def _change(record):
    """What a record says of a change; None if it is about something else, or the call failed."""
    if record.get("eventName") not in CHANGES or record.get("errorCode"):
        return None
    try:
        who = caller(record)
    except MalformedEvent:
        who = None
    parameters = record.get("requestParameters")
    keys = ("groupName", "newGroupName", "userName", "newUserName")
    names = {key: name.lower() for key in keys if (name := str_or_none(parameters, key))}
    elements = record.get("responseElements")
    made = elements.get("user") if isinstance(elements, dict) else None
    second = seconds_of(record["eventTime"])
    return {
        "event": record["eventName"],
        "second": second,
        "who": who,
        "id": str_or_none(made, "userId"),
        **names,
    }
