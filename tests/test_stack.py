"""The stack of one account: what it holds, in other partitions and as a StackSet.

The commands stand here as the documentation has them, and run in a shell, ``aws`` being ``aws_cli.py``.
"""

import pytest
from helpers import FUNCTION, POLICIES, attached, call_iam, ok
from moto.awslambda.models import lambda_backends

from sandbox.server import DEPLOY

DEPLOYER = "iam-guard-deployer"
STACK = (
    "aws cloudformation deploy --stack-name iam-guard --template-file deploy/account.yml"
    " --capabilities CAPABILITY_NAMED_IAM"
)
STACK_SET = [
    command
    for name in ("account.yml", "access.yml")
    for stack in (
        "iam-guard" + name.removesuffix(".yml").removeprefix("account").replace("access", "-access"),
    )
    for more in (" --parameters ParameterKey=CentralAccount,{}" if "access" in stack else "",)
    for command in (
        f"aws cloudformation create-stack-set --stack-set-name {stack}"
        f" --template-body file://deploy/{name} --capabilities CAPABILITY_NAMED_IAM"
        " --permission-model SERVICE_MANAGED"
        " --auto-deployment Enabled=true,RetainStacksOnAccountRemoval=true"
        + more.format("ParameterValue=111122223333"),
        f"aws cloudformation create-stack-instances --stack-set-name {stack}"
        " --deployment-targets OrganizationalUnitIds=ou-abcd-12345678 --regions us-east-1",
        f"aws cloudformation update-stack-set --stack-set-name {stack}"
        f" --template-body file://deploy/{name} --capabilities CAPABILITY_NAMED_IAM"
        + more.format("UsePreviousValue=true"),
    )
]
DEPLOY_ONE = (
    "custodian run -s output policies/revoke-unintended-iam-access.yml policies/protect-admin-group.yml"
)


# Other partitions


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_other_partitions_work_the_same_way(sandbox, shell, region, partition):
    """In China and in GovCloud, stack, deployment and revocation hold, with that partition's own ARNs."""
    account = "123412341234"
    environ = sandbox.environ(account=account, region=region)
    iam = sandbox.client("iam", account=account, region=region)
    iam.create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=account, region=region)
    key = sandbox.create_user("bob", account=account, region=region)
    ok(shell(f"{STACK} --region {region}", environ))
    ok(shell(DEPLOY_ONE.replace("-s output", f"-s output -r {region}"), environ))
    (invocation,) = call_iam(sandbox, account, key, "bobs-friend", region)
    assert invocation.decisions[0]["decision"] == "revoked", invocation.log
    assert attached(sandbox, account, "bob", region) == [
        f"arn:{partition}:iam::{account}:policy/DenyIAMAccess"
    ]
    function = lambda_backends[account][region].get_function(FUNCTION)
    assert function.function_arn.startswith(f"arn:{partition}:lambda:{region}:")
    assert function.role == f"arn:{partition}:iam::{account}:role/iam-guard"
    queue = f"arn:{partition}:sqs:{region}:{account}:{FUNCTION}"
    assert function.dead_letter_config == {"TargetArn": queue}
    assert sandbox.client("sqs", account=account, region=region).get_queue_url(QueueName=FUNCTION)


def test_the_stack_says_no_partition_region_or_account():
    """The template takes partition, region and account from where it is deployed."""
    text = (DEPLOY / "account.yml").read_text()
    assert "arn:aws:" not in text
    assert not any(word in text.split("Conditions:")[1] for word in ("us-east-1", "111122223333"))
    assert len(text.encode()) < 51200


def test_a_stack_set_deploys_the_stack_to_the_accounts_of_an_organization(sandbox, shell):
    """The commands of a service-managed StackSet make the roles in a member account, and update them."""
    management = "171717171717"
    environ = sandbox.environ(account=management)
    organizations = sandbox.client("organizations", account=management)
    organizations.create_organization(FeatureSet="ALL")
    (root,) = organizations.list_roots()["Roots"]
    unit = organizations.create_organizational_unit(ParentId=root["Id"], Name="all")["OrganizationalUnit"][
        "Id"
    ]
    made = organizations.create_account(Email="a@example.com", AccountName="member")["CreateAccountStatus"]
    organizations.move_account(
        AccountId=made["AccountId"], SourceParentId=root["Id"], DestinationParentId=unit
    )
    for command in STACK_SET:
        ok(shell(command.replace("ou-abcd-12345678", unit), environ))
    roles = sandbox.client("iam", account=made["AccountId"]).list_roles()["Roles"]
    assert {"iam-guard", DEPLOYER, "iam-guard-reader"} < {role["RoleName"] for role in roles}


def test_the_stack_can_be_a_stack_set():
    """No nested stack, export, import or mapping that a service-managed StackSet could not deploy."""
    text = (DEPLOY / "account.yml").read_text()
    for word in ("AWS::CloudFormation::", "Export:", "Fn::ImportValue", "!ImportValue", "Transform:"):
        assert word not in text


def test_policies_know_no_partition_either():
    """No policy file names a partition in an ARN."""
    for file in POLICIES.glob("*.yml"):
        assert "arn:aws" not in file.read_text()
