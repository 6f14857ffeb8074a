"""Somebody fights the containment, or uses it as a weapon. Each move of docs/attacks.md, against the functions."""

from datetime import timedelta

import pytest
from contained import (
    ADMINISTRATOR,
    ANYTHING,
    DENIAL,
    NOTHING,
    PASSWORD,
    QUARANTINE,
    TRUST,
    decided,
    document,
    once,
)
from helpers import CONTAIN, PROTECT, made, outcomes

# To have the guard hit somebody else


def test_swapping_names_does_not_quarantine_somebody_else(contained):
    """The new user is known by the id in the event, and found under their new name."""
    mallory, carol = contained.person(), contained.person(name="carol")
    eve = f"eve-{mallory.name}"
    mallory.iam.create_user(UserName=eve)
    mallory.iam.update_user(UserName=eve, NewUserName=f"{eve}-2")
    mallory.iam.update_user(UserName=carol.name, NewUserName=eve)
    event = contained.events()[0]
    decision = contained.contain(event)
    assert decision["target"] == f"user {eve}-2"
    assert (contained.quarantined("user", f"{eve}-2"), contained.quarantined("user", eve)) == (True, False)
    assert contained.works(carol.key)


def test_a_name_that_an_admin_has_taken_since_is_not_quarantined(contained):
    """Mallory's user or role was deleted and made again by an admin: another id."""
    mallory, name = contained.person(), f"svc-{len(contained.backend.users)}"
    mallory.iam.create_user(UserName=name)
    mallory.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    events = contained.events()
    contained.iam.delete_user(UserName=name)
    contained.iam.delete_role(RoleName=name)
    contained.iam.create_user(UserName=name)
    contained.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    for event, kind in zip(events, ("user", "role"), strict=True):
        assert contained.contain(event)["containment"] == f"the new {kind} is gone already"
        assert not contained.quarantined(kind, name)


def test_who_was_there_before_the_call_is_not_quarantined(contained):
    """IAM may answer with a role that production uses: its creation date tells, and the command shows it."""
    mallory = contained.person()
    name = f"old-{mallory.name}"
    mallory.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    (event,) = contained.events()
    event["detail"]["eventName"] = "AcquireRole"
    contained.backend.get_role(name).create_date -= timedelta(seconds=10)
    decision = contained.contain(event)
    assert decision["reason"] == f"the role {name} was there before the call"
    assert decision["commands"][0] == f"aws iam get-role --role-name {name}"
    assert not contained.quarantined("role", name)


def test_a_late_event_does_not_undo_what_an_admin_has_put_right(contained):
    """Replayed or late, the event finds another document, and leaves it."""
    mallory, role = contained.person(), contained.role()
    policy = {"RoleName": role.name, "PolicyName": "access"}
    mallory.iam.put_role_policy(**policy, PolicyDocument=ANYTHING)
    (event,) = contained.events()
    contained.iam.put_role_policy(**policy, PolicyDocument=document("s3:GetObject"))
    contained.events()
    decision = contained.contain(event)
    assert (decision["decision"], decision["reason"]) == ("left", "somebody has changed the policy since")
    assert "access" in contained.iam.list_role_policies(RoleName=role.name)["PolicyNames"]


# To have a denial lifted


@pytest.mark.parametrize("arn", [QUARANTINE, "own"])
def test_attaching_a_denial_to_oneself_does_not_lift_it(contained, arn):
    """The guard's or a company's own: a policy with a Deny in it is left."""
    mallory = contained.person("iam:AttachUserPolicy")
    arn = contained.policy(NOTHING, document("s3:*", DENIAL)) if arn == "own" else arn
    _, decision = once(contained, mallory, "attach_user_policy", UserName=mallory.name, PolicyArn=arn)
    assert "did" not in decision
    assert decision["decision"] == ("contained" if arn == QUARANTINE else "left")
    answer = contained.iam.list_attached_user_policies(UserName=mallory.name)["AttachedPolicies"]
    assert arn in [policy["PolicyArn"] for policy in answer]


@pytest.mark.parametrize("kind", ["user", "group"])
def test_a_denial_in_a_back_door_keeps_it_and_somebody_is_told(contained, kind):
    """A policy with a Deny is left, with the command to delete it, and no runbook for a group."""
    mallory = contained.person()
    name = contained.group() if kind == "group" else mallory.name
    policy = {f"{kind.title()}Name": name, "PolicyName": "mine", "PolicyDocument": document("*", DENIAL)}
    _, decision = once(contained, mallory, f"put_{kind}_policy", **policy)
    assert decision["decision"] == "left"
    delete, *runbook = decision["commands"]
    assert delete == f"aws iam delete-{kind}-policy --{kind}-name {name} --policy-name mine"
    assert len(runbook) == (kind == "user")


@pytest.mark.parametrize("attached", [False, True])
def test_joining_a_restricted_group_again_is_no_way_out_of_it(contained, attached):
    """A group that denies its members something is left, whether mallory was in it before or not."""
    mallory, group = contained.person(), contained.group(NOTHING if attached else document(DENIAL))
    if attached:
        arn = contained.policy(document(DENIAL))
        contained.iam.attach_group_policy(GroupName=group, PolicyArn=arn)
    contained.iam.add_user_to_group(GroupName=group, UserName=mallory.name)
    _, decision = once(contained, mallory, "add_user_to_group", GroupName=group, UserName=mallory.name)
    assert decision["decision"] == "left"
    assert mallory.name in [user["UserName"] for user in contained.iam.get_group(GroupName=group)["Users"]]


