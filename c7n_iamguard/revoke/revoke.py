"""Action ``revoke-iam-access``: denies IAM."""

import logging
import re
from functools import partial

from c7n.exceptions import PolicyExecutionError
from c7n.policy import PullMode, ServerlessExecutionMode
from c7n.utils import type_schema

from c7n_iamguard.decisions import facts
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.deciding_action import OBSERVE_SCHEMA, DecidingAction
from c7n_iamguard.iam.managed_policies import Distrusted
from c7n_iamguard.iam.policy_documents import DENIED_ACTIONS
from c7n_iamguard.revoke.ladder import Ladder, Unmodifiable
from c7n_iamguard.settings import check_boolean, refuse, setting, where_is

log = logging.getLogger("c7n_iamguard")

ACTION = re.compile(r"\*|[a-z0-9*?-]+:[\w*?]+", re.ASCII | re.IGNORECASE)


@principals.register("action_registry", "revoke-iam-access")
class RevokeIAMAccess(DecidingAction):
    """Denies users or roles IAM.

    The first of these that works:

    1. attach the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` by default;
    2. on users, put the inline policy ``DenyIAM``;
    3. set the permissions boundary ``DenyIAMAccessBoundary``, if there is none. Another boundary stays, and is
       enough if it withholds as much by itself;
    4. fail.

    If AWS refuses a step, as a guardrail or an SCP may, the action takes the next one, and the run fails all the
    same, so that operators learn of it.

    A managed policy counts only while its default version denies all of ``deny``, a list of action patterns,
    ``[iam:*]`` by default, on everything and under no condition. Every principal is tried; if one of them
    failed, the run fails in the end. Repeating it changes nothing.

    A denial on a role acts on all of its sessions at once. Roles that only AWS can change, such as those of
    Identity Center, end as ``cannot-revoke``. The organization's security account may then deny the person
    (``deploy/people.yml``), unless ``observe-people`` is ``true``.

    With ``observe: true`` nothing changes in IAM, and the decision is ``would-revoke``. Outside an event mode
    the action may hit many at once, so there it requires ``bulk: true``.

    :example:

    .. code-block:: yaml

        policies:
          - name: revoke-iam-access-of-contractors
            resource: aws.iam-user
            max-resources: 20
            filters:
              - {type: value, key: Path, value: /contractors/}
              - not: [{type: admin-group-member, groups: [admins]}]
            actions:
              - {type: revoke-iam-access, bulk: true}

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html
    """

    schema = type_schema(
        "revoke-iam-access",
        policy={"type": "string"},
        deny={"type": "array", "items": {"type": "string"}, "minItems": 1},
        bulk={"type": "boolean"},
        observe=OBSERVE_SCHEMA,
        **{"observe-people": {"type": ["boolean", "string"]}},
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ladder = Ladder(self)

    def get_permissions(self):
        """The rights to deny users, or roles."""
        templates = ["iam:Attach{}Policy", "iam:Get{}", "iam:Put{}PermissionsBoundary"]
        inline = ["iam:Put{}Policy"] if "inline" in self.kind.rungs else []
        return ["iam:GetPolicy", "iam:GetPolicyVersion", *self.kind.permissions(*templates, *inline)]

    def validate(self):
        """Check the options, and that a revocation in bulk is meant."""
        policy, where = self.manager.ctx.policy, "action:revoke-iam-access"
        self.check_policy_option()
        self.check_observe()
        check_boolean(policy, where_is(self, "observe-people"), self.data.get("observe-people", False))
        for pattern in self.denied_actions:
            if not ACTION.fullmatch(pattern):
                problem = f"{pattern!r} is no action of a service"
                refuse(policy, f"{where} deny", problem, "write patterns such as iam:*")
        mode = policy.get_execution_mode()
        by_event = isinstance(mode, ServerlessExecutionMode) and not isinstance(mode, PullMode)
        if not by_event and not self.data.get("bulk"):
            problem = f"mode {mode.type} would deny IAM to everybody whom the filters leave"
            fix = "add bulk: true if that is meant, or use mode: cloudtrail"
            refuse(policy, f"{where} bulk", problem, fix)

    @property
    def denied_actions(self):
        """The actions that a revocation denies, as patterns."""
        return self.data.get("deny", list(DENIED_ACTIONS))

    def prepare(self):
        """Read the deny policy while the function starts."""
        try:
            self.ladder.check_deny_policy(iam(self.manager))
        except Distrusted as reason:
            log.warning("the managed policy will not be used: %s", reason)

    def process(self, resources, event=None):
        """Deny every principal IAM, and return a record of each: its name, how it was denied, and the event."""
        client, event = iam(self.manager), IAMEvent.of(event)
        self.ladder.managed_policies.forget_changed(event)
        return self.try_all(resources, partial(self.try_to_revoke, client, event=event), "deny IAM to")

    def try_to_revoke(self, client, principal, event):
        """Deny one principal IAM, and log what came of it."""
        if event is not None and event.gone:
            return None  # a filter has found nobody of this name, and whoever takes it now has not called
        name, rungs, how, reason, refusal = principal[self.kind.name_key], {}, None, None, None
        verdict, observed = "would-revoke" if self.observes else "revoked", None
        try:
            if verdict == "revoked":
                how, refusal = self.ladder.climb(client, name, rungs)
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
        level = logging.INFO
        if verdict == "cannot-revoke":
            level, observed = logging.WARNING, self.observes or setting(self, "observe-people", False)
        fields = {"how": how, "reason": reason, "rungs": rungs or None, "observed": observed}
        self.record_decision(verdict, principal, event, level, **fields)
        if refusal:
            problem = f"AWS refused a step before that: {refusal}"
            return PolicyExecutionError(f"{name} is denied IAM, but {problem}")
        return {self.kind.name_key: name, "decision": verdict, "how": how, "rungs": rungs, **facts(event)}
