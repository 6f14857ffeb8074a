"""Who was an admin when, held against a small IAM in which users and groups are renamed, made and deleted."""

from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st
from trail import ACCOUNT, user

from c7n_iamguard.admins.membership import Membership
from c7n_iamguard.admins.renames import USERS, Names

START = 1_800_000_000
ADMINS, OTHER = "AGPAADMINS", "AGPAOTHER"
USER_NAMES, GROUP_NAMES = ("ada", "eve", "mallory", "friend", "x"), ("admins", "other", "y")


def record(second, who, event_name, **parameters):
    """The record of a successful call by somebody of that name, or by root."""
    root = {"type": "Root", "principalId": ACCOUNT, "accountId": ACCOUNT}
    return {
        "eventName": event_name,
        "eventTime": datetime.fromtimestamp(START + second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "userIdentity": root if who == "root" else user(who, f"AIDA{who.upper()}"),
        "requestParameters": parameters,
    }


class World:
    """IAM, as far as groups go: it refuses what IAM refuses, and keeps a record of what it does."""

    def __init__(self, admins):
        self.users = {f"AIDA{name.upper()}": name for name in USER_NAMES[:4]}
        self.groups = {ADMINS: "admins", OTHER: "other"}
        self.members = {(ADMINS, f"AIDA{name.upper()}") for name in admins}
        self.lawful = set(self.members)
        self.records, self.second = [], 0
        #: Whether each caller was lawfully an admin right before their call, as (id, second).
        self.admins, self.others = set(), set()

    def act(self, next_second, actor, what, one, other):
        """One call, if it is possible: the numbers choose who makes it, and on whom or what."""
        self.second += next_second
        actor = [*self.users, "root"][actor % (len(self.users) + 1)]
        is_admin = actor == "root" or (ADMINS, actor) in self.lawful
        name = self.users.get(actor, "root")
        event = getattr(self, what)(is_admin, one, other)
        if event:
            event_name, parameters, elements = event
            made = record(self.second, name, event_name, **parameters)
            if actor != "root":
                made["userIdentity"]["principalId"] = actor
                (self.admins if is_admin else self.others).add((actor, self.second))
            self.records.append(made | {"responseElements": elements})

    def add(self, is_admin, one, other):
        user, group = sorted(self.users)[one % len(self.users)], (ADMINS, ADMINS, OTHER)[other % 3]
        if (group, user) in self.members:
            return None  # nothing would tell that it changed nothing
        self.members.add((group, user))
        if is_admin:
            self.lawful.add((group, user))
        return "AddUserToGroup", {"groupName": self.groups[group], "userName": self.users[user]}, None

    def remove(self, is_admin, one, other):
        if not self.members:
            return None
        group, user = pair = sorted(self.members)[one % len(self.members)]
        self.members.discard(pair)
        self.lawful.discard(pair)
        return "RemoveUserFromGroup", {"groupName": self.groups[group], "userName": self.users[user]}, None

    def rename_group(self, is_admin, one, other):
        group, new = (ADMINS, OTHER)[one % 2], GROUP_NAMES[other % 3]
        if new in self.groups.values():
            return None
        old, self.groups[group] = self.groups[group], new
        return "UpdateGroup", {"groupName": old, "newGroupName": new}, None

    def rename_user(self, is_admin, one, other):
        user, new = sorted(self.users)[one % len(self.users)], USER_NAMES[other % 5]
        if new in self.users.values():
            return None
        old, self.users[user] = self.users[user], new
        return "UpdateUser", {"userName": old, "newUserName": new}, None

    def create_user(self, is_admin, one, other):
        new = USER_NAMES[other % 5]
        if new in self.users.values():
            return None
        unique_id = f"AIDANEW{len(self.records)}"
        self.users[unique_id] = new
        return "CreateUser", {"userName": new}, {"user": {"userName": new, "userId": unique_id}}

    def delete_user(self, is_admin, one, other):
        user = sorted(self.users)[one % len(self.users)]
        if len(self.users) < 3 or any(member == user for _, member in self.members):
            return None
        return "DeleteUser", {"userName": self.users.pop(user)}, None

    def membership(self):
        """What the records tell, out of their order."""
        members = {pair for pair in self.members if pair[0] == ADMINS}
        groups = {ADMINS: self.groups[ADMINS]}
        return Membership(self.records[::-1], groups, self.users, members, lambda who: who.type == "Root")

    def unlawful(self):
        """The ids of the members whom nobody lawful added."""
        return {user for group, user in self.members - self.lawful if group == ADMINS}


STEPS = st.sampled_from(
    ["add", "add", "add", "remove", "rename_group", "rename_user", "create_user", "delete_user"]
)
NUMBER = st.integers(0, 59)


def worlds(next_second):
    """Worlds in which several calls were made."""

    def world(admins, calls):
        made = World(admins)
        for call in calls:
            made.act(*call)
        return made

    calls = st.lists(st.tuples(next_second, NUMBER, STEPS, NUMBER, NUMBER), max_size=12)
    return st.builds(world, st.sets(st.sampled_from(["ada", "eve"]), min_size=1), calls)


@settings(max_examples=400)
@given(worlds(st.just(1)))
def test_with_a_second_for_each_call_the_records_tell_who_is_lawful(world):
    """Under whatever names, each unlawful member is found or doubted, and no lawful one is found."""
    found = world.membership()
    assert found.unlawful_members() <= world.unlawful()
    assert world.unlawful() <= found.unlawful_members() | found.doubtful_members()
    for user_id, second in world.admins:
        at = START + second
        assert found.was_admin(user_id, at) or found.may_have_been_admin(user_id, at)
    assert not any(found.was_admin(user_id, START + second) for user_id, second in _never_admins(world))


def _never_admins(world):
    """Who made a call in a second at the beginning of which they were no admin, and did not become one by it."""
    added = {(user, second) for user, second in world.others if (ADMINS, user) in world.lawful}
    return world.others - added


@settings(max_examples=400)
@given(worlds(st.integers(0, 1)))
def test_with_several_calls_in_a_second_no_unlawful_member_is_missed(world):
    """If nobody knows the order within a second, a member who is unlawful in the true order is found or doubted."""
    found = world.membership()
    assert world.unlawful() <= found.unlawful_members() | found.doubtful_members()


def judged(records, members, users=None):
    """The unlawful and the doubtful members by the records, in either order."""
    users = users or {f"AIDA{name.upper()}": name for name in USER_NAMES[:4]}
    pairs = {(ADMINS, f"AIDA{name.upper()}") for name in members}
    for order in (records, records[::-1]):
        found = Membership(order, {ADMINS: "admins"}, users, pairs, lambda who: who.type == "Root")
        yield found.unlawful_members(), found.doubtful_members()


def add(second, who, user):
    return record(second, who, "AddUserToGroup", groupName="admins", userName=user)


def remove(second, who, user):
    return record(second, who, "RemoveUserFromGroup", groupName="admins", userName=user)


def test_what_a_deleted_admin_did_is_not_taken_for_unlawful():
    """Ada adds eve, eve removes ada, ada is deleted: nobody can tell, and eve is not put out for it."""
    records = [add(1, "ada", "eve"), remove(2, "eve", "ada"), record(3, "eve", "DeleteUser", userName="ada")]
    users = {"AIDAEVE": "eve", "AIDAFRIEND": "friend"}
    assert list(judged(records, ["eve"], users)) == [(set(), {"AIDAEVE"})] * 2


def test_who_was_added_and_removed_in_one_second_may_have_been_no_admin_after_it():
    """The order within the second is unknown, and so is whether what they did later was lawful."""
    records = [add(1, "ada", "eve"), remove(1, "ada", "eve"), add(2, "eve", "friend")]
    for unlawful, doubtful in judged([*records, remove(3, "ada", "eve")], ["ada", "friend"]):
        assert (unlawful, doubtful) == (set(), {"AIDAFRIEND"})
    for unlawful, _ in judged(records, ["ada", "friend"]):
        assert unlawful == {"AIDAFRIEND"}  # eve is no member now, so the removal came last
    for unlawful, doubtful in judged(records, ["ada", "eve", "friend"]):
        assert unlawful | doubtful == set()  # eve is one now, so the addition came last


def test_the_last_of_two_additions_in_one_second_may_be_the_unlawful_one():
    """Added by an admin, removed, and added by themselves within a second: the last may have been any."""
    records = [add(1, "ada", "mallory"), remove(1, "ada", "mallory"), add(1, "mallory", "mallory")]
    assert list(judged(records, ["ada", "mallory"])) == [({"AIDAMALLORY"}, set())] * 2


def test_an_addition_under_a_name_that_changes_its_owner_in_that_second_is_in_doubt():
    """Ada adds eve while somebody swaps eve's name: whom she meant, and whom IAM took, nobody can tell."""
    records = [
        record(1, "mallory", "UpdateUser", userName="eve", newUserName="x"),
        record(1, "mallory", "UpdateUser", userName="friend", newUserName="eve"),
        add(1, "ada", "eve"),
    ]
    users = {"AIDAADA": "ada", "AIDAEVE": "x", "AIDAFRIEND": "eve", "AIDAMALLORY": "mallory"}
    assert list(judged(records, ["ada", "friend"], users)) == [(set(), {"AIDAFRIEND"})] * 2


def test_who_is_created_and_made_an_admin_in_one_second_is_one_for_certain():
    """Before they were created, nobody had the name, so that the addition can only have meant them."""
    made = {"responseElements": {"user": {"userId": "AIDAEVE"}}}
    records = [record(1, "root", "CreateUser", userName="eve") | made, add(1, "root", "eve")]
    assert list(judged(records, ["ada", "eve"])) == [(set(), set())] * 2


def test_a_user_made_under_a_name_that_was_given_up_in_the_same_second_is_found():
    """Eve is renamed, somebody new gets her name and joins the admins: it is the new one who joined."""
    records = [
        record(1, "mallory", "UpdateUser", userName="eve", newUserName="x"),
        record(1, "mallory", "CreateUser", userName="eve")
        | {"responseElements": {"user": {"userId": "AIDANEW"}}},
        add(2, "mallory", "eve"),
    ]
    users = {"AIDAADA": "ada", "AIDAEVE": "x", "AIDANEW": "eve"}
    assert list(judged(records, ["ada", "eve", "new"], users)) == [({"AIDANEW"}, set())] * 2


def test_two_renames_in_one_second_do_not_hide_an_addition():
    """The group gives its name to another group within a second: who was added to it before is still found."""
    records = [
        record(1, "mallory", "AddUserToGroup", groupName="admins", userName="friend"),
        record(2, "mallory", "UpdateGroup", groupName="admins", newGroupName="y"),
        record(2, "mallory", "UpdateGroup", groupName="other", newGroupName="admins"),
    ]
    users = {f"AIDA{name.upper()}": name for name in USER_NAMES[:4]}
    members = {(ADMINS, "AIDAADA"), (ADMINS, "AIDAFRIEND")}
    for order in (records, records[::-1]):
        found = Membership(order, {ADMINS: "y"}, users, members, lambda who: False)
        assert found.unlawful_members() == {"AIDAFRIEND"}


def within(changes, now):
    """Whom the name ``a7`` stood for, in the second before these changes."""
    change = {"event": "UpdateUser", "who": None}
    changes = [{**change, "userName": old, "newUserName": new} for old, new in changes]
    asked = {"event": "AddUserToGroup", "who": None, "userName": "a7", "groupName": "admins"}
    return Names(USERS, now, [(1, [asked]), (2, changes)]).within(1, "a7")


def test_a_flood_of_renames_in_one_second_hides_nobody():
    """With 1,000 renames in a second, whoever had a name before them is still known."""
    now = {f"AIDA{n}": f"b{n}" for n in range(1000)}
    assert within([(f"a{n}", f"b{n}") for n in range(1000)], now) == {"AIDA7"}
    flood = [("a7", "x"), *[("x", "y"), ("y", "x")] * 100, ("x", "b7")]
    for order in (flood, flood[::-1], sorted(flood)):
        assert within(order, now) == {"AIDA7"}
