"""The filter unintended-admin-group-member in this process: members of the admin group by who added them."""

from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from c7n.exceptions import PolicyExecutionError
from helpers import PROTECT, backend, made, moto_group, pinned, policy, shipped

from c7n_iamguard.admins import protect_group


@pytest.fixture
def slept(fresh, monkeypatch):
    """The seconds that the filter has waited; ``slept.meanwhile`` is what happens while it waits."""

    class Slept(list):
        def meanwhile(self):
            pass

    found = Slept()
    sleep = lambda seconds: (found.append(seconds), found.meanwhile())  # noqa: E731
    monkeypatch.setattr(protect_group, "time", SimpleNamespace(sleep=sleep))
    return found


@pytest.fixture
def unintended(fresh, slept, monkeypatch):
    """``unintended(group, user, caller, age)``: a caller adds a user to a group, and whom the filter finds."""
    data = pinned(
        shipped(PROTECT, admin_groups=["Admins"]), groups={"Admins": moto_group(fresh, "Admins").id}
    )
    (criterion,) = policy(data, fresh.environ(), monkeypatch).resource_manager.filters

    def find(caller, user, group="Admins", age=timedelta(), since=lambda: None):
        fresh.pending.clear()
        caller.iam.add_user_to_group(GroupName=group, UserName=user)
        (event,) = fresh.pending
        since()
        return [found["UserName"] for found in criterion.process([{"UserName": user}], made(event, age))]

    return find


@pytest.fixture
def ada(user):
    """An admin, with somebody to add."""
    user("friend")
    return user("ada", groups=["Admins"])


def leave(sandbox, name="ada"):
    sandbox.client("iam").remove_user_from_group(GroupName="Admins", UserName=name)


DAY = timedelta(days=1)


def test_an_admins_addition_is_judged_once_more_when_events_have_settled(fresh, ada, unintended, slept):
    """Another event may take the caller out again meanwhile; an old event is judged at once."""
    assert unintended(ada, "friend", age=DAY) == []
    assert slept == [0]
    slept.meanwhile = lambda: leave(fresh)
    assert unintended(ada, "friend") == ["friend"]
    assert slept == [0, 20]


@pytest.mark.parametrize("by", ["attacker", "ada"])
def test_an_admin_whom_a_non_admin_adds_to_another_group_is_left_to_people(fresh, request, unintended, by):
    """Names may have been swapped: the event fails, unless an admin called."""
    caller = request.getfixturevalue(by)
    fresh.client("iam").create_group(GroupName="team")
    if by == "ada":
        assert unintended(caller, "alice", "team") == []
    else:
        with pytest.raises(PolicyExecutionError, match="whether that was the admin group under another name"):
            unintended(caller, "alice", "team")


def test_an_old_addition_by_somebody_who_is_no_admin_now_fails(fresh, ada, unintended):
    """A redriven event whose caller has left the group since: whom they added stays, and somebody must look."""
    with pytest.raises(PolicyExecutionError, match="is no admin now"):
        unintended(ada, "friend", age=DAY, since=lambda: leave(fresh))


@pytest.mark.parametrize("age", [timedelta(), DAY])
def test_a_caller_who_is_gone_was_no_admin_or_is_left_to_people(fresh, attacker, user, unintended, age):
    """Right after the call they were none; long after, nobody can tell."""
    user("friend")
    gone = partial(backend(fresh).users.pop, "mallory")
    find = partial(unintended, attacker, "friend", age=age, since=gone)
    if not age:
        assert find() == ["friend"]
    else:
        with pytest.raises(PolicyExecutionError, match=r"mallory, who added somebody .* is gone"):
            find()


def test_the_caller_of_an_old_event_is_found_by_id(fresh, ada, user, unintended):
    """An admin was renamed long ago, and a non-admin has the name now: whom the admin added stays."""
    user("successor")

    def swap():
        for old, new in (("ada", "ada-2"), ("successor", "ada")):
            fresh.client("iam").update_user(UserName=old, NewUserName=new)

    assert unintended(ada, "friend", age=DAY, since=swap) == []
