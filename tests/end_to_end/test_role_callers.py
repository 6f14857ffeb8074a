"""Callers that are roles: who is on the list, who is denied, who cannot be, by the uploaded function that acts."""

import json

import pytest
from helpers import (
    HARMLESS,
    POLICIES,
    backend,
    case,
    deny_arn,
    guards_calls,
    moto_policies,
    ok,
    outcomes,
    policy,
    settings_file,
    stock,
)
from kept import functions as kept_functions
from kept import iam as kept_iam

from sandbox.server import Fault

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


def test_a_listed_role_that_was_made_again_is_neither_let_pass_nor_denied(account):
    """Another role of the name: its events fail until the policy is deployed again."""
    iam = account.client("iam")
    iam.delete_role_policy(RoleName="Terraform", PolicyName="access")
    iam.delete_role(RoleName="Terraform")
    role = account.create_role("Terraform")["Arn"]
    invocation = judged(account, account.session(role))
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert "is not the one that was listed under this name" in invocation.log
    assert attached(account, "Terraform") == []


def test_the_guards_own_roles_are_never_denied_whatever_the_list_says(account):
    """A session of the role iam-guard: the rule leaves it out, and the function lets it pass."""
    session = account.session(f"arn:aws:iam::{account.account}:role/iam-guard")
    account.client("iam", session).list_users()
    event = account.pending[-1]
    event["detail"] |= {"eventName": "CreateUser", "readOnly": False}
    assert [i for i in account.deliver(event) if i.function == FUNCTION] == []
    invocation = account.functions.invoke(FUNCTION, event)
    assert invocation.decisions[0]["reason"] == "admin role iam-guard"


@pytest.mark.parametrize("name", ["iam-guard-response", "IAM-Guard-Contain"])
def test_a_role_that_takes_a_name_of_the_guards_is_neither_let_pass_nor_denied(account, name):
    """Own roles are pinned by id, too: one that came later is unknown, and its events fail."""
    role = account.create_role(name)["Arn"]
    assert judged(account, account.session(role)).dead_lettered


def test_an_administrator_of_identity_center_matches_by_the_reserved_path_alone(account):
    """The same name elsewhere is nobody's but its maker's: denied."""
    name = "AWSReservedSSO_AdministratorAccess_0123456789abcdef"
    reserved = account.create_role(name, path="/aws-reserved/sso.amazonaws.com/eu-west-1/")["Arn"]
    assert judged(account, account.session(reserved)).decisions[0]["decision"] == "let-pass"
    backend(account).roles.pop(backend(account).get_role(name).id)
    fake = account.create_role(name)["Arn"]
    assert judged(account, account.session(fake), "else").decisions[0]["decision"] == "revoked"


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


def test_full_policies_and_a_boundary_of_its_own_fail_loudly(account):
    """Nothing can be set: the event ends in the dead-letter queue."""
    iam, role = account.client("iam"), account.create_role("bound")
    fill(account, "bound")
    arn = iam.create_policy(PolicyName="own", PolicyDocument=json.dumps(HARMLESS))["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName="bound", PermissionsBoundary=arn)
    assert judged(account, account.session(role["Arn"])).dead_lettered


def fill(sandbox, name):
    """Attach managed policies to a role until IAM takes no more."""
    iam = sandbox.client("iam")
    for number in range(10):
        arn = f"arn:aws:iam::{sandbox.account}:policy/role-filler-{number}"
        if arn not in moto_policies(sandbox):
            iam.create_policy(PolicyName=f"role-filler-{number}", PolicyDocument=json.dumps(HARMLESS))
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)


def test_a_role_that_is_gone_is_let_pass(account):
    """Deleted since its call: there is nobody to deny, and nothing to try again."""
    role = account.create_role("brief")["Arn"]
    account.client("iam", account.session(role)).create_user(UserName="somebody")
    event = account.pending[-1]
    iam = account.client("iam")
    iam.delete_role_policy(RoleName="brief", PolicyName="access")
    iam.delete_role(RoleName="brief")
    invocation = account.functions.invoke(FUNCTION, event)
    assert invocation.decisions[-1]["reason"] == "the role does not exist any more"


def test_a_session_whose_role_has_a_users_name_never_touches_the_user(account):
    """The role bob is denied, the user bob is not."""
    role = account.create_role("bob")["Arn"]
    assert judged(account, account.session(role, "bob")).decisions[0]["role"] == "bob"
    assert backend(account).get_user("bob").managed_policies == {}


def test_a_role_of_another_account_is_let_pass(account):
    """Only roles of the account that the function runs in."""
    event = case("would-revoke-session", ROLES)
    event = json.loads(json.dumps(event).replace(account.account, "444455556666"))
    invocation = account.functions.invoke(FUNCTION, event)
    assert "another account" in invocation.decisions[0]["reason"]


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [("Throttling", 400, "revoked"), ("AccessDenied", 403, "dead"), ("ServiceFailure", 500, "revoked")],
)
def test_an_error_of_iam_is_tried_again_and_never_a_yes(account, code, status, outcome):
    """A passing error is waited for; one that stays ends in the dead-letter queue."""
    role = account.create_role(f"role-{code}")["Arn"]
    times = None if outcome == "dead" else 2
    account.faults.append(Fault("iam:AttachRolePolicy", code, status, times=times))
    invocation = judged(account, account.session(role))
    assert invocation.dead_lettered is (outcome == "dead")
    assert (deny_arn(account) in attached(account, f"role-{code}")) is (outcome == "revoked")


def test_a_hundred_events_of_fifty_roles_are_all_accounted_for(account):
    """With every third call throttled, each event ends as a decision, and every role is denied."""
    names = [f"crowd-{number}" for number in range(50)]
    sessions = [account.session(account.create_role(name)["Arn"]) for name in names]
    account.pending.clear()
    for session in sessions:
        account.client("iam", session).list_users()
    events = [event for event in account.pending if event["detail"]["eventName"] == "ListUsers"]
    for event in events:
        event["detail"] |= {"eventName": "CreateUser", "readOnly": False}
    account.pending.clear()
    account.faults.append(Fault("iam:*", "Throttling", share=0.3, caller="*:assumed-role/iam-guard/*"))
    ended = [account.functions.invoke(FUNCTION, event) for event in events for _ in range(2)]
    assert len(ended) == 100
    assert all(i.succeeded or i.dead_lettered for i in ended)
    assert all(deny_arn(account) in attached(account, name) for name in names)


@pytest.mark.parametrize(
    ("roles", "problem"),
    [
        (["Admin*"], "'Admin*' is no role's name"),
        (["arn:aws:iam::444455556666:role/x"], "is of another account than"),
        ([7], "7 is no role's name"),
    ],
)
def test_a_list_that_somebody_could_slip_into_is_refused(sandbox, monkeypatch, roles, problem):
    """Wildcards outside of AWS's own names, roles of other accounts and numbers: one sentence each."""
    data = {"name": "roles", "resource": "aws.iam-role", "filters": [{"type": "admin-role", "roles": roles}]}
    with pytest.raises(Exception, match="policy:roles filter:admin-role") as error:
        policy(data, sandbox.environ(), monkeypatch)
    assert problem in str(error.value)
