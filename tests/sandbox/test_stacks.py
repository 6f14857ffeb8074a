"""The sandbox's CloudFormation, held against what AWS documents: what a stack is like after something failed."""

import itertools
import json

import pytest
from botocore.exceptions import ClientError
from helpers import HARMLESS
from moto.iam.models import iam_backends

from sandbox.server import DEPLOY

STACK = "iam-guard"
MISSING = "arn:aws:iam::{}:policy/missing"
accounts = map(str, itertools.count(300000000081))


class Account:
    """An account of its own, with the stack of ``deploy/account.yml``.

    :param way: whether the stack is made and changed by change sets, as ``aws cloudformation deploy`` does
    """

    def __init__(self, sandbox, way="call"):
        self.sandbox, self.way, self.id = sandbox, way, next(accounts)
        self.stacks, self.logs = self.client("cloudformation"), self.client("logs")

    def client(self, service):
        return self.sandbox.client(service, account=self.id)

    def deploy(self, template=DEPLOY / "account.yml", **params):
        if self.way == "call":
            return self.sandbox.deploy(template, account=self.id, **params)
        change = {"StackName": STACK, "ChangeSetName": "change"}
        made = self.stacks.create_change_set(
            **change,
            ChangeSetType="UPDATE" if self.status() else "CREATE",
            TemplateBody=template.read_text(),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in params.items()],
        )
        try:
            return self.stacks.execute_change_set(StackName=STACK, ChangeSetName=made["Id"])
        finally:
            self.stacks.delete_change_set(**change)

    def status(self):
        """The state of the stack; None if there is none."""
        return next((stack["StackStatus"] for stack in self.stacks.describe_stacks()["Stacks"]), None)

    def content(self):
        """The stack's resources."""
        iam = iam_backends[self.id]["aws"]
        events, queues = self.client("events"), self.client("sqs").list_queues().get("QueueUrls", [])
        return {
            "logs": sorted(group["logGroupName"] for group in self.logs.describe_log_groups()["logGroups"]),
            "buses": [bus["Name"] for bus in events.list_event_buses()["EventBuses"]],
            "queues": sorted(queues),
            "policies": {arn: policy.versions[-1].document for arn, policy in iam.managed_policies.items()},
            "roles": {role.name: sorted(role.managed_policies) for role in iam.roles.values()},
        }


@pytest.fixture(params=["call", "change set"])
def account(sandbox, request):
    return Account(sandbox, request.param)


def test_a_stack_that_cannot_be_made_leaves_nothing_behind(account):
    """It is in state ROLLBACK_COMPLETE, nothing of it is there, and after its deletion it can be made."""
    before = account.content()
    with pytest.raises(ClientError, match="NoSuchEntity"):
        account.deploy(ActionPolicies=MISSING.format(account.id))
    assert account.status() == "ROLLBACK_COMPLETE"
    assert account.content() == before
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        account.deploy(AdminGroups="admins")
    account.stacks.delete_stack(StackName=STACK)
    account.deploy(AdminGroups="admins")
    assert account.status() == "CREATE_COMPLETE"


def test_a_policy_that_has_the_denials_name_already_is_not_adopted(sandbox):
    """The stack fails and leaves that policy as it was; after both are deleted (docs/deploy.md), it can be made."""
    account = Account(sandbox, "change set")
    iam = account.client("iam")
    arn = iam.create_policy(PolicyName="DenyIAMAccess", PolicyDocument=json.dumps(HARMLESS))["Policy"]["Arn"]
    before = account.content()
    with pytest.raises(ClientError, match="already exists"):
        account.deploy(AdminGroups="admins")
    assert account.content() == before
    iam.delete_policy(PolicyArn=arn)
    account.stacks.delete_stack(StackName=STACK)
    account.deploy(AdminGroups="admins")
    assert account.status() == "CREATE_COMPLETE"


def test_a_log_group_stays_a_stacks_own_when_the_stack_changes(sandbox):
    """After a change of what its template says of the log groups, the stack still deletes them."""
    account = Account(sandbox)
    account.deploy(AdminGroups="admins")
    account.deploy(AdminGroups="admins", KmsKeyArn=f"arn:aws:kms:us-east-1:{account.id}:key/1")
    account.stacks.delete_stack(StackName=STACK)
    assert account.content()["logs"] == []


def test_a_stack_has_the_outputs_whose_conditions_hold(account):
    """They follow the stack's changes, whichever way it is changed."""

    def outputs():
        (stack,) = account.stacks.describe_stacks()["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())}

    account.deploy(DEPLOY / "access.yml", AdminGroups="admins")
    assert outputs() == {}
    account.deploy(DEPLOY / "access.yml", AdminGroups="admins", CentralAccount=account.id)
    role = f"arn:aws:iam::{account.id}:role/iam-guard"
    assert outputs() == {"DeployerRole": f"{role}-deployer", "ReaderRole": f"{role}-reader"}


def test_what_a_condition_no_longer_wants_is_deleted(sandbox):
    """A subscription goes when the stack gets no address any more."""
    account = Account(sandbox)
    for address, count in (("sue@example.com", 1), ("", 0)):
        account.deploy(AdminGroups="admins", NotifyEmail=address)
        assert len(account.client("sns").list_subscriptions()["Subscriptions"]) == count


def test_a_change_set_is_refused_if_a_parameter_does_not_have_its_pattern(sandbox):
    """The refusal names the parameter, and there is no stack. Each item of a list has to have the pattern."""
    account = Account(sandbox, "change set")
    with pytest.raises(ClientError, match="Parameter AdminGroups must match pattern"):
        account.deploy(AdminGroups="admins,not one")
    assert account.status() is None
    account.deploy(AdminGroups="admins,ops")


def test_a_change_set_without_a_change_has_failed(sandbox):
    """A change set with the parameters and template that the stack has is made, in state FAILED, and says why."""
    account = Account(sandbox, "change set")
    policies = f"arn:aws:iam::{account.id}:policy/one"
    account.client("iam").create_policy(PolicyName="one", PolicyDocument=json.dumps(HARMLESS))
    account.deploy(AdminGroups="admins")
    account.deploy(AdminGroups="admins", ActionPolicies=policies)
    template = {"TemplateBody": (DEPLOY / "account.yml").read_text()}
    names = [one["ParameterKey"] for one in account.stacks.get_template_summary(**template)["Parameters"]]
    change = {"StackName": STACK, "ChangeSetName": "none"}
    account.stacks.create_change_set(
        **change, **template, ChangeSetType="UPDATE",
        Parameters=[{"ParameterKey": name, "UsePreviousValue": True} for name in names],
    )  # fmt: skip
    found = account.stacks.describe_change_set(**change)
    assert found["Status"] == "FAILED"
    assert "didn't contain changes" in found["StatusReason"]
