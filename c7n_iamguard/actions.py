"""Actions on ``iam-user``."""

import logging

from botocore.exceptions import ClientError
from c7n.actions import EventAction
from c7n.exceptions import PolicyExecutionError
from c7n.resources.iam import User
from c7n.utils import get_partition, type_schema

from c7n_iamguard import deny
from c7n_iamguard.client import error_code, iam, retry_conflicts
from c7n_iamguard.event import decision, facts, notes

log = logging.getLogger("c7n_iamguard")


@User.action_registry.register("revoke-iam-access")
class RevokeIAMAccess(EventAction):
    """Denies users IAM.

    Attaches the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` if it is left out. Where that
    is not possible, because the user's quota of managed policies is full or because the policy does
    not exist, the inline policy ``DenyIAM`` with the same effect is put on the user instead. Every
    user is tried; if any of them failed, the run fails in the end. Repeating it changes nothing.

    :example:

    .. code-block:: yaml

        policies:
          - name: revoke-unintended-iam-access
            resource: aws.iam-user
            mode:
              type: cloudtrail
              role: iam-guard
              handler: c7n_iamguard.handler.run
              packages: [c7n_iamguard]
              events:
                - source: iam.amazonaws.com
                  event: "*"
                  ids: userIdentity
              pattern:
                source: [aws.iam]
                detail:
                  eventName: [{exists: true}]
            filters:
              - not:
                  - admin-group-member
            actions:
              - revoke-iam-access

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html
    """

    schema = type_schema("revoke-iam-access", policy={"type": "string"})
    permissions = ("iam:AttachUserPolicy", "iam:PutUserPolicy")

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
        records, failures = [], []
        for user in resources:
            try:
                how = self.revoke(client, user["UserName"])
            except client.exceptions.NoSuchEntityException:
                notes(event)["gone"] = True
                continue
            except Exception as error:
                failures.append((user["UserName"], error))
                self.log_decision("failed", user, event, reason=str(error))
                continue
            notes(event)["how"] = how
            self.log_decision("revoked", user, event, how=how)
            records.append({"UserName": user["UserName"], "how": how, **facts(event)})
        if failures:
            names = ", ".join(name for name, _ in failures)
            raise PolicyExecutionError(
                f"policy:{self.manager.ctx.policy.name} could not deny IAM to: {names}"
            ) from failures[0][1]
        return records

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
