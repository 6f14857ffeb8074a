"""The functions' role of ``deploy/account.yml``: it is enough, and every single action of it is needed."""

import json

import pytest
from botocore.exceptions import ClientError
from c7n.config import Config
from c7n.policy import Policy
from c7n.resources import load_resources
from helpers import FUNCTION, POLICIES, PROTECT, PROTECT_FUNCTION, REVOKE, shipped, stock
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from rights import CONTAIN, GUARD, allowed, inline, resources, without
from told import listen

from sandbox import cloudtrail, principals
from sandbox.authorization import allows, listed
from sandbox.server import DEPLOY, Fault

GUARDS = allowed(GUARD, inline(resources("account.yml")["Role"]))
#: The sandbox encrypts nothing, so nobody asks it for a key.
UNPLAYED = {"kms:Decrypt", "kms:GenerateDataKey"}

load_resources(("aws.iam-user",))


@pytest.fixture(scope="module")
def guarded(sandbox, tmp_path_factory):
    """An account with both functions deployed, and the mapping that redrives the dead letters."""
    name = "131313131313"
    sandbox.deploy(account=name, AdminGroup="admins")
    iam = sandbox.client("iam", account=name)
    iam.create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=name)
    run = stock(
        "custodian", "run", "-s", tmp_path_factory.mktemp("out"), POLICIES / "protect-admin-group.yml",
        POLICIES / "revoke-unintended-iam-access.yml", environ=sandbox.environ(account=name),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    queue = f"arn:aws:sqs:us-east-1:{name}:{FUNCTION}"
    return Guarded(sandbox, name, queue)


class Guarded:
    """A guarded account, and the jobs of its functions; each tells whether it was done."""

    def __init__(self, sandbox, account, queue):
        self.sandbox, self.account, self.queue = sandbox, account, queue
        self.iam = sandbox.client("iam", account=account)
        self.sqs = sandbox.client("sqs", account=account)
        self.functions = sandbox.client("lambda", account=account)
        self.backend = iam_backends[account]["aws"]
        self.users = 0

    def user(self):
        self.users += 1
        name = f"user-{self.users}"
        self.sandbox.create_user(name, account=self.account)
        return self.backend.users[name]

    def event(self, user, action="CreateUser", **params):
        identity = principals.Principal("IAMUser", self.account, "aws", "AKIATEST", user.name).identity()
        record = cloudtrail.record(
            identity, "iam", action, params or {"UserName": "x"}, self.account, "us-east-1"
        )
        return cloudtrail.envelope(record)

    def revoked(self, user, event, how):
        """Whether the function denies a user IAM in this way."""
        invocation = self.sandbox.functions.invoke(FUNCTION, event, self.account)
        return invocation.succeeded and [line["how"] for line in invocation.decisions] == [how]

    def full(self, user, inline=False):
        """A user with no room for another managed policy, nor for an inline one."""
        for number in range(10):
            arn = f"arn:aws:iam::{self.account}:policy/own-{number}"
            if arn not in self.backend.managed_policies:
                statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
                document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
                self.iam.create_policy(PolicyName=f"own-{number}", PolicyDocument=document)
            user.managed_policies[arn] = self.backend.managed_policies[arn]
        if inline:
            user.policies["large"] = "x" * 2048
        return user

    def attach(self):
        user = self.user()
        return self.revoked(user, self.event(user), "managed")

    def look_first(self):
        self.sandbox.functions.cool()
        try:
            return self.attach()
        finally:
            self.sandbox.functions.cool()  # what it could not look at, it would remember

    def look_up(self):
        user = self.user()
        event = self.event(user)
        event["detail"]["eventTime"] = "2026-01-05T10:00:00Z"
        return self.revoked(user, event, "managed")

    def find_renamed(self):
        user = self.user()
        event = self.event(user)
        self.iam.update_user(UserName=user.name, NewUserName=f"new-{user.name}")
        return self.revoked(user, event, "managed")

    def put(self):
        user = self.full(self.user())
        return self.revoked(user, self.event(user), "inline")

    def bound(self):
        user = self.full(self.user(), inline=True)
        return self.revoked(user, self.event(user), "boundary")

    def take_out(self):
        user, added = self.user(), self.user()
        self.iam.add_user_to_group(GroupName="admins", UserName=added.name)
        event = self.event(user, "AddUserToGroup", UserName=added.name, GroupName="admins")
        self.sandbox.functions.invoke(PROTECT_FUNCTION, event, self.account)
        return added not in self.backend.groups["admins"].users

    def tell(self):
        told, user = listen(self.sandbox, account=self.account), self.user()
        invocation = self.sandbox.functions.invoke(FUNCTION, self.event(user), self.account)
        return invocation.succeeded and [event["detail"]["principal"]["name"] for event in told()] == [
            user.name
        ]

    def tell_alias(self):
        told, user = listen(self.sandbox, account=self.account), self.user()
        self.sandbox.functions.cool()
        self.iam.create_account_alias(AccountAlias="guarded")
        self.sandbox.functions.invoke(FUNCTION, self.event(user), self.account)
        self.sandbox.functions.cool()  # it would remember the alias, or that there is none
        return [event["detail"]["account"]["alias"] for event in told()] == ["guarded"]

    def miss_bus(self):
        buses, user = events_backends[self.account]["us-east-1"].event_buses, self.user()
        bus = buses.pop("iam-guard")
        self.sandbox.functions.cool()
        try:
            invocation = self.sandbox.functions.invoke(FUNCTION, self.event(user), self.account)
            return "there is no event bus iam-guard" in invocation.log
        finally:
            buses["iam-guard"] = bus
            self.sandbox.functions.cool()  # it would remember that there is no bus

    def log(self):
        user = self.user()
        logs_backends[self.account]["us-east-1"].groups.pop(f"/aws/lambda/{FUNCTION}", None)
        return bool(self.sandbox.functions.invoke(FUNCTION, self.event(user), self.account).log)

    def dead_letter(self):
        user = self.user()
        self.sandbox.faults.append(Fault("iam:ListGroupsForUser", "AccessDenied", 403, times=3))
        try:
            return self.sandbox.functions.invoke(FUNCTION, self.event(user), self.account).dead_lettered
        except ClientError:
            return False
        finally:
            self.sandbox.faults.clear()

    def redrive(self):
        user = self.user()
        url = self.sqs.get_queue_url(QueueName=FUNCTION)["QueueUrl"]
        for message in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        mapping = self.functions.create_event_source_mapping(
            EventSourceArn=self.queue, FunctionName=FUNCTION, BatchSize=1
        )
        self.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(self.event(user)))
        try:
            (invocation,) = self.sandbox.functions.poll(self.account)
            return invocation.succeeded
        except ClientError:
            return False
        finally:
            self.functions.delete_event_source_mapping(UUID=mapping["UUID"])


