"""README and docs from the first page to the last: an account is deployed to, operated and left, as they say.

The commands are the pages' own. They run in a shell, ``aws`` being ``aws_cli.py``.
"""

import json
import re

import pytest
from helpers import HARMLESS, REVOKE, ROOT, function_names, ok, settings_file
from moto.iam.models import iam_backends
from test_incident import COMMANDS as INCIDENT

ACCOUNT, SECURITY, SHOWN = "300000000031", "300000000032", "111122223333"
#: The pages, in the order in which somebody needs them. The last chapter of the last one is the way out.
ORDER = (
    "README.md",
    "docs/deploy.md",
    "docs/organization.md",
    "docs/ci.md",
    "docs/told.md",
    "docs/contain.md",
    "docs/health.md",
    "docs/operate.md",
)
#: Commands that have tests of their own, by how they begin.
ELSEWHERE = {
    "make ": "test_make.py, test_demo.py and test_replay.py",
    "pip install": "test_wheel.py",
    "python3 -m venv": "test_wheel.py",
    "custodian validate": "test_plugin.py",
    "deploy/smoke-test": "test_smoke_test.py",
    "c7n-org ": "test_organization.py",
    "for file in scp": "test_organization_walk.py",
    "aws cloudformation activate-organizations-access": "test_stack.py",
    "aws cloudformation create-stack-set": "test_stack.py",
    "aws cloudformation create-stack-instances": "test_stack.py",
    "aws cloudformation delete-stack-instances": "test_stack.py",
    "aws cloudformation delete-stack-set": "test_stack.py",
    "aws cloudformation list-stack-instances": "test_stack.py",
    "aws cloudformation update-stack-instances": "test_stack.py",
    "aws cloudformation update-stack-set": "test_stack.py",
    "aws organizations ": "test_organization_walk.py",
    "python deploy/accounts.py": "test_accounts.py",
    "python deploy/ci.py": "test_ci.py and test_organization_walk.py",
    "sed -i.bak": "test_scp.py",
    "aws cloudformation deploy --region us-east-1 --stack-name iam-guard-people": "test_people_setup.py",
    "aws organizations attach-policy": "test_people_setup.py",
    "aws lambda invoke --region us-east-1 --function-name iam-guard-people": "test_people_setup.py",
    "aws sqs send-message": "test_people_setup.py",
    "aws sqs start-message-move-task": "test_people_setup.py",
    "aws events disable-rule --region us-east-1 --event-bus-name iam-guard-central": "test_people_setup.py",
    "aws organizations detach-policy": "test_people_setup.py",
}
MAPPING = "a1b2c3d4-5678-90ab-cdef-11111EXAMPLE"


def commands(page):
    """The commands that a page shows, but for those that have tests of their own."""
    lines = [line.strip().removeprefix("$ ") for line in (ROOT / page).read_text().splitlines()
             if line.strip().startswith("$ ")]  # fmt: skip
    return [line for line in lines if not line.startswith(tuple(ELSEWHERE))]


def everything(sandbox):
    """All that the account has of what the pack installs, as one comparable value."""
    clients = {name: sandbox.client(name, account=ACCOUNT) for name in
               ("lambda", "events", "sqs", "sns", "logs", "cloudformation", "iam")}  # fmt: skip
    iam = iam_backends[ACCOUNT]["aws"]
    return {
        "functions": function_names(sandbox, ACCOUNT),
        "mappings": clients["lambda"].list_event_source_mappings()["EventSourceMappings"],
        "rules": clients["events"].list_rules()["Rules"],
        "buses": [bus["Name"] for bus in clients["events"].list_event_buses()["EventBuses"]],
        "queues": clients["sqs"].list_queues().get("QueueUrls", []),
        "topics": clients["sns"].list_topics()["Topics"],
        "alarms": sorted(sandbox.alarms(account=ACCOUNT)),
        "logs": [group["logGroupName"] for group in clients["logs"].describe_log_groups()["logGroups"]],
        "stacks": clients["cloudformation"].describe_stacks()["Stacks"],
        "roles": sorted(role.name for role in iam.roles.values()),
        "policies": sorted(p["PolicyName"] for p in clients["iam"].list_policies(Scope="Local")["Policies"]),
        "people": {
            one.name: (sorted(one.policies), sorted(one.managed_policies))
            for one in (*iam.users.values(), *iam.roles.values())
        },
    }


