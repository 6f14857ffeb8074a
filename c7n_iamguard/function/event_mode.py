"""``cloudtrail`` mode that understands ``event: "*"``: any call of a service, of any name.

c7n knows the resources of listed events only, and silently ignores all others. IAM alone has more names of calls
than an EventBridge pattern can hold, and AWS adds new ones. This mode replaces c7n's own, and acts differently only
for policies of the guard.
"""

import logging
from contextlib import suppress

from c7n.cwe import CloudWatchEvents
from c7n.exceptions import PolicyExecutionError
from c7n.policy import CloudTrailMode, execution

from c7n_iamguard.decisions import log_line
from c7n_iamguard.event import EVENT_SOURCE, IAMEvent, MalformedEvent, is_services_own
from c7n_iamguard.function import checks
from c7n_iamguard.function.defaults import listens_to_any_call
from c7n_iamguard.function.deployment import GuardedFunction
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import kind_of

log = logging.getLogger("c7n_iamguard")

#: After how many renames during one run the mode leaves the event to Lambda's next try.
RENAMES = 3


class LetPass(Exception):
    """The policy does not act on the event. The text says why, for the log."""


@execution.register("cloudtrail")
class GuardedCloudTrailMode(GuardedFunction, CloudTrailMode):
    """A lambda policy using EventBridge rules on CloudTrail API logs; ``event: "*"`` is any call.

    With ``"*"``, the resource is the user or role that made the call, as the event describes it. For a policy of
    the guard, the mode has defaults, errors of IAM fail the event instead of dropping it, and every decision is
    logged. For all other policies, it is c7n's own mode.
    """

    @property
    def any_call(self):
        """Whether the policy listens to any call, instead of listed ones."""
        return listens_to_any_call(self.policy.data["mode"])

    @property
    def guarded(self):
        """Whether the policy is the guard's, or listens to any call, which c7n's own mode does not understand."""
        return self.any_call or super().guarded

    @property
    def kind(self):
        """The :class:`~c7n_iamguard.iam.principals.Kind` of principal that the policy is about."""
        return kind_of(self.policy.resource_manager)

    def validate(self):
        """Check the settings of a guarded policy, beside c7n's own checks."""
        super().validate()
        if not self.guarded:
            return
        tables = (checks.ANY_CALL,) if self.any_call else ()
        checks.check_mode(self.policy, *tables, checks.BY_EVENT, checks.FUNCTION)
        if "source" not in self.policy.data:  # the event describes the user or role
            checks.check_filters(self.policy)
        if self.any_call:
            checks.check_no_event_filter(self.policy)
        checks.check_admins_pass(self.policy)

    def run(self, event, lambda_context=None):
        """Run the policy on an event; if it is guarded, log every decision, and raise every error for a retry."""
        if not self.guarded:
            return super().run(event, lambda_context)
        event = IAMEvent(event)
        try:
            return self.act(event)
        except LetPass as reason:
            log.info(self.log_line("let-pass", event, reason=str(reason)))
            return None
        except Exception as error:
            if not event.failed:  # the action has said so, one by one
                log.error(self.log_line("failed", event, reason=f"{type(error).__name__}: {error}"))
            raise

    def act(self, event):
        """Run the policy on the principals of an event, and return those that it acted on: one or more."""
        if not self.policy.is_runnable(event):
            raise LetPass("the policy's conditions do not hold here")
        self.check_caller(event)
        principals = self.act_on_caller(event) if self.any_call else self.act_on_listed(event)
        if not principals:
            raise LetPass(event.meant or "exempt by the policy's filters")
        if not event.decided:
            names = [principal[self.kind.name_key] for principal in principals]
            actions = [action.type for action in self.policy.resource_manager.actions]
            log.info(self.log_line("acted", event, **{f"{self.kind.name}s": names}, actions=actions))
        return principals

    def check_caller(self, event):
        """Let an event pass that the policy must not act on, also one that did not come by its rule."""
        who, record = event.who, event.record
        if record.get("eventSource") != EVENT_SOURCE:
            raise LetPass("not a call to IAM")
        if (event.get("source"), event.get("detail-type")) != ("aws.iam", "AWS API Call via CloudTrail"):
            raise LetPass("not an event of CloudTrail for aws.iam")
        if "replay-name" in event:
            raise LetPass("replayed from an archive of EventBridge")
        if who.kind != self.kind.name:
            raise LetPass(f"the caller is no IAM {self.kind.name} but {who.type}")
        account = self.policy.options.account_id
        if event.accounts | {who.account} != {account}:
            raise LetPass(f"an event of another account than {account}")
        if is_services_own(record, who):
            raise LetPass(f"{who.invoked_by} made its own service-linked role")

    def act_on_caller(self, event):
        """Run the policy on the caller of an event, under their new name if they were renamed since."""
        client, who = iam(self.policy.resource_manager), event.who
        principal = self.kind.of_caller(who) if event.is_fresh and who.arn else None
        for _ in range(RENAMES):
            event.forget()
            if principal:
                principals = self.act_on([principal], event)
                if not event.gone:
                    return principals
            if not who.id:
                raise PolicyExecutionError(
                    f"the event does not say by id which {self.kind.name} {who.name} was"
                )
            principal = self.kind.now(client, who.name, who.id)
            if principal is None:
                raise LetPass(f"the {self.kind.name} does not exist any more")
        raise RuntimeError(f"{self.kind.name} {who.id} was renamed {RENAMES} times while being looked for")

    def act_on_listed(self, event):
        """Run the policy on the principals that a listed event names by its ``ids``."""
        names = CloudWatchEvents.get_ids(event, self.policy.data["mode"])
        if not names or not all(isinstance(name, str) for name in names):
            raise LetPass(f"the event names no {self.kind.name}")
        return self.act_on([{self.kind.name_key: name} for name in names], event)

    def act_on(self, principals, event):
        """Run the policy on principals, and return those that its filters left."""
        manager = self.policy.resource_manager
        if "source" in self.policy.data:
            # Not the manager's own get_resources, which turns errors of IAM into no resources.
            principals = manager.source.get_resources([each[self.kind.name_key] for each in principals])
            event.gone = not principals
        principals = manager.filter_resources(principals, event) if principals else []
        if principals:
            with self.policy.ctx:
                self.run_actions(principals, event)
        return principals

    def log_line(self, verdict, event, **fields):
        """A decision about an event, malformed ones too, as one line of JSON."""
        caller = {}
        with suppress(MalformedEvent):
            who = event.who
            caller = {"account": who.account, "caller": who.type, who.kind or "user": who.name}
        return log_line(verdict, event, policy=self.policy.name, **caller, **fields)
