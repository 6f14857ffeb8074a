"""Whom a name stood for, second by second, worked out backwards from the names of now. Pure.

CloudTrail's records name users and groups by the names of that moment, and carry whole seconds. The order within
one second is unknown, so every order counts that is possible: a name cannot be given while somebody has it.
"""

import itertools
from typing import NamedTuple

#: The id of a deleted user begins like this while nobody knows it.
DELETED = "deleted in"
#: How many moves of names that depend on each other are tried in every order, within one second; how many states
#: of their names are looked at meanwhile; and how many beginnings are followed further back.
MAX_MOVES, MAX_STATES, MAX_BEGINNINGS = 50, 5000, 16


class Named(NamedTuple):
    """What is named, and which calls change the names.

    :param key: the parameter with the name
    :param new_key: the parameter with the new name
    :param renames: the call that renames
    :param creates: the call that takes a new name, if the records have it
    :param deletes: the call that gives a name up, if the records have it
    """

    key: str
    new_key: str
    renames: str
    creates: str | None = None
    deletes: str | None = None

    @property
    def all_known(self):
        """Whether every name belongs to somebody who is known. Of the groups, only the admin groups are."""
        return self.creates is not None

    def move(self, second, change):
        """What a change did to the names, as (old name, new name, id); None if it did nothing to them."""
        name, new = change.get(self.key), change.get(self.new_key)
        if name and new and change["event"] == self.renames:
            return name, new, None
        if name and change["event"] == self.creates:
            return None, name, change["id"]
        if name and change["event"] == self.deletes:
            return name, None, f"{DELETED} {second}: {name}"
        return None


USERS = Named("userName", "newUserName", "UpdateUser", "CreateUser", "DeleteUser")
GROUPS = Named("groupName", "newGroupName", "UpdateGroup")


class Names:
    """Whom the names in a span of time stood for.

    :param named: :data:`USERS` or :data:`GROUPS`
    :param now: the names of now, by id
    :param seconds: the span's changes as (second, list of changes), the oldest first
    """

    def __init__(self, named, now, seconds):
        self.named, self.found, self.aliases = named, {}, {}
        possible = [{name.lower(): unique_id for unique_id, name in now.items()}]
        for second, changes in reversed(seconds):
            possible = self._back(possible, second, changes)

    def within(self, second, name):
        """The ids of those whom a name in a change of a second may stand for; None for a group that is unknown."""
        ids = {self.aliases.get(one, one) for one in self.found[second, name]}
        return ids - {None} if self.named.all_known else ids  # the call succeeded, so somebody had the name

    def _back(self, possible, second, changes):
        """The possible names before a second, by the possible names after it."""
        clusters = clustered([move for change in changes if (move := self.named.move(second, change))])
        touched = {name for names, _ in clusters for name in names}
        asked = {change[self.named.key] for change in changes if self.named.key in change}
        asked |= {who.name.lower() for change in changes if (who := change["who"]) and who.kind == "user"}
        before = []
        for known in possible:
            for name in asked - touched:
                self.found.setdefault((second, name), set()).add(known.get(name))
            parts = []
            for names, moves in clusters:
                part = {name: known[name] for name in names if name in known}
                states, beginnings = ways_back(part, moves, self.named.all_known)
                parts.append(beginnings)
                for name in asked & names:
                    ids = {dict(state).get(name) for state in states}
                    self.found.setdefault((second, name), set()).update(ids)
            ways = list(itertools.islice(itertools.product(*parts), MAX_BEGINNINGS))
            for way in ways:
                earlier = dict(known) if len(ways) > 1 else known
                for name in touched:
                    earlier.pop(name, None)
                earlier.update(pair for part in way for pair in part)
                if len(ways) == len(possible) == 1 or earlier not in before:
                    before.append(earlier)
        self._recognize(second, changes)
        return before[:MAX_BEGINNINGS]

    def _recognize(self, second, changes):
        """Learn the ids of deleted users, from the records of their creation and of what they did."""
        for change in changes:
            who = change["who"]
            signs = [(who.name.lower(), who.id)] if who and who.kind == "user" else []
            if change["event"] == self.named.creates:
                signs.append((change.get(self.named.key), change["id"]))
            for name, unique_id in signs:
                for one in self.found.get((second, name), ()):
                    if unique_id and one and one.startswith(DELETED):
                        self.aliases.setdefault(one, unique_id)


def clustered(moves):
    """Moves that have nothing to do with each other, apart: pairs of names and the moves that touch them."""
    found = []
    for move in moves:
        names, together = {name for name in move[:2] if name}, [move]
        for cluster in [cluster for cluster in found if cluster[0] & names]:
            found.remove(cluster)
            names, together = names | cluster[0], cluster[1] + together
        found.append((names, together))
    return found


def ways_back(names, moves, all_known):
    """All ways in which the moves of one second may have led to these names.

    :param names: the ids by name, of those that the moves touch
    :param moves: as :meth:`Named.move` returns them, in any order
    :returns: the names before, between and after the moves, and those before them, as sets of (name, id) pairs
    """
    states, known = set(), {}

    def visit(state, left):
        if not left:
            states.add(state)
            return {state}
        if (state, left) not in known and len(known) < MAX_STATES:
            known[state, left] = set()
            for number, move in enumerate(left):
                if move not in left[:number]:
                    for before in undone(dict(state), move, all_known):
                        rest = left[:number] + left[number + 1 :]
                        known[state, left] |= visit(frozenset(before.items()), rest)
            if known[state, left]:
                states.add(state)
        return known.get((state, left), set())

    now = frozenset(names.items())
    beginnings = visit(now, tuple(sorted(moves, key=str))) if len(moves) <= MAX_MOVES else None
    if not beginnings:  # the records lack something, or have too much: undo what can be undone
        states.add(now)
        left, before = list(moves), True
        while before:
            ways = ((move, earlier) for move in left for earlier in undone(names, move, all_known))
            before = next(ways, None)
            if before:
                left.remove(before[0])
                names = before[1]
                states.add(frozenset(names.items()))
        beginnings = {frozenset(names.items())}
    return states, beginnings


def undone(names, move, all_known):
    """The names before a move; nothing if it cannot have led to these names."""
    old, new, unique_id = move
    if new is None:
        if old not in names:
            yield {**names, old: unique_id}
    elif old is None:
        holder = names.get(new)
        if holder and (unique_id in (None, holder) or holder.startswith(DELETED)):
            yield {name: one for name, one in names.items() if name != new}
    elif old == new:
        yield names
    elif old not in names:
        if new in names:
            yield {old if name == new else name: one for name, one in names.items()}
        elif not all_known:  # a group that is no admin group
            yield names
