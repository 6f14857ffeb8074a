"""What happens when a policy of the guard is validated and deployed, whatever invokes its function."""

from c7n.exceptions import PolicyExecutionError
from c7n.utils import get_partition

from c7n_iamguard import __version__, settings
from c7n_iamguard.admins import AdminCriterion
from c7n_iamguard.checks import HANDLER
from c7n_iamguard.event import IAM_REGIONS

#: The tag of a function that says which version of the plugin it carries.
VERSION_TAG = "iam-guard-version"


class GuardedFunction:
    """A mode whose function runs the plugin's handler. A mixin for c7n's modes."""

    @property
    def guarded(self):
        """Whether the policy's function runs the plugin's handler."""
        return self.policy.data["mode"].get("handler") == HANDLER

    def provision(self):
        """Deploy the policy's function, with the ids of the admins that it has to know.

        :raises c7n.exceptions.PolicyExecutionError: if nobody in the account would be an admin, or the
            region gets no IAM events
        """
        if self.guarded:
            self.check_region()
            self.policy.data["mode"].setdefault("tags", {})[VERSION_TAG] = __version__
        for item in self.policy.resource_manager.iter_filters():
            if isinstance(item, AdminCriterion):
                settings.pin(self.policy, item.pin())
        return super().provision()

    def check_region(self):
        """Refuse to deploy where the function would never be invoked.

        :raises c7n.exceptions.PolicyExecutionError: naming the right region
        """
        region = self.policy.options.region
        right = IAM_REGIONS.get(get_partition(region))
        if region != right:
            raise PolicyExecutionError(
                f"policy:{self.policy.name} region: IAM's events do not reach {region}, so the function would see "
                f"nothing; deploy it with -r {right}"
            )
