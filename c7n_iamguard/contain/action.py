"""Action ``undo-iam-call``: takes back what an unintended call to IAM gave."""

import logging
from contextlib import suppress
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError
from c7n.utils import get_partition, type_schema

from c7n_iamguard.admins.options import GROUPS_SCHEMA, MeantOptions, check_meant
from c7n_iamguard.contain import undoable
from c7n_iamguard.contain.plan import ManualSteps, NoChange, Reversal
from c7n_iamguard.contain.preconditions import AlreadyGone, Preconditions, Unsafe
from c7n_iamguard.contain.quarantine import Quarantine
from c7n_iamguard.decisions import facts
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.client import answer_or_none, iam, retry_conflicts
from c7n_iamguard.iam.deciding_action import OBSERVE_SCHEMA, DecidingAction
from c7n_iamguard.iam.managed_policies import Distrusted, ManagedPolicies
from c7n_iamguard.notify import wording
from c7n_iamguard.settings import refuse

GONE = "whoever made the call is gone, so that nobody can tell whether they were meant to use IAM"
OLD = "the call is older than 15 minutes, and somebody may have put things right by hand since"


@principals.register("action_registry", "undo-iam-call")
class UndoIAMCall(MeantOptions, DecidingAction):
    """Takes back what a call to IAM gave, and only that. The user or role is the one who made the call.

    A key or certificate becomes inactive, a password or inline policy is deleted, callers lose what they attached
    to themselves, and a new user or role is quarantined: the managed policy ``iam-guard-quarantine`` denies it
    everything. The decision is ``contained``, with the command that did it and the one that reverses it.

    Other calls that change something are ``left``, with the command for a person: if IAM does not tell what was
    there before, if the reversal would lift a denial, or if the call is older than 15 minutes. If the user or role
    is quarantined already, the call is contained.

    The action never quarantines members of the admin groups or the guard's own roles. ``groups`` names the groups,
    which the function knows by the ids that they had when the policy was deployed.

    The action is idempotent. If IAM refuses a reversal, the run fails at the end. With ``observe: true`` nothing
    changes in IAM, and the decision is ``would-contain``. The action requires ``mode: cloudtrail`` with
    ``event: "*"``.

    :example:

    .. code-block:: yaml

        policies:
          - name: contain-calls-of-contractors
            resource: aws.iam-user
            mode:
              type: cloudtrail
              role: iam-guard-contain
              events: [{source: iam.amazonaws.com, event: "*", ids: userIdentity}]
            filters:
              - {type: value, key: Path, value: /contractors/}
              - not: [{type: admin-group-member, groups: [admins]}]
            actions:
              - {type: undo-iam-call, groups: [admins]}

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html
    """

    schema = type_schema("undo-iam-call", groups=GROUPS_SCHEMA, observe=OBSERVE_SCHEMA, required=["groups"])
    permissions = (
        "iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:DeleteGroupPolicy", "iam:DeleteLoginProfile",
        "iam:DeleteOpenIDConnectProvider", "iam:DeleteRolePolicy", "iam:DeleteSAMLProvider", "iam:DeleteUserPolicy",
        "iam:DetachUserPolicy", "iam:GetAccessKeyLastUsed", "iam:GetAccountAuthorizationDetails", "iam:GetGroup",
        "iam:GetGroupPolicy", "iam:GetLoginProfile", "iam:GetOpenIDConnectProvider", "iam:GetPolicy",
        "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:GetSAMLProvider", "iam:GetUser",
        "iam:GetUserPolicy", "iam:ListAttachedRolePolicies", "iam:ListAttachedUserPolicies",
        "iam:ListEntitiesForPolicy", "iam:ListGroups", "iam:ListGroupsForUser", "iam:ListUsers",
        "iam:RemoveUserFromGroup", "iam:UpdateAccessKey", "iam:UpdateServiceSpecificCredential",
        "iam:UpdateSigningCertificate", "iam:UpdateSSHPublicKey",
    )  # fmt: skip

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.managed_policies = ManagedPolicies()
        self.quarantine = Quarantine(self, self.managed_policies)

    def validate(self):
        """Check the options, and that the action gets the event of each call."""
        policy = self.manager.ctx.policy
        if not getattr(policy.get_execution_mode(), "any_call", False):
            problem = f"mode {policy.execution_mode} does not tell which calls to take back"
            refuse(policy, f"action:{self.type}", problem, 'use mode: cloudtrail with event: "*"')
        check_meant(self)
        self.check_observe()

    def prepare(self):
        """While the function starts, read the quarantine and the policy that callers attach most."""
        client, partition = iam(self.manager), get_partition(self.manager.config.region)
        administrator = f"arn:{partition}:iam::aws:policy/AdministratorAccess"
        with suppress(Distrusted):
            self.quarantine.check(client)
        with suppress(BotoCoreError, ClientError):
            self.managed_policies.carries_denial(client, administrator)

    def process(self, resources, event=None):
        """Take back what the event's call gave, and return a record of the decision. The resource is the caller."""
        client, event = iam(self.manager), IAMEvent.of(event)
        self.managed_policies.forget_changed(event)
        return self.try_all(resources, partial(self.try_to_undo, client, event=event), "take back a call of")

    def try_to_undo(self, client, principal, event):
        """Take back an event's call, and log the decision.

        :returns: the record for Custodian's output; None if the caller has another name by now, under which the
            mode tries again; the error if IAM did not let the action take back the call
        """
        unique_id = principal.get(self.kind.id_key)
        if event.gone and (not unique_id or self.kind.by_id(client, unique_id)):
            return None
        try:
            decision, fields = self.decide(client, principal, event)
        except Exception as error:
            self.record_decision("failed", principal, event, reason=str(error))
            return error
        level = logging.WARNING if decision == "left" else logging.INFO
        self.record_decision(decision, principal, event, level, **fields)
        name = {self.kind.name_key: principal[self.kind.name_key]}
        return {**name, "decision": decision, **fields, **facts(event)}

    def decide(self, client, principal, event):
        """Act on an event's call, and return the decision and the other fields of its log line."""
        caller_is_gone, event.gone = event.gone, False
        plan = undoable.plan(event.record, event.who, self.quarantine.arn)
        if isinstance(plan, NoChange):
            return "let-pass", {"reason": plan.reason}
        if isinstance(plan, Reversal):
            preconditions = Preconditions(client, event, principal[self.kind.name_key], self.quarantine)
            plan = preconditions.retarget(plan)
            try:
                if caller_is_gone or not event.is_fresh:
                    raise Unsafe(GONE if caller_is_gone else OLD)
                return self.reverse(client, plan, preconditions)
            except AlreadyGone as reason:
                return "contained", {"containment": str(reason), "target": plan.target and str(plan.target)}
            except Unsafe as reason:
                plan = ManualSteps(str(reason), (reason.command or plan.call.command,), plan.target)
        return self.leave(client, plan)

    def reverse(self, client, plan, preconditions):
        """Carry out a reversal if its precondition holds."""
        if plan.check:
            plan = plan.check(preconditions, plan)
        fields = {"containment": plan.containment, "target": plan.target and str(plan.target)}
        if self.observes:
            return "would-contain", {**fields, "commands": [plan.call.command]}
        try:
            preconditions.retry_until_visible(getattr(client, plan.call.method), **plan.call.parameters)
        except client.exceptions.NoSuchEntityException:
            plan = preconditions.explain_missing(plan)
            retry_conflicts(getattr(client, plan.call.method), **plan.call.parameters)
        fields["target"] = plan.target and str(plan.target)
        return "contained", {**fields, "did": [plan.call.command], "reverse": [plan.redo.command]}

    def leave(self, client, steps):
        """Leave what a call gave to a person, unless a quarantine outweighs it."""
        target, commands = steps.target, list(steps.commands)
        fields = {"target": target and str(target), "commands": commands}
        if target and self.quarantine.is_on(client, target):
            reason = f"the {target.kind} is quarantined, which outweighs what the call gave"
            return "contained", {**fields, "containment": reason}
        if target and target.kind != "group":
            config, about = self.manager.config, {"type": target.kind, "name": target.name}
            runbook = wording.contain_command(about, "/", "", config.region, config.account_id)
            commands += [runbook] if runbook else []
        if steps.policy:
            fields["carriers"] = carriers(client, steps.policy)
        return "left", {**fields, "reason": steps.reason}


def carriers(client, arn):
    """The first hundred users, groups and roles that carry a managed policy, with "…" for further ones."""
    entities = answer_or_none(client.list_entities_for_policy, PolicyArn=arn, MaxItems=100)
    if entities is None:
        return []
    nouns = ("User", "Group", "Role")
    names = [f"{n.lower()} {entity[n + 'Name']}" for n in nouns for entity in entities[f"Policy{n}s"]]
    return names + ["…"] * entities["IsTruncated"]
