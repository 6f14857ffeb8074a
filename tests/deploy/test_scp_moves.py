"""The moves against the guard that the service control policies refuse, made on a deployed account."""

import json

import pytest
from botocore.exceptions import ClientError
from helpers import FUNCTION, deny_arn, revoked

from sandbox.server import DEPLOY

HARMLESS = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)
EVIL = "arn:aws:sqs:us-east-1:111122223333:evil"


@pytest.fixture
def attacker(fresh, user):
    """Somebody who may do anything but what the two files refuse, and is in no admin group."""
    found = user("mallory")
    fresh.scps[:] = [*((DEPLOY / name).read_text() for name in ("scp.json", "scp-parts.json")), HARMLESS]
    yield found
    fresh.scps.clear()


VICTIM = {"UserName": "victim"}
ROLE = {"RoleName": "iam-guard"}
STRIPPING = {
    "detach the policy": lambda iam, arn: iam.detach_user_policy(**VICTIM, PolicyArn=arn),
    "delete the inline policy": lambda iam, arn: iam.delete_user_policy(**VICTIM, PolicyName="DenyIAM"),
    "overwrite the inline policy": lambda iam, arn: iam.put_user_policy(
        **VICTIM, PolicyName="DenyIAM", PolicyDocument=HARMLESS
    ),
    "delete the boundary": lambda iam, arn: iam.delete_user_permissions_boundary(**VICTIM),
    "replace the boundary": lambda iam, arn: iam.put_user_permissions_boundary(
        **VICTIM, PermissionsBoundary=arn
    ),
    "write a new version": lambda iam, arn: iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=HARMLESS, SetAsDefault=True
    ),
    "take an old version": lambda iam, arn: iam.set_default_policy_version(PolicyArn=arn, VersionId="v1"),
    "delete the deny policy": lambda iam, arn: iam.delete_policy(PolicyArn=arn),
    "widen the guard's role": lambda iam, arn: iam.put_role_policy(
        **ROLE, PolicyName="x", PolicyDocument=HARMLESS
    ),
    "empty the guard's role": lambda iam, arn: iam.delete_role_policy(**ROLE, PolicyName="iam-guard"),
    "become the guard's role": lambda iam, arn: iam.update_assume_role_policy(**ROLE, PolicyDocument="{}"),
    "make a role that StackSets would have": lambda iam, arn: iam.create_role(
        RoleName="stacksets-exec-x", AssumeRolePolicyDocument="{}"
    ),
    "ask for one's own restoration": lambda iam, arn: iam.tag_user(
        **VICTIM, Tags=[{"Key": "IAM-guard", "Value": "restore"}]
    ),
    "add to the admin group": lambda iam, arn: iam.add_user_to_group(GroupName="admins", **VICTIM),
    "empty the admin group": lambda iam, arn: iam.remove_user_from_group(
        GroupName="admins", UserName="alice"
    ),
    "rename the admin group": lambda iam, arn: iam.update_group(GroupName="admins", NewGroupName="x"),
}


@pytest.mark.parametrize("move", STRIPPING)
def test_with_the_scp_nobody_strips_the_guards_denials(fresh, attacker, user, move):
    """Under the files, not even somebody with all rights takes the guard's denials off."""
    user("victim")
    with pytest.raises(ClientError, match="AccessDenied"):
        STRIPPING[move](attacker.iam, deny_arn(fresh))


THIS = {"FunctionName": FUNCTION}
SABOTAGE = {
    "change the code": ("lambda", lambda c: c.update_function_code(**THIS, ZipFile=b"x")),
    "change the settings": ("lambda", lambda c: c.update_function_configuration(**THIS, Timeout=1)),
    "delete the function": ("lambda", lambda c: c.delete_function(**THIS)),
    "starve the function": (
        "lambda",
        lambda c: c.put_function_concurrency(**THIS, ReservedConcurrentExecutions=0),
    ),
    "frame somebody by Invoke": ("lambda", lambda c: c.invoke(**THIS, Payload=b"{}")),
    "feed it from another queue": (
        "lambda",
        lambda c: c.create_event_source_mapping(**THIS, EventSourceArn=EVIL),
    ),
    "let others invoke": (
        "lambda",
        lambda c: c.add_permission(**THIS, StatementId="x", Action="lambda:InvokeFunction", Principal="*"),
    ),
    "disable the rule": ("events", lambda c: c.disable_rule(Name=FUNCTION)),
    "change the rule": ("events", lambda c: c.put_rule(Name=FUNCTION, EventPattern="{}")),
    "remove the target": ("events", lambda c: c.remove_targets(Rule=FUNCTION, Ids=[FUNCTION])),
    "delete the rule": ("events", lambda c: c.delete_rule(Name=FUNCTION)),
}


@pytest.mark.parametrize("move", SABOTAGE)
def test_with_the_scp_nobody_touches_the_guards_parts(fresh, attacker, move):
    """Under the files, not even somebody with all rights changes or misuses the guard's parts."""
    service, call = SABOTAGE[move]
    with pytest.raises(ClientError, match=r"AccessDenied|not authorized"):
        call(fresh.client(service, attacker.key))


def test_with_the_scp_the_guard_goes_on_working(fresh, attacker):
    """Under the files, the guard's own role still denies IAM to whoever calls it."""
    attacker.iam.create_user(UserName="helper")
    fresh.deliver()
    assert revoked(fresh, "mallory") == ["managed"]
    with pytest.raises(ClientError, match="AccessDenied"):
        attacker.iam.delete_user(UserName="helper")
