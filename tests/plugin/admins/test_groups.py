"""The admin groups: pinned by id at a deployment, and looked for by id before each denial."""

from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from helpers import case, moto_group

from c7n_iamguard.admins import groups
from c7n_iamguard.errors import Refusal
from c7n_iamguard.event import IAMEvent

NOON = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


@pytest.fixture
def element(in_process):
    """A filter of an account with the groups Admins, of which alice is a member, and later ops, which is empty."""
    data = {"type": "admin-group-member", "groups": ["Admins"]}
    return in_process(filters=[data]).resource_manager.filters[0]


def test_all_pinned_groups_exist_and_one_has_a_member(fresh, element):
    """A missing group is refused, and so are groups without any member; one of several may be empty."""
    iam, names = fresh.client("iam"), ["ops", "Admins"]
    with pytest.raises(Refusal, match="the admin group 'ops' does not exist"):
        groups.pin(element, names)
    iam.create_group(GroupName="ops")
    for order in (names, names[::-1]):
        assert groups.pin(element, order) == {name: moto_group(fresh, name).id for name in names}
    iam.remove_user_from_group(GroupName="Admins", UserName="alice")
    with pytest.raises(Refusal, match="no user is a member of the admin group"):
        groups.pin(element, names)


def test_before_a_denial_all_groups_exist_and_one_has_a_member(fresh, element):
    """Under whatever names. If one is gone, or all are empty, nobody knows who the admins are."""
    iam, names = fresh.client("iam"), ["ops", "Admins"]
    iam.create_group(GroupName="ops")
    pins = groups.pin(element, names)
    iam.update_group(GroupName="ops", NewGroupName="crew")
    for order in (names, names[::-1]):
        found = groups.AdminGroups(element, {name: pins[name] for name in order})
        found.check()
        assert set(found.names.values()) == {"Admins", "crew"}
    iam.remove_user_from_group(GroupName="Admins", UserName="alice")
    with pytest.raises(Refusal, match="the admin groups have no members any more"):
        found.check()
    iam.delete_group(GroupName="crew")
    iam.create_group(GroupName="crew")
    with pytest.raises(Refusal, match=r"the admin group 'crew' .* is gone"):
        found.check()


def test_a_group_whose_first_page_of_members_is_empty_is_not_empty():
    """IAM may return a page without members and say that there are more."""
    answer = {"Group": {"GroupName": "admins", "GroupId": "AGPA1"}, "Users": [], "IsTruncated": True}
    client = SimpleNamespace(get_group=lambda GroupName: answer)
    assert groups.by_name(client, "admins").empty is False
    answer["IsTruncated"] = False
    assert groups.by_name(client, "admins").empty is True


def of(*names, created=NOON):
    """A user's groups, as ListGroupsForUser describes them, of which Admins is the admin group."""
    return [{"GroupName": name, "GroupId": f"AGPA{name}", "CreateDate": created} for name in names]


def adding(user_name, **more):
    """The event of bob's call that adds somebody to the group admins."""
    event = case("revoked-create-user")
    event["detail"] |= {"eventName": "AddUserToGroup", "eventTime": "2026-11-25T12:00:00Z"}
    event["detail"] |= {"requestParameters": {"userName": user_name, "groupName": "admins"}, **more}
    return IAMEvent(event)


@pytest.mark.parametrize(
    ("user_groups", "event", "meant"),
    [
        (of("devs", "Admins"), None, True),
        (of("devs"), None, False),
        (of("Admins"), adding("alice"), True),
        (of("Admins"), adding("bob"), False),
        (of("Admins", "devs"), adding("BOB"), False),
        (of("Admins"), adding(["bob"]), True),
        (of("Admins"), adding("bob", errorCode="AccessDenied"), True),
        (of("Admins"), adding("bob", eventName="RemoveUserFromGroup"), True),
        (of("Admins"), adding("bob", requestParameters=None), True),
        (of("Admins", created=NOON.replace(minute=1)), adding("bob"), None),
        (of("Admins", created=NOON.replace(microsecond=900000)), adding("bob"), False),
        (of("Admins", "devs"), adding("bob", requestParameters={"userName": "bob", "groupName": "x"}), None),
        (of("devs"), adding("bob", requestParameters={"userName": "bob", "groupName": "x"}), False),
    ],
)
def test_a_membership_that_the_call_itself_gave_does_not_count(user_groups, event, meant):
    """Nor does anybody know what the call gave, if a group of that name came later or there is none any more."""
    assert groups.membership_now(user_groups, {"AGPAAdmins"}, event).meant is meant
