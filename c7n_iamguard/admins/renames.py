"""Resolves the names of a past second to ids, by undoing renames from the names of now. Pure.

CloudTrail's records name users and groups by the names of that moment, and carry whole seconds. The order within
one second is unknown, so every order counts that is possible: a name cannot be given while somebody has it.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from c7n_iamguard.event import Caller

#: The id of a deleted user begins like this while nobody knows it.
DELETED = "deleted in"
#: How many moves of names that depend on each other are tried in every order, within one second; how many states
#: of their names are looked at meanwhile; and how many beginnings are followed further back.
MAX_MOVES, MAX_STATES, MAX_BEGINNINGS = 50, 5000, 16

#: A name that was given up, a name that was taken, and the id of whoever did so; None for what does not apply.
Move = tuple[str | None, str | None, str | None]
#: Names and the ids that have them.
State = frozenset[tuple[str, str]]


class Change(NamedTuple):
    """A call that changed a name or a membership, read from its record."""

    second: int
    event_name: str
    caller: Caller | None
    names: Mapping[str, str]  #: the names in the request, in lower case, by parameter
    created_id: str | None = None  #: the id of the user whom the call created


class Named(NamedTuple):
    """A kind of named things, and the calls that change their names."""

    key: str  #: the parameter with the name
    new_key: str  #: the parameter with the new name
    renames: str  #: the call that renames
    creates: str | None = None  #: the call that takes a new name, if the records have it
    deletes: str | None = None  #: the call that gives a name up, if the records have it

    @property
    def all_known(self) -> bool:
        """Whether every name belongs to somebody who is known. Of the groups, only the admin groups are."""
        return self.creates is not None

    def move(self, change: Change) -> Move | None:
        """The effect of a change on the names; None if it had none."""
        name, new = change.names.get(self.key), change.names.get(self.new_key)
        if name and new and name != new and change.event_name == self.renames:
            return name, new, None
        if name and change.event_name == self.creates:
            return None, name, change.created_id
        if name and change.event_name == self.deletes:
            return name, None, f"{DELETED} {change.second}: {name}"
        return None


USERS = Named("userName", "newUserName", "UpdateUser", "CreateUser", "DeleteUser")
GROUPS = Named("groupName", "newGroupName", "UpdateGroup")


class Names:
    """The ids behind the names in a span of time.

    :param named: :data:`USERS` or :data:`GROUPS`
    :param now: the names of now, by id
    :param seconds: the span's changes as (second, list of changes), the oldest first
    :param is_over: whether the time for this is over
    """

    def __init__(
        self,
        named: Named,
        now: Mapping[str, str],
        seconds: list[tuple[int, list[Change]]],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self.named = named
        #: The last second of which the names are unknown, because the time was over.
        self.unknown_until = float("-inf")
        self._ids: defaultdict[tuple[int, str], set[str | None]] = defaultdict(set)
        #: The real ids of deleted users, by the ids that stand in for them.
        self._deleted: dict[str | None, str] = {}
        possible = [{name.lower(): unique_id for unique_id, name in now.items()}]
        for second, changes in reversed(seconds):
            if is_over():
                self.unknown_until = second
                break
            possible = self._back(possible, second, changes)

    def within(self, second: int, name: str) -> set[str | None]:
        """The ids of those whom a name in a change of a second may stand for; None for a group that is unknown."""
        ids = {self._deleted.get(unique_id, unique_id) for unique_id in self._ids[second, name]}
        return ids - {None} if self.named.all_known else ids  # the call succeeded, so somebody had the name

    def _back(
        self, possible: list[dict[str, str]], second: int, changes: list[Change]
    ) -> list[dict[str, str]]:
        """The possible names before a second, by the possible names after it."""
        clusters = clustered([move for change in changes if (move := self.named.move(change))])
        touched = {name for names, _ in clusters for name in names}
        asked = self._asked(changes)
        before: list[dict[str, str]] = []
        for known in possible:
            for name in asked - touched:
                self._ids[second, name].add(known.get(name))
            beginnings = []
            for names, moves in clusters:
                part = {name: known[name] for name in names if name in known}
                states, starts = ways_back(part, moves, self.named.all_known)
                beginnings.append(starts)
                for name in asked & names:
                    self._ids[second, name] |= {dict(state).get(name) for state in states}
            ways = list(itertools.islice(itertools.product(*beginnings), MAX_BEGINNINGS))
            for way in ways:
                earlier = dict(known) if len(ways) > 1 else known
                for name in touched:
                    earlier.pop(name, None)
                earlier.update(pair for start in way for pair in start)
                if len(ways) == len(possible) == 1 or earlier not in before:
                    before.append(earlier)
        self._recognize(second, changes)
        return before[:MAX_BEGINNINGS]

    def _asked(self, changes: list[Change]) -> set[str]:
        """The names whose owners in a second are needed: those in the requests, and the callers'."""
        names = {change.names[self.named.key] for change in changes if self.named.key in change.names}
        return names | {name for change in changes for name, _ in _caller_sign(change)}

    def _recognize(self, second: int, changes: list[Change]) -> None:
        """Learn the ids of deleted users, from the records of their creation and of what they did."""
        for change in changes:
            signs = _caller_sign(change)
            if change.event_name == self.named.creates and self.named.key in change.names:
                signs.append((change.names[self.named.key], change.created_id))
            for name, unique_id in signs:
                ids = self._ids[second, name]
                if unique_id and unique_id not in ids:
                    for stand_in in filter(_is_stand_in, ids):
                        self._deleted.setdefault(stand_in, unique_id)


