"""The service control policies: what attackers cannot do under them, and what everybody else still can."""

import json
import shutil
import subprocess

import pytest
from botocore.exceptions import ClientError
from helpers import FUNCTION, HARMLESS, ROOT, revoked
from moto.iam.models import iam_backends
from rights import (
    CENTRAL,
    CONTAIN,
    DEPLOYER,
    FORWARD,
    FUNCTIONS,
    GUARD,
    PEOPLE,
    RESPONSE,
    TELL,
    documents,
)

from sandbox.access.authorization import allows, listed
from sandbox.organizations import organization
from sandbox.server import DEPLOY

FILES = ("scp.json", "scp-parts.json")
ACCOUNT = "161616161617"
IAM = f"arn:aws:iam::{ACCOUNT}:"
HERE = f"us-east-1:{ACCOUNT}:"
STRANGERS = (f"{IAM}user/mallory", f"{IAM}role/admin", f"{IAM}role/iam-guard-reader")
ROLES = (GUARD, CONTAIN, RESPONSE, DEPLOYER, FORWARD, TELL, CENTRAL, PEOPLE)
PEOPLES_SCP = f"arn:aws:organizations::{ACCOUNT}:policy/{organization.ID}/service_control_policy/p-12345678"
#: In place of the roles that a company exempts: nobody is in that account.
MARK = "arn:*:iam::000000000000:role/EXEMPT"


def document(name):
    return json.loads((DEPLOY / name).read_text())


def lets(principal, action, resource, context=None, scps=None):
    """Whether service control policies let a principal do something that it has every right to."""
    scps = [document(name) for name in FILES] if scps is None else scps
    context = {"aws:principalarn": principal, **(context or {})}
    return allows([*scps, HARMLESS], action, resource, context) is True


def of(service, actions, *resources, **context):
    """Calls as (action, resource, context): each of the actions on each of the resources."""
    context = {f"{'aws' if key == 'tagkeys' else service}:{key}": value for key, value in context.items()}
    return [(f"{service}:{action}", one, context) for action in actions.split() for one in resources]


# What attackers cannot do