JOBS = {
    "iam:ListGroupsForUser": Guarded.attach,
    "iam:AttachUserPolicy": Guarded.attach,
    "iam:GetPolicy": Guarded.look_first,
    "iam:GetPolicyVersion": Guarded.look_first,
    "iam:GetUser": Guarded.look_up,
    "iam:ListUsers": Guarded.find_renamed,
    "iam:PutUserPolicy": Guarded.put,
    "iam:PutUserPermissionsBoundary": Guarded.bound,
    "iam:RemoveUserFromGroup": Guarded.take_out,
    "events:PutEvents": Guarded.tell,
    "events:DescribeEventBus": Guarded.miss_bus,
    "iam:ListAccountAliases": Guarded.tell_alias,
    "logs:CreateLogGroup": Guarded.log,
    "logs:CreateLogStream": Guarded.log,
    "logs:PutLogEvents": Guarded.log,
    "sqs:SendMessage": Guarded.dead_letter,
    "sqs:ReceiveMessage": Guarded.redrive,
    "sqs:DeleteMessage": Guarded.redrive,
    "sqs:GetQueueAttributes": Guarded.redrive,
}


def test_every_action_of_the_functions_role_has_a_job():
    """The role's actions are those that the next test takes away, and no others."""
    assert set(GUARDS) == set(JOBS) | UNPLAYED


@pytest.mark.parametrize("action", JOBS)
def test_the_functions_role_is_enough_and_needs_every_action(guarded, action):
    """A function does this job as its own role, and does not without this one action."""
    assert JOBS[action](guarded)
    with without(guarded.backend, GUARD, action):
        assert not JOBS[action](guarded)


def test_the_functions_role_has_what_the_policies_declare():
    """The role's IAM actions are those that the two policies and their mode declare, and no others."""
    declared = {"iam:GetUser", "iam:ListUsers"}  # of the mode: whose name is it now?
    for name in (REVOKE, PROTECT):
        data = shipped(name)
        options = Config.empty(dryrun=True, account_id="131313131313", region="us-east-1")
        made = Policy(data, options)
        for element in (*made.resource_manager.iter_filters(), *made.resource_manager.actions):
            declared |= set(element.permissions)
    deploying = {"iam:GetGroup", "iam:ListGroups"}  # asked once, by whoever deploys
    unused = {"iam:AddUserToGroup"}  # set-groups declares it for state: add
    assert {action for action in GUARDS if action.startswith("iam:")} == declared - deploying - unused
    read = resources("access.yml")["Read"]["Properties"]["PolicyDocument"]
    assert deploying <= {action for statement in read["Statement"] for action in listed(statement["Action"])}


# What the roles may not do, whatever an event makes their functions want

HOME = "arn:aws:iam::131313131314:"
DENIAL = {"iam:policyarn": f"{HOME}policy/DenyIAMAccess"}
BOUNDARY = {"iam:permissionsboundary": f"{HOME}policy/DenyIAMAccessBoundary"}
OTHER_BOUNDARY = {"iam:permissionsboundary": f"{HOME}policy/company"}
QUARANTINE = {"iam:policyarn": f"{HOME}policy/iam-guard-quarantine"}
ADMINISTRATOR = {"iam:policyarn": "arn:aws:iam::aws:policy/AdministratorAccess"}
COMPROMISED = {"iam:policyarn": "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"}


