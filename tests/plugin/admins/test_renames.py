"""The admins of each moment, held against a small IAM in which users and groups are renamed, made and deleted."""

import pytest
from admin_model import NOW, ROOT, START, add, answer_of, answers, create, is_trusted, record, remove
from admin_world import ADMINS, World
from hypothesis import given, settings
from hypothesis import strategies as st

from c7n_iamguard.admins.membership import Membership
from c7n_iamguard.admins.renames import USERS, Change, Names

STEPS = st.sampled_from(
    ["add", "add", "add", "remove", "rename_group", "rename_user", "move_user", "create_user", "delete_user"]
)
NUMBER = st.integers(0, 59)


def worlds(next_second):
    """Worlds in which several calls were made."""

    def world(admins, calls):
        world = World(admins)
        for call in calls:
            world.act(*call)
        return world

    calls = st.lists(st.tuples(next_second, NUMBER, STEPS, NUMBER, NUMBER), max_size=12)
    return st.builds(world, st.sets(st.sampled_from(["ada", "eve"]), min_size=1), calls)


@settings(max_examples=100)
@given(worlds(st.just(1)))
def test_with_a_second_for_each_call_the_answers_are_those_of_a_model_that_knows_all_ids(world):
    """Under whatever names: never wrong, and unknown only where the model does not know either."""
    judged, answer = world.membership(), answers(world.calls, world.admin_members)
    known = {caller for change in world.records for caller in [change["userIdentity"].get("principalId")]}
    for user in set(world.users) | known & world.ids:
        for second in range(world.second + 1):
            assert answer_of(judged, user, second) is answer(user, second)
    present = {user for _, user in world.admin_members}
    assert judged.unlawful_members() == {user for user in present if answer(user, NOW) is False}
    assert judged.doubtful_members() == {user for user in present if answer(user, NOW) is None}


@settings(max_examples=200)
@given(worlds(st.integers(0, 1)), st.integers(0, 24))
def test_with_several_calls_in_a_second_no_admin_is_denied_and_no_other_let_go(world, seconds):
    """In whatever order the calls of a second came, under whatever names: unknown, or what is true.

    Also if the time was over when the names of some seconds were known.
    """
    judged = world.membership(seconds)
    present = {user for _, user in world.admin_members}
    assert judged.unlawful_members() <= present - world.admins
    assert present - world.admins <= judged.unlawful_members() | judged.doubtful_members()
    for user, second in world.callers[True] - {(ROOT, second) for second in range(world.second + 1)}:
        assert answer_of(judged, user, second) is not False
    assert not any(judged.was_admin(user, START + second) for user, second in never_admins(world))


def never_admins(world):
    """Callers whom nobody can have made an admin in the second of their call, and who were none before it."""
    changed = {(call.user, call.second) for call in world.calls}
    return world.callers[False] - world.callers[True] - changed


def renamed(second, old, new):
    return record(second, "mallory", "UpdateUser", userName=old, newUserName=new)