# To keep the back door


def test_renaming_an_admin_does_not_keep_the_key_that_was_made_for_them(contained):
    """IAM tells whose an access key is, whatever the name, and whoever has taken the old one."""
    mallory, admin = contained.person(), contained.person(name="admin", groups=["admins"])
    key = mallory.iam.create_access_key(UserName=admin.name)["AccessKey"]
    mallory.iam.update_user(UserName=admin.name, NewUserName=f"{admin.name}-2")
    mallory.iam.create_user(UserName=admin.name)
    event = contained.events()[0]
    decision = contained.contain(made(event, timedelta(seconds=11)))
    assert decision["target"] == f"user {admin.name}-2"
    assert contained.status(f"{admin.name}-2", key) == "Inactive"


@pytest.mark.parametrize("decoy", [False, True])
def test_renaming_an_admin_does_not_hide_the_password_that_was_made_for_them(contained, decoy):
    """IAM finds nobody by a password: it is left, and says so, even if somebody has taken the name."""
    mallory, admin = contained.person(), contained.person(name="admin", groups=["admins"])
    mallory.iam.create_login_profile(UserName=admin.name, Password=PASSWORD)
    mallory.iam.update_user(UserName=admin.name, NewUserName=f"{admin.name}-2")
    if decoy:
        mallory.iam.create_user(UserName=admin.name)
    event = contained.events()[0]
    decision = contained.contain(made(event, timedelta(seconds=11)))
    assert decision["decision"] == "left"
    assert decision["reason"] == f"the user {admin.name} has been deleted, renamed or replaced since"


def test_renaming_oneself_does_not_keep_what_one_took(contained):
    """Their own policies are found by their id. The commands for the rest say the new name."""
    mallory = contained.person()
    me, now = {"UserName": mallory.name}, f"{mallory.name}-2"
    mallory.iam.attach_user_policy(**me, PolicyArn=ADMINISTRATOR)
    mallory.iam.put_user_policy(**me, PolicyName="mine", PolicyDocument=ANYTHING)
    mallory.iam.put_user_policy(**me, PolicyName="denies", PolicyDocument=document("*", DENIAL))
    mallory.iam.update_user(**me, NewUserName=now)
    *calls, _ = contained.events()
    decisions = [contained.contain(event) for event in calls]
    assert [d["decision"] for d in decisions] == ["contained", "contained", "left"]
    assert {d["target"] for d in decisions} == {f"user {now}"}
    user = contained.backend.users[now]
    assert (list(user.managed_policies), list(user.policies)) == ([], ["access", "denies"])
    repair, contain = decisions[-1]["commands"]
    assert repair == f"aws iam delete-user-policy --user-name {now} --policy-name denies"
    assert f",PrincipalName={now}," in contain


def test_deleting_the_caller_hides_nothing(contained):
    """Nobody can tell whether somebody who is gone was an admin: the call is left, with the command."""
    mallory, admin = contained.person(), contained.person(name="admin", groups=["admins"])
    helper = contained.person(name="helper")
    helper.iam.create_access_key(UserName=admin.name)
    event = contained.events()[0]
    for policy in contained.iam.list_user_policies(UserName=helper.name)["PolicyNames"]:
        mallory.iam.delete_user_policy(UserName=helper.name, PolicyName=policy)
    mallory.iam.delete_access_key(UserName=helper.name, AccessKeyId=helper.key["AccessKeyId"])
    mallory.iam.delete_user(UserName=helper.name)
    contained.events()
    decision = contained.contain(event)
    assert decision["decision"] == "left"
    assert decision["reason"].startswith("whoever made the call is gone")
    assert decision["commands"][0].endswith("--status Inactive")


def test_filling_a_new_users_policies_ends_loudly(contained):
    """Ten policies leave no room for the quarantine: the event fails, and ends in the dead-letter queue."""
    mallory, eve = contained.person(), f"eve-{len(contained.backend.users)}"
    mallory.iam.create_user(UserName=eve)
    for _ in range(10):
        mallory.iam.attach_user_policy(UserName=eve, PolicyArn=contained.policy(NOTHING))
    event = contained.events()[0]
    (invocation,) = [i for i in contained.sandbox.deliver(event) if CONTAIN in i.function]
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert "PoliciesPerUser: 10" in invocation.decisions[0]["reason"]


def test_a_user_who_is_made_an_admin_at_once_is_quarantined_when_they_are_out_again(contained):
    """protect-admin-group takes them out, and Lambda's next try quarantines them."""
    mallory, eve = contained.person(), f"eve-{len(contained.backend.users)}"
    mallory.iam.create_user(UserName=eve)
    mallory.iam.add_user_to_group(GroupName="admins", UserName=eve)
    create, join = contained.events()
    invocations = contained.deliver(create)
    assert {line["decision"] for line in decided(invocations)} == {"failed"}
    assert PROTECT in "".join(i.function for i in contained.deliver(join))
    assert contained.contain(create)["decision"] == "contained"
    assert contained.quarantined("user", eve)
