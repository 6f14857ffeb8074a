"""The ladder: the ways in which IAM can be denied to a user or role, from the best to the last."""

import logging

from botocore.exceptions import ClientError
from c7n.exceptions import PolicyExecutionError

from c7n_iamguard import aws_names
from c7n_iamguard.iam.client import error_code, retry_conflicts
from c7n_iamguard.iam.managed_policies import Distrusted, ManagedPolicies
from c7n_iamguard.iam.policy_documents import denies, deny_document, withholds

log = logging.getLogger("c7n_iamguard")


class NextRung(Exception):
    """This way of denying failed, and a retry would not help. Its text says why."""


class Unmodifiable(Exception):
    """A role that only AWS can change. Its text says what to do."""


class Ladder:
    """The ladder of an action, which says what to deny, and by which policies."""

    def __init__(self, action):
        self.action, self.managed_policies = action, ManagedPolicies()

    def climb(self, client, name, rungs):
        """Deny one principal IAM by the first rung of the ladder that holds.

        :param rungs: a dict to which the outcome of each rung is added
        :returns: ``managed``, ``inline`` or ``boundary``, and AWS's error if it refused an earlier rung
        :raises Unmodifiable: if only AWS can change the role
        :raises PolicyExecutionError: if no rung holds
        :raises botocore.exceptions.ClientError: if the principal does not exist, or a rung may work another time
        """
        steps = {"managed": self.attach, "inline": self.put_inline, "boundary": self.set_boundary}
        refusal = None
        for how in self.action.kind.rungs:
            try:
                rungs[how] = steps[how](client, name)
                return how, refusal
            except (NextRung, Distrusted) as reason:
                rungs[how] = str(reason)
            except ClientError as error:
                if error_code(error) != "AccessDenied":
                    raise
                refusal = refusal or error
                rungs[how] = str(error)
            log.warning("%s: %s rung not taken: %s", name, how, rungs[how])
        if refusal:
            raise refusal
        raise PolicyExecutionError(f"no rung of the ladder holds for {name}: {rungs}")

    def check_deny_policy(self, client):
        """Make sure that the managed policy denies what it should."""
        self.managed_policies.check(client, self.action.policy_arn, self.action.denied_actions, denies)

    def attach(self, client, name):
        """Attach the managed policy."""
        self.check_deny_policy(client)
        # NoSuchEntity may mean the policy or the principal; the next rung tells them apart.
        lost = ("LimitExceeded", "NoSuchEntity", "PolicyNotAttachable")
        self.call(client, "attach_{}_policy", name, lost, PolicyArn=self.action.policy_arn)
        return "attached"

    def put_inline(self, client, name):
        """Put the inline policy."""
        document = deny_document(self.action.denied_actions)
        policy = {"PolicyName": aws_names.INLINE_POLICY, "PolicyDocument": document}
        self.call(client, "put_{}_policy", name, ("LimitExceeded",), **policy)
        return "put"

    def set_boundary(self, client, name):
        """Set the permissions boundary, or find that the one in place is enough."""
        principal = retry_conflicts(self.action.kind.operation(client, "get_{}"), name)[self.action.kind.noun]
        in_place = principal.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        boundary = in_place or self.action.boundary_arn
        self.managed_policies.check(client, boundary, self.action.denied_actions, withholds)
        if in_place:
            return f"kept {in_place}"
        lost = ("PolicyNotAttachable",)
        self.call(client, "put_{}_permissions_boundary", name, lost, PermissionsBoundary=boundary)
        return "set"

    def call(self, client, template, name, lost, **parameters):
        """Make a call that denies. If IAM answers one of the error codes in ``lost``, try the next rung."""
        try:
            retry_conflicts(self.action.kind.operation(client, template), name, **parameters)
        except ClientError as error:
            code, message = error_code(error), error.response["Error"].get("Message", "")
            if code == "UnmodifiableEntity":
                raise Unmodifiable(
                    f"{message.rstrip('.')}. Contain the person with AWS's runbook AWSSupport-ContainIAMPrincipal, "
                    "or add the role to the roles of admin-role"
                ) from error
            if code not in lost:
                raise
            raise NextRung(f"{code}: {message}") from error