@pytest.fixture(scope="module")
def may(sandbox):
    """``may(role, action, resource, context)``: whether a role's own policies let it do something."""
    account = HOME.split(":")[4]
    sandbox.deploy(account=account)
    sandbox.deploy(DEPLOY / "contain.yml", "iam-guard-contain", account=account)

    def decide(role, action, resource, context):
        policies = iam_backends[account]["aws"].get_role(role).policies.values()
        return allows(policies, f"iam:{action}", HOME + resource, context) is True

    return decide


@pytest.mark.parametrize(
    ("action", "resource", "context", "expected"),
    [
        ("AttachRolePolicy", "role/app", DENIAL, True),
        ("AttachRolePolicy", "role/app", ADMINISTRATOR, False),
        ("AttachRolePolicy", "role/iam-guard", DENIAL, False),
        ("AttachRolePolicy", "role/iam-guard-response", DENIAL, False),
        ("AttachRolePolicy", "role/stacksets-exec-1234", DENIAL, False),
        ("PutRolePermissionsBoundary", "role/app", BOUNDARY, True),
        ("PutRolePermissionsBoundary", "role/app", OTHER_BOUNDARY, False),
        ("PutRolePermissionsBoundary", "role/iam-guard-deployer", BOUNDARY, False),
        ("PutRolePolicy", "role/app", {}, False),
        ("AttachUserPolicy", "user/bob", DENIAL, True),
        ("AttachUserPolicy", "user/bob", ADMINISTRATOR, False),
        ("DetachUserPolicy", "user/bob", DENIAL, False),
        ("AddUserToGroup", "group/admins", {}, False),
    ],
)  # fmt: skip
def test_the_functions_role_denies_and_nothing_else(may, action, resource, context, expected):
    """It attaches the denial alone, on roles, too, but never on those that guard, deploy and restore."""
    assert may(GUARD, action, resource, context) is expected


@pytest.mark.parametrize(
    ("action", "resource", "context", "expected"),
    [
        ("UpdateAccessKey", "user/bob", {}, True),
        ("UpdateServiceSpecificCredential", "user/bob", {}, True),
        ("UpdateSSHPublicKey", "user/bob", {}, True),
        ("UpdateSigningCertificate", "user/bob", {}, True),
        ("DeleteLoginProfile", "user/bob", {}, True),
        ("AttachUserPolicy", "user/bob", QUARANTINE, True),
        ("AttachRolePolicy", "role/new", QUARANTINE, True),
        ("DeleteUserPolicy", "user/bob", {}, True),
        ("DeleteGroupPolicy", "group/devs", {}, True),
        ("DeleteRolePolicy", "role/new", {}, True),
        ("DetachUserPolicy", "user/bob", ADMINISTRATOR, True),
        ("RemoveUserFromGroup", "group/devs", {}, True),
        ("DeleteSAMLProvider", "saml-provider/mine", {}, True),
        ("DeleteOpenIDConnectProvider", "oidc-provider/mine", {}, True),
        # What denies stays, and the guard's own roles are left alone.
        ("DetachUserPolicy", "user/bob", DENIAL, False),
        ("DetachUserPolicy", "user/bob", QUARANTINE, False),
        ("DetachUserPolicy", "user/bob", COMPROMISED, False),
        ("DeleteRolePolicy", "role/iam-guard", {}, False),
        ("DeleteRolePolicy", "role/stacksets-exec-1234", {}, False),
        ("AttachRolePolicy", "role/iam-guard-response", QUARANTINE, False),
        ("DeleteSAMLProvider", "saml-provider/AWSSSO_1234_DO_NOT_DELETE", {}, False),
        # Nothing is granted.
        ("AttachUserPolicy", "user/bob", ADMINISTRATOR, False),
        ("AttachRolePolicy", "role/new", ADMINISTRATOR, False),
        ("AttachGroupPolicy", "group/devs", QUARANTINE, False),
        ("DetachRolePolicy", "role/new", QUARANTINE, False),
    ],
)
def test_the_containments_role_takes_away_and_never_grants(may, action, resource, context, expected):
    """It takes back what a call gave, spares what denies and the guard's own roles, and grants nothing."""
    assert may(CONTAIN, action, resource, context) is expected


def test_the_containments_role_has_no_right_that_grants():
    """Beside setting a credential's status, its writes delete, detach, remove, or attach the quarantine."""
    status = {
        "UpdateAccessKey",
        "UpdateServiceSpecificCredential",
        "UpdateSSHPublicKey",
        "UpdateSigningCertificate",
    }
    attach = {"AttachUserPolicy", "AttachRolePolicy"}
    for action in allowed(CONTAIN, inline(resources("contain.yml")["Role"])):
        service, name = action.split(":")
        reads_or_takes = name.startswith(("Get", "List", "Delete", "Detach", "Remove"))
        assert service != "iam" or reads_or_takes or name in status | attach, action
