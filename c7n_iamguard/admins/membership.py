"""The admins of a past moment, worked out from CloudTrail's records of what changed the admin groups. Pure.

IAM tells who is a member now, but not since when or by whom. The records of a span of time tell who added and
removed whom. These rules decide who is an admin:

- Everybody who was a member when the span began was an admin.
- An addition by an admin or a trusted role makes the user an admin. An addition by anybody else does not, but it
  does not end it either.
- A removal ends it, whoever made it. The guard, too, may remove a former admin.

The records leave two things open:

- Whether a call changed anything. IAM accepts the addition of a member and the removal of a non-member, and the
  records look the same as any other. So neither call tells whether the user was a member before it.
  Source: https://github.com/cloud-custodian/cloud-custodian/pull/4730 (somebody tried both calls)
- The order of the calls within a second.

An answer is sure if it is the same for every possible beginning and for every possible order. Otherwise it is
unknown. The beginning is known for users whom no call added or removed within the span, and for users who were
created within it. Everybody else may have been a member. So if a non-admin adds a user who existed before the span,
the answer is unknown, unless a removal tells more. The user may be an intruder's friend, or an admin whom an
intruder added once more to get them removed and denied.

A flood of renames can take longer to work out than there is time. Then nobody knows whom the older calls added or
removed: until the last of these, everything is unknown, and nobody is an admin for certain after it.
"""

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from c7n_iamguard.admins.renames import GROUPS, USERS, Change, Names
from c7n_iamguard.event import Caller, MalformedEvent, caller, seconds_of, str_or_none

ADDS, REMOVES = "AddUserToGroup", "RemoveUserFromGroup"
#: The calls whose records are needed.
CHANGES = frozenset((ADDS, REMOVES, "UpdateGroup", "UpdateUser", "CreateUser", "DeleteUser"))

#: The ids of a group and of a user.
Pair = tuple[str, str]


class GroupCall(NamedTuple):
    """An addition to, or a removal from, an admin group."""

    second: int
    caller: Caller | None
    pairs: set[Pair]  #: who may be meant; more than one if a name changed its owner within the second
    is_certain: bool  #: whether nobody else can be meant


