"""Additions to moto's StackSets: stacks that one can see, filters of accounts, updates, accounts that join.

A call does all of it at once. An account in which a stack fails stops no other one.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-manage-auto-deployment.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeploymentTargets.html
"""

import uuid

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult
from moto.organizations.models import OrganizationsBackend

from sandbox.organizations.organization import accounts_below
from sandbox.replacements import replaces

ACTIVATED = "organizations-access"  # the attribute of a backend that says so


class Instance:
    """One account's stack of a StackSet, or what became of it."""

    def __init__(self, stack_set, account, region):
        self.stack_set, self.account_id, self.region_name = stack_set, account, region
        self.overrides, self.reason = {}, ""
        self.stack = f"StackSet-{stack_set.name}-{uuid.uuid4()}"

    def deploy(self):
        """Make the stack, or bring it up to date. If that fails, the instance is outdated and says why."""
        backend = cloudformation_backends[self.account_id][self.region_name]
        parameters, self.reason = self.stack_set.parameters | self.overrides, ""
        made = next((stack for stack in backend.stacks.values() if stack.name == self.stack), None)
        try:
            if made:
                known = made.template_dict.get("Parameters", {})
                defaults = {k: slot["Default"] for k, slot in known.items() if "Default" in slot}
                given = [{"ParameterKey": k, "ParameterValue": v} for k, v in (defaults | parameters).items()]
                backend.update_stack(self.stack, self.stack_set.template, None, given, None)
            else:
                backend.create_stack(self.stack, self.stack_set.template, parameters)
        except Exception as error:
            self.reason = getattr(error, "message", str(error))
            if not made:
                backend.delete_stack(self.stack)

    def to_dict(self):
        overrides = [{"ParameterKey": k, "ParameterValue": v} for k, v in self.overrides.items()]
        return {
            "StackSetId": self.stack_set.id,
            "Region": self.region_name,
            "Account": self.account_id,
            "Status": "OUTDATED" if self.reason else "CURRENT",
            "StatusReason": self.reason or None,
            "ParameterOverrides": overrides,
            "StackInstanceStatus": {"DetailedStatus": "FAILED" if self.reason else "SUCCEEDED"},
        }


# Calls


@replaces(CloudFormationResponse)
def activate_organizations_access(self):
    setattr(self.cloudformation_backend, ACTIVATED, True)
    return ActionResult({})


@replaces(CloudFormationResponse)
def create_stack_set(self):
    managed = self._get_param("PermissionModel") == "SERVICE_MANAGED"
    if managed and not getattr(self.cloudformation_backend, ACTIVATED, False):
        raise ValidationError(message="You must enable organizations access")
    answer = create_stack_set.original(self)
    stack_set = set_of(self)
    stack_set.auto = (self._get_params().get("AutoDeployment") or {}).get("Enabled") in (True, "true")
    stack_set.units, stack_set.regions = set(), ["us-east-1"]
    return answer


@replaces(CloudFormationResponse)
def update_stack_set(self):
    """Replace the template and all parameters, where a missing one gets its default; update all instances."""
    stack_set, before = set_of(self), dict(set_of(self).parameters)
    stack_set.template = self._get_param("TemplateBody") or stack_set.template
    stack_set.parameters = {
        name: one.get("ParameterValue", before.get(name))
        for name, one in ((one["ParameterKey"], one) for one in self._get_param("Parameters", []))
        if "ParameterValue" in one or name in before
    }
    return done(stack_set, "UPDATE", stack_set.stack_instances)


@replaces(CloudFormationResponse)
def create_stack_instances(self):
    """Create stacks in the accounts of units that the filter leaves."""
    stack_set, accounts = set_of(self), targeted(self)
    stack_set.units |= set(self._get_params()["DeploymentTargets"]["OrganizationalUnitIds"])
    stack_set.regions = self._get_param("Regions", [])
    return done(stack_set, "CREATE", added(stack_set, accounts))


@replaces(CloudFormationResponse)
def update_stack_instances(self):
    stack_set, accounts = set_of(self), targeted(self)
    instances = [one for one in stack_set.stack_instances if one.account_id in accounts]
    for instance in instances:
        for one in self._get_param("ParameterOverrides", []):
            instance.overrides[one["ParameterKey"]] = one["ParameterValue"]
    return done(stack_set, "UPDATE", instances)


@replaces(CloudFormationResponse)
def delete_stack_instances(self):
    stack_set, accounts = set_of(self), targeted(self)
    retained = self._get_param("RetainStacks") in (True, "true")
    for instance in [one for one in stack_set.stack_instances if one.account_id in accounts]:
        stack_set.stack_instances.remove(instance)
        if not retained:
            cloudformation_backends[instance.account_id][instance.region_name].delete_stack(instance.stack)
    return done(stack_set, "DELETE", [])


def set_of(response):
    return response.cloudformation_backend.describe_stack_set(response._get_param("StackSetName"))


def targeted(response):
    """The accounts that a call is about: those below its units that its filter leaves."""
    targets = response._get_params()["DeploymentTargets"]
    below = accounts_below(response.current_account, response.partition, targets["OrganizationalUnitIds"])
    named, kind = targets.get("Accounts", ()), targets.get("AccountFilterType", "NONE")
    assert kind != "UNION", "the sandbox does not know UNION"
    return [one for one in below if kind == "NONE" or (one in named) == (kind == "INTERSECTION")]


def added(stack_set, accounts):
    """The instances of accounts; those that are not there yet are begun."""
    places = [(account, region) for account in accounts for region in stack_set.regions]
    known = {(one.account_id, one.region_name): one for one in stack_set.stack_instances}
    new = [Instance(stack_set, *place) for place in places if place not in known]
    stack_set.stack_instances += new
    return [*new, *(known[place] for place in places if place in known and known[place].reason)]


def done(stack_set, action, instances):
    """Deploy instances, and answer with the operation that did it."""
    for instance in instances:
        instance.deploy()
    operation = str(uuid.uuid4())
    failed = any(instance.reason for instance in instances)
    stack_set._create_operation(operation, action, "FAILED" if failed else "SUCCEEDED")
    return ActionResult({"OperationId": operation})


# Accounts that join


@replaces(OrganizationsBackend)
def create_account(self, **kwargs):
    status = create_account.original(self, **kwargs)
    joined(self, status["CreateAccountStatus"]["AccountId"])
    return status


@replaces(OrganizationsBackend)
def move_account(self, **kwargs):
    move_account.original(self, **kwargs)
    joined(self, kwargs["AccountId"])


def joined(backend, account):
    """Deploy to an account what its units have. StackSets were made before those that depend on them."""
    master, partition = backend.org.master_account_id, backend.partition
    for region in cloudformation_backends[master].values():
        for stack_set in [one for one in region.stacksets.values() if one.status == "ACTIVE"]:
            if getattr(stack_set, "auto", False) and account in accounts_below(
                master, partition, stack_set.units
            ):
                done(stack_set, "CREATE", added(stack_set, [account]))
