"""The stack of one account: what it holds, in other partitions and as a StackSet.

The commands are the documentation's own, and run in a shell, ``aws`` being ``aws_cli.py``.
"""

import json
import re

import pytest
from botocore.exceptions import ClientError
from helpers import FUNCTION, POLICIES, REVOKE, attached, call_iam, ok
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends
from pack import commands_of
from rights import template

from sandbox.organizations import organization
from sandbox.server import DEPLOY

DEPLOYER = "iam-guard-deployer"
#: The commands of docs/organization.md for an organization, in its order.
ORGANIZATION = [one for one in commands_of("docs/organization.md") if one.startswith("aws cloudformation ")]
#: Those of docs/operate.md that remove a StackSet.
UNINSTALL = [one for one in commands_of("docs/operate.md") if "--stack-set-name" in one]
CENTRAL, MEMBER = "161616161616", "171717171717"
ROLES = f"arn:aws:iam::{CENTRAL}:role/"


def test_another_partition_works_the_same_way(sandbox, shell):
    """In China, stack, deployment and revocation hold, with that partition's own ARNs."""
    account, region, partition = "123412341234", "cn-north-1", "aws-cn"
    environ = sandbox.environ(account=account, region=region)
    iam = sandbox.client("iam", account=account, region=region)
    iam.create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=account, region=region)
    key = sandbox.create_user("bob", account=account, region=region)
    stack = f"--stack-name iam-guard --region {region} --template-file deploy/account.yml"
    ok(shell(f"aws cloudformation deploy {stack} --capabilities CAPABILITY_NAMED_IAM", environ))
    one = f"-s output -r {region} -p {REVOKE} policies/{REVOKE}.yml"
    ok(shell(f"custodian run --vars-file iam-guard.yml {one}", environ))
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


@pytest.fixture(scope="module")
def member(sandbox, shell):
    """A member account of an organization, after all commands of the page in their order."""
    organization.found(sandbox, [(CENTRAL, "security", True), (MEMBER, "member", True)])
    for name in ("platform", "somebody"):
        sandbox.create_role(name, account=CENTRAL)
    for command in ORGANIZATION:
        account = CENTRAL if "cloudformation deploy" in command else organization.MANAGEMENT
        for shown, real in (("111122223333", CENTRAL), ("222233334444", MEMBER), ("333344445555", MEMBER)):
            command = command.replace(shown, real)
        ok(shell(command, sandbox.environ(account=account)))
    yield MEMBER
    organization.dissolve()


def test_the_parts_for_roles_can_be_turned_on_later(sandbox, member):
    """The page's update of the StackSet sets Roles in every account, and keeps what else was given."""
    (stack,) = [
        one
        for one in sandbox.client("cloudformation", account=member).describe_stacks()["Stacks"]
        if one["StackName"].startswith("StackSet-iam-guard-") and "-access-" not in one["StackName"]
        and "-contain-" not in one["StackName"]
    ]  # fmt: skip
    values = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    assert values["Roles"] == "yes"
    assert values["CentralBus"] == f"arn:aws:events:us-east-1:{CENTRAL}:event-bus/iam-guard-central"


def test_an_update_of_a_stack_set_names_every_parameter():
    """AWS resets a parameter that update-stack-set leaves out: each such command of the pages names all."""
    commands = [command for command in ORGANIZATION if " update-stack-set " in command]
    assert commands
    for command in commands:
        (name,) = re.findall(r"--stack-set-name (?:iam-guard-)?([\w-]+)", command)
        file = "account.yml" if name == "iam-guard" else f"{name}.yml"
        named = dict(re.findall(r"ParameterKey=(\w+),(\w+)=", command))
        assert set(named) == set(template(file)["Parameters"])
        assert set(named.values()) == {"UsePreviousValue", "ParameterValue"}


def test_one_account_that_fails_stops_no_other():
    """AWS tolerates no failure unless the command says so: each command that changes accounts does."""
    work = re.compile(r" (create|update|delete)-stack-instances | update-stack-set ")
    commands = [command for command in (*ORGANIZATION, *UNINSTALL) if work.search(command)]
    assert len(commands) == 10
    assert all(" FailureTolerancePercentage=100," in command for command in commands)


@pytest.mark.parametrize("role", [DEPLOYER, "iam-guard-reader"])
def test_only_the_central_accounts_own_roles_get_into_other_accounts(sandbox, member, role):
    """A role that the central account's stack names gets into the member through its role, and no other."""

    def take(account, keys):
        arn = f"arn:aws:iam::{account}:role/{role}"
        sts = sandbox.client("sts", keys, CENTRAL)
        return sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]

    platform, somebody = (sandbox.session(f"{ROLES}{name}") for name in ("platform", "somebody"))
    for account, keys in ((member, platform), (member, somebody), (CENTRAL, somebody)):
        with pytest.raises(ClientError, match="AccessDenied"):
            take(account, keys)
    central = take(CENTRAL, platform)
    assert take(member, central)
    assert take(CENTRAL, central)


def test_an_organization_is_uninstalled_in_the_pages_order(sandbox, shell, member):
    """Both commands for each StackSet, the roles last: the member has none of the guard's roles any more."""
    environ = sandbox.environ(account=organization.MANAGEMENT)
    for name in ("iam-guard-contain", "iam-guard", "iam-guard-access"):
        for command in UNINSTALL:
            ok(shell(command.replace("iam-guard-contain", name), environ))
    roles = [role["RoleName"] for role in sandbox.client("iam", account=member).list_roles()["Roles"]]
    assert not [role for role in roles if role.startswith("iam-guard")]


@pytest.mark.parametrize(("parameters", "readers"), [({}, {"a"}), ({"ReaderRoles": f"{ROLES}b"}, {"b"})])
def test_the_reader_lets_in_its_own_list_or_else_the_deployers(sandbox, parameters, readers):
    """ReaderRoles says who may look, without a say in who may deploy."""
    account = "141414141414"
    lists = {"CentralAccount": CENTRAL, "DeployerRoles": f"{ROLES}a", **parameters}
    sandbox.deploy(DEPLOY / "access.yml", "iam-guard-access", account=account, **lists)
    for role, wanted in ((DEPLOYER, {"a"}), ("iam-guard-reader", readers)):
        trust = iam_backends[account]["aws"].get_role(role).assume_role_policy_document
        (statement,) = json.loads(trust)["Statement"]
        allowed = statement["Condition"]["ArnLike"]["aws:PrincipalArn"]
        assert {arn.removeprefix(ROLES) for arn in allowed} == wanted


def test_policies_know_no_partition_either():
    """No policy file names a partition in an ARN."""
    for file in POLICIES.glob("*.yml"):
        assert "arn:aws" not in file.read_text()
