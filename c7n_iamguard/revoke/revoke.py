"""Action ``revoke-iam-access``: the ladder of ways in which IAM can be denied."""

import logging
import re

from botocore.exceptions import ClientError
from c7n.exceptions import PolicyExecutionError
from c7n.policy import PullMode, ServerlessExecutionMode
from c7n.utils import type_schema

from c7n_iamguard import aws_names
from c7n_iamguard.decisions import facts
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.actions import DecidingAction
from c7n_iamguard.iam.client import error_code, iam, retry_conflicts
from c7n_iamguard.iam.managed_policies import Distrusted, ManagedPolicies
from c7n_iamguard.iam.policy_documents import DENIED_ACTIONS, denies, deny_document, withholds
from c7n_iamguard.settings import refuse

log = logging.getLogger("c7n_iamguard")

ACTION = re.compile(r"\*|[a-z0-9*?-]+:[\w*?]+", re.ASCII | re.IGNORECASE)


class NextRung(Exception):
    """A rung of the ladder does not hold, and will not another time; the next one is tried. Its text says why."""


class Unmodifiable(Exception):
    """A role that only AWS can change. Its text says what to do."""


def raise_unless(error, *codes):
    """Turn IAM's error into :class:`NextRung` if it has one of ``codes``; else raise it as it is.

    :raises Unmodifiable: if IAM lets nobody change the role
    """
    code, message = error_code(error), error.response["Error"].get("Message", "")
    if code == "UnmodifiableEntity":
        raise Unmodifiable(
            f"{message.rstrip('.')}. Contain the person with AWS's runbook AWSSupport-ContainIAMPrincipal, or add "
            "the role to the roles of admin-role"
        ) from error
    if code not in codes:
        raise error
    raise NextRung(f"{code}: {message}") from error


