"""docs/incident.md is true: each of its commands runs, in its order, and shows what the page says."""

import json
import re
import shlex

import aws_cli
import boto3
import pytest
from helpers import HARMLESS, ROOT, ok
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends
from pack import commands_of

PAGE = (ROOT / "docs/incident.md").read_text()
COMMANDS = commands_of("docs/incident.md")
ACCOUNT = "300000000024"
KEY, EVENT = "AKIAIOSFODNN7EXAMPLE", "00000000-0000-4000-8000-000000000000"
TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]}

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


@pytest.fixture(scope="module")
def incident(sandbox):
    """An account in which bob has made himself a back door, himself and by the role app.

    Both are denied IAM, and bob has tried once more.

    :returns: what stands in place of the page's access key and event id
    """
    sandbox.deploy(account=ACCOUNT)
    backend = iam_backends[ACCOUNT]["aws"]
    for name in ("AdministratorAccess", "AWSDenyAll"):
        data = json.loads(aws_managed_policies_data)[name]
        policy = AWSManagedPolicy.from_data(name, ACCOUNT, sandbox.region, data)
        backend.managed_policies[policy.arn] = policy
    operator = sandbox.client("iam", account=ACCOUNT)
    operator.create_group(GroupName="admins")
    key = sandbox.create_user("bob", account=ACCOUNT)
    operator.create_login_profile(UserName="bob", Password="Correct-horse-1")  # noqa: S106  moto's alone
    operator.create_role(RoleName="app", AssumeRolePolicyDocument=json.dumps(TRUST))
    operator.put_role_policy(RoleName="app", PolicyName="all", PolicyDocument=json.dumps(HARMLESS))
    sandbox.pending.clear()
    bob = sandbox.client("iam", key, ACCOUNT)
    bob.create_user(UserName="backdoor")
    bob.create_access_key(UserName="backdoor")
    bob.attach_user_policy(UserName="backdoor", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    session = sandbox.client("sts", key, ACCOUNT).assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/app", RoleSessionName="bobs-session"
    )["Credentials"]
    sandbox.client("iam", session, ACCOUNT).create_user(UserName="backdoor-of-app")
    deny = f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess"
    operator.attach_user_policy(UserName="bob", PolicyArn=deny)
    operator.attach_role_policy(RoleName="app", PolicyArn=deny)
    with pytest.raises(bob.exceptions.ClientError, match="AccessDenied"):
        bob.create_user(UserName="backdoor-2")
    yield {KEY: key["AccessKeyId"], EVENT: sandbox.pending[-1]["detail"]["eventID"]}
    sandbox.pending.clear()


@pytest.fixture(scope="module")
def printed(incident, sandbox, shell):
    """The output of each command of the page, run in the page's order. moto does not know AWS's runbooks."""
    environ, done = sandbox.environ(account=ACCOUNT), {}
    for command in (command for command in COMMANDS if not command.startswith("aws ssm ")):
        words = command
        for shown, real in incident.items():
            words = words.replace(shown, real)
        done[command] = ok(shell(words, environ))
    return done


def output_of(printed, start):
    """The output of the page's first command that begins so."""
    return next(text for command, text in printed.items() if command.startswith(start))


REPORT = "custodian report --vars-file iam-guard.yml -s output --format grid --no-default-fields --field "


def without_times(table):
    """A table's lines, with every time made one, and columns as narrow as they can be."""
    table = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", table)
    return [re.sub("([-= ])+", r"\1", line) for line in table.splitlines() if line.startswith(("|", "+"))]


def test_the_report_is_the_table_that_the_page_shows(printed, incident):
    """The report has a line per call, the newest first, just as it stands on the page."""
    (block,) = re.findall(r"\n(\+-.+?)\n```", PAGE, re.S)
    table = (
        output_of(printed, f"{REPORT}User").replace(incident[KEY], KEY).replace("127.0.0.1", "198.51.100.7")
    )
    assert without_times(table) == without_times(block)


