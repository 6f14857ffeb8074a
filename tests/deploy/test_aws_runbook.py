"""AWS's runbook AWSSupport-ContainIAMPrincipal works beside the guard: under the SCP, and as a listed role.

Its calls to IAM, as its documentation names the rights that it needs:
https://docs.aws.amazon.com/systems-manager-automation-runbooks/latest/userguide/awssupport-contain-iam-principal.html
"""

import json

import pytest
from contained import ACCOUNT, ANYTHING, PASSWORD, allowed, document
from helpers import CONTAIN, REVOKE, policy, shipped

from c7n_iamguard import settings
from sandbox.server import DEPLOY

RUNBOOK = "ContainIAMPrincipal"
#: The place in the SCP where a company names the roles that it exempts.
EXEMPT = "arn:*:iam::000000000000:role/EXEMPT"
DENY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
)


def contain_user(iam, user, key):
    """What the runbook calls to contain a user."""
    iam.get_user(UserName=user)
    iam.list_user_policies(UserName=user)
    iam.list_attached_user_policies(UserName=user)
    iam.list_access_keys(UserName=user)
    iam.list_mfa_devices(UserName=user)
    iam.get_login_profile(UserName=user)
    iam.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")
    iam.delete_login_profile(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="contain", PolicyDocument=DENY)
    iam.tag_user(UserName=user, Tags=[{"Key": "contained", "Value": "yes"}])


def restore_user(iam, user, key):
    """What it calls to restore one."""
    iam.delete_user_policy(UserName=user, PolicyName="contain")
    iam.update_access_key(UserName=user, AccessKeyId=key, Status="Active")
    iam.untag_user(UserName=user, TagKeys=["contained"])


def contain_role(iam, role):
    """What it calls to contain a role."""
    iam.get_role(RoleName=role)
    iam.list_role_policies(RoleName=role)
    iam.list_attached_role_policies(RoleName=role)
    iam.put_role_policy(RoleName=role, PolicyName="contain", PolicyDocument=DENY)
    iam.tag_role(RoleName=role, Tags=[{"Key": "contained", "Value": "yes"}])


def restore_role(iam, role):
    """What it calls to restore one."""
    iam.delete_role_policy(RoleName=role, PolicyName="contain")
    iam.untag_role(RoleName=role, TagKeys=["contained"])


@pytest.fixture
def runbook(contained):
    """A session of the runbook's own role, whose name the SCP exempts, and the role's id."""
    if RUNBOOK not in [role.name for role in contained.backend.roles.values()]:
        contained.sandbox.create_role(RUNBOOK, "iam:*", account=ACCOUNT)
    session = contained.sandbox.session(f"arn:aws:iam::{ACCOUNT}:role/{RUNBOOK}", "Automation-1")
    contained.sandbox.pending.clear()
    return contained.client("iam", session)


def under(contained, exempt):
    """The SCP's files, with the runbook's role among those whom a company exempts, or without it."""
    name = f"arn:*:iam::*:role/{RUNBOOK}"
    texts = [(DEPLOY / file).read_text() for file in ("scp.json", "scp-parts.json")]
    contained.sandbox.scps[:] = [ANYTHING, *(t.replace(EXEMPT, name) if exempt else t for t in texts)]


def play(contained, iam):
    """Everything that the runbook does to a user and a role; what happened, as events."""
    user, role = contained.person(name="suspect"), contained.role(name="suspect")
    contained.iam.create_login_profile(UserName=user.name, Password=PASSWORD)
    contained.events()
    contain_user(iam, user.name, user.key["AccessKeyId"])
    assert not contained.works(user.key)
    restore_user(iam, user.name, user.key["AccessKeyId"])
    contain_role(iam, role.name)
    restore_role(iam, role.name)
    return contained.events()


def test_the_runbook_works_under_the_scp_that_exempts_its_role(contained, runbook):
    """Containing and restoring users and roles is refused nowhere."""
    under(contained, exempt=True)
    try:
        assert play(contained, runbook)
    finally:
        contained.sandbox.scps.clear()


def test_without_the_exemption_the_scp_stops_the_runbook(contained, runbook):
    """It may put no inline policy on users: that right is the guard's."""
    user = contained.person(name="suspect")
    under(contained, exempt=False)
    try:
        parameters = {"UserName": user.name, "PolicyName": "contain", "PolicyDocument": document("s3:*")}
        assert not allowed(runbook.put_user_policy, **parameters)
    finally:
        contained.sandbox.scps.clear()


@pytest.mark.parametrize("name", [f"{REVOKE}-of-roles", f"{CONTAIN}-of-roles"])
def test_the_guard_lets_the_runbook_pass_if_its_role_is_listed(
    contained, runbook, monkeypatch, tmp_path, logged, name
):
    """Neither is it denied IAM, nor is what it does taken back."""
    events = play(contained, runbook)
    data = shipped(name, admin_roles=[RUNBOOK])
    (role_id,) = [role.id for role in contained.backend.roles.values() if role.name == RUNBOOK]
    pins = {"groups": {}, "roles": {RUNBOOK: role_id}}
    data["mode"]["environment"] = {"Variables": {settings.PINS: json.dumps(pins)}}
    environ = contained.sandbox.environ(account=ACCOUNT)
    made = policy(data, environ, monkeypatch, output_dir=str(tmp_path), log_group="null")
    contained.sandbox.calls.clear()
    for event in events:
        made.get_execution_mode().run(event, None)
    assert [line["reason"] for line in logged()] == [f"admin role {RUNBOOK}"] * len(events)
    assert [call for call in contained.sandbox.calls if not call.action.startswith(("Get", "List"))] == []
