"""Callers that are roles: who is on the list, who is denied, who cannot be. In this process."""

import pytest
from helpers import backend, deny_arn, pinned, policy, shipped

from sandbox.server import Fault

ROLES = "revoke-unintended-iam-access-of-roles"


@pytest.fixture
def judged(sandbox, unchanged, monkeypatch, tmp_path, logged):
    """``judged(role, session)``: the decision on a call of a role's session; Terraform is listed."""
    pins = {"Terraform": sandbox.create_role("Terraform")["RoleId"]}

    def judge(role, session="somebody", **settings):
        settings = {"admin_roles": ["Terraform"], "observe_roles": False, **settings}
        data = pinned(shipped(ROLES, **settings), roles=pins)
        data["actions"] = data["actions"][:1]  # nobody is told
        made = policy(data, sandbox.environ(), monkeypatch, output_dir=str(tmp_path), log_group="null")
        sandbox.pending.clear()
        sandbox.client("iam", sandbox.session(role, session)).create_user(UserName=f"user-{session[:5]}")
        (event,) = sandbox.pending
        sandbox.calls.clear()
        made.get_execution_mode().run(event, None)
        return logged()[-1]

    return judge


def test_a_role_that_is_not_listed_is_denied_with_all_of_its_sessions(sandbox, judged):
    """One call denies it, the log names the session, and another session's IAM call is refused."""
    role = sandbox.create_role("pipeline")["Arn"]
    decision = judged(role, "build-7")
    assert (decision["decision"], decision["how"], decision["role"]) == ("revoked", "managed", "pipeline")
    assert decision["session"] == "build-7"
    changing = [call.action for call in sandbox.calls if not call.action.startswith(("Get", "Assume"))]
    assert changing == ["AttachRolePolicy"]
    other = sandbox.client("iam", sandbox.session(role, "another"))
    with pytest.raises(other.exceptions.ClientError, match="AccessDenied"):
        other.create_user(UserName="x")


def test_a_listed_role_is_let_pass_without_a_call(sandbox, judged):
    """It is known by its id, which the event has."""
    decision = judged(f"arn:aws:iam::{sandbox.account}:role/Terraform")
    assert decision["reason"] == "admin role Terraform"
    assert sandbox.calls == []


@pytest.mark.parametrize("observe_people", [False, True])
def test_a_role_that_only_aws_can_change_ends_as_cannot_revoke(sandbox, judged, observe_people):
    """Identity Center's role: a decision that helps, and that says whether anybody may deny the person."""
    name = "AWSReservedSSO_Developers_0123456789abcdef"
    role = sandbox.create_role(name, path="/aws-reserved/sso.amazonaws.com/eu-west-1/")["Arn"]
    decision = judged(role, "ada@example.com", observe_people=observe_people)
    assert (decision["decision"], decision["observed"]) == ("cannot-revoke", observe_people)
    assert "AWSSupport-ContainIAMPrincipal" in decision["reason"]


def test_full_policies_lead_to_the_boundary_and_never_to_an_inline_policy(sandbox, judged):
    """No room for a managed policy: the boundary is set, where the role has none of its own."""
    sandbox.faults.append(Fault("iam:AttachRolePolicy", "LimitExceeded", 409))
    decision = judged(sandbox.create_role("full")["Arn"])
    assert (decision["how"], list(decision["rungs"])) == ("boundary", ["managed", "boundary"])
    role = sandbox.client("iam").get_role(RoleName="full")["Role"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == deny_arn(sandbox, "DenyIAMAccessBoundary")
    assert list(backend(sandbox).get_role("full").policies) == ["access"]
