"""Actions on ``iam-user``."""

import logging

from botocore.exceptions import ClientError
from c7n.actions import EventAction
from c7n.exceptions import PolicyExecutionError
from c7n.policy import PullMode, ServerlessExecutionMode
from c7n.resources.iam import User
from c7n.utils import get_partition, type_schema

from c7n_iamguard import deny
from c7n_iamguard.client import error_code, iam, retry_conflicts
from c7n_iamguard.event import decision, facts, notes
from c7n_iamguard.settings import check_policy, refuse

log = logging.getLogger("c7n_iamguard")

#: IAM's limits are shared by all callers of an account; more threads only meet more throttles.
BULK_WORKERS = 5


@User.action_registry.register("revoke-iam-access")
class RevokeIAMAccess(EventAction):
    """Denies users IAM.

    Attaches the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` if it is left out. Where that
    is not possible, because the user's quota of managed policies is full or because the policy does
    not exist, the inline policy ``DenyIAM`` with the same effect is put on the user instead. Every
    user is tried; if any of them failed, the run fails in the end. Repeating it changes nothing.

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

    schema = type_schema("revoke-iam-access", policy={"type": "string"}, bulk={"type": "boolean"})
    permissions = ("iam:AttachUserPolicy", "iam:PutUserPolicy")

    def validate(self):
        """Check the policy's name, and that a revocation in bulk is meant.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        policy = self.manager.ctx.policy
        check_policy(policy, "action:revoke-iam-access policy", self.data.get("policy", deny.MANAGED_POLICY))
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
    def policy_arn(self):
        """The ARN of the managed policy that denies IAM."""
        config = self.manager.config
        return deny.policy_arn(
            self.data.get("policy", deny.MANAGED_POLICY),
            get_partition(config.region),
            config.account_id,
        )

    def process(self, resources, event=None):
        """Deny every user in ``resources`` IAM.

        :returns: a record per user who was denied: UserName, how, and the event's id, name and time
        :raises PolicyExecutionError: where any user could not be denied, after all were tried
        """
        client = iam(self.manager)
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
        name = user["UserName"]
        try:
            how = self.revoke(client, name)
        except client.exceptions.NoSuchEntityException:
            if event is None:
                self.log_decision("let-pass", user, event, reason="the user does not exist any more")
            notes(event)["gone"] = True
            return None
        except Exception as error:
            self.log_decision("failed", user, event, reason=str(error))
            return error
        notes(event)["how"] = how
        self.log_decision("revoked", user, event, how=how)
        return {"UserName": name, "how": how, **facts(event)}

    def revoke(self, client, user_name):
        """Deny one user IAM by the first rung of the ladder that holds.

        :returns: ``managed`` or ``inline``
        :raises botocore.exceptions.ClientError: NoSuchEntity where the user does not exist, else what
            IAM answered to the last rung
        """
        try:
            retry_conflicts(client.attach_user_policy, UserName=user_name, PolicyArn=self.policy_arn)
            return "managed"
        except ClientError as error:
            # NoSuchEntity may mean the policy or the user; the next rung tells them apart.
            if error_code(error) not in ("LimitExceeded", "NoSuchEntity", "PolicyNotAttachable"):
                raise
            log.warning("%s not attached to %s: %s", self.policy_arn, user_name, error)
        retry_conflicts(
            client.put_user_policy,
            UserName=user_name,
            PolicyName=deny.INLINE_POLICY,
            PolicyDocument=deny.document(),
        )
        return "inline"

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
