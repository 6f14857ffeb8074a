"""The sandbox's AWS Organizations and StackSets behave as AWS documents them."""

import pytest
from botocore.exceptions import ClientError

from sandbox.organizations import organization
from sandbox.organizations.organization import MANAGEMENT, ROOT, UNIT
from sandbox.server import DEPLOY

CENTRAL, FIRST, SECOND = "373737373731", "373737373732", "373737373733"
NAME, REGIONS = "access", ["us-east-1"]
READ_ORGANIZATION = "access-analyzer.amazonaws.com"


@pytest.fixture(scope="module")
def sandbox(sandbox):
    """The sandbox with an organization, whose central account is not in its unit."""
    members = [(CENTRAL, "security", False), (FIRST, "first", True), (SECOND, "second", True)]
    organization.found(sandbox, members)
    yield sandbox
    organization.dissolve()


@pytest.fixture
def stack_set(sandbox):
    """``stack_set.create(…)``: a StackSet of access.yml; it is gone after the test."""
    client = sandbox.client("cloudformation", account=MANAGEMENT)
    client.activate_organizations_access()
    client.create_stack_set(
        StackSetName=NAME, PermissionModel="SERVICE_MANAGED", Capabilities=["CAPABILITY_NAMED_IAM"],
        AutoDeployment={"Enabled": True, "RetainStacksOnAccountRemoval": True},
        TemplateBody=(DEPLOY / "access.yml").read_text(),
        Parameters=[{"ParameterKey": "CentralAccount", "ParameterValue": CENTRAL}],
    )  # fmt: skip
    yield client
    everywhere = {"OrganizationalUnitIds": [ROOT]}
    client.delete_stack_instances(
        StackSetName=NAME, Regions=REGIONS, RetainStacks=False, DeploymentTargets=everywhere
    )
    client.delete_stack_set(StackSetName=NAME)


def create(client, **targets):
    targets = {"OrganizationalUnitIds": [UNIT], **targets}
    client.create_stack_instances(StackSetName=NAME, DeploymentTargets=targets, Regions=REGIONS)


def instances(client):
    """The status of each account's instance."""
    found = client.list_stack_instances(StackSetName=NAME)["Summaries"]
    return {one["Account"]: one["StackInstanceStatus"]["DetailedStatus"] for one in found}


def has_role(sandbox, account, role="iam-guard-deployer"):
    roles = sandbox.client("iam", account=account).list_roles()["Roles"]
    return role in [one["RoleName"] for one in roles]


def test_an_account_in_which_a_name_is_taken_says_so(sandbox, stack_set):
    """Its instance has failed with the reason, and the other account has its stack."""
    sandbox.create_role("iam-guard-reader", account=FIRST)
    create(stack_set)
    assert instances(stack_set) == {FIRST: "FAILED", SECOND: "SUCCEEDED"}
    found = stack_set.list_stack_instances(StackSetName=NAME)["Summaries"]
    assert ["already exists" in one.get("StatusReason", "") for one in found] == [True, False]
    iam = sandbox.client("iam", account=FIRST)
    iam.delete_role_policy(RoleName="iam-guard-reader", PolicyName="access")
    iam.delete_role(RoleName="iam-guard-reader")
    create(stack_set)
    assert instances(stack_set) == {FIRST: "SUCCEEDED", SECOND: "SUCCEEDED"}


def test_an_account_that_joins_the_unit_gets_the_stack_and_keeps_it_when_it_leaves(sandbox, stack_set):
    """A new account has nothing at the root, and the stack as soon as it is moved, whatever filter there was.

    Once it has left the organization, the StackSet does not know it any more.
    """
    create(stack_set, Accounts=[FIRST], AccountFilterType="INTERSECTION")
    client = sandbox.client("organizations", account=MANAGEMENT)
    made = client.create_account(AccountName="third", Email="third@example.com")["CreateAccountStatus"]
    assert made["AccountId"] not in instances(stack_set)
    client.move_account(AccountId=made["AccountId"], SourceParentId=ROOT, DestinationParentId=UNIT)
    assert instances(stack_set) == {FIRST: "SUCCEEDED", made["AccountId"]: "SUCCEEDED"}
    client.remove_account_from_organization(AccountId=made["AccountId"])
    assert instances(stack_set) == {FIRST: "SUCCEEDED"}
    assert has_role(sandbox, made["AccountId"])


def central_of(sandbox, account):
    """What an account's stack was given."""
    (stack,) = sandbox.client("cloudformation", account=account).describe_stacks()["Stacks"]
    return {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}["CentralAccount"]


def test_an_update_reaches_all_instances_and_forgets_what_it_does_not_name(sandbox, stack_set):
    """A parameter keeps its value if the command says so; one that is left out gets its default."""
    create(stack_set)
    update = {"StackSetName": NAME, "UsePreviousTemplate": True, "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    kept = [{"ParameterKey": "CentralAccount", "UsePreviousValue": True}]
    for parameters, value in ((kept, CENTRAL), ([], "")):
        stack_set.update_stack_set(**update, Parameters=parameters)
        assert [central_of(sandbox, account) for account in (FIRST, SECOND)] == [value, value]


def test_a_delegated_administrator_may_list_the_accounts_and_nobody_else_may(sandbox):
    """A member account is refused until it is registered for a service, and may not change anything then."""
    central = sandbox.client("organizations", account=CENTRAL)
    assert central.describe_organization()["Organization"]["Id"] == organization.ID
    with pytest.raises(ClientError, match="AccessDenied"):
        central.list_roots()
    client = sandbox.client("organizations", account=MANAGEMENT)
    client.enable_aws_service_access(ServicePrincipal=READ_ORGANIZATION)
    client.register_delegated_administrator(AccountId=CENTRAL, ServicePrincipal=READ_ORGANIZATION)
    assert {FIRST, SECOND} <= {
        one["Id"] for one in central.list_accounts_for_parent(ParentId=UNIT)["Accounts"]
    }
    with pytest.raises(ClientError, match="AccessDenied"):
        central.create_account(AccountName="x", Email="x@example.com")
