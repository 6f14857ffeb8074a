"""At most one event per principal and decision in 15 minutes, unless a further call matters by itself."""

import logging
import time

from c7n_iamguard.decisions import ANNOTATION
from c7n_iamguard.event import str_or_none

log = logging.getLogger("c7n_iamguard")

#: For how many seconds nobody is told again of a principal who goes on calling.
SECONDS = 15 * 60

#: Decisions that change nothing for the caller, so that no denial ends the calls: all of these calls are alike.
LASTING = ("would-revoke", "would-contain", "cannot-revoke")

#: Calls that could take off the denial.
REMOVALS = ("Detach{}Policy", "Delete{}Policy", "Delete{}PermissionsBoundary", "Put{}PermissionsBoundary")


class Repeats:
    """What a function has told, for as long as it stays warm.

    :param kind: the :class:`~c7n_iamguard.iam.principals.Kind` of principal that it tells of
    """

    def __init__(self, kind):
        self.kind = kind
        self.times = {}  # when somebody was told, by subject, and by subject and event

    def is_repeat(self, principal, event):
        """Whether somebody was told of a principal a moment ago, and need not hear of this event as well."""
        if event is None:
            return False
        decision, subject = principal[ANNOTATION]["decision"], self.subject(principal, event)
        repeat = self.is_recent((subject, event_id(event)))  # EventBridge and Lambda may bring an event twice
        if not repeat and self.is_recent(subject):
            repeat = decision in LASTING or (decision == "revoked" and self.is_harmless(principal, event))
        if repeat:
            log.debug("not told again: %s, %s", principal[self.kind.name_key], decision)
        return repeat

    def is_recent(self, key):
        """Whether somebody was told of this within the last quarter of an hour."""
        return key in self.times and time.monotonic() - self.times[key] < SECONDS

    def remember(self, principal, event):
        """Remember that somebody was told, and forget what is too old to matter."""
        now, subject = time.monotonic(), self.subject(principal, event)
        self.times = {key: when for key, when in self.times.items() if now - when < SECONDS}
        self.times[subject] = now
        if event is not None and event_id(event):
            self.times[subject, event_id(event)] = now

    def subject(self, principal, event):
        """A decision about a principal. Each session of a role that cannot be denied may be another person."""
        decision = principal[ANNOTATION]["decision"]
        who = principal.get(self.kind.id_key) or principal[self.kind.name_key]
        session = decision == "cannot-revoke" and event is not None
        return decision, who, str_or_none(event.record["userIdentity"], "principalId") if session else None

    def is_harmless(self, principal, event):
        """Whether a call failed, and was no attempt to take off the denial.

        CloudTrail does not say what a call was about that IAM denied. In doubt it was such an attempt.
        """
        record = event.record
        if not record.get("errorCode"):
            return False
        if record.get("eventName") not in [name.format(self.kind.noun) for name in REMOVALS]:
            return True
        about = str_or_none(record.get("requestParameters"), f"{self.kind.name}Name")
        return about is not None and about.lower() != principal[self.kind.name_key].lower()


def event_id(event):
    """The id of an event's call, which is the same if the event comes again; None if it has none."""
    return str_or_none(event.record, "eventID")
