"""The catch-up on the admin group: whom a non-admin added, by the event history of the sandbox."""

from helpers import groups_of

CALLS = [{"type": "unintended-iam-calls", "groups": ["Admins"]}]
MEMBERS = [{"type": "unlawful-admin-group-member", "groups": ["Admins"]}]


def test_a_member_whom_no_admin_added_is_found(history, caught, attacker, user, fresh):
    """mallory adds herself and a friend while nobody looks: both are unlawful, whom an admin added is not."""
    user("friend")
    user("eve")
    ada = user("ada", groups=["Admins"])
    history.pass_by(1)
    ada.iam.add_user_to_group(GroupName="Admins", UserName="eve")
    for name in ("mallory", "friend"):
        attacker.iam.add_user_to_group(GroupName="Admins", UserName=name)
    assert list(caught(MEMBERS)) == []
    history.pass_by()
    assert set(caught(MEMBERS)) == {"mallory", "friend"}
    assert groups_of(fresh, "eve") == ["Admins"]


def test_an_addition_that_changes_nothing_harms_nobody(history, caught, user, attacker):
    """ada makes carol an admin, and a non-admin adds ada once more: both stay, and neither is denied."""
    ada, carol = user("ada", groups=["Admins"]), user("carol")
    history.clear()
    ada.iam.add_user_to_group(GroupName="Admins", UserName="carol")
    history.pass_by(5)
    carol.iam.create_user(UserName="colleague")
    history.pass_by(5)
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="ada")
    history.pass_by()
    assert list(caught(MEMBERS)) == []
    assert list(caught(CALLS)) == ["mallory"]


def test_a_member_whom_a_caller_of_an_unknown_type_added_is_left_to_people(
    history, caught, attacker, user, logged
):
    """Nobody knows whose rights such a caller had: the member stays, and it is reported."""
    user("friend")
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="friend")
    history[-1]["userIdentity"]["type"] = "SomethingNew"
    history.pass_by()
    assert list(caught(MEMBERS)) == []
    assert [(line["decision"], line["user"]) for line in logged()] == [("failed", "friend")]


def test_a_listed_role_may_make_admins(history, caught, user, fresh):
    """A role on the list adds somebody: lawful. A role that is not adds somebody: unlawful."""
    for name in ("Terraform", "pipeline"):
        user(f"{name}s-friend")
        arn = fresh.create_role(name)["Arn"]
        client = fresh.client("iam", fresh.session(arn))
        client.add_user_to_group(GroupName="Admins", UserName=f"{name}s-friend")
    history.pass_by()
    assert list(caught([{**MEMBERS[0], "roles": ["Terraform"]}])) == ["pipelines-friend"]
