"""The quarantine: what it is, who carries it, and whom it never hits."""

from functools import cached_property

from c7n_iamguard import aws_names
from c7n_iamguard.admins.options import MeantOptions
from c7n_iamguard.iam import managed_policies, principals
from c7n_iamguard.iam.policy_documents import denies

#: What a quarantine denies.
EVERYTHING = ("*",)


class Quarantine:
    """The managed policy ``iam-guard-quarantine``, and whom an action never puts it on. A mixin."""

    @property
    def quarantine(self):
        """The ARN of the managed policy that denies everything."""
        return self.arn_of(aws_names.QUARANTINE_POLICY)

    @cached_property
    def options(self):
        """The :class:`.MeantOptions` of the action."""
        return MeantOptions(self)

    def pin(self):
        """The ids of the admin groups."""
        return self.options.pin()

    @property
    def spared(self):
        """The ids of the admin groups, whose members are never quarantined.

        :raises Refusal: if the function was deployed without them
        """
        return set(self.options.known({}).groups)

    def check_quarantine(self, client):
        """Make sure that the quarantine denies everything.

        :raises managed_policies.Distrusted: if it does not
        """
        managed_policies.check(client, self.quarantine, EVERYTHING, denies)

    def is_quarantined(self, client, target):
        """Whether a user or role carries the quarantine, and it denies everything."""
        kind = next((kind for kind in principals.KINDS if kind.name == target.kind), None)
        if kind is None:
            return False
        try:
            pages = kind.pages(client, "list_attached_{}_policies", target.name)
            attached = [policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]]
            if self.quarantine not in attached:
                return False
            self.check_quarantine(client)
        except (client.exceptions.NoSuchEntityException, managed_policies.Distrusted):
            return False
        return True
