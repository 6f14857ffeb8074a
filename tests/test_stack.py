"""The stack of one account: what it holds, how it is taken away again, and other partitions.

The commands stand here as the documentation has them, and run in a shell, ``aws`` being ``aws_cli.py``.
"""

import pytest
from helpers import FUNCTION, POLICIES, attached, call_iam, function_names, ok
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends

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
LIST_ONE = "custodian run -s output policies/list-revoked-iam-access.yml"
REPORT_ONE = "custodian report -s output --format grid policies/list-revoked-iam-access.yml"
RESTORE = [
    "aws iam tag-user --user-name bob --tags Key=iam-guard,Value=restore",
    "custodian run -s output policies/restore-iam-access.yml",
]
REMOVE_FUNCTION = [
    "aws events remove-targets --rule {0} --ids {0}",
    "aws events delete-rule --name {0}",
    "aws lambda delete-function --function-name {0}",
]
REMOVE_STACK = [
    "aws cloudformation delete-stack --stack-name iam-guard",
    "aws cloudformation wait stack-delete-complete --stack-name iam-guard",
]


# Uninstall


def everything(sandbox, account, region=None):
    """All that an account has of what the pack installs, as one comparable value."""

    def client(service):
        return sandbox.client(service, account=account, region=region)

    iam = iam_backends[account]["aws"]
    functions = client("lambda")
    return {
        "functions": function_names(sandbox, account, region),
        "mappings": functions.list_event_source_mappings()["EventSourceMappings"],
        "rules": client("events").list_rules()["Rules"],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "topics": client("sns").list_topics()["Topics"],
        "logs": [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]],
        "buckets": [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]],
        "stacks": client("cloudformation").describe_stacks()["Stacks"],
        "roles": sorted(role.name for role in iam.roles.values()),
        "policies": sorted(p["PolicyName"] for p in client("iam").list_policies(Scope="Local")["Policies"]),
        "users": {
            user.name: (sorted(user.policies), sorted(user.managed_policies)) for user in iam.users.values()
        },
    }


def test_uninstalling_leaves_nothing_behind(sandbox, shell, workplace, tmp_path):
    """The documented commands, in their order, leave the account as it was; the stack waits for users."""
    account = "999900001111"
    environ = sandbox.environ(account=account)
    sandbox.client("iam", account=account).create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=account)
    key = sandbox.create_user("bob", account=account)
    before = everything(sandbox, account)
    ok(
        shell(
            f"{STACK} --parameter-overrides AdminGroup=admins",
            environ,
        )
    )
    ok(shell(DEPLOY_ONE, environ))
    call_iam(sandbox, account, key, "bobs-friend")
    installed = everything(sandbox, account)
    kinds = ("functions", "rules", "queues", "logs", "stacks", "roles", "policies", "users")
    assert all(installed[kind] != before[kind] for kind in kinds)
    sandbox.client("iam", account=account).delete_user(UserName="bobs-friend")
    sandbox.pending.clear()

    ok(shell(LIST_ONE, environ))
    assert "| bob" in ok(shell(REPORT_ONE, environ))
    for name in function_names(sandbox, account):
        for command in REMOVE_FUNCTION:
            ok(shell(command.format(name), environ))
    assert function_names(sandbox, account) == []

    ok(shell(REMOVE_STACK[0], environ))
    status = ok(
        shell("aws cloudformation describe-stacks --query Stacks[0].StackStatus --output text", environ)
    )
    assert status == "DELETE_FAILED\n"
    for command in RESTORE:
        ok(shell(command, environ))
    for command in REMOVE_STACK:
        ok(shell(command, environ))
    assert everything(sandbox, account) == before


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
