"""The sandbox's AWS Organizations and StackSets behave as AWS documents them."""

import pytest
from botocore.exceptions import ClientError

from sandbox.organizations import organization
from sandbox.organizations.organization import MANAGEMENT, UNIT
from sandbox.server import DEPLOY

CENTRAL, FIRST, SECOND = "373737373731", "373737373732", "373737373733"
NAME = "access"
READ_ORGANIZATION = "access-analyzer.amazonaws.com"


@pytest.fixture(scope="module")
def sandbox(sandbox):
    """The sandbox with an organization, whose central account is not in its unit."""
    members = [(CENTRAL, "security", False), (FIRST, "first", True), (SECOND, "second", True)]
    organization.found(sandbox, members)
    yield sandbox
    organization.dissolve()


def instances(client):
    """The status of each account's instance."""
    found = client.list_stack_instances(StackSetName=NAME)["Summaries"]
    return {one["Account"]: one["StackInstanceStatus"]["DetailedStatus"] for one in found}


def test_an_account_in_which_a_name_is_taken_says_so(sandbox):
    """Its instance has failed with the reason, and the other account has its stack."""
    client = sandbox.client("cloudformation", account=MANAGEMENT)
    client.activate_organizations_access()
    client.create_stack_set(
        StackSetName=NAME, PermissionModel="SERVICE_MANAGED", Capabilities=["CAPABILITY_NAMED_IAM"],
        AutoDeployment={"Enabled": True, "RetainStacksOnAccountRemoval": True},
        TemplateBody=(DEPLOY / "access.yml").read_text(),
        Parameters=[{"ParameterKey": "CentralAccount", "ParameterValue": CENTRAL}],
    )  # fmt: skip
    sandbox.create_role("iam-guard-reader", account=FIRST)
    create = {
        "StackSetName": NAME, "Regions": ["us-east-1"], "DeploymentTargets": {"OrganizationalUnitIds": [UNIT]},
    }  # fmt: skip
    client.create_stack_instances(**create)
    assert instances(client) == {FIRST: "FAILED", SECOND: "SUCCEEDED"}
    found = client.list_stack_instances(StackSetName=NAME)["Summaries"]
    assert ["already exists" in one.get("StatusReason", "") for one in found] == [True, False]
    iam = sandbox.client("iam", account=FIRST)
    iam.delete_role_policy(RoleName="iam-guard-reader", PolicyName="access")
    iam.delete_role(RoleName="iam-guard-reader")
    client.create_stack_instances(**create)
    assert instances(client) == {FIRST: "SUCCEEDED", SECOND: "SUCCEEDED"}


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