class Account:
    """The account whose operator reads the pages."""

    def __init__(self, sandbox, shell, folder):
        self.sandbox, self.shell, self.folder = sandbox, shell, folder
        self.environ, self.done, self.mapping = sandbox.environ(account=ACCOUNT), {}, MAPPING
        for name in ("policies", "deploy"):
            (folder / name).symlink_to(ROOT / name)
        settings_file(folder, observe_containment=False)
        self.iam = sandbox.client("iam", account=ACCOUNT)
        self.iam.create_group(GroupName="admins")
        sandbox.create_user("ada", groups=["admins"], account=ACCOUNT)
        self.bob = sandbox.client("iam", sandbox.create_user("bob", account=ACCOUNT), ACCOUNT)
        trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]}
        self.trust = json.dumps(trust)
        for name in ("pipeline", "AWSReservedSSO_AdministratorAccess_0"):
            self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=self.trust)
        sandbox.client("s3", account=ACCOUNT).create_bucket(Bucket="trail-of-this-account")
        trail = {"Name": "management-events", "S3BucketName": "trail-of-this-account"}
        sandbox.client("cloudtrail", account=ACCOUNT).create_trail(**trail)
        topic = sandbox.client("sns", account=ACCOUNT).create_topic(Name="pager")
        assert topic["TopicArn"] == f"arn:aws:sns:us-east-1:{ACCOUNT}:pager"
        self.iam.create_policy(PolicyName="iam-guard-actions", PolicyDocument=json.dumps(HARMLESS))

    def follow(self, commands):
        """Run commands of a page, with this account's number and ids in place of the shown ones; each once."""
        for command in (command for command in commands if command not in self.done):
            real = command.replace(SHOWN, ACCOUNT).replace(MAPPING, self.mapping)
            central = self.sandbox.environ(account=SECURITY) if "central.yml" in command else None
            printed = ok(self.shell(real, central or self.environ, cwd=self.folder))
            if "create-event-source-mapping" in command:
                self.mapping = json.loads(printed)["UUID"]
            self.done[command] = printed

    def call(self):
        """bob makes a back door of each kind, and a role whose policy only observes is denied by hand."""
        self.sandbox.pending.clear()
        self.bob.create_user(UserName="backdoor")
        self.bob.create_role(RoleName="app", AssumeRolePolicyDocument=self.trust)
        self.sandbox.deliver()
        deny = f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess"
        self.iam.attach_role_policy(RoleName="pipeline", PolicyArn=deny)


@pytest.fixture(scope="module")
def account(sandbox, shell, tmp_path_factory):
    """The account after all pages, with what it was before and in between."""
    account = Account(sandbox, shell, tmp_path_factory.mktemp("pages"))
    account.before = everything(sandbox)
    *pages, last = ORDER
    for page in pages[:5]:
        account.follow(commands(page))
    account.installed = everything(sandbox)
    account.call()
    for page in pages[5:]:
        account.follow(commands(page))
    *operating, deletion, wait = commands(last)
    way_out = next(i for i, command in enumerate(operating) if command.startswith("for name in "))
    account.follow(operating[:way_out])
    account.iam.delete_user(UserName="backdoor")
    account.iam.delete_role(RoleName="app")
    account.follow(operating[way_out:])
    denied = {"UserName": "bob", "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess"}
    account.iam.attach_user_policy(**denied)
    account.follow([deletion])
    account.done.pop(deletion)
    account.stopped = sandbox.client("cloudformation", account=ACCOUNT).describe_stacks()["Stacks"]
    account.iam.detach_user_policy(**denied)
    account.follow([deletion, wait])
    account.iam.delete_policy(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/iam-guard-actions")
    account.after = everything(sandbox)
    return account


def test_every_command_of_the_pages_is_run():
    """A command is run here, for the runbook, or by the tests that are named for its beginning."""
    pages = [file.relative_to(ROOT).as_posix() for file in ROOT.glob("docs/*.md")]
    for page in sorted({*pages, "README.md"} - set(ORDER)):
        assert set(commands(page)) <= set(INCIDENT), page
    assert all(list((ROOT / "tests").rglob(name)) for where in ELSEWHERE.values()
               for name in re.findall(r"test_\w+\.py", where))  # fmt: skip


def test_the_pages_install_what_they_say(account):
    """After README and docs/deploy.md, the account has all stacks, functions, alarms and somebody to be told."""
    for kind in account.before:
        assert account.installed[kind] != account.before[kind] or kind in ("mappings", "people"), kind
    assert f"iam-guard-{REVOKE}" in account.installed["functions"]
    assert "iam-guard-contain-unintended-iam-calls-of-roles" in account.installed["functions"]


def test_the_lists_say_who_is_denied(account):
    """The list shows what bob's call led to; restoring gives IAM back to bob and a role, and lifts quarantines."""
    printed = {" ".join(command.split()[:2]) + command[-40:]: text for command, text in account.done.items()}
    (listed,) = [text for name, text in printed.items() if name.startswith("custodian report")
                 and name.endswith("list-revoked-iam-access.yml")]  # fmt: skip
    assert re.search(r"\| bob +\| managed", listed)
    said = "\n".join(account.done.values())
    assert said.count('"decision": "restored"') == 2
    lifted = set(re.findall(r"policy:(restore-quarantined-\w+) action:\w+ resources:1", said))
    assert lifted == {"restore-quarantined-users", "restore-quarantined-roles"}


def test_uninstalling_leaves_nothing_behind(account):
    """The last commands, in their order, leave the account as it was; the stack waits for who is denied."""
    assert [(one["StackName"], one["StackStatus"]) for one in account.stopped] == [
        ("iam-guard", "DELETE_FAILED")
    ]
    assert account.after == account.before | {"policies": account.after["policies"]}
    assert not [name for name in account.after["policies"] if "IAM" in name or "iam-guard" in name]
