"""Actions on ``iam-user``."""

import logging
import re

from botocore.exceptions import ClientError
from c7n.actions import EventAction
from c7n.exceptions import PolicyExecutionError
from c7n.policy import PullMode, ServerlessExecutionMode
from c7n.resources.iam import User
from c7n.utils import type_schema

from c7n_iamguard import deny, trust
from c7n_iamguard.client import each, error_code, iam, retry_conflicts
from c7n_iamguard.event import decision, facts, notes
from c7n_iamguard.settings import PolicyOption, refuse
from c7n_iamguard.source import user_by_name

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


class UserAction(PolicyOption, EventAction):
    """What the actions on users have in common: every user is tried, and every decision is logged."""

    def try_all(self, users, attempt, deed):
        """Do something to every user.

        :param attempt: a function of a user that returns a record, None where there is none, or its error
        :param deed: what could not be done to IAM where it fails, such as ``deny``
        :returns: the records
        :raises PolicyExecutionError: where any user's attempt failed, after all were tried
        """
        outcomes = each(self, attempt, users, BULK_WORKERS)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failures:
            raise PolicyExecutionError(
                f"policy:{self.manager.ctx.policy.name} could not {deed} IAM to {len(failures)} of "
                f"{len(users)} users; each is in the log. The first: {failures[0]}"
            ) from failures[0]
        return [record for record in outcomes if record]

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


@User.action_registry.register("revoke-iam-access")
class RevokeIAMAccess(UserAction):
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
        self.check_policy_option("action")
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

    def process(self, resources, event=None):
        """Deny every user in ``resources`` IAM.

        :returns: a record per user who was denied: UserName, how, and the event's id, name and time
        :raises PolicyExecutionError: where any user could not be denied, after all were tried
        """
        client = iam(self.manager)
        trust.forget(changed_policy(event))
        return self.try_all(resources, lambda user: self.try_to_revoke(client, user, event), "deny")

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
            notes(event)["failed"] = True
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


@User.action_registry.register("restore-iam-access")
class RestoreIAMAccess(UserAction):
    """Takes off users what ``revoke-iam-access`` puts on, in all its forms, and nothing else.

    - the permissions boundary ``DenyIAMAccessBoundary``;
    - the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` if it is left out;
    - the inline policy ``DenyIAM``, if its document is one that ``revoke-iam-access`` writes. Another
      document stays and is reported.

    Boundary and inline policy are looked at right before. What is gone already is no failure, and repeating
    it changes nothing. Every user is tried; if any of them failed, the run fails in the end.

    A user gets IAM back when somebody says so, not when they join the admin group: what has made them a
    member may be what they were revoked for. So this action works in pull mode alone, with the rights of
    whoever runs it.

    :example:

    .. code-block:: yaml

        policies:
          - name: restore-iam-access-of-contractors
            resource: aws.iam-user
            filters:
              - type: value
                key: Path
                value: /contractors/
              - iam-access-revoked
            actions:
              - restore-iam-access

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachUserPolicy.html
    """

    schema = type_schema("restore-iam-access", policy={"type": "string"})
    permissions = (
        "iam:GetUser",
        "iam:DeleteUserPermissionsBoundary",
        "iam:DetachUserPolicy",
        "iam:GetUserPolicy",
        "iam:DeleteUserPolicy",
    )

    def validate(self):
        """Check the policy's name, and that somebody runs this by hand.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        self.check_policy_option("action")
        policy = self.manager.ctx.policy
        if policy.execution_mode != "pull":
            refuse(
                policy,
                "mode.type",
                f"restore-iam-access would undo revocations by itself in mode {policy.execution_mode}, and "
                "joining the admin group must not undo a revocation",
                "use mode pull, and run the policy by hand",
            )

    def process(self, resources, event=None):
        """Give every user in ``resources`` back what a revocation took.

        :returns: a record per user: UserName, the forms that were restored, and those that were kept
        :raises PolicyExecutionError: where any user could not be restored, after all were tried
        """
        client = iam(self.manager)
        return self.try_all(resources, lambda user: self.try_to_restore(client, user), "restore")

    def try_to_restore(self, client, user):
        """Take the guard's deny off one user, and log what came of it.

        :returns: the record for Custodian's output; None where the user is gone; the error where it failed
        """
        found = {"restored": [], "kept": []}
        try:
            now = user_by_name(client, user["UserName"])
            if now is None or now["UserId"] != user.get("UserId", now["UserId"]):
                self.log_decision("let-pass", user, None, reason="the user does not exist any more")
                return None
            for form, step in (("boundary", self.unbound), ("managed", self.detach), ("inline", self.delete)):
                outcome = step(client, now)
                if outcome:
                    found[outcome].append(form)
        except Exception as error:
            self.log_decision("failed", user, None, reason=str(error), **found)
            return error
        reason = f"the inline policy {deny.INLINE_POLICY} is somebody else's" if found["kept"] else None
        if not found["restored"]:
            reason = reason or "carries no deny of the guard's"
        verdict = "restored" if found["restored"] else "let-pass"
        self.log_decision(verdict, user, None, reason=reason, **found)
        return {"UserName": user["UserName"], **found}

    def unbound(self, client, user):
        """Delete the permissions boundary if it is the guard's.

        :param user: the user, as GetUser has just told
        """
        if user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn") != self.boundary_arn:
            return None
        return self.unless_gone(client, client.delete_user_permissions_boundary, UserName=user["UserName"])

    def detach(self, client, user):
        """Detach the managed policy."""
        where = {"UserName": user["UserName"], "PolicyArn": self.policy_arn}
        return self.unless_gone(client, client.detach_user_policy, **where)

    def delete(self, client, user):
        """Delete the inline policy if it is the guard's."""
        where = {"UserName": user["UserName"], "PolicyName": deny.INLINE_POLICY}
        try:
            document = client.get_user_policy(**where)["PolicyDocument"]
        except client.exceptions.NoSuchEntityException:
            return None
        if not deny.is_own_document(document):
            return "kept"
        return self.unless_gone(client, client.delete_user_policy, **where)

    @staticmethod
    def unless_gone(client, call, **where):
        """Make a call that takes something off.

        :returns: ``restored``; None where it was not there any more
        """
        try:
            retry_conflicts(call, **where)
        except client.exceptions.NoSuchEntityException:
            return None
        return "restored"
