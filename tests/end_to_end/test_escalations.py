"""The known ways to more rights through IAM, played end to end, and what each back door can still do.

The escalations that go through calls to IAM, numbered as Rhino Security Labs do, each from a user with exactly the
rights that it needs: https://github.com/RhinoSecurityLabs/AWS-IAM-Privilege-Escalation
"""

import itertools
import random

import pytest
from contained import ADMINISTRATOR, ANYTHING, NOTHING, PASSWORD, TRUST, allowed, decided, document


def new_policy_version(account, mallory):
    """1: another default version of a policy that mallory carries."""
    arn = account.policy(NOTHING)
    account.iam.attach_user_policy(UserName=mallory.name, PolicyArn=arn)
    yield
    mallory.iam.create_policy_version(PolicyArn=arn, PolicyDocument=ANYTHING, SetAsDefault=True)
    yield lambda: account.works(mallory.key)


def default_policy_version(account, mallory):
    """2: the old, wide version of a policy that mallory carries."""
    arn = account.policy(ANYTHING, NOTHING)
    account.iam.attach_user_policy(UserName=mallory.name, PolicyArn=arn)
    yield
    mallory.iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    yield lambda: account.works(mallory.key)


def access_key(account, mallory):
    """4: an admin's access key."""
    admin = account.person(name="admin", groups=["admins"])
    yield
    key = mallory.iam.create_access_key(UserName=admin.name)["AccessKey"]
    yield lambda: account.works(key)


def login_profile(account, mallory):
    """5: a password for an admin who had none."""
    admin = account.person(name="admin", groups=["admins"])
    yield
    mallory.iam.create_login_profile(UserName=admin.name, Password=PASSWORD)
    yield lambda: allowed(account.iam.get_login_profile, UserName=admin.name)


def other_password(account, mallory):
    """6: another password for an admin."""
    admin = account.person(name="admin", groups=["admins"])
    account.iam.create_login_profile(UserName=admin.name, Password=PASSWORD)
    yield
    mallory.iam.update_login_profile(UserName=admin.name, Password=PASSWORD + "!")
    yield lambda: allowed(account.iam.get_login_profile, UserName=admin.name)


def policy_on_a_user(account, mallory):
    """7: AdministratorAccess on oneself."""
    yield
    mallory.iam.attach_user_policy(UserName=mallory.name, PolicyArn=ADMINISTRATOR)
    yield lambda: account.works(mallory.key)


def policy_on_a_group(account, mallory):
    """8: AdministratorAccess on one's group."""
    group = account.group()
    account.iam.add_user_to_group(GroupName=group, UserName=mallory.name)
    yield
    mallory.iam.attach_group_policy(GroupName=group, PolicyArn=ADMINISTRATOR)
    yield lambda: account.works(mallory.key)


def policy_on_a_role(account, mallory):
    """9: AdministratorAccess on a role that mallory may take."""
    role = account.role("polly:DescribeVoices")
    yield
    mallory.iam.attach_role_policy(RoleName=role.name, PolicyArn=ADMINISTRATOR)
    yield lambda: account.works(role.key)


def inline_on_a_user(account, mallory):
    """10: an inline policy on oneself."""
    yield
    mallory.iam.put_user_policy(UserName=mallory.name, PolicyName="mine", PolicyDocument=ANYTHING)
    yield lambda: account.works(mallory.key)


def inline_on_a_group(account, mallory):
    """11: an inline policy on one's group."""
    group = account.group()
    account.iam.add_user_to_group(GroupName=group, UserName=mallory.name)
    yield
    mallory.iam.put_group_policy(GroupName=group, PolicyName="mine", PolicyDocument=ANYTHING)
    yield lambda: account.works(mallory.key)


def inline_on_a_role(account, mallory):
    """12: an inline policy on a role that mallory may take."""
    role = account.role("polly:DescribeVoices")
    yield
    mallory.iam.put_role_policy(RoleName=role.name, PolicyName="mine", PolicyDocument=ANYTHING)
    yield lambda: account.works(role.key)


def into_a_group(account, mallory):
    """13: oneself among the admins."""
    yield
    mallory.iam.add_user_to_group(GroupName="admins", UserName=mallory.name)
    yield lambda: account.works(mallory.key)


def trust_of_a_role(account, mallory):
    """14: oneself in the trust of a role with all rights."""
    role = account.role()
    nobody = TRUST.replace("151515151515", "161616161616")
    account.iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=nobody)
    sts = account.client("sts", mallory.key)
    assert not allowed(sts.assume_role, RoleArn=role.arn, RoleSessionName="mallory")
    yield
    mallory.iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=TRUST)
    yield lambda: allowed(sts.assume_role, RoleArn=role.arn, RoleSessionName="mallory")


