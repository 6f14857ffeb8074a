"""A plain model of admin groups: it plays every history that a list of calls leaves open. Pure.

It knows no names and no records of CloudTrail. Users and groups are ids, and callers who are users, too.
"""

import itertools
from datetime import datetime, timezone
from typing import NamedTuple

from trail import ACCOUNT, role, user

START = 1_800_000_000
#: After all calls.
NOW = float("inf")
#: Callers who are no users: one whom everybody trusts, one whom nobody does, and one of whom nobody can tell.
ROOT, STRANGER, DOUBTED = "root", "stranger", "doubted"


class Call(NamedTuple):
    """A call that succeeded. It may have changed nothing.

    :param what: ``add``, ``remove``, or ``create`` without a group
    """

    second: int
    caller: str
    what: str
    user: str
    group: str | None = None


def played(calls, members, trusts_doubted=False):
    """Play calls in their order.

    :param members: who was a member before, as (group, user)
    :returns: who is a member afterwards, and who was an admin in each second, at least for a part of it
    """
    members, admins, admins_in = set(members), set(members), []
    for second in range(max((call.second for call in calls), default=0) + 2):
        admins_in.append({user for _, user in admins})
        while calls and calls[0].second == second:
            call, *calls = calls
            is_trusted = call.caller == ROOT or (call.caller == DOUBTED and trusts_doubted)
            if call.what == "remove":
                members.discard((call.group, call.user))
                admins.discard((call.group, call.user))
            elif call.what == "add":
                members.add((call.group, call.user))
                if is_trusted or any(user == call.caller for _, user in admins):
                    admins.add((call.group, call.user))
            admins_in[-1] |= {user for _, user in admins}
    return members, admins_in


def orders(calls):
    """Every order that the calls may have had, if their seconds alone are known."""
    seconds = itertools.groupby(sorted(calls), lambda call: call.second)
    orders_of_seconds = [list(itertools.permutations(together)) for _, together in seconds]
    return [list(itertools.chain(*order)) for order in itertools.product(*orders_of_seconds)]


def beginnings(calls, members):
    """Everything that the members may have been before the calls, if they are these after them."""
    changed = {(call.group, call.user) for call in calls if call.group}
    created = {call.user for call in calls if call.what == "create"}
    pairs = sorted(pair for pair in changed if pair[1] not in created)
    for chosen in itertools.product([False, True], repeat=len(pairs)):
        yield members - changed | set(itertools.compress(pairs, chosen))


def answers(calls, members):
    """The admins of each moment, as far as anybody can tell from the calls.

    :param members: who is a member after the calls
    :returns: for each second, whether a user was an admin in it, at least for a part: True, False, or None
    """
    trusts = [False, True] if any(call.caller == DOUBTED for call in calls) else [False]
    histories = []
    for beginning, order, trust in itertools.product(beginnings(calls, members), orders(calls), trusts):
        members_after, admins_in = played(order, beginning, trust)
        if members_after == members:
            histories.append(admins_in)

    def answer(user, second):
        possible = {user in admins_in[min(second, len(admins_in) - 1)] for admins_in in histories}
        return possible.pop() if len(possible) == 1 else None

    return answer


def is_trusted(who, second):
    """Whether a caller who is no user may make admins."""
    return {ROOT: True, DOUBTED: None}.get(who.name or who.type.lower(), False)


def answer_of(membership, user_id, second):
    """The answer of the replay, as the model's."""
    return membership.was_admin(user_id, START + second)


def record(second, caller, event_name, caller_id=None, **parameters):
    """The record of a successful call by a user or role of that name, or by root."""
    identity = {"type": "Root", "principalId": ACCOUNT, "accountId": ACCOUNT}
    if caller in (STRANGER, DOUBTED):
        identity = role(caller)
    elif caller != ROOT:
        identity = user(caller, caller_id or f"AIDA{caller.upper()}")
    return {
        "eventName": event_name,
        "eventTime": datetime.fromtimestamp(START + second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "userIdentity": identity,
        "requestParameters": parameters,
    }


def add(second, caller, user, group="admins"):
    return record(second, caller, "AddUserToGroup", groupName=group, userName=user)


def remove(second, caller, user, group="admins"):
    return record(second, caller, "RemoveUserFromGroup", groupName=group, userName=user)


def create(second, caller, user, unique_id=None):
    elements = {"user": {"userName": user, "userId": unique_id or f"AIDA{user.upper()}"}}
    return record(second, caller, "CreateUser", userName=user) | {"responseElements": elements}
