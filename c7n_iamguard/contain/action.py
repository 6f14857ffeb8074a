"""Action ``undo-iam-call``: takes back what an unintended call to IAM gave."""

import logging
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError
from c7n.utils import get_partition, type_schema

from c7n_iamguard.admins.options import check_meant
from c7n_iamguard.contain.plan import Nothing, Undo
from c7n_iamguard.contain.preconditions import Gone, Leave, Looks, denies
from c7n_iamguard.contain.quarantine import Quarantine
from c7n_iamguard.contain.undoable import plan as plan_for
from c7n_iamguard.decisions import facts
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam import managed_policies, principals
from c7n_iamguard.iam.actions import DecidingAction
from c7n_iamguard.iam.client import iam, retry_conflicts
from c7n_iamguard.notify import wording
from c7n_iamguard.settings import refuse

log = logging.getLogger("c7n_iamguard")

GONE = "whoever made the call is gone, so that nobody can tell whether they were meant to use IAM"
OLD = "the call is older than 15 minutes, and somebody may have put things right by hand since"


@principals.register("action_registry", "undo-iam-call")
class UndoIAMCall(Quarantine, DecidingAction):
    """Takes back what a call to IAM gave, and only that. The user or role is the one who made the call.

    A key or certificate becomes inactive, a password or inline policy is deleted, callers lose what they attached
    to themselves, and a new user or role is quarantined: the managed policy ``iam-guard-quarantine`` denies it
    everything. The decision is ``contained``, with the command that did it and the one that reverses it.

    Other calls that change something are ``left``, with the command that a person would use: if IAM does not
    tell what was there before, if something that denies would be lifted, or if the call is older than 15
    minutes. If a quarantine of the user or role outweighs what the call gave, it is contained.

    Members of the admin groups are never quarantined. ``groups`` names these; the function
    knows them by the ids that they had when the policy was deployed. The guard's own roles are spared, too.

    Repeating it changes nothing, and what is gone already is no failure. If IAM does not let the guard take
    something back, the run fails in the end. With ``observe: true`` nothing changes in IAM, and the decision is
    ``would-contain``.

    The action requires ``mode: cloudtrail`` with ``event: "*"``.

    :example:

    .. code-block:: yaml

        policies:
          - name: contain-calls-of-contractors
            resource: aws.iam-user
            mode:
              type: cloudtrail
              role: iam-guard-contain
              events:
                - source: iam.amazonaws.com
                  event: "*"
                  ids: userIdentity
            filters:
              - type: value
                key: Path
                value: /contractors/
              - not:
                  - type: admin-group-member
                    groups: [admins]
            actions:
              - type: undo-iam-call
                groups: [admins]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html
    """

    schema = type_schema(
        "undo-iam-call",
        groups={"type": ["array", "string"]},
        observe={"type": ["boolean", "string", "array"]},
        required=["groups"],
    )
    permissions = (
        "iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:DeleteGroupPolicy", "iam:DeleteLoginProfile",
        "iam:DeleteOpenIDConnectProvider", "iam:DeleteRolePolicy", "iam:DeleteSAMLProvider", "iam:DeleteUserPolicy",
        "iam:DetachUserPolicy", "iam:GetAccessKeyLastUsed", "iam:GetAccountAuthorizationDetails", "iam:GetGroup",
        "iam:GetGroupPolicy", "iam:GetLoginProfile", "iam:GetOpenIDConnectProvider", "iam:GetPolicy",
        "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:GetSAMLProvider", "iam:GetUser",
        "iam:GetUserPolicy",
        "iam:ListAttachedRolePolicies", "iam:ListAttachedUserPolicies", "iam:ListEntitiesForPolicy",
        "iam:ListGroups", "iam:ListGroupsForUser", "iam:ListRoles", "iam:ListUsers", "iam:RemoveUserFromGroup",
        "iam:UpdateAccessKey", "iam:UpdateServiceSpecificCredential", "iam:UpdateSigningCertificate",
        "iam:UpdateSSHPublicKey",
    )  # fmt: skip

    def validate(self):
        """Check the names, and that the action gets the event of each call.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        policy = self.manager.ctx.policy
        if not getattr(policy.get_execution_mode(), "any_call", False):
            problem = f"mode {policy.execution_mode} does not tell which calls to take back"
            refuse(policy, f"action:{self.type}", problem, 'use mode: cloudtrail with event: "*"')
        check_meant(self)
        self.check_observe()

    def prepare(self):
        """Look, while the function starts, at the quarantine and at the policy that callers like best."""
        client, partition = iam(self.manager), get_partition(self.manager.config.region)
        with suppress(managed_policies.Distrusted):
            self.check_quarantine(client)
        with suppress(BotoCoreError, ClientError):
            denies(client, f"arn:{partition}:iam::aws:policy/AdministratorAccess")

    def process(self, resources, event=None):
        """Take back what the event's call gave.

        :param resources: the caller alone
        :returns: a record of what was decided
        :raises PolicyExecutionError: if the call could not be taken back
        """
        client, event = iam(self.manager), IAMEvent.of(event)
        managed_policies.forget(managed_policies.changed_policy(event))
        return self.try_all(
            resources, lambda one: self.try_to_undo(client, one, event), "take back a call of"
        )

    def try_to_undo(self, client, principal, event):
        """Take back an event's call, and log what came of it.

        :returns: the record for Custodian's output; None if the caller has another name by now, under which the
            mode comes back; the error if the call could not be taken back
        """
        if event.gone and self.may_be_renamed(client, principal):
            return None
        try:
            verdict, found = self.decision(client, principal, event)
        except Exception as error:
            self.record_decision("failed", principal, event, reason=str(error))
            return error
        self.record_decision(
            verdict, principal, event, logging.WARNING if verdict == "left" else logging.INFO, **found
        )
        return {
            self.kind.name_key: principal[self.kind.name_key],
            "decision": verdict,
            **found,
            **facts(event),
        }

    def may_be_renamed(self, client, principal):
        """Whether a caller whom IAM does not know by name may be somebody whom it knows by id."""
        unique_id = principal.get(self.kind.id_key)
        return not unique_id or self.kind.by_id(client, unique_id) is not None

    def decision(self, client, principal, event):
        """What is decided about an event's call, and what belongs to it."""
        who, gone = event.who, event.gone
        event.gone = False
        plan = plan_for(event.record, who, self.quarantine)
        if isinstance(plan, Nothing):
            return "let-pass", {"reason": plan.reason}
        if isinstance(plan, Undo):
            looks = Looks(client, event, who, principal[self.kind.name_key], self.spared)
            plan = looks.named(plan)
            try:
                if gone or not event.is_fresh:
                    raise Leave(GONE if gone else OLD)
                return self.contain(client, plan, looks)
            except Gone as why:
                return "contained", {"containment": str(why), "target": text_of(plan.target)}
            except Leave as why:
                plan = plan.leave(str(why))
        return self.leave(client, plan)

    def contain(self, client, plan, looks):
        """Carry out a plan.

        :raises Leave: if it must not be carried out
        :raises Gone: if there is nothing to take back any more
        :raises managed_policies.Distrusted: if the quarantine does not deny everything
        :raises botocore.exceptions.ClientError: whatever else IAM answers
        """
        plan = looks.before(plan)
        found = {"containment": plan.containment, "target": text_of(plan.target)}
        if plan.look == "principal":
            self.check_quarantine(client)
        if self.observes:
            return "would-contain", {**found, "commands": [plan.call.command]}
        try:
            looks.settled(getattr(client, plan.call.method), **plan.call.parameters)
        except client.exceptions.NoSuchEntityException:
            plan = looks.missing(plan)
            retry_conflicts(getattr(client, plan.call.method), **plan.call.parameters)
        found["target"] = text_of(plan.target)
        return "contained", {**found, "did": [plan.call.command], "reverse": [plan.reverse.command]}

    def leave(self, client, plan):
        """Leave what a call gave to a person, unless a quarantine outweighs it."""
        found = {"target": text_of(plan.target), "commands": list(plan.commands)}
        if plan.target and self.is_quarantined(client, plan.target):
            why = f"the {plan.target.kind} is quarantined, which outweighs what the call gave"
            return "contained", {**found, "containment": why}
        if plan.target:
            found["commands"] += filter(None, [self.runbook(plan.target)])
        if plan.policy:
            found["carriers"] = self.carriers(client, plan.policy)
        return "left", {**found, "reason": plan.reason}

    def runbook(self, target):
        """The command that contains a whole user or role; empty for a group."""
        if target.kind == "group":
            return ""
        config = self.manager.config
        reader = f"arn:{get_partition(config.region)}:iam::{config.account_id}:role/iam-guard-response"
        about = {"type": target.kind, "name": target.name}
        return wording.contain_command(about, "/", "", config.region, reader)

    @staticmethod
    def carriers(client, arn):
        """Who carries a managed policy: the first hundred, with "…" for further ones."""
        try:
            answer = client.list_entities_for_policy(PolicyArn=arn, MaxItems=100)
        except client.exceptions.NoSuchEntityException:
            return []
        nouns = ("User", "Group", "Role")
        found = [f"{n.lower()} {one[n + 'Name']}" for n in nouns for one in answer[f"Policy{n}s"]]
        return found + ["…"] * answer["IsTruncated"]


def text_of(target):
    """Whom or what a call was about, in words; None if it is about no user, role or group."""
    return f"{target.kind} {target.name}" if target else None
