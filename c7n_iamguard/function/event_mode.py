"""``cloudtrail`` mode that understands ``event: "*"``: any call of a service, of any name.

c7n finds the resources of a CloudTrail event for listed event names only, and silently ignores all others. IAM
alone has more names than an EventBridge pattern can hold, and AWS adds new ones. The mode registered here is
c7n's own, under its own name; it acts differently for policies of the guard alone.
"""

import logging

from c7n.actions import EventAction
from c7n.cwe import CloudWatchEvents
from c7n.exceptions import PolicyExecutionError
from c7n.policy import CloudTrailMode, execution
from c7n.utils import dumps

from c7n_iamguard.decisions import log_line
from c7n_iamguard.event import (
    DETAIL_TYPE,
    EVENT_SOURCE,
    OTHER_TYPES,
    IAMEvent,
    MalformedEvent,
    is_services_own,
)
from c7n_iamguard.function.checks import (
    ANY_CALL,
    BY_EVENT,
    FUNCTION,
    check_admins_pass,
    check_filters,
    check_mode,
    check_no_event_filter,
)
from c7n_iamguard.function.defaults import listens_to_any_call
from c7n_iamguard.function.deployment import GuardedFunction
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import kind_of

log = logging.getLogger("c7n_iamguard")

#: The source of users or roles if a policy names none.
EVENT = "event"
#: How often somebody may change names while being looked for, before the event is left to Lambda's next try.
RENAMES = 3


class LetPass(Exception):
    """The event is none of the policy's business. Its text is the reason for the log."""


@execution.register("cloudtrail")
class GuardedCloudTrailMode(GuardedFunction, CloudTrailMode):
    """A lambda policy using EventBridge rules on CloudTrail API logs; ``event: "*"`` is any call.

    With ``"*"``, the resource is the user or role that made the call, as the event describes it. For a policy of
    the guard, the mode fills in what the policy leaves out, errors of IAM fail the event instead of dropping it,
    and every decision is logged. For all other policies, c7n's own mode does what it always does.
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

    @property
    def source_type(self):
        """Where the event's principal comes from: the event itself, unless the policy names a source."""
        return self.policy.data.get("source", EVENT)

    def validate(self):
        """Check the settings of a guarded policy, beside c7n's own checks.

        :raises PolicyValidationError: naming the policy, the key and the fix
        """
        super().validate()
        if not self.guarded:
            return
        check_mode(self.policy, *((ANY_CALL,) if self.any_call else ()), BY_EVENT, FUNCTION)
        if self.source_type == EVENT:
            check_filters(self.policy)
        if self.any_call:
            check_no_event_filter(self.policy)
        check_admins_pass(self.policy)

    def run(self, event, lambda_context=None):
        """Run the policy on an event; if it is guarded, log one line for every decision.

        :raises Exception: whatever went wrong, so that Lambda tries the event again
        """
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
        """Run the policy on the principals of an event.

        :returns: those that were acted on
        :raises LetPass: if there are none
        """
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
        """Make sure that the policy may act on an event's caller.

        The rule has let the event through; this is the second look, for events that came another way.

        :raises LetPass: if the caller is none of the policy's business
        :raises MalformedEvent: if the event does not say who called
        """
        who, record = event.who, event.record
        if record.get("eventSource") != EVENT_SOURCE:
            raise LetPass("not a call to IAM")
        if event.get("source") != "aws.iam" or event.get("detail-type") != DETAIL_TYPE:
            raise LetPass("not an event of CloudTrail for aws.iam")
        if "replay-name" in event:
            raise LetPass("replayed from an archive of EventBridge")
        if who.kind is None and who.type not in OTHER_TYPES:
            raise PolicyExecutionError(f"nobody knows whose rights a caller of the type {who.type} has")
        if who.kind != self.kind.name:
            raise LetPass(f"the caller is no IAM {self.kind.name} but {who.type}")
        account = self.policy.options.account_id
        if event.accounts | {who.account} != {account}:
            raise LetPass(f"an event of another account than {account}")
        if is_services_own(record, who):
            raise LetPass(f"{who.invoked_by} made its own service-linked role")

    def act_on_caller(self, event):
        """Run the policy on the caller of an event, under their new name if they were renamed meanwhile.

        :raises LetPass: if the caller does not exist any more
        :raises PolicyExecutionError: if it cannot be told who called
        """
        client, who = iam(self.policy.resource_manager), event.who
        principal = self.kind.of_caller(who)
        if not (event.is_fresh and who.arn):
            principal = self.kind.by_name(client, who.name)
            if principal and principal[self.kind.id_key] != who.id:
                principal = None
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
            principal = self.kind.by_id(client, who.id)
            if principal is None:
                raise LetPass(f"the {self.kind.name} does not exist any more")
        raise RuntimeError(f"{self.kind.name} {who.id} was renamed {RENAMES} times while being looked for")

    def act_on_listed(self, event):
        """Run the policy on the principals that a listed event names by its ``ids``.

        :raises LetPass: if the event names nobody
        """
        names = CloudWatchEvents.get_ids(event, self.policy.data["mode"])
        if not names or not all(isinstance(name, str) for name in names):
            raise LetPass(f"the event names no {self.kind.name}")
        return self.act_on([{self.kind.name_key: name} for name in names], event)

    def act_on(self, principals, event):
        """Run the policy's filters and actions on principals.

        :returns: those that the filters left
        """
        manager = self.policy.resource_manager
        if self.source_type != EVENT:
            # Not the manager's own get_resources, which turns errors of IAM into no resources.
            principals = manager.source.get_resources([each[self.kind.name_key] for each in principals])
            event.gone = not principals
        principals = manager.filter_resources(principals, event) if principals else []
        if not principals:
            return []
        with self.policy.ctx as ctx:
            ctx.metrics.put_metric("ResourceCount", len(principals), "Count", Scope="Policy", buffer=False)
            try:
                self.run_actions(principals, event, ctx)
            finally:  # not before the denial, which it would delay
                ctx.output.write_file("resources.json", dumps(principals, indent=2))
        return principals

    def run_actions(self, principals, event, ctx):
        """Run the policy's actions; one that fails does not keep the next one from telling of it.

        :raises Exception: the first error of any action, after all have run
        """
        errors = []
        for action in self.policy.resource_manager.actions:
            by_event = (event,) if isinstance(action, EventAction) else ()
            try:
                results = action.process(principals, *by_event)
                ctx.output.write_file(f"action-{action.name}", dumps(results))
            except Exception as error:
                errors.append(error)
            if event.gone:
                break  # whoever has vanished was not denied anything
        if errors:
            raise errors[0]

    def log_line(self, verdict, event, **fields):
        """A decision about an event, malformed ones too, as one line of JSON."""
        try:
            who = event.who
        except MalformedEvent:
            who = None
        principal = {who.kind: who.name} if who and who.kind else {}
        return log_line(
            verdict,
            event,
            policy=self.policy.name,
            account=who and who.account,
            caller=who and who.type,
            **principal,
            **fields,
        )