BOB, APP, ROLE, DENIAL = f"{IAM}user/bob", f"{IAM}role/app", f"{IAM}role", f"{IAM}policy/DenyIAMAccess"
OUR_POLICIES = [
    DENIAL,
    f"{DENIAL}Boundary",
    *(f"{IAM}policy/iam-guard-{x}" for x in ("quarantine", "notify")),
]
OUR_ROLES = [f"{ROLE}/iam-guard{part}" for part in ("", "-contain", "-reader", "-response", "-forward")]
OF_A_ROLE = "PutRolePolicy DeleteRolePolicy AttachRolePolicy DetachRolePolicy PutRolePermissionsBoundary"
OF_IAM = [
    *of("iam", "DetachUserPolicy", BOB, policyarn=DENIAL),
    *of("iam", "DetachRolePolicy", APP, policyarn=DENIAL),
    *of("iam", "DetachUserPolicy", BOB, policyarn=f"{IAM}policy/iam-guard-quarantine"),
    *of("iam", "PutUserPolicy DeleteUserPolicy", BOB),
    *of("iam", "PutUserPermissionsBoundary", BOB, permissionsboundary=f"{IAM}policy/company"),
    *of("iam", "DeleteUserPermissionsBoundary", BOB, permissionsboundary=f"{DENIAL}Boundary"),
    *of("iam", "DeleteRolePermissionsBoundary", APP, permissionsboundary=f"{DENIAL}Boundary"),
    *of("iam", "CreateUser TagUser", BOB, tagkeys=["team", "IAM-Guard"]),
    *of("iam", "CreateRole TagRole", APP, tagkeys=["Iam-Guard-Exempt"]),
    *of("iam", "UntagUser UntagRole", "*", tagkeys=["iam-guard-restored"]),
    *of("iam", "AddUserToGroup RemoveUserFromGroup UpdateGroup DeleteGroup", f"{IAM}group/admins"),
    *of("iam", "AddUserToGroup", f"{IAM}group/team/admins"),
    *of("iam", "CreatePolicyVersion SetDefaultPolicyVersion DeletePolicy", *OUR_POLICIES),
    *of("iam", f"{OF_A_ROLE} UpdateAssumeRolePolicy PassRole DeleteRole", *OUR_ROLES),
    *of("iam", "CreateRole", f"{ROLE}/x/iam-guard-contain", f"{ROLE}/x/y/stacksets-exec-1"),
    *of("iam", "CreateRole UpdateAssumeRolePolicy", f"{ROLE}/stacksets-exec-1"),
    *of("iam", "TagRole UntagRole", f"{ROLE}/iam-guard", tagkeys=["iam-guard-admin-groups"]),
]
QUEUE = f"arn:aws:sqs:{HERE}{FUNCTION}"
LOG = f"arn:aws:logs:{HERE}log-group:/aws/lambda/{FUNCTION}"
GUARDS_FUNCTION, OWN_FUNCTION = (f"arn:aws:lambda:{HERE}function:{name}" for name in (FUNCTION, "app"))
STACK, RULE = f"arn:aws:cloudformation:{HERE}stack", f"arn:aws:events:{HERE}rule"
BUS, ALARM = f"arn:aws:events:{HERE}event-bus", f"arn:aws:cloudwatch:{HERE}alarm"
TOPIC, TRAIL = f"arn:aws:sns:{HERE}iam-guard", f"arn:aws:cloudtrail:{HERE}trail/iam-guard"
STACKS = ("iam-guard/1", "iam-guard-access/2", "StackSet-iam-guard-3/4", "StackSet-iam-guard-x/5")
RULES = (*FUNCTIONS, "iam-guard.root", "iam-guard.alarms", PEOPLE, f"{CENTRAL}/{PEOPLE}")
MAPPINGS = "CreateEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping"
OF_PARTS = [
    *of("cloudformation", "DeleteStack UpdateStack SetStackPolicy", *(f"{STACK}/{name}" for name in STACKS)),
    *of("cloudformation", "CreateChangeSet ExecuteChangeSet", *(f"{STACK}/{name}" for name in STACKS)),
    *of("cloudformation", "UpdateTerminationProtection RollbackStack", f"{STACK}/iam-guard/1"),
    *of("cloudformation", "DeleteStackInstances UpdateStackSet", f"{STACK}set/iam-guard:1"),
    *of("lambda", "UpdateFunctionCode UpdateFunctionConfiguration PutFunctionConcurrency", GUARDS_FUNCTION),
    *of("lambda", "InvokeFunction AddPermission RemovePermission DeleteFunction", GUARDS_FUNCTION),
    *of("lambda", "UntagResource", GUARDS_FUNCTION),
    *of("lambda", MAPPINGS, "*", functionarn=GUARDS_FUNCTION),
    *of("events", "DisableRule", *(f"{RULE}/{name}" for name in RULES)),
    *of("events", "PutTargets", f"{RULE}/{FUNCTION}"),
    *of("events", "RemoveTargets", f"{RULE}/iam-guard/iam-guard-tell"),
    *of("events", "PutRule", f"{RULE}/iam-guard-central/iam-guard-central"),
    *of("events", "PutPermission RemovePermission", "*"),
    *of("events", "PutEvents", f"{BUS}/iam-guard", f"{BUS}/iam-guard-central"),
    *of("events", "DeleteEventBus UpdateEventBus", f"{BUS}/iam-guard"),
    *of("sqs", "SendMessage", QUEUE, f"arn:aws:sqs:{HERE}iam-guard-people.fifo"),
    *of("sqs", "ReceiveMessage DeleteMessage PurgeQueue DeleteQueue SetQueueAttributes", QUEUE),
    *of("sqs", "StartMessageMoveTask", QUEUE),
    *of("logs", "DeleteLogGroup PutRetentionPolicy AssociateKmsKey PutDataProtectionPolicy", LOG),
    *of("logs", "DeleteMetricFilter", LOG),
    *of("logs", "DeleteLogStream PutLogEvents", f"{LOG}:log-stream:x"),
    *of("cloudwatch", "DeleteAlarms DisableAlarmActions PutMetricAlarm", f"{ALARM}:iam-guard-untold"),
    *of("cloudwatch", "PutAlarmMuteRule SetAlarmState", f"{ALARM}:iam-guard-untold"),
    *of("cloudwatch", "PutCompositeAlarm", f"{ALARM}:iam-guard-mine"),
    *of("cloudwatch", "PutMetricData", "*", namespace="iam-guard"),
    *of("sns", "SetTopicAttributes PutDataProtectionPolicy Publish Unsubscribe", f"{TOPIC}-notices"),
    *of("sns", "DeleteTopic Subscribe", f"{TOPIC}-alarms"),
    *of("sns", "SetSubscriptionAttributes", f"{TOPIC}-central"),
    *of("cloudtrail", "StopLogging PutEventSelectors PutEventConfiguration DeleteTrail", TRAIL),
    *of("organizations", "LeaveOrganization", "*"),
]
MOVES = dict(zip(FILES, (OF_IAM, OF_PARTS), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_every_move_is_refused_by_one_file_alone(name):
    """Each file can be attached by itself: it refuses its moves to everybody, without the other one."""
    for principal in STRANGERS:
        for move in MOVES[name]:
            assert not lets(principal, *move, [document(name)]), (principal, move)


# What it leaves to everybody

UNRELATED = [
    *of(
        "iam", f"{OF_A_ROLE} UpdateAssumeRolePolicy PassRole CreateRole GetRole", APP
    ),  # Terraform's daily work
    *of("iam", "AttachRolePolicy DetachRolePolicy", APP, policyarn=f"{IAM}policy/app"),
    *of("iam", "AttachUserPolicy DetachUserPolicy", BOB, policyarn=f"{IAM}policy/app"),
    *of("iam", "DeleteRolePermissionsBoundary", APP, permissionsboundary=f"{IAM}policy/company"),
    *of("iam", "CreateUser DeleteUser GetUser", BOB),
    *of("iam", "TagUser CreateRole", "*", tagkeys=["team", "guard"]),
    *of("iam", "CreatePolicyVersion", f"{IAM}policy/app"),
    *of("iam", "AddUserToGroup UpdateGroup", f"{IAM}group/devs", f"{IAM}group/admins-of-another-thing"),
    *of("iam", "GetRole", f"{ROLE}/iam-guard"),
    *of("cloudtrail", "UpdateTrail StopLogging", f"{TRAIL}-project"),
    *of(
        "cloudtrail",
        "UpdateTrail CreateTrail",
        f"arn:aws:cloudtrail:{HERE}trail/aws-controltower-BaselineCloudTrail",
    ),
    *of("cloudformation", "UpdateStack DeleteStack", f"{STACK}/app/1", f"{STACK}/StackSet-baseline-2/3"),
    *of("cloudformation", "UpdateStackSet", f"{STACK}set/baseline:1"),
    *of("cloudformation", "DescribeStacks", f"{STACK}/iam-guard/1"),
    *of("lambda", "UpdateFunctionCode", OWN_FUNCTION),
    *of("lambda", "GetFunction", GUARDS_FUNCTION),
    *of("lambda", MAPPINGS, "*", functionarn=OWN_FUNCTION),
    *of("events", "PutRule", f"{RULE}/app", f"{RULE}/iam-guard/pager"),  # as docs/told.md says
    *of("events", "PutTargets", f"{RULE}/iam-guard-central/pager"),
    *of("events", "PutEvents", f"{BUS}/default"),
    *of("sqs", "SendMessage", f"arn:aws:sqs:{HERE}app"),
    *of("sqs", "GetQueueAttributes", QUEUE),
    *of("logs", "PutRetentionPolicy", f"arn:aws:logs:{HERE}log-group:/aws/lambda/app"),
    *of("logs", "PutSubscriptionFilter", LOG),  # a company's log archive
    *of("cloudwatch", "DeleteAlarms", f"{ALARM}:app"),
    *of("cloudwatch", "PutMetricData", "*", namespace="app"),
    *of("sns", "Subscribe Publish", f"arn:aws:sns:{HERE}app"),
    *of("organizations", "DescribeOrganization", "*"),
]


def test_unrelated_work_goes_on():
    """Everybody may do what does not touch the guard, and may look at the guard."""
    for call in UNRELATED:
        assert lets(f"{IAM}role/terraform", *call), call


# What it keeps for the guard's roles


@pytest.fixture(scope="module")
def rights(sandbox):
    """The calls that each role of the guard may make, as (action, resource, context), one example each."""
    for name, parameters in {
        "account": {"CentralBus": f"arn:aws:events:{HERE}event-bus/iam-guard-central"},
        "access": {"CentralAccount": sandbox.account, "ResponseRoles": f"{IAM}role/on-call"},
        "contain": {},
        "central": {"OrganizationId": organization.ID},
        "people": {"PolicyArn": PEOPLES_SCP},
    }.items():
        sandbox.deploy(DEPLOY / f"{name}.yml", f"iam-guard-{name}", account=ACCOUNT, **parameters)
    backend = iam_backends[ACCOUNT]["aws"]
    return {role: calls(backend.get_role(role)) for role in ROLES}


def calls(role):
    """An example of each call that a role's inline policies allow."""

    def value_for(operator, value):
        value = f"{IAM}policy/x" if "Not" in operator else value.replace("*", "x")
        return [value] if operator.startswith("For") else value

    found = []
    for document in documents(role):
        for statement in (s for s in document["Statement"] if s["Effect"] == "Allow"):
            context = {
                key.lower(): value_for(operator, listed(values)[0])
                for operator, keys in statement.get("Condition", {}).items()
                for key, values in keys.items()
                if operator != "Null"
            }
            for resource in listed(statement["Resource"]):
                for action in listed(statement["Action"]):
                    example = resource.replace("group/*", "group/admins").replace("*", "x")
                    found.append((action, "*" if resource == "*" else example, context))
    return found


def test_the_guards_roles_lose_nothing(rights):
    """Under both files, each role of the guard may still do all that its own policies let it do."""
    for role in ROLES:
        assert rights[role]
        for call in rights[role]:
            assert lets(f"{IAM}role/{role}", *call), (role, call)


def test_what_a_statement_keeps_for_a_role_that_role_can_do(rights):
    """A role that a statement exempts has a right that the statement refuses to everybody else."""
    for statement in (statement for name in FILES for statement in document(name)["Statement"]):
        exempt = statement.get("Condition", {}).get("ArnNotLike", {}).get("aws:PrincipalArn", ())
        for role in (pattern.split("/")[1] for pattern in exempt if ":role/iam-guard" in pattern):
            alone = [{"Statement": [statement]}]
            assert any(not lets(STRANGERS[1], *call, scps=alone) for call in rights[role]), (role, statement)


# The roles that a company exempts

EXEMPT = (
    """sed -i.bak -e 's#"arn:\\*:iam::000000000000:role/EXEMPT"#"arn:*:iam::*:role/terraform","""
    """ "arn:*:iam::*:role/AWSControlTowerExecution"#' -e 's#"arn:\\*:iam::000000000000:role/RESPONDER"#"""
    """"arn:*:iam::*:role/on-call"#' deploy/scp.json deploy/scp-parts.json"""
)


@pytest.mark.parametrize("name", FILES)
def test_a_company_exempts_roles_in_one_place(tmp_path, name):
    """The documented command exempts roles, keeps their names and those of responders taken, and fits."""
    text = (DEPLOY / name).read_text()
    statements = [s for s in document(name)["Statement"] if "Condition" in s]
    assert all(s["Condition"]["ArnNotLike"]["aws:PrincipalArn"][0] == MARK for s in statements)
    assert EXEMPT in (ROOT / "docs" / "scp.md").read_text()
    (tmp_path / "deploy").mkdir()
    for file in FILES:
        shutil.copy(DEPLOY / file, tmp_path / "deploy")
    subprocess.run(["bash", "-c", EXEMPT], cwd=tmp_path, check=True)
    exempting = (tmp_path / "deploy" / name).read_text()
    assert max(len(text), len(exempting)) < 5120  # what AWS Organizations takes, white space included
    assert "000000000000" not in exempting
    scps = [json.loads(exempting)]
    for move in (move for move in MOVES[name] if "LeaveOrganization" not in move[0]):
        assert lets(f"{IAM}role/terraform", *move, scps), move
        assert not lets(STRANGERS[0], *move, scps), move
    takes_the_role = ("iam:UpdateAssumeRolePolicy", f"{IAM}role/AWSControlTowerExecution")
    assert lets(STRANGERS[0], *takes_the_role, scps=scps) == (name != "scp.json")
    for takes in ("iam:UpdateAssumeRolePolicy", "iam:DeleteRole", "iam:CreateRole"):
        assert lets(STRANGERS[0], takes, f"{IAM}role/on-call", scps=scps) == (name != "scp.json")
    assert text.count(MARK) == len(statements) + (name == "scp.json")


@pytest.mark.parametrize(("name", "text"), [("scp.json", "group/"), ("scp-parts.json", "trail/")])
def test_what_differs_between_companies_stands_once(name, text):
    """The admin group and the trail that feeds the guard are named in one line each."""
    assert len([line for line in (DEPLOY / name).read_text().splitlines() if text in line]) == 1


# On a deployed account

VICTIM, THIS = {"UserName": "victim"}, {"FunctionName": FUNCTION}
DENY = "arn:aws:iam::111122223333:policy/DenyIAMAccess"
#: One for each condition key that AWS fills in and a statement looks at, and for each service.
MADE = [
    ("iam", "detach_user_policy", {**VICTIM, "PolicyArn": DENY}),
    ("iam", "put_user_permissions_boundary", {**VICTIM, "PermissionsBoundary": DENY}),
    ("iam", "put_user_policy", {**VICTIM, "PolicyName": "DenyIAM", "PolicyDocument": json.dumps(HARMLESS)}),
    ("iam", "tag_user", {**VICTIM, "Tags": [{"Key": "IAM-guard", "Value": "restore"}]}),
    ("iam", "add_user_to_group", {**VICTIM, "GroupName": "admins"}),
    ("iam", "create_role", {"RoleName": "stacksets-exec-x", "AssumeRolePolicyDocument": "{}"}),
    ("lambda", "put_function_concurrency", {**THIS, "ReservedConcurrentExecutions": 0}),
    (
        "lambda",
        "create_event_source_mapping",
        {**THIS, "EventSourceArn": "arn:aws:sqs:us-east-1:111122223333:x"},
    ),
    ("events", "disable_rule", {"Name": FUNCTION}),
]


def test_with_the_scp_nobody_takes_the_guard_away_and_it_goes_on_working(fresh, user):
    """Not even somebody with all rights gets a move done, and the guard's own role still denies them IAM."""
    attacker = user("mallory")
    user("victim")
    fresh.scps[:] = [HARMLESS, *map(document, FILES)]
    for service, operation, parameters in MADE:
        with pytest.raises(ClientError, match=r"AccessDenied|not authorized"):
            getattr(fresh.client(service, attacker.key), operation)(**parameters)
    fresh.pending.clear()
    attacker.iam.create_user(UserName="helper")
    fresh.deliver()
    assert revoked(fresh, "mallory") == ["managed"]
