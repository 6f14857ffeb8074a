"""``cloudtrail`` mode that understands ``event: "*"``: any call of a service, of any name.

c7n finds the resources of a CloudTrail event for listed event names only, and lets all others pass
without a word. IAM alone has more names than an EventBridge pattern can hold, and AWS adds new ones.
The mode registered here is c7n's own, under its own name; it acts differently for ``"*"`` alone.
"""

import logging

from c7n.cwe import CloudWatchEvents
from c7n.policy import CloudTrailMode, execution
from c7n.resources.iam import User

from c7n_iamguard import __version__, source
from c7n_iamguard.client import iam
from c7n_iamguard.event import (
    DETAIL_TYPE,
    NOTES,
    MalformedEvent,
    accounts,
    caller,
    decision,
    detail,
    granted_groups,
    notes,
)
from c7n_iamguard.filters import AdminGroupMember
from c7n_iamguard.settings import admin_group, check_group_names, refuse

log = logging.getLogger("c7n_iamguard")

ANY = "*"
#: The tag of a function that says which version of the plugin it carries.
VERSION_TAG = "iam-guard-version"
HANDLER = "c7n_iamguard.handler.run"
EVENT_SOURCE = "iam.amazonaws.com"
#: The source of users where a policy names none.
EVENT = "event"
#: What an event tells of its user, and the stock filters that look at more of a user than that.
TOLD_BY_EVENTS = ("UserName", "UserId", "Arn", "Path")
LOOK_AT_THE_USER = ("value", "list-item", "marked-for-op", "tag-count", "reduce", "config-compliance")
#: How often a user may change names while being looked for, before the event is left to Lambda's next try.
RENAMES = 3


class LetPass(Exception):
    """The event is none of the policy's business. Its text is the reason that is logged."""


