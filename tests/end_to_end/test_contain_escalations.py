"""The known ways to more rights through IAM, played end to end, and what each back door can still do.

The escalations that go through calls to IAM, numbered as Rhino Security Labs do, each from a user with exactly the
rights that it needs: https://github.com/RhinoSecurityLabs/AWS-IAM-Privilege-Escalation
"""

import pytest
from botocore import xform_name
from contained import ACCOUNT, ADMINISTRATOR, ANYTHING, NOTHING, PASSWORD, TRUST, allowed, decided


def carried(account, mallory, *texts):
    """The ARN of a new policy that mallory carries."""
    arn = account.policy(*texts)
    account.iam.attach_user_policy(UserName=mallory.name, PolicyArn=arn)
    return arn


def group_of(account, mallory):
    """The name of a new group that mallory is in."""
    name = account.group()
    account.iam.add_user_to_group(GroupName=name, UserName=mallory.name)
    return name


def an_admin(account, password=False):
    """The name of a new admin."""
    name = account.person(name="admin", groups=["admins"]).name
    if password:
        account.iam.create_login_profile(UserName=name, Password=PASSWORD)
    return name


def a_role(account, *rights, trust=TRUST):
    """The name of a new role."""
    name = account.role(*rights).name
    account.iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    return name


INLINE, WEAK = {"PolicyName": "mine", "PolicyDocument": ANYTHING}, "polly:DescribeVoices"
TRUSTS_NOBODY = TRUST.replace(ACCOUNT, "161616161616")
#: The number of an escalation, its call, what becomes of it, and the call's parameters, of an account and mallory.
ESCALATIONS = [
    (1, "CreatePolicyVersion", "left", lambda account, mallory: {
        "PolicyArn": carried(account, mallory, NOTHING), "PolicyDocument": ANYTHING, "SetAsDefault": True}),
    (2, "SetDefaultPolicyVersion", "left", lambda account, mallory: {
        "PolicyArn": carried(account, mallory, ANYTHING, NOTHING), "VersionId": "v1"}),
    (4, "CreateAccessKey", "contained", lambda account, _: {"UserName": an_admin(account)}),
    (5, "CreateLoginProfile", "contained", lambda account, _: {
        "UserName": an_admin(account), "Password": PASSWORD}),
    (6, "UpdateLoginProfile", "contained", lambda account, _: {
        "UserName": an_admin(account, password=True), "Password": f"{PASSWORD}!"}),
    (7, "AttachUserPolicy", "contained", lambda _, mallory: {
        "UserName": mallory.name, "PolicyArn": ADMINISTRATOR}),
    (8, "AttachGroupPolicy", "left", lambda account, mallory: {
        "GroupName": group_of(account, mallory), "PolicyArn": ADMINISTRATOR}),
    (9, "AttachRolePolicy", "left", lambda account, _: {
        "RoleName": a_role(account, WEAK), "PolicyArn": ADMINISTRATOR}),
    (10, "PutUserPolicy", "contained", lambda _, mallory: {"UserName": mallory.name, **INLINE}),
    (11, "PutGroupPolicy", "contained", lambda account, mallory: {
        "GroupName": group_of(account, mallory), **INLINE}),
    (12, "PutRolePolicy", "contained", lambda account, _: {"RoleName": a_role(account, WEAK), **INLINE}),
    (13, "AddUserToGroup", "contained", lambda _, mallory: {"UserName": mallory.name, "GroupName": "admins"}),
    (14, "UpdateAssumeRolePolicy", "left", lambda account, _: {
        "RoleName": a_role(account, trust=TRUSTS_NOBODY), "PolicyDocument": TRUST}),
]  # fmt: skip


def opens(account, mallory, parameters, answer):
    """Whether the back door of a call opens something."""
    if "Password" in parameters:
        return allowed(account.iam.get_login_profile, UserName=parameters["UserName"])
    key = answer.get("AccessKey", mallory.key)
    if "RoleName" in parameters:
        role = {
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{parameters['RoleName']}",
            "RoleSessionName": "mallory",
        }
        key = account.client("sts", key).assume_role(**role)["Credentials"]
    return account.works(key)


