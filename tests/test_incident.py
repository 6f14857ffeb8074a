"""docs/incident.md is true: each of its commands runs, in its order, and shows what the page says."""

import json
import re
from unittest.mock import patch

import boto3
import pytest
from helpers import ROOT, deny_arn, ok
from moto.cloudtrail.responses import CloudTrailResponse
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.ssm.responses import SimpleSystemManagerResponse
from trail import event_history

PAGE = (ROOT / "docs/incident.md").read_text()
COMMANDS = [line.strip().removeprefix("$ ") for line in PAGE.splitlines() if line.strip().startswith("$ ")]
ACCOUNT = "222233334444"
KEY, EVENT = "AKIAIOSFODNN7EXAMPLE", "00000000-0000-4000-8000-000000000000"
TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

#: The parameters of AWSSupport-ContainIAMPrincipal and what each takes, from
#: https://docs.aws.amazon.com/systems-manager-automation-runbooks/latest/userguide/awssupport-contain-iam-principal.html
RUNBOOK = {
    "AutomationAssumeRole": r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+",
    "PrincipalType": "IAM user|IAM role|Identity Center user",
    "PrincipalName": r"[a-zA-Z0-9.\-_\\!*'()/+=,@]{1,1024}",
    "Action": "Contain|Restore",
    "DryRun": "true|false",
    "BackupS3BucketName": r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "BackupS3BucketAccess": r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+",
    "BackupS3KeyName": r"\d{4}/\d\d/\d\d/\d\d/\d\d/[0-9a-f-]{36}\.json",
    "ActivateDisabledKeys": "true|false",
    "TagIdentifier": r"|Key=[\w+=.:/@-]{1,128},Value=[\w+=.:/@-]{1,128}",
}
ALWAYS = {"PrincipalType", "PrincipalName", "Action"}
REQUIRED = {
    ("Contain", "true"): {"BackupS3BucketName", "BackupS3BucketAccess"},
    ("Contain", "false"): {"BackupS3BucketAccess"},
    ("Restore", "false"): {"BackupS3BucketName", "BackupS3KeyName"},
}


def start_automation_execution(response):
    """Systems Manager's answer to a start of the runbook, which takes its documented parameters alone."""
    assert response._get_param("DocumentName") == "AWSSupport-ContainIAMPrincipal"
    given = response._get_param("Parameters")
    for name, values in given.items():
        assert all(re.fullmatch(RUNBOOK[name], value, re.ASCII) for value in values), name
    (action,), (dry,) = given["Action"], given.get("DryRun", ["true"])
    assert set(given) >= ALWAYS | REQUIRED[action, dry]
    assert action != "Contain" or "BackupS3KeyName" not in given
    return json.dumps({"AutomationExecutionId": EVENT})


def get_automation_execution(response):
    """Systems Manager's answer about an execution: the runbook's report is the output of a step of its own."""
    assert response._get_param("AutomationExecutionId") == EVENT
    message = "Amazon S3 prefix : 2026/11/25/09/30/x.json"
    steps = [{"StepName": "Other"}, {"StepName": "ReportContain", "Outputs": {"Message": [message]}}]
    return json.dumps({"AutomationExecution": {"StepExecutions": steps}})


@pytest.fixture(scope="module")
def incident(sandbox):
    """An account in which bob has made himself a back door and let the role app do the same.

    Both are denied IAM, and bob has tried once more.
    """
    sandbox.deploy(account=ACCOUNT)
    sandbox.pending.clear()
    backend = iam_backends[ACCOUNT]["aws"]
    for name in ("AdministratorAccess", "AWSDenyAll"):
        data = aws_managed_policies_data_of(name)
        policy = AWSManagedPolicy.from_data(name, ACCOUNT, "us-east-1", data)
        backend.managed_policies[policy.arn] = policy
    operator = sandbox.client("iam", account=ACCOUNT)
    key = sandbox.create_user("bob", account=ACCOUNT)
    operator.create_login_profile(UserName="bob", Password="Correct-horse-1")  # noqa: S106
    operator.create_role(RoleName="app", AssumeRolePolicyDocument=json.dumps(TRUST))
    operator.put_role_policy(RoleName="app", PolicyName="all", PolicyDocument=json.dumps(ALL))
    bob = sandbox.client("iam", key, ACCOUNT)
    bob.create_user(UserName="backdoor")
    bob.create_access_key(UserName="backdoor")
    bob.attach_user_policy(UserName="backdoor", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    session = sandbox.client("sts", key, ACCOUNT).assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/app", RoleSessionName="bobs-session"
    )["Credentials"]
    sandbox.client("iam", session, ACCOUNT).create_user(UserName="backdoor-of-app")
    deny = deny_arn(sandbox).replace(sandbox.account, ACCOUNT)
    operator.attach_user_policy(UserName="bob", PolicyArn=deny)
    operator.attach_role_policy(RoleName="app", PolicyArn=deny)
    with pytest.raises(bob.exceptions.ClientError, match="AccessDenied"):
        bob.create_user(UserName="backdoor-2")
    with patch.object(CloudTrailResponse, "lookup_events", event_history(sandbox), create=True):
        with patch.multiple(
            SimpleSystemManagerResponse,
            start_automation_execution=start_automation_execution,
            get_automation_execution=get_automation_execution,
            create=True,
        ):
            yield {KEY: key["AccessKeyId"], EVENT: sandbox.pending[-1]["detail"]["eventID"]}
    sandbox.pending.clear()


def aws_managed_policies_data_of(name):
    """One of AWS's own managed policies, as moto has it."""
    return json.loads(aws_managed_policies_data)[name]


@pytest.fixture(scope="module")
def printed(incident, sandbox, shell, tmp_path_factory):
    """What each command of the page printed, run in the page's order."""
    environ, outputs = sandbox.environ(account=ACCOUNT), {}
    for command in COMMANDS:
        words = command
        if "ssm" not in command:
            for shown, real in incident.items():
                words = words.replace(shown, real)
        outputs[command] = shell(words, environ)
    return outputs


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split()[:3]))
def test_a_command_of_the_page_succeeds(printed, command):
    """In the order of the page, each command ends well."""
    ok(printed[command])


def test_x(printed):
    for c, d in printed.items():
        print("$", c[:100])
        print(d.stdout[-3000:])
        print(d.stderr[-800:])
    assert boto3 is None
