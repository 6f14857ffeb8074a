"""Who was an admin when: held against groups to which all orders of the same changes are applied. Pure."""

import itertools
from datetime import datetime, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from c7n_iamguard.admins.membership import Membership

ACCOUNT = "111122223333"
START = 1_800_000_000
ADMINS = "AGPAADMINS"
PEOPLE = ("ada", "eve", "mallory", "friend")


def user_id(name):
    """The id of one of the people, who keep it under any name."""
    return f"AIDA{name.upper()}"


def record(second, who, event_name, **parameters):
    """The record of a successful call in a second of the span; ``who`` is a user's first name, or root."""
    when = datetime.fromtimestamp(START + second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = {
        "type": "IAMUser",
        "principalId": user_id(who),
        "arn": f"arn:aws:iam::{ACCOUNT}:user/{who}",
        "accountId": ACCOUNT,
        "userName": who,
    }
    if who == "root":
        identity = {"type": "Root", "principalId": ACCOUNT, "accountId": ACCOUNT}
    return {
        "eventName": event_name,
        "eventTime": when,
        "userIdentity": identity,
        "requestParameters": parameters,
    }


def add(second, who, user, group="admins"):
    return record(second, who, "AddUserToGroup", groupName=group, userName=user)


def remove(second, who, user, group="admins"):
    return record(second, who, "RemoveUserFromGroup", groupName=group, userName=user)


def membership(records, members, group="admins", users=PEOPLE):
    """The replay of records that ended with these members; only root is trusted beside the admins."""
    users = users if isinstance(users, dict) else {user_id(name): name for name in users}
    pairs = {(ADMINS, user_id(name)) for name in members}
    return Membership(records, {ADMINS: group}, users, pairs, lambda who: who.type == "Root")


@pytest.mark.parametrize(
    ("records", "members", "unlawful"),
    [
        ([], ["ada"], set()),
        ([add(1, "ada", "eve")], ["ada", "eve"], set()),
        ([add(1, "mallory", "friend")], ["ada", "friend"], {"friend"}),
        ([add(1, "mallory", "mallory")], ["ada", "mallory"], {"mallory"}),
        ([add(1, "root", "eve")], ["ada", "eve"], set()),
        # mallory adds herself, then a friend, in this order, in the other one, or in the same second
        ([add(1, "mallory", "mallory"), add(2, "mallory", "friend")], ["ada", "friend"], {"friend"}),
        ([add(2, "mallory", "friend"), add(1, "mallory", "mallory")], ["ada", "friend"], {"friend"}),
        ([add(1, "mallory", "mallory"), add(1, "mallory", "friend")], ["ada", "friend"], {"friend"}),
        # an admin who was added in the same second is one in some orders only
        ([add(1, "ada", "eve"), add(1, "eve", "friend")], ["ada", "eve", "friend"], {"friend"}),
        ([add(1, "ada", "eve"), add(2, "eve", "friend")], ["ada", "eve", "friend"], set()),
        # an admin whom another admin has removed since
        ([add(1, "eve", "friend"), remove(2, "ada", "eve")], ["ada", "friend"], set()),
        ([remove(1, "ada", "eve"), add(2, "eve", "friend")], ["ada", "friend"], {"friend"}),
        ([remove(1, "ada", "eve"), add(1, "eve", "friend")], ["ada", "friend"], {"friend"}),
        # out, and in again by somebody else
        ([remove(1, "ada", "eve"), add(2, "mallory", "eve")], ["ada", "eve"], {"eve"}),
    ],
)  # fmt: skip
def test_a_member_is_lawful_if_an_admin_added_them(records, members, unlawful):
    """Who is a member through somebody who was no admin at that moment is not lawful, in whatever order."""
    assert membership(records, members).unlawful_members() == {user_id(name) for name in unlawful}


def test_a_removal_that_changed_nothing_makes_nobody_an_admin():
    """Who adds a friend and removes themselves, as if they had been an admin: nobody can tell, and it is said."""
    found = membership([add(1, "mallory", "friend"), remove(2, "mallory", "mallory")], ["ada", "friend"])
    assert (found.unlawful_members(), found.doubtful_members()) == (set(), {user_id("friend")})
    assert not found.was_admin(user_id("mallory"), START)
    assert found.may_have_been_admin(user_id("mallory"), START)
    assert not found.may_have_been_admin(user_id("mallory"), START + 3)


def test_an_addition_under_another_name_of_the_group_counts():
    """The group is renamed, gets a friend and its old name back: the friend is not lawful."""
    records = [
        record(1, "mallory", "UpdateGroup", groupName="admins", newGroupName="x"),
        add(2, "mallory", "friend", "x"),
        record(3, "mallory", "UpdateGroup", groupName="x", newGroupName="admins"),
    ]
    for seconds in ((1, 2, 3), (1, 1, 1)):
        for one, second in zip(records, seconds, strict=True):
            one["eventTime"] = record(second, "ada", "-")["eventTime"]
        assert membership(records, ["ada", "friend"]).unlawful_members() == {user_id("friend")}
    assert membership([add(2, "mallory", "friend", "x")], ["ada"]).unlawful_members() == set()


def test_a_user_who_was_renamed_since_is_found():
    """A friend is added and renamed: they are not lawful under their new name."""
    records = [
        add(1, "mallory", "friend"),
        record(2, "mallory", "UpdateUser", userName="friend", newUserName="innocent"),
    ]
    users = {user_id("ada"): "ada", user_id("mallory"): "mallory", user_id("friend"): "innocent"}
    assert membership(records, ["ada", "friend"], users=users).unlawful_members() == {user_id("friend")}


def test_a_call_is_judged_by_the_membership_of_its_second():
    """Who was lawfully an admin when they called was one, whatever they are now."""
    found = membership(
        [add(10, "ada", "eve"), remove(20, "ada", "eve"), add(30, "mallory", "friend")], ["ada", "friend"]
    )
    at = [found.was_admin(user_id("eve"), START + second) for second in (9, 10, 15, 20, 21)]
    assert at == [False, True, True, True, False]
    assert not found.was_admin(user_id("friend"), START + 31)
    assert found.was_admin(user_id("ada"), START - 100)


CHANGES = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from(PEOPLE),
        st.sampled_from(["add", "remove"]),
        st.sampled_from(PEOPLE),
    ),
    max_size=5,
)


