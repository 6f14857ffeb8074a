"""What ``custodian validate`` refuses, naming the policy, the key and the fix, and what it accepts."""

import copy
from types import SimpleNamespace

import pytest
import yaml
from c7n import commands
from helpers import REVOKE, shipped
from variants import edited, with_action, with_groups

SHIPPED = shipped(REVOKE)


def custodian_validates(tmp_path, caplog, policy):
    """What ``custodian validate`` says of a policy: None if it is valid, else its errors as one text."""
    file = tmp_path / "policy.yml"
    file.write_text(yaml.safe_dump({"policies": [policy]}))
    options = SimpleNamespace(configs=[str(file)], check_deprecations="skip", dryrun=True)
    try:
        commands.validate(options)
    except SystemExit:
        return " ".join(" ".join(record.getMessage() for record in caplog.records).split())
    return None


def without(key):
    policy = copy.deepcopy(SHIPPED)
    del policy["mode"][key]
    return policy


def with_mode(**keys):
    return {**SHIPPED, "mode": {**SHIPPED["mode"], **keys}}


EVENT = SHIPPED["mode"]["events"][0]
ADMINS = {"type": "admin-group-member", "groups": ["admins"]}
BY_HAND = {"name": REVOKE, "resource": "aws.iam-user"}
#   what the operator wrote, and what the error has to say
MISTAKES = {
    "no groups": (edited(filters=[{"not": [{"type": "admin-group-member"}]}]), "groups (admin_groups in iam-guard.yml)", "add groups: [admins]"),
    "groups that are a mapping": (with_groups({"a": "b"}), "admin_groups", "write a list, such as [admins]"),
    "a group that is a number": (with_groups([7]), "groups", "write it as text"),
    "a group's ARN": (with_groups(["arn:aws:iam::111122223333:group/admins"]), "groups", "without path or wildcards"),
    "a group with a wildcard": (with_groups(["admin*"]), "groups", "without path or wildcards"),
    "a user's id as a group": (with_groups(["AIDAEXAMPLEBREAKGLASS"]), "groups", "single users and roles go under exempt"),
    "an empty name": (with_groups([""]), "groups", "no group's name"),
    "an unknown key of the filter": (with_groups(["a"], group="b"), "admin-group-member group", "use exempt, groups, roles, self-service"),
    "a name that is exempt": (with_groups(["a"], exempt=["bob"]), "exempt (exempt in iam-guard.yml)", "Names can be taken over"),
    "an ARN that is exempt": (with_groups(["a"], exempt=["arn:aws:iam::111122223333:user/bob"]), "exempt", "write AIDA…"),
    "a group's id that is exempt": (with_groups(["a"], exempt=["AGPAEXAMPLEXXXXXXXXX"]), "exempt", "write AIDA…"),
    "an end that is no day": (with_groups(["a"], exempt=[{"id": "AIDAEXAMPLEBREAKGLASS", "until": "soon"}]), "exempt", "write it as 2026-12-31"),
    "an end that is misspelt": (with_groups(["a"], exempt=[{"id": "AIDAEXAMPLEBREAKGLASS", "til": "2026-12-31"}]), "exempt", "write {id: …, until: 2026-12-31}"),
    "a call that hits others": (with_groups(["a"], **{"self-service": ["CreateUser"]}), "self_service", "list some of ChangePassword"),
    "a call that is misspelt": (with_groups(["a"], **{"self-service": ["ChangePasword"]}), "self_service", "did you mean ChangePassword?"),
    "a role's id as a role": (with_groups(["a"], roles=["AROAEXAMPLEXXXXXXXXX"]), "admin_roles", "ids go under exempt"),
    "a role with a wildcard": (with_groups(["a"], roles=["Terraform*"]), "admin_roles", "Only AWSReservedSSO_NAME_* may have a wildcard"),
    "a permission set without an end": (with_groups(["a"], roles=["AWSReservedSSO_Admin*"]), "admin_roles", "Only AWSReservedSSO_NAME_* may have a wildcard"),
    "observe as a text": (with_action(observe="yes"), "revoke-iam-access observe", "write true or false"),
    "an unknown key of the action": (with_action(polcy="x"), "polcy", "'polcy' was unexpected"),
    "a policy that is a number": (with_action(policy=7), "policy", "7 is not of type 'string'"),
    "a malformed ARN": (with_action(policy="arn:aws:iam::1234:policy/DenyIAMAccess"), "revoke-iam-access policy", "write DenyIAMAccess"),
    "a role's ARN": (with_action(policy="arn:aws:iam::111122223333:role/DenyIAMAccess"), "revoke-iam-access policy", "write DenyIAMAccess"),
    "a policy's name with a space": (with_action(policy="Deny IAM"), "revoke-iam-access policy", "write DenyIAMAccess"),
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
    "restoring on a schedule": ({**SHIPPED, "mode": {"type": "periodic", "schedule": "rate(1 day)", "role": "iam-guard"}, "actions": ["restore-iam-access"]}, "mode.type", "use mode pull"),
    "restoring a policy that is none": ({**BY_HAND, "actions": [{"type": "restore-iam-access", "policy": "Deny IAM"}]}, "action:restore-iam-access policy", "write DenyIAMAccess"),
    "looking for a policy that is none": ({**BY_HAND, "filters": [{"type": "iam-access-revoked", "policy": "arn:aws:iam::1:policy/x"}]}, "filter:iam-access-revoked policy", "write DenyIAMAccess"),
    "another resource's details": ({**BY_HAND, "resource": "aws.iam-group", "source": "authorization-details"}, "source", "use resource: aws.iam-user or aws.iam-role"),
    "no filter for admins": (edited(filters=[]), "filters", "add - not: [admin-group-member]"),
    "admins revoked, and nobody else": (edited(filters=[ADMINS]), "filters", "add - not: [admin-group-member]"),
    "admins let pass only if they have a certain name": (edited(filters=[{"not": [ADMINS, {"UserName": "break-glass"}]}]), "filters", "with nothing else in that not"),
    "somebody else let pass, and no admins": (edited(filters=[{"not": [{"UserName": "break-glass"}]}]), "filters", "add - not: [admin-group-member]"),
    "admins revoked by another word": (edited(filters=[{"or": [ADMINS]}]), "filters", "add - not: [admin-group-member]"),
    "a role of another account assumed": (with_mode(**{"execution-options": {"assume_role": "arn:aws:iam::222222222222:role/r"}}), "mode.execution-options", "leave it out"),
    "a mode that would not know the plugin": ({**SHIPPED, "mode": {"type": "schedule", "schedule": "rate(1 hour)", "role": "r", "scheduler-role": "s"}}, "mode.type", "use cloudtrail or periodic"),
    "an empty list instead of yes or no": (with_action(observe=[]), "revoke-iam-access observe", "write true or false"),
    "a filter on the event, with the full user": (edited(source="describe", filters=[{"type": "event", "key": "detail.eventName", "value": "x"}, *SHIPPED["filters"]]), "filter:event", "self_service and exempt"),
    "a condition on the event": ({**SHIPPED, "conditions": [{"type": "event", "key": "detail.eventName", "value": "x"}]}, "filter:event", "self_service and exempt"),
    "a catch-up that reads no account": ({"name": REVOKE, "resource": "aws.iam-user", "filters": [{"type": "unintended-iam-calls", "groups": ["a"]}]}, "source", "add source: authorization-details"),
    "bulk by accident": ({k: v for k, v in SHIPPED.items() if k not in ("mode", "conditions")}, "revoke-iam-access bulk", "add bulk: true"),
    "bulk on a schedule by accident": ({**SHIPPED, "mode": {"type": "periodic", "schedule": "rate(1 day)", "role": "iam-guard"}}, "revoke-iam-access bulk", "add bulk: true"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_policy_key_and_fix(tmp_path, caplog, name):
    """``custodian validate`` refuses the mistake; its message names the policy, the key and the fix."""
    policy, key, fix = MISTAKES[name]
    said = custodian_validates(tmp_path, caplog, policy)
    assert said is not None
    assert REVOKE in said
    assert key in said
    assert fix in said


SOUND = {
    "the shipped policy": SHIPPED,
    "tags of the full user": edited(source="describe", filters=[{"tag:break-glass": "absent"}, *SHIPPED["filters"]]),
    "what events tell": edited(
        filters=[{"UserName": "bob"}, {"type": "value", "key": "Path", "value": "/"}, *SHIPPED["filters"]]
    ),
    "placeholders, filled in by a run": with_groups("{admin_groups}", exempt="{exempt}", **{"self-service": "{self_service}"}),
    "observing by a setting": with_action(observe="{observe_users}"),
    "one group as a text": with_groups("admins"),
    "a group's id": with_groups(["AGPAEXAMPLEXXXXXXXXX"]),
    "everything that may be exempt": with_groups(["a"], exempt=[
        "AIDAEXAMPLEBREAKGLASS", "AROAEXAMPLEOFAPIPELINE", "AROAEXAMPLEOFAPIPELINE:ada@example.com",
        {"id": "AIDAEXAMPLEBREAKGLASS", "until": "2026-12-31"}]),
    "a policy's path and name": with_action(policy="security/DenyIAMAccess"),
    "a policy's ARN": with_action(policy="arn:aws-us-gov:iam::111122223333:policy/DenyIAMAccess"),
    "more than IAM denied": with_action(deny=["iam:*", "sts:Assume*", "*", "s3:Get?bject"]),
    "bulk on purpose": {
        "name": "a", "resource": "aws.iam-user", "actions": [{"type": "revoke-iam-access", "bulk": True}]
    },
    "restoring by hand": {**BY_HAND, "mode": {"type": "pull"}, "actions": ["restore-iam-access"]},
    "the account's details by event": edited(source="authorization-details", filters=[{"tag:break-glass": "absent"}, *SHIPPED["filters"]]),
    "a stock policy of the mode": {
        "name": "a", "resource": "aws.iam-user",
        "mode": {"type": "cloudtrail", "role": "r", "events": [
            {"source": "iam.amazonaws.com", "event": "CreateUser", "ids": "requestParameters.userName"}]},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_passes(tmp_path, caplog, name):
    """``custodian validate`` accepts what is meant and can work, offline."""
    assert custodian_validates(tmp_path, caplog, SOUND[name]) is None
