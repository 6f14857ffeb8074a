"""The service control policies: what attackers cannot do under them, and what everybody else still can.

Calls are judged by the sandbox's policy evaluation. ``test_scp_moves.py`` makes some of them.
"""

import json
import shutil
import subprocess

import pytest
from helpers import FUNCTION, ROOT
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
ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
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
    return allows([*scps, ALLOW_ALL], action, resource, context) is True


def policy(name):
    return {"iam:policyarn": f"{IAM}policy/{name}"}


def bound(name):
    return {"iam:permissionsboundary": f"{IAM}policy/{name}"}


def tags(*keys):
    return {"aws:tagkeys": list(keys)}


# What attackers cannot do

OF_IAM = [
    ("iam:DetachUserPolicy", f"{IAM}user/bob", policy("DenyIAMAccess")),
    ("iam:DetachRolePolicy", f"{IAM}role/app", policy("DenyIAMAccess")),
    ("iam:DetachUserPolicy", f"{IAM}user/bob", policy("iam-guard-quarantine")),
    ("iam:DetachRolePolicy", f"{IAM}role/app", policy("iam-guard-quarantine")),
    ("iam:PutUserPolicy", f"{IAM}user/bob", {}),
    ("iam:DeleteUserPolicy", f"{IAM}user/bob", {}),
    ("iam:PutUserPermissionsBoundary", f"{IAM}user/bob", bound("company")),
    ("iam:DeleteUserPermissionsBoundary", f"{IAM}user/bob", bound("DenyIAMAccessBoundary")),
    ("iam:DeleteRolePermissionsBoundary", f"{IAM}role/app", bound("DenyIAMAccessBoundary")),
    ("iam:TagUser", f"{IAM}user/bob", tags("team", "IAM-Guard")),
    ("iam:UntagUser", f"{IAM}user/bob", tags("iam-guard-restored")),
    ("iam:CreateUser", f"{IAM}user/new", tags("Iam-Guard-Exempt")),
    ("iam:TagRole", f"{IAM}role/app", tags("IAM-GUARD-RESTORED")),
    ("iam:UntagRole", f"{IAM}role/app", tags("iam-guard")),
    ("iam:CreateRole", f"{IAM}role/new", tags("iam-guard-exempt")),
    ("iam:AddUserToGroup", f"{IAM}group/admins", {}),
    ("iam:RemoveUserFromGroup", f"{IAM}group/admins", {}),
    ("iam:UpdateGroup", f"{IAM}group/admins", {}),
    ("iam:DeleteGroup", f"{IAM}group/admins", {}),
    ("iam:AddUserToGroup", f"{IAM}group/team/admins", {}),
    ("iam:CreatePolicyVersion", f"{IAM}policy/DenyIAMAccess", {}),
    ("iam:SetDefaultPolicyVersion", f"{IAM}policy/DenyIAMAccessBoundary", {}),
    ("iam:DeletePolicy", f"{IAM}policy/iam-guard-quarantine", {}),
    ("iam:CreatePolicyVersion", f"{IAM}policy/iam-guard-notify", {}),
    ("iam:PutRolePolicy", f"{IAM}role/iam-guard", {}),
    ("iam:DeleteRolePolicy", f"{IAM}role/iam-guard-contain", {}),
    ("iam:AttachRolePolicy", f"{IAM}role/iam-guard", policy("x")),
    ("iam:DetachRolePolicy", f"{IAM}role/iam-guard-reader", policy("iam-guard-read")),
    ("iam:PutRolePermissionsBoundary", f"{IAM}role/iam-guard", bound("x")),
    ("iam:UpdateAssumeRolePolicy", f"{IAM}role/iam-guard-response", {}),
    ("iam:PassRole", f"{IAM}role/iam-guard", {}),
    ("iam:DeleteRole", f"{IAM}role/iam-guard-forward", {}),
    ("iam:CreateRole", f"{IAM}role/stacksets-exec-1234", {}),
    ("iam:UpdateAssumeRolePolicy", f"{IAM}role/stacksets-exec-1234", {}),
    ("iam:CreateRole", f"{IAM}role/x/iam-guard-contain", {}),
    ("iam:CreateRole", f"{IAM}role/x/y/stacksets-exec-1234", {}),
    ("iam:TagRole", f"{IAM}role/iam-guard", tags("iam-guard-admin-groups")),
    ("iam:UntagRole", f"{IAM}role/iam-guard", tags("iam-guard-admin-groups")),
]
QUEUE = f"arn:aws:sqs:{HERE}{FUNCTION}"
LOG = f"arn:aws:logs:{HERE}log-group:/aws/lambda/{FUNCTION}"
GUARDS_FUNCTION = f"arn:aws:lambda:{HERE}function:{FUNCTION}"
STACK, RULE = f"arn:aws:cloudformation:{HERE}stack", f"arn:aws:events:{HERE}rule"
BUS, ALARM = f"arn:aws:events:{HERE}event-bus", f"arn:aws:cloudwatch:{HERE}alarm"
TOPIC, TRAIL = f"arn:aws:sns:{HERE}iam-guard", f"arn:aws:cloudtrail:{HERE}trail/iam-guard"
STACKS = ("iam-guard/1", "iam-guard-access/2", "StackSet-iam-guard-3/4", "StackSet-iam-guard-x/5")
RULES = (*FUNCTIONS, "iam-guard.root", "iam-guard-people", "iam-guard-central/iam-guard-people")


