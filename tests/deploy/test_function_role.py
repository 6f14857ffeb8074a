"""The functions' role of ``deploy/account.yml``: it is enough, and every single action of it is needed."""

import json

import pytest
from botocore.exceptions import ClientError
from c7n.config import Config
from c7n.policy import Policy
from c7n.resources import load_resources
from helpers import FUNCTION, POLICIES, PROTECT_FUNCTION, policies_of, settings_file, stock
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from rights import CONTAIN, GUARD, allowed, inline, resources, without
from told import listen

from sandbox.access import principals
from sandbox.access.authorization import listed
from sandbox.cloudtrail import records
from sandbox.server import Fault

ROLES_FUNCTION = f"{FUNCTION}-of-roles"
CATCH_UP_FUNCTION = "iam-guard-catch-up-unintended-iam-access"
GUARDS = allowed(GUARD, inline(resources("account.yml")["Role"]))
#: The sandbox encrypts nothing, so nobody asks it for a key.
UNPLAYED = {"kms:Decrypt", "kms:GenerateDataKey"}

#: A trust policy that lets Lambda take a role.
NOBODY = json.dumps(resources("account.yml")["Role"]["Properties"]["AssumeRolePolicyDocument"])

load_resources(("aws.iam-role", "aws.iam-user"))


@pytest.fixture(scope="module")
def guarded(sandbox, tmp_path_factory):
    """An account with all functions of the role deployed, all of them acting."""
    name = "131313131313"
    sandbox.deploy(account=name, AdminGroups="admins")
    iam = sandbox.client("iam", account=name)
    iam.create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=name)
    folder = tmp_path_factory.mktemp("out")
    files = ("protect-admin-group", "revoke-unintended-iam-access", "revoke-unintended-iam-access-of-roles")
    run = stock(
        "custodian", "run", "-s", folder, *(POLICIES / f"{file}.yml" for file in files),
        environ=sandbox.environ(account=name), settings=settings_file(folder, observe_roles=False),
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

    def role(self):
        self.users += 1
        name = f"role-{self.users}"
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=NOBODY)
        return self.backend.get_role(name)

    def event(self, caller, action="CreateUser", **params):
        kind, session = ("IAMUser", None) if caller.id.startswith("AIDA") else ("AssumedRole", "session")
        principal = principals.Principal(kind, self.account, "aws", "AKIATEST", caller.name, session)
        identity = principal.identity()
        record = records.record(
            identity, "iam", action, params or {"UserName": "x"}, self.account, "us-east-1"
        )
        return records.envelope(record)

    def revoked(self, user, event, how, function=FUNCTION):
        """Whether the function denies a user or role IAM in this way."""
        invocation = self.sandbox.functions.invoke(function, event, self.account)
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

    def look_at_the_group(self, rename=False):
        self.sandbox.functions.cool()
        if rename:
            self.iam.update_group(GroupName="admins", NewGroupName="admins-renamed")
        try:
            return self.attach()
        finally:
            if rename:
                self.iam.update_group(GroupName="admins-renamed", NewGroupName="admins")
            self.sandbox.functions.cool()  # it would remember what it saw

    def find_the_renamed_group(self):
        return self.look_at_the_group(rename=True)

    def attach_to_role(self):
        role = self.role()
        return self.revoked(role, self.event(role), "managed", ROLES_FUNCTION)

    def look_up_role(self):
        role = self.role()
        event = self.event(role)
        event["detail"]["eventTime"] = "2026-01-05T10:00:00Z"
        return self.revoked(role, event, "managed", ROLES_FUNCTION)

    def bound_role(self):
        role = self.full(self.role())
        return self.revoked(role, self.event(role), "boundary", ROLES_FUNCTION)

    def catch_up(self):
        invocation = self.sandbox.functions.invoke(CATCH_UP_FUNCTION, {}, self.account)
        return invocation.succeeded and "incomplete" not in invocation.log

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
        # Without what other jobs have left there.
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
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
    "iam:GetGroup": Guarded.look_at_the_group,
    "iam:ListGroups": Guarded.find_the_renamed_group,
    "iam:AttachRolePolicy": Guarded.attach_to_role,
    "iam:PutRolePermissionsBoundary": Guarded.bound_role,
    "iam:GetRole": Guarded.look_up_role,
    "cloudtrail:LookupEvents": Guarded.catch_up,
    "iam:GetAccountAuthorizationDetails": Guarded.catch_up,
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


@pytest.mark.parametrize(("role", "stack"), [(GUARD, "account.yml"), (CONTAIN, "contain.yml")])
def test_a_functions_role_has_what_the_policies_declare(role, stack):
    """The role's IAM actions are those that the policies of its functions declare, and no others."""
    declared = {"iam:GetUser", "iam:ListUsers", "iam:GetRole"}  # of the mode: whose name is it now?
    declared |= {"iam:GetAccountAuthorizationDetails"}  # of the source
    for file in POLICIES.glob("*.yml"):
        for data in (found for found in policies_of(file) if found.get("mode", {}).get("role") == role):
            options = Config.empty(dryrun=True, account_id="131313131313", region="us-east-1")
            made = Policy(data, options)
            for element in (*made.resource_manager.iter_filters(), *made.resource_manager.actions):
                declared |= set(element.get_permissions())
    declared = {action for action in declared if action.startswith("iam:")}
    deploying = {"iam:ListRoles"}  # asked once, by whoever deploys
    # Of iam-access-revoked, on a source that has not read them already.
    details = {"iam:GetUserPolicy", "iam:ListAttachedUserPolicies", "iam:ListAttachedRolePolicies"}
    assert details < declared
    has = {action for action in allowed(role, inline(resources(stack)["Role"])) if action.startswith("iam:")}
    assert has == declared - deploying - (details if role == GUARD else set())
    read = resources("access.yml")["Read"]["Properties"]["PolicyDocument"]
    assert deploying <= {action for statement in read["Statement"] for action in listed(statement["Action"])}