def _is_stand_in(unique_id: str | None) -> bool:
    return bool(unique_id) and str(unique_id).startswith(DELETED)


def _caller_sign(change: Change) -> list[tuple[str, str | None]]:
    """The name and id of the user who made a change, if a user did."""
    who = change.caller
    return [(who.name.lower(), who.id)] if who and who.kind == "user" and who.name else []


def clustered(moves: list[Move]) -> list[tuple[set[str], list[Move]]]:
    """Moves that have nothing to do with each other, apart: pairs of names and the moves that touch them."""
    clusters: list[tuple[set[str], list[Move]]] = []
    for move in moves:
        names, together = {name for name in move[:2] if name}, [move]
        for cluster in [cluster for cluster in clusters if cluster[0] & names]:
            clusters.remove(cluster)
            names, together = names | cluster[0], cluster[1] + together
        clusters.append((names, together))
    return clusters


def ways_back(names: dict[str, str], moves: list[Move], all_known: bool) -> tuple[set[State], set[State]]:
    """All ways in which the moves of one second may have led to these names.

    :param names: the ids by name, of those that the moves touch
    :param moves: the moves, in any order
    :returns: the names before, between and after the moves, and those before them
    """
    states: set[State] = set()
    known: dict[tuple[State, tuple[Move, ...]], set[State]] = {}

    def visit(state: State, left: tuple[Move, ...]) -> set[State]:
        if not left:
            states.add(state)
            return {state}
        if (state, left) not in known and len(known) < MAX_STATES:
            known[state, left] = set()
            for number, move in enumerate(left):
                before = undone(dict(state), move, all_known) if move not in left[:number] else None
                if before is not None:
                    rest = left[:number] + left[number + 1 :]
                    known[state, left] |= visit(frozenset(before.items()), rest)
            if known[state, left]:
                states.add(state)
        return known.get((state, left), set())

    if len(moves) <= MAX_MOVES:
        beginnings = visit(frozenset(names.items()), tuple(sorted(moves, key=str)))
        if beginnings:
            return states, beginnings
    return _undone_as_far_as_possible(names, moves, all_known)


def _undone_as_far_as_possible(
    names: dict[str, str], moves: list[Move], all_known: bool
) -> tuple[set[State], set[State]]:
    """As :func:`ways_back`, if records are missing or there are too many: one way, as far as it goes."""
    states, left, is_going_on = {frozenset(names.items())}, list(moves), True
    while is_going_on:
        is_going_on = False
        for move in left:
            before = undone(names, move, all_known)
            if before is not None:
                left.remove(move)
                names, is_going_on = before, True
                states.add(frozenset(names.items()))
                break
    return states, {frozenset(names.items())}


def undone(names: dict[str, str], move: Move, all_known: bool) -> dict[str, str] | None:
    """The names before a move; None if it cannot have led to these names."""
    old, new, unique_id = move
    if new is None:  # somebody was deleted
        return {**names, str(old): str(unique_id)} if old not in names else None
    holder = names.get(new)
    if old is None:  # somebody was created
        if holder and (unique_id in (None, holder) or _is_stand_in(holder)):
            return {name: owner for name, owner in names.items() if name != new}
    elif old not in names:
        if holder:
            return {old if name == new else name: owner for name, owner in names.items()}
        if not all_known:  # a group that is no admin group
            return names
    return None