def of(service, actions, *resources, **context):
    """Each of the actions on each of the resources."""
    context = {f"{service}:{key}": value for key, value in context.items()}
    return [(f"{service}:{action}", one, context) for action in actions.split() for one in resources]


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
MOVES = [("scp.json", *move) for move in OF_IAM] + [("scp-parts.json", *move) for move in OF_PARTS]


@pytest.mark.parametrize("name", FILES)
def test_every_move_is_refused_by_one_file_alone(name):
    """Each file can be attached by itself: it refuses its moves to everybody, without the other one."""
    for principal in STRANGERS:
        for _, action, resource, context in (move for move in MOVES if move[0] == name):
            assert not lets(principal, action, resource, context, [document(name)]), (
                principal,
                action,
                resource,
            )


# What it leaves to everybody

UNRELATED = [
    ("iam:PutRolePolicy", f"{IAM}role/app", {}),  # Terraform's daily work
    ("iam:AttachRolePolicy", f"{IAM}role/app", policy("app")),
    ("iam:DetachRolePolicy", f"{IAM}role/app", policy("app")),
    ("iam:DetachUserPolicy", f"{IAM}user/bob", policy("app")),
    ("iam:AttachUserPolicy", f"{IAM}user/bob", policy("app")),
    ("iam:PutRolePermissionsBoundary", f"{IAM}role/app", bound("company")),
    ("iam:DeleteRolePermissionsBoundary", f"{IAM}role/app", bound("company")),
    ("iam:UpdateAssumeRolePolicy", f"{IAM}role/app", {}),
    ("iam:PassRole", f"{IAM}role/app", {}),
    ("iam:CreateRole", f"{IAM}role/app", tags("team")),
    ("iam:CreateRole", f"{IAM}role/app", {}),
    ("iam:CreateUser", f"{IAM}user/new", {}),
    ("iam:DeleteUser", f"{IAM}user/bob", {}),
    ("iam:TagUser", f"{IAM}user/bob", tags("team", "guard")),
    ("iam:CreatePolicyVersion", f"{IAM}policy/app", {}),
    ("iam:AddUserToGroup", f"{IAM}group/devs", {}),
    ("iam:UpdateGroup", f"{IAM}group/admins-of-another-thing", {}),
    ("iam:GetRole", f"{IAM}role/iam-guard", {}),
    ("cloudtrail:UpdateTrail", f"arn:aws:cloudtrail:{HERE}trail/aws-controltower-BaselineCloudTrail", {}),
    ("cloudtrail:StopLogging", f"arn:aws:cloudtrail:{HERE}trail/project", {}),
    ("cloudtrail:CreateTrail", f"arn:aws:cloudtrail:{HERE}trail/project", {}),
    ("cloudformation:UpdateStack", f"{STACK}/app/1", {}),
    ("cloudformation:DeleteStack", f"{STACK}/StackSet-baseline-2/3", {}),
    ("cloudformation:UpdateStackSet", f"{STACK}set/baseline:1", {}),
    ("cloudformation:DescribeStacks", f"{STACK}/iam-guard/1", {}),
    ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{HERE}function:app", {}),
    ("lambda:GetFunction", GUARDS_FUNCTION, {}),
    ("lambda:CreateEventSourceMapping", "*", {"lambda:functionarn": f"arn:aws:lambda:{HERE}function:app"}),
    ("events:PutRule", f"arn:aws:events:{HERE}rule/app", {}),
    ("events:PutRule", f"arn:aws:events:{HERE}rule/iam-guard/pager", {}),  # as docs/told.md says
    ("events:PutTargets", f"arn:aws:events:{HERE}rule/iam-guard-central/pager", {}),
    ("events:PutEvents", f"arn:aws:events:{HERE}event-bus/default", {}),
    ("sqs:SendMessage", f"arn:aws:sqs:{HERE}app", {}),
    ("sqs:GetQueueAttributes", QUEUE, {}),
    ("logs:PutRetentionPolicy", f"arn:aws:logs:{HERE}log-group:/aws/lambda/app", {}),
    ("logs:PutSubscriptionFilter", LOG, {}),  # a company's log archive
    ("cloudwatch:DeleteAlarms", f"arn:aws:cloudwatch:{HERE}alarm:app", {}),
    ("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "app"}),
    ("sns:Subscribe", f"arn:aws:sns:{HERE}app", {}),
    ("sns:Publish", f"arn:aws:sns:{HERE}app", {}),
    ("organizations:DescribeOrganization", "*", {}),
]


def test_unrelated_work_goes_on():
    """Everybody may do what does not touch the guard, and may look at the guard."""
    for action, resource, context in UNRELATED:
        assert lets(f"{IAM}role/terraform", action, resource, context), (action, resource)


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
    found = []
    for document in documents(role):
        for statement in (s for s in document["Statement"] if s["Effect"] == "Allow"):
            context = {
                key.lower(): example(operator, listed(values)[0])
                for operator, keys in statement.get("Condition", {}).items()
                for key, values in keys.items()
                if operator != "Null"
            }
            for resource in listed(statement["Resource"]):
                for action in listed(statement["Action"]):
                    resource = resource.replace("group/*", "group/admins")
                    found.append(
                        (action, resource if resource == "*" else resource.replace("*", "x"), context)
                    )
    return found


def example(operator, value):
    """A value that a condition holds for."""
    value = f"{IAM}policy/x" if "Not" in operator else value.replace("*", "x")
    return [value] if operator.startswith("For") else value


def test_the_guards_roles_lose_nothing(rights):
    """Under both files, each role of the guard may still do all that its own policies let it do."""
    for role in ROLES:
        assert rights[role]
        for action, resource, context in rights[role]:
            assert lets(f"{IAM}role/{role}", action, resource, context), (role, action, resource)


def test_what_a_statement_keeps_for_a_role_that_role_can_do(rights):
    """A role that a statement exempts has a right that the statement refuses to everybody else."""
    for statement in (statement for name in FILES for statement in document(name)["Statement"]):
        exempt = statement.get("Condition", {}).get("ArnNotLike", {}).get("aws:PrincipalArn", ())
        for role in (pattern.split("/")[1] for pattern in exempt if ":role/iam-guard" in pattern):
            alone = [{"Statement": [statement]}]
            assert any(not lets(STRANGERS[1], *call, scps=alone) for call in rights[role]), (role, statement)


#: What no role of the guard does, and a company's exempt roles alone may do.
NOBODYS = {"iam:CreateUser", "iam:CreateRole", "iam:UpdateGroup", "iam:DeleteGroup"}


def test_whatever_is_kept_from_everybody_some_role_can_do(rights):
    """Each call that the SCP refuses on users, roles and the admin group is a right of one of the guard's roles."""
    refused = {
        action
        for statement in document("scp.json")["Statement"]
        for action in listed(statement["Action"])
        if statement["Sid"] != "TheGuardsPoliciesAndRolesStay"
    }
    can = {action for found in rights.values() for action, *_ in found}
    assert refused - can == NOBODYS


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
    moves = [move[1:] for move in MOVES if move[0] == name and "LeaveOrganization" not in move[1]]
    for action, resource, context in moves:
        assert lets(f"{IAM}role/terraform", action, resource, context, scps), (action, resource)
        assert not lets(STRANGERS[0], action, resource, context, scps), (action, resource)
    takes_the_role = ("iam:UpdateAssumeRolePolicy", f"{IAM}role/AWSControlTowerExecution")
    assert lets(STRANGERS[0], *takes_the_role, scps=scps) == (name != "scp.json")
    for takes in ("iam:UpdateAssumeRolePolicy", "iam:DeleteRole", "iam:CreateRole"):
        assert lets(STRANGERS[0], takes, f"{IAM}role/on-call", scps=scps) == (name != "scp.json")
    assert text.count(MARK) == len(statements) + (name == "scp.json")


@pytest.mark.parametrize(("name", "text"), [("scp.json", "group/"), ("scp-parts.json", "trail/")])
def test_what_differs_between_companies_stands_once(name, text):
    """The admin group and the trail that feeds the guard are named in one line each."""
    assert len([line for line in (DEPLOY / name).read_text().splitlines() if text in line]) == 1
