"""The functions' role of ``deploy/account.yml``: it is enough, and has no right that no function uses."""

import json

import pytest
from c7n.config import Config
from c7n.policy import Policy
from c7n.resources import load_resources
from helpers import FUNCTION, HARMLESS, POLICIES, PROTECT, REVOKE, policies_of, settings_file, stock
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from rights import CONTAIN, GUARD, allowed, inline, resources, rights_used

from sandbox.access import principals
from sandbox.access.authorization import listed
from sandbox.cloudtrail import records
from sandbox.server import Fault

ACCOUNT = "131313131313"
ROLES_FUNCTION = f"{FUNCTION}-of-roles"
CATCH_UP_FUNCTION = "iam-guard-catch-up-unintended-iam-access"
#: The sandbox encrypts nothing, so nobody asks it for a key.
UNPLAYED = {"kms:Decrypt", "kms:GenerateDataKey"}

load_resources(("aws.iam-role", "aws.iam-user"))


@pytest.fixture(scope="module")
def guarded(sandbox, tmp_path_factory):
    """An account with a function for each kind of job, all of them acting."""
    sandbox.deploy(account=ACCOUNT, AdminGroups="admins")
    sandbox.client("iam", account=ACCOUNT).create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=ACCOUNT)
    folder = tmp_path_factory.mktemp("out")
    files = [POLICIES / f"{name}.yml" for name in (PROTECT, REVOKE, f"{REVOKE}-of-roles")]
    settings, environ = settings_file(folder, observe_roles=False), sandbox.environ(account=ACCOUNT)
    only = ("-p", "protect-*", "-p", "revoke-*", "-p", "catch-up-*-access")
    run = stock("custodian", "run", "-s", folder, *only, *files, environ=environ, settings=settings)
    assert run.returncode == 0, run.stderr
    return Guarded(sandbox)


class Guarded:
    """A guarded account, and the jobs of its functions; each tells whether it was done."""

    def __init__(self, sandbox):
        self.sandbox, self.backend, self.made = sandbox, iam_backends[ACCOUNT]["aws"], 0
        self.iam, self.functions = (sandbox.client(name, account=ACCOUNT) for name in ("iam", "lambda"))

    def invoke(self, event, function=FUNCTION):
        return self.sandbox.functions.invoke(function, event, ACCOUNT)

    def user(self):
        self.made += 1
        self.sandbox.create_user(f"user-{self.made}", account=ACCOUNT)
        return self.backend.users[f"user-{self.made}"]

    def role(self):
        self.made += 1
        self.sandbox.create_role(f"role-{self.made}", account=ACCOUNT)
        return self.backend.get_role(f"role-{self.made}")

    def event(self, caller, action="CreateUser", **params):
        kind, session = ("IAMUser", None) if caller.id.startswith("AIDA") else ("AssumedRole", "session")
        identity = principals.Principal(kind, ACCOUNT, "aws", "AKIATEST", caller.name, session).identity()
        record = records.record(identity, "iam", action, params or {"UserName": "x"}, ACCOUNT, "us-east-1")
        return records.envelope(record)

    def full(self, caller):
        """A user or role with no room for another managed policy, nor for an inline one."""
        for number in range(10):
            arn = f"arn:aws:iam::{ACCOUNT}:policy/own-{number}"
            if arn not in self.backend.managed_policies:
                self.iam.create_policy(PolicyName=f"own-{number}", PolicyDocument=json.dumps(HARMLESS))
            caller.managed_policies[arn] = self.backend.managed_policies[arn]
        caller.policies["large"] = "x" * 2048
        return caller

    def decide(self, caller, how, function=FUNCTION):
        """Whether the function denies a user or role IAM in this way, for a call of a name from long ago."""
        event = self.event(caller)
        event["detail"]["eventTime"] = "2026-01-05T10:00:00Z"
        return [d["how"] for d in self.invoke(event, function).decisions] == [how]

    def bound(self):  # after it has tried to attach a policy, and to put one
        return self.decide(self.full(self.user()), "boundary")

    def bound_role(self):
        return self.decide(self.full(self.role()), "boundary", ROLES_FUNCTION)

    def find_renamed(self):
        user = self.user()
        event = self.event(user)
        self.iam.update_user(UserName=user.name, NewUserName=f"new-{user.name}")
        return self.invoke(event).decisions[0]["how"] == "managed"

    def find_the_renamed_group(self):
        self.iam.update_group(GroupName="admins", NewGroupName="admins-renamed")
        self.sandbox.functions.cool()
        try:
            return self.decide(self.user(), "managed")
        finally:
            self.iam.update_group(GroupName="admins-renamed", NewGroupName="admins")
            self.sandbox.functions.cool()  # it would remember what it saw

    def catch_up(self):
        invocation = self.invoke({}, CATCH_UP_FUNCTION)
        return invocation.succeeded and "incomplete" not in invocation.log

    def take_out(self):
        user, added = self.user(), self.user()
        self.iam.add_user_to_group(GroupName="admins", UserName=added.name)
        event = self.event(user, "AddUserToGroup", UserName=added.name, GroupName="admins")
        self.invoke(event, f"iam-guard-{PROTECT}")
        return added not in self.backend.groups["admins"].users

    def miss_bus(self):
        buses = events_backends[ACCOUNT]["us-east-1"].event_buses
        bus = buses.pop("iam-guard")
        try:
            return "there is no event bus iam-guard" in self.invoke(self.event(self.user())).log
        finally:
            buses["iam-guard"] = bus
            self.sandbox.functions.cool()  # it would remember that there is no bus

    def log(self):
        logs_backends[ACCOUNT]["us-east-1"].groups.pop(f"/aws/lambda/{FUNCTION}")
        return self.invoke(self.event(self.user())).log

    def dead_letter(self):
        self.sandbox.faults.append(Fault("iam:ListGroupsForUser", "AccessDenied", 403, times=3))
        return self.invoke(self.event(self.user())).dead_lettered

    def redrive(self):
        self.functions.create_event_source_mapping(
            EventSourceArn=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{FUNCTION}", FunctionName=FUNCTION, BatchSize=1
        )
        found = self.sandbox.functions.poll(ACCOUNT)
        return found and all(invocation.succeeded for invocation in found)


JOBS = (
    Guarded.bound, Guarded.bound_role, Guarded.find_renamed, Guarded.find_the_renamed_group, Guarded.catch_up,
    Guarded.take_out, Guarded.miss_bus, Guarded.log, Guarded.dead_letter, Guarded.redrive,
)  # fmt: skip


def test_the_functions_role_is_enough_and_every_right_is_used(guarded):
    """The functions do all their jobs as their own role, and these ask for every action that it has."""
    with rights_used(GUARD) as found:
        for job in JOBS:
            assert job(guarded), job.__name__
    assert found == set(allowed(GUARD, inline(resources("account.yml")["Role"]))) - UNPLAYED


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