@pytest.mark.parametrize(("number", "operation", "verdict", "parameters"), ESCALATIONS)
def test_each_known_escalation_is_contained_or_left_and_says_so(
    contained, number, operation, verdict, parameters
):
    """The back door is open before the event and shut after it; what is left open comes with a command."""
    mallory = contained.person(f"iam:{operation}", "sts:AssumeRole")
    parameters = parameters(contained, mallory)
    contained.events()
    answer = getattr(mallory.iam, xform_name(operation))(**parameters)
    assert opens(contained, mallory, parameters, answer)
    decision = contained.contain()
    assert decision["decision"] == verdict
    assert opens(contained, mallory, parameters, answer) == (verdict == "left")
    assert decision["commands" if verdict == "left" else "reverse"]
    assert decision.get("carriers") == ([f"user {mallory.name}"] if number < 3 else None)
    assert contained.calls[:2] == ["ListGroupsForUser", "GetGroup"]
    assert len(contained.calls) <= 5, contained.calls


# Chains


class Chain:
    """Mallory makes a user with all rights and a key, and that user goes on within the same second."""

    def __init__(self, account):
        self.account, self.mallory = account, account.person()
        self.eve = f"eve-{self.mallory.name}"
        self.admin = account.person(name="admin", groups=["admins"])
        iam = self.mallory.iam
        iam.create_user(UserName=self.eve)
        iam.attach_user_policy(UserName=self.eve, PolicyArn=ADMINISTRATOR)
        self.key = iam.create_access_key(UserName=self.eve)["AccessKey"]
        eve = account.client("iam", self.key)
        self.admins_key = eve.create_access_key(UserName=self.admin.name)["AccessKey"]
        self.role = f"door-{self.mallory.name}"
        arn = eve.create_role(RoleName=self.role, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        eve.attach_role_policy(RoleName=self.role, PolicyArn=ADMINISTRATOR)
        self.session = account.client("sts", self.key).assume_role(RoleArn=arn, RoleSessionName="eve")
        self.calls = [
            event for event in account.events() if event["detail"]["userIdentity"]["type"] == "IAMUser"
        ]

    def open_doors(self):
        """The back doors that still open something."""
        doors = {"eve": self.key, "admin": self.admins_key, "role": self.session["Credentials"]}
        return {name for name, key in doors.items() if self.account.works(key)}


@pytest.mark.parametrize("order", [list, lambda events: events[::-1]], ids=["in order", "backwards"])
def test_a_chain_is_contained_in_any_order(contained, order):
    """A user, all rights for them, a key, an admin's key, a role: nothing of it opens anything afterwards.

    If every event comes once more, that changes nothing.
    """
    chain = Chain(contained)
    assert chain.open_doors() == {"eve", "admin", "role"}
    for verdicts in ({"contained", "left"}, {"contained"}):
        invocations = contained.deliver(*order(chain.calls))
        assert chain.open_doors() == set()
        assert contained.quarantined("user", chain.eve)
        assert contained.quarantined("role", chain.role)
        assert all(invocation.succeeded for invocation in invocations)
        assert {line["decision"] for line in decided(invocations)} <= verdicts
        assert len(decided(invocations)) == len(chain.calls)


def test_what_a_quarantined_user_gets_gives_nothing(contained):
    """A quarantine outweighs what further calls put on a user, also under another name, and decisions say so."""
    mallory, eve = contained.person(), f"eve-{len(contained.backend.users)}"
    mallory.iam.create_user(UserName=eve)
    key = mallory.iam.create_access_key(UserName=eve)["AccessKey"]
    contained.deliver()
    contained.iam.update_access_key(UserName=eve, AccessKeyId=key["AccessKeyId"], Status="Active")
    group = contained.group(ANYTHING)
    contained.events()
    mallory.iam.attach_user_policy(UserName=eve, PolicyArn=ADMINISTRATOR)
    mallory.iam.add_user_to_group(UserName=eve, GroupName=group)
    verdicts = decided(contained.deliver())
    mallory.iam.update_user(UserName=eve, NewUserName=f"{eve}-2")
    verdicts.append(contained.contain())
    assert [line["decision"] for line in verdicts] == ["contained"] * 3
    assert {line["containment"] for line in verdicts} == {
        "the user is quarantined, which outweighs what the call gave"
    }
    assert not contained.works(key)
