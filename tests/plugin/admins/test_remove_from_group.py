"""Taking somebody out of the admin groups: remove-from-admin-group, in this process."""

import pytest
from c7n.exceptions import PolicyExecutionError
from helpers import groups_of
from moto.iam.models import IAMBackend


@pytest.fixture
def remove(fresh, in_process, user, monkeypatch):
    """``remove("name", …)``: take somebody out of Admins by hand. friend is in Admins and in team."""
    fresh.client("iam").create_group(GroupName="team")
    user("friend", groups=["Admins", "team"])
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def run(*names, **options):
        data = {"type": "remove-from-admin-group", "groups": ["Admins"], **options}
        (action,) = in_process(actions=[data]).resource_manager.actions
        return action.process([{"UserName": name} for name in names])

    return run


@pytest.mark.parametrize(("observe", "decision"), [(False, "acted"), (True, "would-revoke")])
def test_a_member_is_out_of_the_admin_groups_alone(fresh, remove, logged, observe, decision):
    """Other groups stay; with ``observe`` all do, and the decision says which ones the user would leave."""
    assert remove("friend", observe=observe) == [{"UserName": "friend", "groups": ["Admins"]}]
    assert groups_of(fresh, "friend") == (["Admins", "team"] if observe else ["team"])
    assert [(line["decision"], line["groups"]) for line in logged()] == [(decision, ["Admins"])]


@pytest.mark.parametrize("observe", [False, True])
def test_a_member_who_is_out_already_is_let_pass(fresh, remove, logged, observe):
    """An admin was faster: nobody is told that the guard has removed, or would remove, anybody."""
    remove("bob", observe=observe)
    (decision,) = logged()
    assert decision["decision"] == "let-pass"
    assert decision["reason"] == "no member of the admin group any more"


def test_a_member_who_stays_in_the_group_fails_the_event(fresh, remove, monkeypatch, logged):
    """IAM says that the friend is removed, and they are not: nobody is told that it is done."""
    monkeypatch.setattr(IAMBackend, "remove_user_from_group", lambda self, group_name, user_name: None)
    with pytest.raises(PolicyExecutionError, match="friend is still a member of Admins"):
        remove("friend")
    assert [line["decision"] for line in logged()] == ["failed"]


def test_a_member_who_is_gone_or_renamed_fails_the_event_and_the_next_one_is_removed(fresh, remove):
    """Under another name they may still be a member."""
    with pytest.raises(PolicyExecutionError, match="nobody is gone or renamed: review the admin group"):
        remove("nobody", "friend")
    assert groups_of(fresh, "friend") == ["team"]
