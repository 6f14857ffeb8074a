"""What was decided: its line in the log, its annotation, and what the actions that decide have in common."""

import json
import logging

from c7n.actions import EventAction
from c7n.exceptions import PolicyExecutionError

from c7n_iamguard.client import map_threaded
from c7n_iamguard.event import MalformedEvent, caller, notes, seconds_since, text
from c7n_iamguard.principals import kind_of
from c7n_iamguard.settings import PolicyOption, check_boolean, filled_in

log = logging.getLogger("c7n_iamguard")

#: The annotation of a resource that says what was decided about it. The actions that follow read it, and it
#: is part of Custodian's output.
ANNOTATION = "c7n:IAMGuard"

#: IAM's limits are shared by all callers of an account; more threads only meet more throttles.
BULK_WORKERS = 5


def observes(manager):
    """Whether one of a policy's actions decides, and changes nothing.

    :param manager: c7n's resource manager
    """
    return any(action.observes for action in manager.actions if isinstance(action, DecidingAction))


def facts(event):
    """What a log line or an output record says of an event: id, name, time and error of the call.

    Works on anything, malformed events too: what is missing, or is no text, is left out.
    """
    record = event.get("detail") if isinstance(event, dict) else None
    keys = ("eventID", "eventName", "eventTime", "errorCode")
    return {key: found[:256] for key in keys if (found := text(record, key)) is not None}


def line(verdict, event, **fields):
    """One decision as one line of JSON, for CloudWatch Logs Insights.

    :param verdict: ``revoked``, ``let-pass``, ``failed`` or another of the decisions in the reference
    :param event: the event that it was decided on, or None outside an event mode; any JSON value
    :param fields: what else belongs to it; None values are left out
    :returns: JSON text; ``delay`` in it is the seconds from the call to now
    """
    age = seconds_since(event)
    found = {"decision": verdict, **fields, **facts(event), "delay": None if age is None else round(age)}
    try:
        who = caller(event)
        found |= {
            "session": who.session,
            "sourceIdentity": who.source_identity,
            "onBehalfOf": who.on_behalf_of,
            "invokedBy": who.invoked_by,
        }
    except MalformedEvent:
        pass  # nobody is named in it
    return json.dumps({key: value for key, value in found.items() if value is not None})


class DecidingAction(PolicyOption, EventAction):
    """An action that decides about each principal, and logs each decision."""

    @property
    def observes(self):
        """Whether the action decides, and changes nothing: its option ``observe``."""
        where = f"action:{self.type} observe"
        return filled_in(self.manager.ctx.policy, where, self.data.get("observe", False))

    def check_observe(self):
        """Refuse an option ``observe`` that says neither yes nor no.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        check_boolean(self.manager.ctx.policy, f"action:{self.type} observe", self.observes)

    @property
    def kind(self):
        """The :class:`~c7n_iamguard.principals.Kind` of principal that the policy is about."""
        return kind_of(self.manager)

    def try_all(self, principals, attempt, purpose):
        """Do something to every principal, also if it fails for some.

        :param attempt: a function of a principal that returns a record, None or the error that it met
        :param purpose: what it does, for the error, such as ``deny IAM to``
        :returns: the records
        :raises PolicyExecutionError: if any attempt failed, after all were made
        """
        outcomes = map_threaded(self, attempt, principals, BULK_WORKERS)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failures:
            raise PolicyExecutionError(
                f"policy:{self.manager.ctx.policy.name} could not {purpose} {len(failures)} of "
                f"{len(principals)} {self.kind.name}s; each is in the log. The first: {failures[0]}"
            ) from failures[0]
        return [record for record in outcomes if record]

    def decide(self, verdict, principal, event, level=logging.INFO, **fields):
        """Log a decision about a principal, and annotate the principal with it."""
        fields = {key: value for key, value in fields.items() if value is not None}
        principal[ANNOTATION] = {"decision": verdict, **fields}
        notes(event)["failed" if verdict == "failed" else "decided"] = True
        found = line(
            verdict,
            event,
            policy=self.manager.ctx.policy.name,
            account=self.manager.config.account_id,
            **{self.kind.name: principal[self.kind.name_key]},
            **fields,
        )
        log.log(logging.ERROR if verdict == "failed" else level, found)