@principals.register("action_registry", "revoke-iam-access")
class RevokeIAMAccess(DecidingAction):
    """Denies users or roles IAM.

    The first of these that works:

    1. attach the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` by default;
    2. on users, put the inline policy ``DenyIAM``;
    3. set the permissions boundary ``DenyIAMAccessBoundary``, if there is none. Another boundary stays, and is
       enough if it withholds as much by itself;
    4. fail.

    A managed policy counts only while its default version denies all of ``deny``, a list of action patterns,
    ``[iam:*]`` by default, on everything and under no condition. Every principal is tried; if one of them
    failed, the run fails in the end. Repeating it changes nothing.

    A denial on a role acts on all of its sessions at once. Roles that only AWS can change, such as those of
    Identity Center, end as ``cannot-revoke``.

    With ``observe: true`` nothing changes in IAM, and the decision is ``would-revoke``. Outside an event mode
    the action may hit many at once, so there it requires ``bulk: true``.

    :example:

    .. code-block:: yaml

        policies:
          - name: revoke-iam-access-of-contractors
            resource: aws.iam-user
            max-resources: 20
            filters:
              - type: value
                key: Path
                value: /contractors/
              - not:
                  - type: admin-group-member
                    groups: [admins]
            actions:
              - type: revoke-iam-access
                bulk: true

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html
    """

    schema = type_schema(
        "revoke-iam-access",
        policy={"type": "string"},
        deny={"type": "array", "items": {"type": "string"}, "minItems": 1},
        bulk={"type": "boolean"},
        observe={"type": ["boolean", "string", "array"]},
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.managed_policies = ManagedPolicies()

    def get_permissions(self):
        """What denying users, or roles, takes."""
        templates = ["iam:Attach{}Policy", "iam:Get{}", "iam:Put{}PermissionsBoundary"]
        inline = ["iam:Put{}Policy"] if "inline" in self.kind.rungs else []
        return ["iam:GetPolicy", "iam:GetPolicyVersion", *self.kind.permissions(*templates, *inline)]

    def validate(self):
        """Check the policy's name, and that a revocation in bulk is meant.

        :raises PolicyValidationError: naming the policy, the key and the fix
        """
        policy = self.manager.ctx.policy
        self.check_policy_option()
        self.check_observe()
        for pattern in self.denied_actions:
            if not ACTION.fullmatch(pattern):
                refuse(
                    policy,
                    "action:revoke-iam-access deny",
                    f"{pattern!r} is no action of a service",
                    "write patterns such as iam:*",
                )
        mode = policy.get_execution_mode()
        by_event = isinstance(mode, ServerlessExecutionMode) and not isinstance(mode, PullMode)
        if not by_event and not self.data.get("bulk"):
            refuse(
                policy,
                "action:revoke-iam-access bulk",
                f"mode {mode.type} would deny IAM to everybody whom the filters leave",
                "add bulk: true if that is meant, or use mode: cloudtrail",
            )

    @property
    def denied_actions(self):
        """What a revocation takes away, as action patterns."""
        return self.data.get("deny", list(DENIED_ACTIONS))

    def prepare(self):
        """Look at the deny policy while the function starts."""
        try:
            self.check_deny_policy(iam(self.manager))
        except Distrusted as reason:
            log.warning("the managed policy will not be used: %s", reason)

    def process(self, resources, event=None):
        """Deny every principal in ``resources`` IAM.

        :returns: a record per denied principal: its name, how, and the event's id, name and time
        :raises PolicyExecutionError: if one of them could not be denied, after all were tried
        """
        client, event = iam(self.manager), IAMEvent.of(event)
        self.managed_policies.forget_changed(event)
        return self.try_all(resources, lambda one: self.try_to_revoke(client, one, event), "deny IAM to")

    def try_to_revoke(self, client, principal, event=None):
        """Deny one principal IAM, and log what came of it.

        :returns: the record for Custodian's output; None if the principal is gone; the error if it failed
        """
        if event is not None and event.gone:
            return None  # a filter has found that the name is nobody's: whoever takes it now has not called
        name, rungs, how, reason = principal[self.kind.name_key], {}, None, None
        verdict = "would-revoke" if self.observes else "revoked"
        try:
            if verdict == "revoked":
                how = self.revoke(client, name, rungs)
            elif self.kind.is_unmodifiable(principal):
                verdict, reason = "cannot-revoke", "observed: only AWS can change this role"
        except Unmodifiable as why:
            verdict, reason = "cannot-revoke", str(why)
        except client.exceptions.NoSuchEntityException:
            if event is None:
                reason = f"the {self.kind.name} does not exist any more"
                self.record_decision("let-pass", principal, event, reason=reason)
            else:
                event.gone = True
            return None
        except Exception as error:
            self.record_decision("failed", principal, event, reason=str(error), rungs=rungs)
            return error
        level = logging.WARNING if verdict == "cannot-revoke" else logging.INFO
        self.record_decision(verdict, principal, event, level, how=how, reason=reason, rungs=rungs or None)
        return {self.kind.name_key: name, "decision": verdict, "how": how, "rungs": rungs, **facts(event)}

    def revoke(self, client, name, rungs):
        """Deny one principal IAM by the first rung of the ladder that holds.

        :param rungs: a dict that is told of every rung what came of it
        :returns: ``managed``, ``inline`` or ``boundary``
        :raises Unmodifiable: if only AWS can change the role
        :raises PolicyExecutionError: if no rung holds
        :raises botocore.exceptions.ClientError: NoSuchEntity if the principal does not exist, else what IAM
            answered to a rung that may work another time
        """
        steps = {"managed": self.attach, "inline": self.put_inline, "boundary": self.set_boundary}
        for how in self.kind.rungs:
            try:
                rungs[how] = steps[how](client, name)
                return how
            except (NextRung, Distrusted) as reason:
                rungs[how] = str(reason)
                log.warning("%s: %s rung not taken: %s", name, how, reason)
        raise PolicyExecutionError(f"no rung of the ladder holds for {name}: {rungs}")

    def check_deny_policy(self, client):
        """Make sure that the managed policy can be relied on."""
        self.managed_policies.check(client, self.policy_arn, self.denied_actions, denies)

    def attach(self, client, name):
        """Attach the managed policy."""
        self.check_deny_policy(client)
        call = self.kind.operation(client, "attach_{}_policy")
        try:
            retry_conflicts(call, name, PolicyArn=self.policy_arn)
        except ClientError as error:
            # NoSuchEntity may mean the policy or the principal; the next rung tells them apart.
            raise_unless(error, "LimitExceeded", "NoSuchEntity", "PolicyNotAttachable")
        return "attached"

    def put_inline(self, client, name):
        """Put the inline policy."""
        call, document = self.kind.operation(client, "put_{}_policy"), deny_document(self.denied_actions)
        try:
            retry_conflicts(call, name, PolicyName=aws_names.INLINE_POLICY, PolicyDocument=document)
        except ClientError as error:
            raise_unless(error, "LimitExceeded")
        return "put"

    def set_boundary(self, client, name):
        """Set the permissions boundary, or find that the one in place is enough."""
        principal = retry_conflicts(self.kind.operation(client, "get_{}"), name)[self.kind.noun]
        in_place = principal.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        self.managed_policies.check(client, in_place or self.boundary_arn, self.denied_actions, withholds)
        if in_place:
            return f"kept {in_place}"
        call = self.kind.operation(client, "put_{}_permissions_boundary")
        try:
            retry_conflicts(call, name, PermissionsBoundary=self.boundary_arn)
        except ClientError as error:
            raise_unless(error, "PolicyNotAttachable")
        return "set"