ESCALATIONS = [
    (new_policy_version, ["iam:CreatePolicyVersion"], "left"),
    (default_policy_version, ["iam:SetDefaultPolicyVersion"], "left"),
    (access_key, ["iam:CreateAccessKey"], "contained"),
    (login_profile, ["iam:CreateLoginProfile"], "contained"),
    (other_password, ["iam:UpdateLoginProfile"], "contained"),
    (policy_on_a_user, ["iam:AttachUserPolicy"], "contained"),
    (policy_on_a_group, ["iam:AttachGroupPolicy"], "left"),
    (policy_on_a_role, ["iam:AttachRolePolicy", "sts:AssumeRole"], "left"),
    (inline_on_a_user, ["iam:PutUserPolicy"], "contained"),
    (inline_on_a_group, ["iam:PutGroupPolicy"], "contained"),
    (inline_on_a_role, ["iam:PutRolePolicy", "sts:AssumeRole"], "contained"),
    (into_a_group, ["iam:AddUserToGroup"], "contained"),
    (trust_of_a_role, ["iam:UpdateAssumeRolePolicy", "sts:AssumeRole"], "left"),
]


@pytest.mark.parametrize(
    ("escalation", "rights", "verdict"), ESCALATIONS, ids=lambda x: getattr(x, "__name__", "")
)
def test_each_known_escalation_is_contained_or_left_and_says_so(contained, escalation, rights, verdict):
    """The back door is open before the event and shut after it; what is left open comes with a command."""
    mallory = contained.person(*rights)
    steps = escalation(contained, mallory)
    next(steps)
    contained.events()
    is_open = next(steps)
    assert is_open()
    decision = contained.contain()
    assert decision["decision"] == verdict
    assert is_open() == (verdict == "left")
    assert decision["commands" if verdict == "left" else "reverse"]
    assert len(contained.calls) <= 4, contained.calls  # two of them judge the caller


def test_a_changed_policy_is_left_with_those_who_carry_it(contained):
    """The person who repairs it sees at once whose rights have changed."""
    mallory, role, group = contained.person(), contained.role(), contained.group()
    arn = contained.policy(NOTHING)
    contained.iam.attach_user_policy(UserName=mallory.name, PolicyArn=arn)
    contained.iam.attach_role_policy(RoleName=role.name, PolicyArn=arn)
    contained.iam.attach_group_policy(GroupName=group, PolicyArn=arn)
    contained.events()
    mallory.iam.create_policy_version(PolicyArn=arn, PolicyDocument=ANYTHING, SetAsDefault=True)
    decision = contained.contain()
    assert decision["carriers"] == [f"user {mallory.name}", f"group {group}", f"role {role.name}"]


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


def orders(events, count, seed):
    """Some orders of events, the given one and the reverse among them; the same ones each time."""
    shuffle = random.Random(seed)  # noqa: S311  not for secrets
    return [events, events[::-1], *(shuffle.sample(events, len(events)) for _ in range(count))]


@pytest.mark.parametrize("order", range(6))
def test_a_chain_is_contained_in_any_order(contained, order):
    """A user, all rights for them, a key, an admin's key, a role: nothing of it opens anything afterwards."""
    chain = Chain(contained)
    assert chain.open_doors() == {"eve", "admin", "role"}
    first, rest = list(itertools.permutations(chain.calls[:3]))[order], chain.calls[3:]
    events = orders([*first, *rest], 6, order)[order % 8]
    invocations = contained.deliver(*events)
    assert chain.open_doors() == set()
    assert all(invocation.succeeded for invocation in invocations)
    assert {line["decision"] for line in decided(invocations)} <= {"contained", "left"}
    assert len(decided(invocations)) == len(chain.calls)


def test_a_chain_that_is_delivered_twice_ends_as_once(contained):
    """Every event comes once more, and changes nothing."""
    chain = Chain(contained)
    contained.deliver(*chain.calls)
    before = contained.quarantined("user", chain.eve), contained.quarantined("role", chain.role)
    invocations = contained.deliver(*chain.calls)
    assert before == (True, True)
    assert (contained.quarantined("user", chain.eve), contained.quarantined("role", chain.role)) == before
    assert {line["decision"] for line in decided(invocations)} == {"contained"}
    assert chain.open_doors() == set()


def test_what_is_attached_to_a_quarantined_user_gives_nothing(contained):
    """A quarantine outweighs everything else that a call puts on a user or role, and each decision says so."""
    mallory, eve = contained.person(), f"eve-{len(contained.backend.users)}"
    mallory.iam.create_user(UserName=eve)
    key = mallory.iam.create_access_key(UserName=eve)["AccessKey"]
    contained.deliver()
    contained.iam.update_access_key(UserName=eve, AccessKeyId=key["AccessKeyId"], Status="Active")
    contained.events()
    group = contained.group(document("*"))
    contained.events()
    mallory.iam.attach_user_policy(UserName=eve, PolicyArn=ADMINISTRATOR)
    mallory.iam.add_user_to_group(UserName=eve, GroupName=group)
    verdicts = decided(contained.deliver())
    assert [line["decision"] for line in verdicts] == ["contained", "contained"]
    assert {line["containment"] for line in verdicts} == {
        "the user is quarantined, which outweighs what the call gave"
    }
    assert not contained.works(key)
