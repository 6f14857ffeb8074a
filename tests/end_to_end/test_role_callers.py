"""Callers that are roles: who is on the list, who is denied, who cannot be, by the uploaded function that acts."""

import json

import pytest
from helpers import (
    HARMLESS,
    POLICIES,
    backend,
    deny_arn,
    guards_calls,
    moto_policies,
    ok,
    outcomes,
    settings_file,
    stock,
)
from kept import functions as kept_functions
from kept import iam as kept_iam

ROLES = "revoke-unintended-iam-access-of-roles"
FUNCTION = f"iam-guard-{ROLES}"
LISTED = "/teams/platform/"


@pytest.fixture(scope="module")
def acting(deployed, tmp_path_factory):
    """The roles' policy with two roles more on its list, and without observing."""
    put_back = kept_functions(deployed.account, deployed.region), kept_iam(backend(deployed))
    deployed.create_role("Terraform")
    deployed.create_role("platform", path=LISTED)
    arn = f"arn:aws:iam::{deployed.account}:role{LISTED}platform"
    folder = tmp_path_factory.mktemp("roles")
    roles = ["Terraform", arn, "AWSReservedSSO_AdministratorAccess_*"]
    settings = settings_file(folder, admin_roles=roles, observe_roles=False)
    ok(stock("custodian", "run", "-s", folder, "-r", deployed.region, POLICIES / f"{ROLES}.yml",
             environ=deployed.environ(), settings=settings))  # fmt: skip
    deployed.pending.clear()
    yield deployed
    for put in put_back:
        put()
    deployed.functions.cool()


@pytest.fixture
def account(acting, unchanged):
    """The account, whose function of roles has started."""
    acting.functions.attempt(FUNCTION, {"detail": {}})
    acting.calls.clear()
    return acting


def judged(sandbox, credentials, name="somebody"):
    """What became of a role's call to IAM: the invocation of the roles' function."""
    sandbox.pending.clear()
    sandbox.client("iam", credentials).create_user(UserName=name)
    event = sandbox.pending[-1]
    sandbox.pending.clear()
    sandbox.calls.clear()
    found = [i for i in sandbox.deliver(event) if i.function == FUNCTION]
    return found[0] if found else None


def attached(sandbox, role):
    return list(backend(sandbox).get_role(role).managed_policies)


def test_a_role_that_is_not_listed_is_denied_with_all_of_its_sessions(account):
    """One call denies it, the log names the session, and another session's IAM call is refused."""
    role = account.create_role("pipeline")["Arn"]
    other = account.client("iam", account.session(role, "another"))
    invocation = judged(account, account.session(role, "build-7"))
    (decision,) = invocation.decisions
    assert (decision["decision"], decision["how"], decision["role"]) == ("revoked", "managed", "pipeline")
    assert decision["session"] == "build-7"
    assert guards_calls(account)[0] == "AttachRolePolicy"
    with pytest.raises(other.exceptions.ClientError, match="AccessDenied"):
        other.create_user(UserName="x")


@pytest.mark.parametrize(("name", "path"), [("Terraform", "/"), ("platform", LISTED)])
def test_a_listed_role_is_let_pass_without_a_call(account, name, path):
    """By name or by an ARN with a path: known by its id, which the event has."""
    invocation = judged(account, account.session(f"arn:aws:iam::{account.account}:role{path}{name}"))
    assert invocation.decisions[0]["reason"] == f"admin role {name}"
    assert guards_calls(account) == []


def test_a_role_that_only_aws_can_change_ends_as_cannot_revoke(account):
    """Identity Center's role: a decision, no second try, no dead letter, and the sentence that helps."""
    name = "AWSReservedSSO_Developers_0123456789abcdef"
    role = account.create_role(name, path="/aws-reserved/sso.amazonaws.com/eu-west-1/")["Arn"]
    invocation = judged(account, account.session(role, "ada@example.com"))
    assert outcomes(invocation) == "succeeded"
    (decision,) = invocation.decisions
    assert decision["decision"] == "cannot-revoke"
    assert "AWSSupport-ContainIAMPrincipal" in decision["reason"]


def test_full_policies_lead_to_the_boundary_and_never_to_an_inline_policy(account):
    """Ten managed policies: the boundary is set, where the role has none of its own."""
    role = account.create_role("full")
    fill(account, "full")
    invocation = judged(account, account.session(role["Arn"]))
    (decision,) = invocation.decisions
    assert (decision["how"], list(decision["rungs"])) == ("boundary", ["managed", "boundary"])
    made = account.client("iam").get_role(RoleName="full")["Role"]
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == deny_arn(account, "DenyIAMAccessBoundary")
    assert list(backend(account).get_role("full").policies) == ["access"]


def fill(sandbox, name):
    """Attach managed policies to a role until IAM takes no more."""
    iam = sandbox.client("iam")
    for number in range(10):
        arn = f"arn:aws:iam::{sandbox.account}:policy/role-filler-{number}"
        if arn not in moto_policies(sandbox):
            iam.create_policy(PolicyName=f"role-filler-{number}", PolicyDocument=json.dumps(HARMLESS))
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