def test_the_report_of_roles_names_the_session(printed):
    """A role's call is shown with the session that made it."""
    table = output_of(printed, f"{REPORT}Role")
    (row,) = [line for line in table.splitlines() if line.startswith("| app ")]
    assert [cell.strip() for cell in row.split("|")][3:5] == ["CreateUser", "backdoor-of-app"]
    assert row.endswith(" bobs-session |")


def test_the_history_is_looked_up_by_event_and_by_key(printed, incident):
    """The event's id leads to its record, and the access key to all calls made with it."""
    record = json.loads(output_of(printed, "aws cloudtrail lookup-events"))
    assert record["eventID"] == incident[EVENT]
    (by_key,) = [text for command, text in printed.items() if "AttributeKey=AccessKeyId" in command]
    calls = [line.split("\t")[2] for line in by_key.splitlines()]
    assert calls == ["CreateUser", "AttachUserPolicy", "CreateAccessKey", "CreateUser"]


def test_the_youngest_users_and_roles_are_found(printed):
    """The queries of the page pick out what it says."""
    assert "\tbackdoor\n" in output_of(printed, "aws iam list-users")
    assert "\tapp\n" in output_of(printed, "aws iam list-roles")


def test_after_the_page_the_user_has_iam_back_and_nothing_else(printed, sandbox):
    """The steps undo each other as the page says: only the key stays off, and the password is gone."""
    iam = sandbox.client("iam", account=ACCOUNT)
    assert iam.list_attached_user_policies(UserName="bob")["AttachedPolicies"] == []
    assert iam.list_attached_role_policies(RoleName="app")["AttachedPolicies"] == []
    assert [tag["Key"] for tag in iam.list_user_tags(UserName="bob")["Tags"]] == ["iam-guard-restored"]
    assert [tag["Key"] for tag in iam.list_role_tags(RoleName="app")["Tags"]] == ["iam-guard-restored"]
    (key,) = iam.list_access_keys(UserName="bob")["AccessKeyMetadata"]
    assert key["Status"] == "Inactive"
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_login_profile(UserName="bob")


def test_the_runbook_is_shown_for_each_kind_of_principal_as_aws_documents_it():
    """There is a dry run, a containment and a restoration; for a user, a role and an Identity Center person."""
    ssm, given = boto3.client("ssm", region_name="us-east-1"), []
    for words in (shlex.split(command) for command in COMMANDS if command.startswith("aws ssm ")):
        operation = ssm.meta.method_to_api_mapping[words[2].replace("-", "_")]
        options = aws_cli.options_of(words[3:])
        options = {name: value for name, value in options.items() if name not in aws_cli.ANYWHERE}
        found = aws_cli.parameters(ssm.meta.service_model.operation_model(operation).input_shape, options)
        if operation == "StartAutomationExecution":
            assert found["DocumentName"] == "AWSSupport-ContainIAMPrincipal"
            given.append({name: value for name, (value,) in found["Parameters"].items()})
    for found in given:
        assert all(re.fullmatch(RUNBOOK[name], value, re.ASCII) for name, value in found.items()), found
        assert set(found) >= ALWAYS | REQUIRED[found["Action"], found["DryRun"]]
        assert found["Action"] != "Contain" or "BackupS3KeyName" not in found
    assert {found["PrincipalType"] for found in given} == set(RUNBOOK["PrincipalType"].split("|"))
    assert {(found["Action"], found["DryRun"]) for found in given} == set(REQUIRED)


def test_the_tables_name_operations_that_exist():
    """Each call in the table of what is left behind is one of IAM's, and each command an operation of AWS's."""
    iam = boto3.client("iam", region_name="us-east-1")
    operations = iam.meta.service_model.operation_names
    rows = re.findall(r"^\| (`[A-Z].+?) \|", PAGE, re.M)
    names = [name for row in rows for name in re.findall(r"`(\w+…?\w+)`", row)]
    assert len(names) > 15
    for name in names:
        assert any(re.fullmatch(name.replace("…", r"\w+"), operation) for operation in operations), name
    commands = re.findall(r"`aws iam ([a-z-]+)`", PAGE)
    assert {command.replace("-", "_") for command in commands} <= set(iam.meta.method_to_api_mapping)
