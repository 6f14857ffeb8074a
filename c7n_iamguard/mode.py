"""``cloudtrail`` mode that understands ``event: "*"``: any call of a service, of any name.

c7n finds the resources of a CloudTrail event for listed event names only, and lets all others pass
without a word. IAM alone has more names than an EventBridge pattern can hold, and AWS adds new ones.
The mode registered here is c7n's own, under its own name; it acts differently for ``"*"`` alone.
"""

import logging

from c7n.exceptions import PolicyValidationError
from c7n.policy import CloudTrailMode, execution
from c7n.resources.iam import User

from c7n_iamguard import source
from c7n_iamguard.event import DETAIL_TYPE, NOTES, MalformedEvent, accounts, caller, decision, detail

log = logging.getLogger("c7n_iamguard")

ANY = "*"
EVENT_SOURCE = "iam.amazonaws.com"


class LetPass(Exception):
    """The event is none of the policy's business. Its text is the reason that is logged."""


@execution.register("cloudtrail")
class AnyCallMode(CloudTrailMode):
    """A lambda policy using EventBridge rules on CloudTrail API logs; ``event: "*"`` is any call.

    With ``"*"``, the resource is the IAM user who made the call, as the event describes them. Listed
    events, and policies without ``"*"``, are c7n's own business as before.
    """

    @property
    def any_call(self):
        """Whether the policy listens to any call, instead of listed ones."""
        events = self.policy.data["mode"].get("events") or ()
        return any(isinstance(e, dict) and e.get("event") == ANY for e in events)

    def validate(self):
        """Check the settings that ``"*"`` needs, beside c7n's own checks.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        super().validate()
        if self.any_call:
            self.validate_any_call()

    def validate_any_call(self):
        """Check what only ``"*"`` needs: without it, events would be missed, forged or misread."""
        mode = self.policy.data["mode"]
        pattern = mode.get("pattern") or {}
        if not isinstance(self.policy.resource_manager, User):
            self.invalid("events", '"*" finds IAM users', "use resource: aws.iam-user")
        if len(mode["events"]) > 1:
            self.invalid("events", '"*" already takes every call', "leave out the other events")
        if mode["events"][0]["source"] != EVENT_SOURCE:
            self.invalid("events", f'"*" is understood for {EVENT_SOURCE}', "use that source")
        if not mode["events"][0]["ids"].removeprefix("detail.").startswith("userIdentity"):
            self.invalid("events", 'with "*" the user is the caller', "use ids: userIdentity")
        if {"exists": True} not in _list(_dict(pattern.get("detail")).get("eventName")):
            self.invalid(
                "pattern", "the rule would match no call at all", "add detail: {eventName: [{exists: true}]}"
            )
        if pattern.get("source") != ["aws.iam"]:
            self.invalid("pattern", "anyone could forge the event", "add source: [aws.iam]")
        if mode.get("handler") != "c7n_iamguard.handler.run":
            self.invalid("handler", "the function would not know the plugin", "use c7n_iamguard.handler.run")
        if "c7n_iamguard" not in mode.get("packages", ()):
            self.invalid("packages", "the function would lack the plugin", "add c7n_iamguard")
        if mode.get("member-role"):
            self.invalid(
                "member-role", "the function acts in its own account only", "deploy it to each account"
            )

    def invalid(self, key, problem, mend):
        """Raise the error for a setting of the mode, naming the policy, the key and the mend."""
        raise PolicyValidationError(f"policy:{self.policy.name} mode.{key}: {problem}; {mend}")

    def run(self, event, lambda_context=None):
        """Run the policy on an event; with ``"*"``, log one line for every decision.

        :raises Exception: whatever went wrong, so that Lambda tries the event again
        """
        if not self.any_call:
            return super().run(event, lambda_context)
        try:
            if not self.policy.is_runnable(event):
                raise LetPass("the policy's conditions do not hold here")
            self.caller = self.judge(event)
            event[NOTES] = found = {}
            resources = super().run(event, lambda_context)
            if found.get("gone"):
                raise LetPass("the user does not exist any more")
            if found.get("admin-groups") and not found.get("how"):
                raise LetPass("in admin group " + ", ".join(found["admin-groups"]))
            if not resources:
                raise LetPass("exempt by the policy's filters")
            return resources
        except (LetPass, MalformedEvent) as reason:
            log.info(self.line("let-pass", event, reason=str(reason)))

    def judge(self, event):
        """The caller of an event, where it is one that the policy may act on.

        The rule has let the event through; this is the second look, for events that came another way.

        :raises LetPass: where the caller is none of the policy's business
        :raises MalformedEvent: where the event does not say who called
        """
        who = caller(event)
        if detail(event).get("eventSource") != EVENT_SOURCE:
            raise LetPass("not a call to IAM")
        if event.get("source") != "aws.iam" or event.get("detail-type") != DETAIL_TYPE:
            raise LetPass("not an event of CloudTrail for aws.iam")
        if not who.is_user:
            raise LetPass(f"the caller is no IAM user but {who.type}")
        if accounts(event) | {who.account} != {self.policy.options.account_id}:
            raise LetPass("an event of another account")
        return who

    def resolve_resources(self, event):
        """The users that an event is about; with ``"*"``, its caller, without a call to IAM."""
        if not self.any_call:
            return super().resolve_resources(event)
        return [source.user_from(self.caller)]

    def line(self, verdict, event, **fields):
        """A decision about an event, malformed ones too, as one line of JSON."""
        try:
            who = caller(event)
        except MalformedEvent:
            who = None
        return decision(
            verdict,
            event,
            policy=self.policy.name,
            account=who and who.account,
            caller=who and who.type,
            user=who and who.name,
            **fields,
        )


def _dict(value):
    return value if isinstance(value, dict) else {}


def _list(value):
    return value if isinstance(value, list) else []
