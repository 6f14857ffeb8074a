"""The admins of each moment, against a plain model that plays every history that the records leave open. Pure."""

import pytest
from admin_model import (
    DOUBTED,
    NOW,
    ROOT,
    START,
    STRANGER,
    Call,
    add,
    answer_of,
    answers,
    create,
    is_trusted,
    played,
    record,
    remove,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from c7n_iamguard.admins.membership import Membership

ADMINS, DEPUTIES = "AGPAADMINS", "AGPADEPUTIES"
PEOPLE = ("ada", "eve", "mallory", "friend")


def user_id(name):
    """The id of one of the people, who keep it under any name."""
    return f"AIDA{name.upper()}"


def membership(records, members):
    """The replay of records that ended with these members."""
    pairs = {(ADMINS, user_id(name)) for name in members}
    return Membership(
        records, {ADMINS: "admins"}, {user_id(name): name for name in PEOPLE}, pairs, is_trusted
    )


NEW_MALLORY, NEW_FRIEND, NEW_EVE = (create(0, "ada", name) for name in ("mallory", "friend", "eve"))


@pytest.mark.parametrize(
    ("records", "members", "unlawful", "doubtful"),
    [
        ([add(1, ROOT, "eve")], ["ada", "eve"], "", ""),
        ([add(1, DOUBTED, "eve")], ["ada", "eve"], "", "eve"),
        # by a non-admin: eve may have been an admin whom mallory frames, unless she is new or was out before
        ([add(1, "mallory", "eve")], ["ada", "eve"], "", "eve"),
        ([add(1, STRANGER, "eve")], ["ada", "eve"], "", "eve"),
        ([NEW_EVE, add(1, "mallory", "eve")], ["ada", "eve"], "eve", ""),
        ([remove(1, "ada", "eve"), add(2, "mallory", "eve")], ["ada", "eve"], "eve", ""),
        ([add(1, "ada", "eve"), add(2, "mallory", "eve")], ["ada", "eve"], "", ""),
        # ada makes eve an admin, and somebody adds ada once more, which changes nothing
        ([add(1, "ada", "eve"), add(2, "eve", "ada")], ["ada", "eve"], "", "ada eve"),
        ([add(1, "ada", "eve"), add(2, "eve", "ada"), add(3, ROOT, "eve")], ["ada", "eve"], "", "ada"),
        ([add(1, "ada", "eve"), add(2, ROOT, "ada")], ["ada", "eve"], "", "eve"),
        # mallory, who is new, adds herself and then a friend, in whatever order the records come
        ([add(2, "mallory", "friend"), NEW_FRIEND, add(1, "mallory", "mallory"), NEW_MALLORY],
         ["ada", "mallory", "friend"], "mallory friend", ""),
        # an admin who was added in the same second is one in some orders only
        ([NEW_EVE, NEW_FRIEND, add(1, "ada", "eve"), add(1, "eve", "friend")],
         ["ada", "eve", "friend"], "", "friend"),
        ([NEW_EVE, NEW_FRIEND, add(1, "ada", "eve"), add(2, "eve", "friend")],
         ["ada", "eve", "friend"], "", ""),
        # whoever was removed may have been an admin before, whoever removed them, and nobody can tell
        ([add(1, "eve", "friend"), remove(2, "ada", "eve")], ["ada", "friend"], "", "friend"),
        ([NEW_FRIEND, remove(1, "ada", "eve"), add(2, "eve", "friend")], ["ada", "friend"], "friend", ""),
        ([NEW_FRIEND, remove(1, "ada", "eve"), add(1, "eve", "friend")], ["ada", "friend"], "", "friend"),
        ([NEW_FRIEND, add(1, "ada", "eve"), remove(2, "ada", "eve"), add(3, "eve", "friend")],
         ["ada", "friend"], "friend", ""),
        ([remove(1, "ada", "eve"), add(1, "eve", "eve")], ["ada", "eve"], "eve", ""),
        # added and removed in one second: what they are now tells which call came last
        ([NEW_EVE, add(1, "ada", "eve"), remove(1, "ada", "eve"), NEW_FRIEND, add(2, "eve", "friend")],
         ["ada", "eve", "friend"], "", ""),
        ([NEW_EVE, add(1, "ada", "eve"), remove(1, "ada", "eve"), NEW_FRIEND, add(2, "eve", "friend")],
         ["ada", "friend"], "friend", ""),
        ([add(1, "ada", "eve"), remove(1, "ada", "eve"), add(1, "eve", "eve")], ["ada", "eve"], "", "eve"),
        # records that are missing, or not there yet
        ([remove(1, "ada", "eve")], ["ada", "eve"], "", "eve"),
        ([NEW_EVE], ["ada", "eve"], "", "eve"),
        ([NEW_EVE, add(1, "ada", "eve") | {"userIdentity": {}}], ["ada", "eve"], "", "eve"),
    ],
)  # fmt: skip
def test_whether_a_member_is_lawful(records, members, unlawful, doubtful):
    """A member is unlawful if they are no admin in any order and from any beginning; in doubt, if in some."""
    found = membership(records, members)
    assert found.unlawful_members() == {user_id(name) for name in unlawful.split()}
    assert found.doubtful_members() == {user_id(name) for name in doubtful.split()}


def test_an_addition_after_the_last_second_that_counts_is_left_out_and_repeating_one_hides_nobody():
    """The event path has its time for an addition; adding the friend once more does not start that time again."""
    records = [NEW_FRIEND, add(10, "mallory", "friend"), add(50, "mallory", "friend")]
    judged = membership(records, ["ada", "friend"])
    assert judged.unlawful_members(START + 9) == set()
    assert judged.unlawful_members(START + 10) == {user_id("friend")}
    records = [add(10, "ada", "friend"), remove(20, "ada", "friend"), add(50, "mallory", "friend")]
    assert membership(records, ["ada", "friend"]).unlawful_members(START + 49) == set()


def test_an_addition_under_another_name_of_the_group_counts():
    """The group is renamed, gets a friend and its old name back: the friend is not lawful."""
    records = [
        record(1, "mallory", "UpdateGroup", groupName="admins", newGroupName="x"),
        add(2, "mallory", "friend", "x"),
        record(3, "mallory", "UpdateGroup", groupName="x", newGroupName="admins"),
    ]
    for seconds in ((1, 2, 3), (1, 1, 1)):
        for call, second in zip(records, seconds, strict=True):
            call["eventTime"] = record(second, "ada", "-")["eventTime"]
        judged = membership([NEW_FRIEND, *records], ["ada", "friend"])
        assert judged.unlawful_members() | judged.doubtful_members() == {user_id("friend")}
    assert membership([add(2, "mallory", "friend", "x")], ["ada"]).doubtful_members() == set()


ADA, MALLORY = user_id("ada"), user_id("mallory")
BY_MALLORY = Call(2, MALLORY, "add", user_id("friend"), ADMINS)
CALLS = st.lists(
    st.builds(
        Call,
        st.sampled_from([2, 4, 6]),
        st.sampled_from([*map(user_id, PEOPLE), ROOT, STRANGER, DOUBTED]),
        st.sampled_from(["add", "remove"]),
        st.sampled_from([user_id(name) for name in PEOPLE]),
        st.sampled_from([ADMINS, ADMINS, DEPUTIES]),
    ),
    max_size=5,
)
MEMBERS = st.sets(st.tuples(st.just(ADMINS), st.sampled_from([user_id(name) for name in PEOPLE])))


def records_of(calls):
    """CloudTrail's records of the model's calls, and a change of a path, which changes nobody's name."""
    groups = {ADMINS: "admins", DEPUTIES: "deputies"}
    yield record(3, "mallory", "UpdateUser", userName="ada", newPath="/x/")
    yield record(4, "mallory", "UpdateGroup", groupName="admins", newPath="/y/")
    for call in calls:
        make = {"add": add, "remove": remove, "create": create}[call.what]
        of_whom = [call.user.removeprefix("AIDA").lower(), *([groups[call.group]] if call.group else [])]
        yield make(call.second, call.caller.removeprefix("AIDA").lower(), *of_whom)


@settings(max_examples=100)
@given(CALLS, MEMBERS, st.sets(st.sampled_from(PEOPLE)))
@example([Call(2, ADA, "add", user_id("eve"), ADMINS)], {(ADMINS, ADA)}, {"eve"})
# A removal that changes nothing makes nobody an admin.
@example([BY_MALLORY, Call(4, ROOT, "remove", MALLORY, ADMINS)], {(ADMINS, ADA)}, {"friend"})
@example([BY_MALLORY, Call(4, MALLORY, "remove", MALLORY, ADMINS)], {(ADMINS, ADA)}, {"friend"})
@example([Call(second, ADA, "remove", MALLORY, ADMINS) for second in (2, 6)], {(ADMINS, ADA)}, set())
def test_the_answers_are_those_of_a_plain_model(calls, before, created):
    """Sure wherever every possible history agrees, and unknown wherever two of them differ."""
    before = {pair for pair in before if pair[1].removeprefix("AIDA").lower() not in created}
    calls += [Call(0, ROOT, "create", user_id(name)) for name in created]
    members, _ = played(sorted(calls, key=lambda call: call.second), before)
    users = {user_id(name): name for name in PEOPLE}
    groups = {ADMINS: "admins", DEPUTIES: "deputies"}
    judged = Membership(reversed([*records_of(calls)]), groups, users, members, is_trusted)
    answer = answers(calls, members)
    for user in users:
        for second in range(8):
            assert answer_of(judged, user, second) is answer(user, second)
    present = {user for _, user in members}
    assert judged.unlawful_members() == {user for user in present if answer(user, NOW) is False}
    assert judged.doubtful_members() == {user for user in present if answer(user, NOW) is None}
