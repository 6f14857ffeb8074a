"""Actions on ``iam-user``."""

import logging
import re

from botocore.exceptions import ClientError
from c7n.actions import EventAction
from c7n.exceptions import PolicyExecutionError
from c7n.policy import PullMode, ServerlessExecutionMode
from c7n.resources.iam import User
from c7n.utils import get_partition, type_schema

from c7n_iamguard import deny, trust
from c7n_iamguard.client import error_code, iam, retry_conflicts
from c7n_iamguard.event import decision, facts, notes
from c7n_iamguard.settings import check_policy, refuse

log = logging.getLogger("c7n_iamguard")

ACTION = re.compile(r"\*|[a-z0-9*?-]+:[\w*?]+", re.ASCII | re.IGNORECASE)

#: IAM's limits are shared by all callers of an account; more threads only meet more throttles.
BULK_WORKERS = 5


class NextRung(Exception):
    """A rung of the ladder does not hold for good; the next one is to be tried. Its text says why."""


def raise_unless(error, *codes):
    """Turn IAM's error into :class:`NextRung` if it has one of ``codes``; else raise it as it is."""
    if error_code(error) not in codes:
        raise error
    raise NextRung(f"{error_code(error)}: {error.response['Error'].get('Message', '')}") from error


def changed_policy(event):
    """The ARN of the managed policy that an event's call has changed; None where it changed none."""
    if event is None or not isinstance(event.get("detail"), dict) or event["detail"].get("errorCode"):
        return None
    parameters = event["detail"].get("requestParameters")
    return parameters.get("policyArn") if isinstance(parameters, dict) else None