ADA, EVE, FRIEND, MALLORY = (f"AIDA{name.upper()}" for name in ("ada", "eve", "friend", "mallory"))
SWAPPED = {ADA: "ada", EVE: "x", FRIEND: "eve", MALLORY: "mallory"}
#: what was called, the users by their ids, the members, who of them is unlawful and in doubt, and the group's name
HISTORIES = {
    # Nobody can tell, and eve is not put out for it.
    "what a deleted admin did": (
        [add(1, "ada", "eve"), remove(2, "eve", "ada"), record(3, "eve", "DeleteUser", userName="ada")],
        {EVE: "eve", FRIEND: "friend"}, {EVE}, set(), {EVE},
    ),
    "a new user of the name of a deleted admin, within a second": (
        [add(1, "ada", "eve"), remove(2, "ada", "eve"), record(3, "ada", "DeleteUser", userName="eve"),
         create(3, "mallory", "eve", "AIDANEW"), add(4, "mallory", "eve")],
        {ADA: "ada", "AIDANEW": "eve", MALLORY: "mallory"}, {ADA, "AIDANEW"}, {"AIDANEW"}, set(),
    ),
    "an addition while the name changes its owner": (
        [renamed(1, "eve", "x"), renamed(1, "friend", "eve"), add(1, "ada", "eve")],
        SWAPPED, {ADA, FRIEND}, set(), {FRIEND},
    ),
    # Eve, an admin, or friend is removed; if mallory then adds eve, nobody can tell whether eve was still one.
    "a removal while the name changes its owner": (
        [add(1, "ada", "eve"), renamed(2, "eve", "x"), renamed(2, "friend", "eve"), remove(2, "mallory", "eve"),
         add(3, "mallory", "x")],
        SWAPPED, {ADA, EVE}, set(), {EVE},
    ),
    # Before eve was created, nobody had the name, so that the addition can only have meant her.
    "created and made an admin in one second": (
        [create(1, "mallory", "eve"), add(1, ROOT, "eve")], {ADA: "ada", EVE: "eve"}, {ADA, EVE}, set(), set(),
    ),
    "an addition under another case of the names": (
        [create(1, "mallory", "friend"), add(2, "mallory", "FRIEND", "Admins")],
        {ADA: "ada", FRIEND: "friend", MALLORY: "mallory"}, {ADA, FRIEND}, {FRIEND}, set(),
    ),
    "a new user of a name that was given up in the same second": (
        [renamed(1, "eve", "x"), create(1, "mallory", "eve", "AIDANEW"), add(2, "mallory", "eve")],
        {ADA: "ada", EVE: "x", "AIDANEW": "eve"}, {ADA, EVE, "AIDANEW"}, {"AIDANEW"}, set(),
    ),
    "an addition before the group gives its name to another group within a second": (
        [create(0, "mallory", "friend"), add(1, "mallory", "friend"),
         record(2, "mallory", "UpdateGroup", groupName="admins", newGroupName="y"),
         record(2, "mallory", "UpdateGroup", groupName="other", newGroupName="admins")],
        {ADA: "ada", FRIEND: "friend", MALLORY: "mallory"}, {ADA, FRIEND}, {FRIEND}, set(), "y",
    ),
}  # fmt: skip


def replays(records, users, members, group="admins"):
    """The replays of the records in two orders."""
    members = {(ADMINS, user) for user in members}
    return [
        Membership(order, {ADMINS: group}, users, members, is_trusted) for order in (records, records[::-1])
    ]


@pytest.mark.parametrize("name", HISTORIES)
def test_a_name_that_changes_hands_frames_nobody_and_hides_nobody(name):
    """In whatever order the records come."""
    records, users, members, unlawful, doubtful, *group = HISTORIES[name]
    for found in replays(records, users, members, *group):
        assert (found.unlawful_members(), found.doubtful_members()) == (unlawful, doubtful)


def test_who_takes_the_name_of_a_deleted_admin_in_that_second_was_no_admin_before():
    """Eve, an admin, is deleted, and mallory gets her name and calls within the same second."""
    records = [
        add(1, "ada", "eve"),
        remove(3, "ada", "eve"),
        record(4, "ada", "DeleteUser", userName="eve"),
        renamed(4, "mallory", "eve"),
        record(4, "eve", "UpdateUser", MALLORY, userName="eve", newPath="/x/"),
    ]
    for found in replays(records, {ADA: "ada", MALLORY: "eve"}, {ADA}):
        assert answer_of(found, MALLORY, 2) is False


def test_a_flood_of_renames_in_one_second_hides_nobody():
    """With 1,000 renames in a second, whoever had a name before them is still known."""
    now = {f"AIDA{n}": f"b{n}" for n in range(1000)}
    asked = Change(1, "AddUserToGroup", None, {"userName": "a7", "groupName": "admins"})
    flood = [("a7", "x"), *[("x", "y"), ("y", "x")] * 100, ("x", "b7")]
    for renames in ([(f"a{n}", f"b{n}") for n in range(1000)], flood, flood[::-1], sorted(flood)):
        changes = [
            Change(2, "UpdateUser", None, {"userName": old, "newUserName": new}) for old, new in renames
        ]
        assert Names(USERS, now, [(1, [asked]), (2, changes)]).within(1, "a7") == {"AIDA7"}
