"""Resources of AWS Organizations in CloudFormation: SCPs, and the delegation policy."""

import json

from moto.organizations.models import organizations_backends
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.cloudformation.resources import TYPES, StackResource


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
    def update_from_cloudformation_json(cls, original_resource, cloudformation_json, **place):
        original_resource.properties = cloudformation_json["Properties"]
        original_resource.backend.update_policy(
            PolicyId=original_resource.physical_resource_id, **original_resource.texts()
        )
        return original_resource

    def texts(self):
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
        running.sandbox.delegation_policies[self.account] = self.properties["Content"]

    def take_away(self):
        running.sandbox.delegation_policies.pop(self.account, None)


TYPES |= {"AWS::Organizations::Policy": Policy, "AWS::Organizations::ResourcePolicy": ResourcePolicy}