@execution.register("cloudtrail")
class AnyCallMode(CloudTrailMode):
    """A lambda policy using EventBridge rules on CloudTrail API logs; ``event: "*"`` is any call.

    With ``"*"``, the resource is the IAM user who made the call, as the event describes them. Policies
    whose function runs the plugin's own handler are guarded: the caller is judged a second time, errors of
    IAM fail the event instead of dropping it, and every decision is logged. All other policies are c7n's
    own business, as before.
    """

    @property
    def any_call(self):
        """Whether the policy listens to any call, instead of listed ones."""
        events = self.policy.data["mode"].get("events") or ()
        return any(isinstance(e, dict) and e.get("event") == ANY for e in events)

    @property
    def guarded(self):
        """Whether the policy's function runs the plugin's handler, or needs to."""
        return self.any_call or self.policy.data["mode"].get("handler") == HANDLER

    def validate(self):
        """Check the settings of a guarded policy, beside c7n's own checks.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        super().validate()
        if self.guarded:
            self.fill_in_admin_group()
        if self.any_call:
            self.validate_any_call()
        if self.guarded:
            self.validate_guarded()

    def fill_in_admin_group(self):
        """Give stock ``set-groups`` the group that ``{admin_group}`` stands for."""
        for action in self.policy.resource_manager.actions:
            if action.type == "set-groups":
                where = "action:set-groups group"
                action.data["group"] = admin_group(self.policy, where, action.data["group"])
                check_group_names(self.policy, where, [action.data["group"]])

    def validate_any_call(self):
        """Check what only ``"*"`` needs: without it, the rule would match nothing, or be misread."""
        mode = self.policy.data["mode"]
        if len(mode["events"]) > 1:
            self.invalid("events", '"*" already takes every call', "leave out the other events")
        if not mode["events"][0]["ids"].removeprefix("detail.").startswith("userIdentity"):
            self.invalid("events", 'with "*" the user is the caller', "use ids: userIdentity")
        names = _list(_dict(_dict(mode.get("pattern")).get("detail")).get("eventName"))
        if {"exists": True} not in names:
            self.invalid(
                "pattern", "the rule would match no call at all", "add detail: {eventName: [{exists: true}]}"
            )

    def validate_guarded(self):
        """Check what a forged, a lost or a misread event would come from."""
        mode = self.policy.data["mode"]
        environment = _dict(_dict(mode.get("environment")).get("Variables"))
        if not isinstance(self.policy.resource_manager, User):
            self.invalid("events", "the guard finds IAM users", "use resource: aws.iam-user")
        if any(not isinstance(e, dict) or e["source"] != EVENT_SOURCE for e in mode["events"]):
            self.invalid("events", f"the guard understands calls to {EVENT_SOURCE}", "use that source")
        if _dict(mode.get("pattern")).get("source") != ["aws.iam"]:
            self.invalid("pattern", "anyone could forge the event", "add source: [aws.iam]")
        if mode.get("handler") != HANDLER:
            self.invalid("handler", "the function would not know the plugin", f"use {HANDLER}")
        if "c7n_iamguard" not in mode.get("packages", ()):
            self.invalid("packages", "the function would lack the plugin", "add c7n_iamguard")
        if mode.get("member-role"):
            self.invalid(
                "member-role", "the function acts in its own account only", "deploy it to each account"
            )
        if _dict(mode.get("execution-options")).get("assume_role"):
            self.invalid(
                "execution-options", "the function acts in its own account only", "leave out assume_role"
            )
        if environment.get("C7N_SKIP_ERR_EVENT") != "no":
            self.invalid(
                "environment",
                "calls that failed would be missed",
                'add Variables: {C7N_SKIP_ERR_EVENT: "no"}',
            )
        if environment.get("C7N_CATCH_ERR", "no") != "no":
            self.invalid("environment", "events that fail would be lost", "leave out C7N_CATCH_ERR")
        if not _dict(mode.get("dead_letter_config")).get("TargetArn"):
            self.invalid(
                "dead_letter_config",
                "events that fail three times would be lost",
                "add TargetArn: the ARN of a queue, such as that of deploy/account.yml",
            )
        if self.source_type == EVENT:
            for item in self.policy.resource_manager.iter_filters():
                self.validate_filter(item)
        if any(action.type == "revoke-iam-access" for action in self.policy.resource_manager.actions):
            self.validate_admins_are_let_pass()

    def validate_admins_are_let_pass(self):
        """Refuse filters by which admins would be revoked: a "not" of several filters lets few pass."""
        for item in self.policy.resource_manager.filters:
            if item.type == "not" and [f.type for f in item.filters] == ["admin-group-member"]:
                return
        refuse(
            self.policy,
            "filters",
            "admins would be revoked, too",
            "add - not: [admin-group-member], with nothing else in that not",
        )

    @property
    def source_type(self):
        """Where the event's user comes from: the event itself, unless the policy names a source."""
        return self.policy.data.get("source", EVENT)

    def validate_filter(self, item):
        """Refuse a filter that would look for something in the user that an event does not tell."""
        if item.type not in LOOK_AT_THE_USER or (item.type == "value" and _key(item) in TOLD_BY_EVENTS):
            return
        refuse(
            self.policy,
            f"filter:{item.type}",
            f"the event tells of its user no more than {', '.join(TOLD_BY_EVENTS)}",
            "add source: describe to the policy",
        )

    def invalid(self, key, problem, mend):
        """Raise the error for a setting of the mode, naming the policy, the key and the mend."""
        refuse(self.policy, f"mode.{key}", problem, mend)

    @property
    def policy_lambda(self):
        """What the function is deployed as: if it is guarded, with bytecode."""
        from c7n_iamguard.archive import CompiledPolicyLambda  # loads c7n.mu, which functions do not need

        return CompiledPolicyLambda if self.guarded else super().policy_lambda

    def provision(self):
        """Deploy the policy's function, unless everybody in the account would be taken for no admin.

        :raises c7n.exceptions.PolicyExecutionError: where an admin group is missing or has no members
        """
        for item in self.policy.resource_manager.iter_filters():
            if isinstance(item, AdminGroupMember):
                item.check_admins()
        if self.guarded:
            self.policy.data["mode"].setdefault("tags", {})[VERSION_TAG] = __version__
            self.use_the_admin_groups_own_case()
        return super().provision()

    def use_the_admin_groups_own_case(self):
        """Give stock ``set-groups`` the group's name as IAM keeps it: it takes "no such group" for done."""
        client = iam(self.policy.resource_manager)
        for action in self.policy.resource_manager.actions:
            if action.type == "set-groups":
                group = AdminGroupMember.find_group(client, action.data["group"])
                action.data["group"] = group["Group"]["GroupName"] if group else action.data["group"]

    def run(self, event, lambda_context=None):
        """Run the policy on an event; if it is guarded, log one line for every decision.

        :raises Exception: whatever went wrong, so that Lambda tries the event again
        """
        if not self.guarded:
            return super().run(event, lambda_context)
        try:
            return self.decide(event, lambda_context)
        except (LetPass, MalformedEvent) as reason:
            log.info(self.line("let-pass", event, reason=str(reason)))
            return None
        except Exception as error:
            if not notes(event).get("failed"):  # the action has said so, user by user
                log.error(self.line("failed", event, reason=f"{type(error).__name__}: {error}"))
            raise

    def decide(self, event, lambda_context):
        """Run the policy on the users of an event.

        :returns: the users who were acted on
        :raises LetPass: where nobody was
        """
        event[NOTES] = {}  # whatever the event brings along under that name
        if not self.policy.is_runnable(event):
            raise LetPass("the policy's conditions do not hold here")
        who = self.judge(event, self.own_account(lambda_context))
        acted_on = self.decide_on_caller if self.any_call else self.decide_on_listed
        resources = acted_on(event, lambda_context, who)
        found = notes(event)
        if found.get("admin-groups") and not found.get("how"):
            raise LetPass("in admin group " + ", ".join(found["admin-groups"]))
        if not resources:
            raise LetPass("exempt by the policy's filters")
        if not found.get("how"):
            names = [user["UserName"] for user in resources]
            actions = [action.type for action in self.policy.resource_manager.actions]
            log.info(self.line("acted", event, users=names, actions=actions))
        return resources

    def decide_on_caller(self, event, lambda_context, who):
        """Run the policy on the caller of an event, and on their new name if they were renamed meanwhile."""
        client = iam(self.policy.resource_manager)
        user = source.user_from(who) if source.is_fresh(event) else source.same_user(client, who)
        for _ in range(RENAMES):
            self.users = [user] if user else []
            event[NOTES] = found = {"granted": sorted(granted_groups(event, who))}
            resources = super().run(event, lambda_context) if user else None
            if user and not found.get("gone"):
                return resources
            user = source.user_by_id(client, who.id) if who.id else None
            if user is None:
                raise LetPass("the user does not exist any more")
        raise RuntimeError(f"user {who.id} was renamed {RENAMES} times while being looked for")

    def decide_on_listed(self, event, lambda_context, who):
        """Run the policy on the users whom a listed event names by its ``ids``."""
        names = CloudWatchEvents.get_ids(event, self.policy.data["mode"])
        if not names or not all(isinstance(name, str) for name in names):
            raise LetPass("the event names no user")
        self.users = [{"UserName": name} for name in names]
        return super().run(event, lambda_context)

    def own_account(self, lambda_context):
        """The account that the function runs in: its own ARN knows best."""
        arn = getattr(lambda_context, "invoked_function_arn", None)
        return arn.split(":")[4] if arn else self.policy.options.account_id

    def judge(self, event, own_account):
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
        if accounts(event) | {who.account} != {own_account}:
            raise LetPass(f"an event of another account than {own_account}")
        return who

    def resolve_resources(self, event):
        """The users that an event is about; those of a guarded policy cost no call to IAM.

        :raises botocore.exceptions.ClientError: where the policy names a source and IAM does not answer it
        """
        if not self.guarded:
            return super().resolve_resources(event)
        if self.source_type == EVENT:
            return self.users
        # Not the manager's own get_resources, which turns errors of IAM into no users.
        found = self.policy.resource_manager.source.get_resources([u["UserName"] for u in self.users])
        if self.users and not found:
            event[NOTES]["gone"] = True
        return found

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


def _key(item):
    """The key that a ``value`` filter looks at; its short form is ``{key: value}``."""
    return item.data.get("key") or next(iter(item.data), None)


def _list(value):
    return value if isinstance(value, list) else []
