"""Moves against the guard that the service control policies refuse, made on a deployed account."""

import json

import pytest
from botocore.exceptions import ClientError
from helpers import FUNCTION, HARMLESS, deny_arn, revoked

from sandbox.server import DEPLOY

VICTIM, THIS = {"UserName": "victim"}, {"FunctionName": FUNCTION}
#: One for each condition key that AWS fills in and a statement looks at, and for each service; test_scp.py has all.
MOVES = {
    "detach the policy": ("iam", lambda c, arn: c.detach_user_policy(**VICTIM, PolicyArn=arn)),
    "replace the boundary": (
        "iam",
        lambda c, arn: c.put_user_permissions_boundary(**VICTIM, PermissionsBoundary=arn),
    ),
    "overwrite the inline policy": (
        "iam",
        lambda c, arn: c.put_user_policy(**VICTIM, PolicyName="DenyIAM", PolicyDocument=json.dumps(HARMLESS)),
    ),
    "ask for one's own restoration": (
        "iam",
        lambda c, arn: c.tag_user(**VICTIM, Tags=[{"Key": "IAM-guard", "Value": "restore"}]),
    ),
    "add to the admin group": ("iam", lambda c, arn: c.add_user_to_group(GroupName="admins", **VICTIM)),
    "make a role that StackSets would have": (
        "iam",
        lambda c, arn: c.create_role(RoleName="stacksets-exec-x", AssumeRolePolicyDocument="{}"),
    ),
    "starve the function": (
        "lambda",
        lambda c, arn: c.put_function_concurrency(**THIS, ReservedConcurrentExecutions=0),
    ),
    "feed it from another queue": (
        "lambda",
        lambda c, arn: c.create_event_source_mapping(
            **THIS, EventSourceArn="arn:aws:sqs:us-east-1:111122223333:evil"
        ),
    ),
    "disable the rule": ("events", lambda c, arn: c.disable_rule(Name=FUNCTION)),
}


def test_with_the_scp_nobody_takes_the_guard_away_and_it_goes_on_working(fresh, user):
    """Not even somebody with all rights gets a move done, and the guard's own role still denies them IAM."""
    attacker, arn = user("mallory"), deny_arn(fresh)
    user("victim")
    fresh.scps[:] = [HARMLESS, *((DEPLOY / name).read_text() for name in ("scp.json", "scp-parts.json"))]
    for service, move in MOVES.values():
        with pytest.raises(ClientError, match=r"AccessDenied|not authorized"):
            move(fresh.client(service, attacker.key), arn)
    fresh.pending.clear()
    attacker.iam.create_user(UserName="helper")
    fresh.deliver()
    assert revoked(fresh, "mallory") == ["managed"]
