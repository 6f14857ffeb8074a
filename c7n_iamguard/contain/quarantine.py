"""The quarantine: which policy it is, who carries it, and who never gets it."""

from contextlib import suppress

from c7n.exceptions import PolicyExecutionError

from c7n_iamguard import aws_names
from c7n_iamguard.admins import groups
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.managed_policies import Distrusted
from c7n_iamguard.iam.policy_documents import denies


class Quarantine:
    """The managed policy ``iam-guard-quarantine``, for the action that attaches it."""

    def __init__(self, action, managed_policies):
        self.action, self.managed_policies = action, managed_policies

    @property
    def arn(self):
        """The policy's ARN."""
        return self.action.arn_of(aws_names.QUARANTINE_POLICY)

    def refuse_admin(self, client, target):
        """Fail if a new user is a member of an admin group by now, or nobody knows the admin groups."""
        admin_groups = self.action.who_is_meant({}).groups
        of_user = groups.of_user(client, target.name) or [] if target.kind == "user" else []
        if any(group["GroupId"] in admin_groups for group in of_user):
            raise PolicyExecutionError(
                f"the call made {target.name}, who is a member of the admin group by now, and an admin is never "
                "quarantined: find out who added them"
            )

    def check(self, client):
        """Raise :class:`.Distrusted` if the policy does not deny everything."""
        self.managed_policies.check(client, self.arn, ("*",), denies)

    def is_on(self, client, target):
        """Whether a user or role carries the policy, and it denies everything."""
        kind = next((kind for kind in principals.KINDS if kind.name == target.kind), None)
        if kind is None:
            return False
        with suppress(client.exceptions.NoSuchEntityException, Distrusted):
            if self.arn in [p["PolicyArn"] for p in kind.attached_policies(client, target.name)]:
                self.check(client)
                return True
        return False
