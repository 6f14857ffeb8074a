"""Policies that ``custodian validate`` refuses, naming the policy, the key and the fix, or accepts."""

import copy

import pytest
from helpers import REVOKE, shipped
from variants import assert_validated, edited, with_action

SHIPPED = shipped(REVOKE)


def without(key):
    policy = copy.deepcopy(SHIPPED)
    del policy["mode"][key]
    return policy


def with_mode(**keys):
    return {**SHIPPED, "mode": {**SHIPPED["mode"], **keys}}


EVENT = SHIPPED["mode"]["events"][0]
ADMINS = {"type": "admin-group-member", "groups": ["admins"]}
BY_HAND = {"name": REVOKE, "resource": "aws.iam-user"}
#: what the operator wrote, and what the error has to say, if it is a mistake
WRITTEN = {
    "an unknown key of the action": (with_action(polcy="x"), "polcy", "'polcy' was unexpected"),
    "something denied that is no action": (with_action(deny=["iam:*", "CreateUser"]), "action:revoke-iam-access deny", "write patterns such as iam:*"),
    "another resource": (edited(resource="aws.s3"), "admin-group-member", "aws.s3"),
    "two kinds of events": (edited(events=[EVENT, {**EVENT, "event": "CreateUser"}]), "mode.events", "leave out the other events"),
    "any call of another service": (edited(events=[{**EVENT, "source": "s3.amazonaws.com"}]), "mode.events", "use that source"),
    "ids of somebody else": (edited(events=[{**EVENT, "ids": "requestParameters.userName"}]), "mode.events", "use ids: userIdentity"),
    "a rule that matches nothing": (edited(pattern={"detail": {"eventName": []}}), "mode.pattern.detail.eventName", "leave it out"),
    "a rule that takes forged events": (edited(pattern={"source": ["aws.iam", "my.app"]}), "mode.pattern.source", "leave it out"),
    "a delay": (with_mode(delay=60), "mode.delay", "leave it out"),
    "the stock handler": (with_mode(handler="custodian_policy.run"), "mode.handler", "leave it out"),
    "a function without the plugin": (with_mode(packages=["other"]), "mode.packages", "leave it out"),
    "a function of another name": (with_mode(**{"function-prefix": "custodian-"}), "mode.function-prefix", "begin it with iam-guard-"),
    "no role": (without("role"), "mode.role", "add role: iam-guard"),
    "failed calls skipped": (with_mode(environment={"Variables": {"C7N_SKIP_ERR_EVENT": "yes"}}), "mode.environment", "leave out C7N_SKIP_ERR_EVENT"),
    "errors swallowed": (with_mode(environment={"Variables": {"C7N_SKIP_ERR_EVENT": "no", "C7N_CATCH_ERR": "yes"}}), "mode.environment", "leave out C7N_CATCH_ERR"),
    "another dead-letter queue": (with_mode(dead_letter_config={"TargetArn": "arn:aws:sqs:us-east-1:111122223333:mine"}), "mode.dead_letter_config", "leave it out"),
    "another account's role": (with_mode(**{"member-role": "r"}), "mode.member-role", "deploy it to each account"),
    "a tag without the full user": (edited(filters=[{"tag:break-glass": "absent"}]), "filter:value", "add source: describe"),
    "a date without the full user": (edited(filters=[{"not": [{"type": "value", "key": "CreateDate", "value": "x"}]}]), "filter:value", "add source: describe"),
    "restoring by event": (edited(actions=["restore-iam-access"]), "mode.type", "joining the admin group must not undo a revocation; use mode pull"),
    "another resource's details": ({**BY_HAND, "resource": "aws.iam-group", "source": "authorization-details"}, "source", "use resource: aws.iam-user or aws.iam-role"),
    "admins revoked, and nobody else": (edited(filters=[ADMINS]), "filters", "add - not: [admin-group-member]"),
    "admins let pass only if they have a certain name": (edited(filters=[{"not": [ADMINS, {"UserName": "break-glass"}]}]), "filters", "with nothing else in that not"),
    "somebody else let pass, and no admins": (edited(filters=[{"not": [{"UserName": "break-glass"}]}]), "filters", "add - not: [admin-group-member]"),
    "a role of another account assumed": (with_mode(**{"execution-options": {"assume_role": "arn:aws:iam::222222222222:role/r"}}), "mode.execution-options", "leave it out"),
    "an empty list instead of yes or no": (with_action(observe=[]), "revoke-iam-access observe", "write true or false"),
    "a filter on the event, with the full user": (edited(source="describe", filters=[{"type": "event", "key": "detail.eventName", "value": "x"}, *SHIPPED["filters"]]), "filter:event", "self_service and exempt"),
    "a condition on the event": ({**SHIPPED, "conditions": [{"type": "event", "key": "detail.eventName", "value": "x"}]}, "filter:event", "self_service and exempt"),
    "a catch-up that reads no account": ({"name": REVOKE, "resource": "aws.iam-user", "filters": [{"type": "unintended-iam-calls", "groups": ["a"]}]}, "source", "add source: authorization-details"),
    "bulk by accident": ({k: v for k, v in SHIPPED.items() if k not in ("mode", "conditions")}, "revoke-iam-access bulk", "add bulk: true"),
    "tags of the full user": (edited(source="describe", filters=[{"tag:break-glass": "absent"}, *SHIPPED["filters"]]),),
    "what events tell": (edited(filters=[{"UserName": "bob"}, {"type": "value", "key": "Path", "value": "/"}, *SHIPPED["filters"]]),),
    "more than IAM denied": (with_action(deny=["iam:*", "sts:Assume*", "*", "s3:Get?bject"]),),
    "restoring by hand": ({**BY_HAND, "mode": {"type": "pull"}, "actions": ["restore-iam-access"]},),
    "the account's details by event": (edited(source="authorization-details", filters=[{"tag:break-glass": "absent"}, *SHIPPED["filters"]]),),
    "a stock policy of the mode": ({**BY_HAND, "mode": {"type": "cloudtrail", "role": "r", "events": [{**EVENT, "event": "CreateUser", "ids": "requestParameters.userName"}]}},),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_a_policy_is_refused_if_it_is_a_mistake(tmp_path, caplog, name):
    """``custodian validate`` accepts a policy offline, or names the policy, the key and the fix."""
    assert_validated(tmp_path, caplog, *WRITTEN[name])