class Membership:
    """The admin groups' members over a span of time.

    :param records: CloudTrail records of the span, in any order; those that are no :data:`CHANGES` are ignored
    :param groups: the names that the admin groups have now, by id
    :param users: the names that all users have now, by id
    :param members: who is a member now, as a set of (group's id, user's id)
    :param is_trusted: whether a :class:`~c7n_iamguard.event.Caller` may change the admin groups without being an
        admin, in a second; None if nobody can tell
    :param is_over: whether the time for working this out is over
    """

    def __init__(
        self,
        records: Iterable[Mapping[str, Any]],
        groups: Mapping[str, str],
        users: Mapping[str, str],
        members: Collection[Pair],
        is_trusted: Callable[[Caller, int], bool | None],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_trusted, self._group_ids, self._members = is_trusted, set(groups), set(members)
        changes = sorted(filter(None, map(_change, records)), key=lambda change: change.second)
        by_second = itertools.groupby(changes, lambda change: change.second)
        seconds = [(second, list(together)) for second, together in by_second]
        self._group_names = Names(GROUPS, groups, seconds, is_over)
        self._user_names = Names(USERS, users, seconds, is_over)
        unknown = max(self._group_names.unknown_until, self._user_names.unknown_until)
        changed = (c.second for c in changes if c.second <= unknown and c.event_name in (ADDS, REMOVES))
        #: Until when somebody was added or removed of whom nobody knows who it was.
        self.unknown_until = max(changed, default=float("-inf"))
        calls = self._group_calls
        steps = [(s, calls(these, ADDS), calls(these, REMOVES)) for s, these in seconds if s > unknown]
        self._last_change = {
            pair: second for second, *calls in steps for pair in _pairs(itertools.chain(*calls))
        }
        self._begin({change.created_id for change in changes if change.second > self.unknown_until})
        for second, additions, removals in steps:
            self._play(second, additions, removals)

    def was_admin(self, user_id: str, second: float) -> bool | None:
        """Whether a user was an admin in a second, at least for a part of it; None if nobody can tell."""
        if second <= self.unknown_until:
            return None
        entries = self._answers.get(user_id, [])
        number = bisect_right(entries, second, key=lambda entry: entry[0])
        if not number:
            return False
        last_change, during, after = entries[number - 1]
        return during if last_change == second else after

    def unlawful_members(self, until: float = float("inf")) -> set[str]:
        """The ids of the members whom a non-admin added, without those whom a call after ``until`` added."""
        return self._members_who_are(False, until)

    def doubtful_members(self, until: float = float("inf")) -> set[str]:
        """The ids of the members of whom nobody can tell whether they are admins."""
        return self._members_who_are(None, until)

    def _members_who_are(self, answer: bool | None, until: float) -> set[str]:
        old = {user for group, user in self._members if self._added.get((group, user), until) <= until}
        return {user for user in old if self._answer(user, self._admins, self._possible) is answer}

    def _answer(self, user_id: str | None, admins: set[Pair], possible: set[Pair]) -> bool | None:
        pairs = {(group, user_id) for group in self._group_ids}
        return True if pairs & admins else None if pairs & possible else False

    def _begin(self, created: set[str | None]) -> None:
        """Set who was an admin for certain, and who may have been one, when the span began."""
        changed = {pair for pair in self._last_change if pair[1] not in created}
        unchanged = self._members - set(self._last_change)
        #: The certain and the possible admins at the moment that is played.
        self._admins = {pair for pair in unchanged if pair[1] not in created}
        self._possible = unchanged | changed
        if self.unknown_until > float("-inf"):
            self._admins = set()
        #: By user: when something changed, and the answer during that second and after it.
        self._answers: defaultdict[str, list[tuple[float, bool | None, bool | None]]] = defaultdict(list)
        for user in {user for _, user in self._possible}:
            answer = self._answer(user, self._admins, self._possible)
            self._answers[user].append((float("-inf"), answer, answer))
        #: The second of the addition that a membership may rest on.
        self._added: dict[Pair, int] = {}

    def _group_calls(self, changes: list[Change], event_name: str) -> list[GroupCall]:
        calls = []
        for second, name, who, names, _ in changes:
            if name == event_name and {"groupName", "userName"} <= set(names):
                groups = self._group_names.within(second, names["groupName"])
                users = self._user_names.within(second, names["userName"])
                pairs = {(group, user) for group in groups for user in users if group and user}
                if pairs:
                    calls.append(GroupCall(second, who, pairs, len(groups) == len(users) == 1))
        return calls

    def _play(self, second: int, additions: list[GroupCall], removals: list[GroupCall]) -> None:
        """Go on to the next second in which something changed."""
        added, maybe_removed = _pairs(additions), _pairs(removals)
        removed = _pairs(call for call in removals if call.is_certain)
        lasting = self._admins - maybe_removed
        by_admins = _pairs(call for call in additions if call.is_certain and self._is_admin(call, lasting))
        by_others = _pairs(call for call in additions if self._is_admin(call, lasting) is not True)
        possible_during, made_admins = self._possible_additions(additions, removed)
        admins_during = self._admins | by_admins
        # If nothing came after this second, the members of now show which of its calls came last.
        last = {pair for pair in added | maybe_removed if self._last_change[pair] == second}
        is_in, is_out = last & self._members, last & maybe_removed - self._members
        unexplained = is_in & removed - added  # the record of an addition is missing
        self._admins = lasting | (by_admins - maybe_removed) | (by_admins & is_in - by_others)
        self._possible = ((self._possible - removed) | made_admins | unexplained) - is_out
        for user in {user for _, user in added | maybe_removed}:
            during = self._answer(user, admins_during, possible_during)
            self._answers[user].append((second, during, self._answer(user, self._admins, self._possible)))
        for pair in removed:
            self._added.pop(pair, None)
        for pair in added | unexplained:
            self._added.setdefault(pair, second)

    def _possible_additions(
        self, additions: list[GroupCall], removed: set[Pair]
    ) -> tuple[set[Pair], set[Pair]]:
        """The possible admins at some moment of a second, and those whom its additions may leave as one.

        Somebody who was removed within the second cannot have become an admin again by adding themselves.
        """
        possible = self._possible
        while True:
            may_count = [call for call in additions if self._is_admin(call, possible) is not False]
            if _pairs(may_count) <= possible:
                break
            possible = possible | _pairs(may_count)
        left = {
            pair
            for call in may_count
            for pair in call.pairs
            if self._is_admin(call, possible - (removed & {pair})) is not False
        }
        return possible, left

    def _is_admin(self, call: GroupCall, pairs: set[Pair]) -> bool | None:
        """Whether a call's caller is one of these admins, or trusted without being one; None if nobody can tell."""
        who = call.caller
        if who is None or (who.kind == "user" and who.id is None):
            return None
        if who.kind == "user" and any((group, who.id) in pairs for group in self._group_ids):
            return True
        return self._is_trusted(who, call.second)


def _pairs(calls: Iterable[GroupCall]) -> set[Pair]:
    return {pair for call in calls for pair in call.pairs}


def _change(record: Mapping[str, Any]) -> Change | None:
    """The change that a record tells of; None if it is about something else, or the call failed."""
    if record.get("eventName") not in CHANGES or record.get("errorCode"):
        return None
    try:
        who = caller(record)
    except MalformedEvent:
        who = None
    keys = ("groupName", "newGroupName", "userName", "newUserName")
    names = {key: name.lower() for key in keys if (name := str_or_none(record, "requestParameters", key))}
    created_id = str_or_none(record, "responseElements", "user", "userId")
    second = seconds_of(record["eventTime"])
    return Change(second, record["eventName"], who, names, created_id)