def simulated(start, changes):
    """The members in the end, and those of them who are lawful, for one order of changes.

    None if an admin removes somebody who is no member: that person counts as one before it.
    """
    members, lawful = set(start), set(start)
    for _, who, what, user in changes:
        if what == "add":
            if who in lawful:
                lawful.add(user)
            members.add(user)
        elif user not in members and who in lawful:
            return None
        else:
            members.discard(user)
            lawful.discard(user)
    return members, lawful


@settings(max_examples=300)
@given(CHANGES, st.sets(st.sampled_from(PEOPLE)))
@example([(1, "mallory", "add", "ada"), (2, "eve", "remove", "mallory")], {"eve"})
def test_a_member_who_is_unlawful_in_some_order_is_never_taken_for_lawful(changes, start):
    """For every order of the changes of each second: whoever it leaves unlawful is found."""
    changes.sort(key=lambda change: change[0])
    first = {}
    for _, _, what, user in changes:
        first.setdefault(user, set()).add(what) if first.get(user) is None else None
    # The records do not tell that somebody who is added first was a member before.
    start -= {user for user, what in first.items() if "add" in what}
    seconds = [list(found) for _, found in itertools.groupby(changes, lambda change: change[0])]
    orders = itertools.product(*(itertools.permutations(found) for found in seconds))
    for order in itertools.islice(orders, 200):
        played = [change for found in order for change in found]
        if (ended := simulated(start, played)) is None:
            continue
        members, lawful = ended
        records = [
            (add if what == "add" else remove)(second, who, user) for second, who, what, user in changes
        ]
        found = membership(records, members)
        suspects = found.unlawful_members() | found.doubtful_members()
        assert {user_id(name) for name in members - lawful} <= suspects