@User.action_registry.register("revoke-iam-access")
class RevokeIAMAccess(EventAction):
    """Denies users IAM.

    The first of these that works:

    1. attach the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` if it is left out;
    2. put the inline policy ``DenyIAM``;
    3. set the permissions boundary ``DenyIAMAccessBoundary``, on a user who has none. Another boundary
       stays, and is enough if it withholds as much by itself;
    4. fail.

    A managed policy counts only while its default version denies all of ``deny``, action patterns,
    ``[iam:*]`` if left out, on everything and under no condition. Every user is tried; if any of them
    failed, the run fails in the end. Repeating it changes nothing.

    Outside an event mode it may hit many users at once, so there it wants the word ``bulk: true``.

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
                  - admin-group-member
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
    )
    permissions = (
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:AttachUserPolicy",
        "iam:PutUserPolicy",
        "iam:GetUser",
        "iam:PutUserPermissionsBoundary",
    )

    def validate(self):
        """Check the policy's name, and that a revocation in bulk is meant.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        policy = self.manager.ctx.policy
        check_policy(policy, "action:revoke-iam-access policy", self.data.get("policy", deny.MANAGED_POLICY))
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
                f"mode {mode.type} would deny IAM to every user whom the filters leave",
                "add bulk: true if that is meant, or use mode: cloudtrail",
            )

    @property
    def denied_actions(self):
        """What a revocation takes away, as action patterns."""
        return self.data.get("deny", list(deny.DENIED_ACTIONS))

    @property
    def policy_arn(self):
        """The ARN of the managed policy that denies IAM."""
        return self.arn_of(self.data.get("policy", deny.MANAGED_POLICY))

    @property
    def boundary_arn(self):
        """The ARN of the permissions boundary that denies IAM."""
        return self.arn_of(deny.BOUNDARY_POLICY)

    def arn_of(self, policy):
        """The ARN of a managed policy of the account."""
        config = self.manager.config
        return deny.policy_arn(policy, get_partition(config.region), config.account_id)

    def process(self, resources, event=None):
        """Deny every user in ``resources`` IAM.

        :returns: a record per user who was denied: UserName, how, and the event's id, name and time
        :raises PolicyExecutionError: where any user could not be denied, after all were tried
        """
        client = iam(self.manager)
        if self.policy_arn == changed_policy(event):
            trust.forget(self.policy_arn)
        with self.executor_factory(max_workers=BULK_WORKERS if len(resources) > 1 else 1) as workers:
            outcomes = list(workers.map(lambda user: self.try_to_revoke(client, user, event), resources))
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failures:
            raise PolicyExecutionError(
                f"policy:{self.manager.ctx.policy.name} could not deny IAM to {len(failures)} of "
                f"{len(resources)} users; each is in the log. The first: {failures[0]}"
            ) from failures[0]
        return [record for record in outcomes if record]

    def try_to_revoke(self, client, user, event=None):
        """Deny one user IAM, and log what came of it.

        :returns: the record for Custodian's output; None where the user is gone; the error where it failed
        """
        name, rungs = user["UserName"], {}
        try:
            how = self.revoke(client, name, rungs)
        except client.exceptions.NoSuchEntityException:
            if event is None:
                self.log_decision("let-pass", user, event, reason="the user does not exist any more")
            notes(event)["gone"] = True
            return None
        except Exception as error:
            self.log_decision("failed", user, event, reason=str(error), rungs=rungs)
            return error
        notes(event)["how"] = how
        self.log_decision("revoked", user, event, how=how, rungs=rungs)
        return {"UserName": name, "how": how, "rungs": rungs, **facts(event)}

    def revoke(self, client, user_name, rungs):
        """Deny one user IAM by the first rung of the ladder that holds.

        :param rungs: a dict that is told of every rung what came of it
        :returns: ``managed``, ``inline`` or ``boundary``
        :raises PolicyExecutionError: where no rung holds
        :raises botocore.exceptions.ClientError: NoSuchEntity where the user does not exist, else what
            IAM answered to a rung that may work another time
        """
        for how, step in (("managed", self.attach), ("inline", self.put), ("boundary", self.bound)):
            try:
                rungs[how] = step(client, user_name)
                return how
            except NextRung as reason:
                rungs[how] = str(reason)
                log.warning("%s: %s rung not taken: %s", user_name, how, reason)
        raise PolicyExecutionError(f"no rung of the ladder holds for {user_name}: {rungs}")

    def look(self, client):
        """Why the managed policy is not to be relied on; an empty text where it is."""
        return trust.doubt(client, self.policy_arn, self.denied_actions, deny.denies)

    def attach(self, client, user_name):
        """Attach the managed policy."""
        distrust = self.look(client)
        if distrust:
            raise NextRung(distrust)
        try:
            retry_conflicts(client.attach_user_policy, UserName=user_name, PolicyArn=self.policy_arn)
        except ClientError as error:
            # NoSuchEntity may mean the policy or the user; the next rung tells them apart.
            raise_unless(error, "LimitExceeded", "NoSuchEntity", "PolicyNotAttachable")
        return "attached"

    def put(self, client, user_name):
        """Put the inline policy."""
        try:
            retry_conflicts(
                client.put_user_policy,
                UserName=user_name,
                PolicyName=deny.INLINE_POLICY,
                PolicyDocument=deny.document(self.denied_actions),
            )
        except ClientError as error:
            raise_unless(error, "LimitExceeded")
        return "put"

    def bound(self, client, user_name):
        """Set the permissions boundary, or find that the one in place is enough."""
        user = retry_conflicts(client.get_user, UserName=user_name)["User"]
        present = user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        distrust = trust.doubt(client, present or self.boundary_arn, self.denied_actions, deny.withholds)
        if distrust:
            raise NextRung(distrust)
        if present:
            return f"kept {present}"
        try:
            retry_conflicts(
                client.put_user_permissions_boundary,
                UserName=user_name,
                PermissionsBoundary=self.boundary_arn,
            )
        except ClientError as error:
            raise_unless(error, "PolicyNotAttachable")
        return "set"

    def log_decision(self, verdict, user, event, **fields):
        """Log what was decided about a user as one line of JSON."""
        line = decision(
            verdict,
            event,
            policy=self.manager.ctx.policy.name,
            account=self.manager.config.account_id,
            user=user["UserName"],
            **fields,
        )
        log.log(logging.ERROR if verdict == "failed" else logging.INFO, line)
