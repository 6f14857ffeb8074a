"""AWS Organizations, as far as SCPs go: which act on whom, who may change one, and the stacks that make them.

moto keeps policies in the management account, and lets nobody else see them.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_delegate_policies.html
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
"""

import json

from moto.organizations.exceptions import InvalidInputException
from moto.organizations.models import OrganizationsBackend, organizations_backends
from moto.utilities.utils import get_partition

from sandbox.stack_resources import TYPES, StackResource

SCP = "SERVICE_CONTROL_POLICY"
#: The most characters of an SCP.
SIZE = 10240

#: The calls that a management account may let member accounts make. Authorization judges whether it has.
CALLS = ("describe_policy", "list_targets_for_policy", "update_policy")

#: The delegation policies of organizations, by management account: a dict, or JSON text.
policies = {}


def patches():
    """The methods of moto that are replaced while a sandbox runs, as (class, name, replacement)."""
    return [(OrganizationsBackend, name, delegated(name)) for name in CALLS]


def delegated(name):
    """A call about a policy, made by the management account or a member."""

    def call(self, **parameters):
        if name == "update_policy" and len(parameters.get("Content") or "") > SIZE:
            raise InvalidInputException("You have exceeded the maximum policy size limit.")
        manager = management(self.account_id) or self.account_id
        return originals[name](organizations_backends[manager][self.partition], **parameters)

    return call


def management(account):
    """The management account of a member account's organization; None for anybody else."""
    return organizations_backends.master_accounts.get(account, (None,))[0]


def backend_of(account):
    """moto's Organizations of the management account, for it and for its members."""
    return organizations_backends[management(account) or account]["aws"]


def arn_of(request):
    """The ARN of the policy that a request is about."""
    known = backend_of(request.account).policies
    return next((one.arn for one in known if one.id == request.params.get("PolicyId")), None)


def delegation_policy(account, region, resource, arn):
    """The policy by which a management account lets member accounts in."""
    return policies.get(account)


def scps_of(account):
    """The SCPs that act in an account: those of the root, of its units and its own. None in the management account.

    They count as one set, so that an allow has to be on one level alone: enough for SCPs that deny.
    """
    if not management(account):
        return []
    backend = backend_of(account)
    place, attached = next(one for one in backend.accounts if one.id == account), []
    while place is not None:
        attached += [policy.content for policy in place.attached_policies if policy.type == SCP]
        place = next((unit for unit in backend.ou if unit.id == getattr(place, "parent_id", None)), None)
    return attached


class Policy(StackResource):
    """An SCP of a stack. Any change of any property writes the template's content over what is there.

    https://github.com/aws-cloudformation/aws-cloudformation-resource-providers-organizations
    """

    @property
    def backend(self):
        return organizations_backends[self.account][get_partition(self.region)]

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr in ("Arn", "Id")

    def get_cfn_attribute(self, name):
        policy = self.backend.get_policy_by_id(self.physical_resource_id)
        return policy.arn if name == "Arn" else policy.id

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, name, cloudformation_json, account, region):
        original_resource.properties = cloudformation_json["Properties"]
        original_resource.backend.update_policy(
            PolicyId=original_resource.physical_resource_id, **original_resource.texts()
        )
        return original_resource

    def texts(self):
        """What Organizations is told of the policy."""
        content = json.dumps(self.properties["Content"])
        return {key: self.properties[key] for key in ("Name", "Description")} | {"Content": content}

    def apply(self):
        made = self.backend.create_policy(Type=self.properties["Type"], **self.texts())
        self.physical_resource_id = made["Policy"]["PolicySummary"]["Id"]

    def take_away(self):
        policy = self.backend.get_policy_by_id(self.physical_resource_id)
        for target in list(policy.attachments):
            self.backend.detach_policy(PolicyId=policy.id, TargetId=target.id)
        self.backend.delete_policy(PolicyId=policy.id)


class ResourcePolicy(StackResource):
    """The delegation policy of an organization, which has one alone."""

    def apply(self):
        policies[self.account] = self.properties["Content"]

    def take_away(self):
        policies.pop(self.account, None)


def reset():
    """Forget all delegation policies."""
    policies.clear()


TYPES |= {"AWS::Organizations::Policy": Policy, "AWS::Organizations::ResourcePolicy": ResourcePolicy}
originals = {name: getattr(owner, name) for owner, name, _ in patches()}
