"""At most one event per principal and decision in 15 minutes, unless a further call matters by itself."""

import time

from c7n_iamguard.decisions import ANNOTATION
from c7n_iamguard.event import str_or_none

#: For so many seconds there is no further event about a principal who goes on calling.
SECONDS = 15 * 60
#: Decisions that do not keep the caller from calling on. All of these calls are alike.
LASTING = ("would-revoke", "would-contain", "cannot-revoke")
#: Calls that could take off the denial.
REMOVALS = ("Detach{}Policy", "Delete{}Policy", "Delete{}PermissionsBoundary", "Put{}PermissionsBoundary")


class Repeats:
    """The events that a function has sent, for as long as it stays warm."""

    def __init__(self, kind):
        self.kind = kind
        self.times = {}  # when an event was sent, by subject, and by subject and event

    def is_repeat(self, principal, event):
        """Whether the function has just sent an event about a principal, and need not send another one."""
        if event is None:
            return False
        decision, subject = principal[ANNOTATION]["decision"], self.subject(principal, event)
        if self.is_recent((subject, event_id(event))):
            return True  # EventBridge and Lambda may bring an event twice
        alike = decision in LASTING or (decision == "revoked" and self.is_harmless(principal, event))
        return alike and self.is_recent(subject)

    def is_recent(self, key):
        """Whether the function has sent an event about this within the last 15 minutes."""
        return key in self.times and time.monotonic() - self.times[key] < SECONDS

    def remember(self, principal, event):
        """Remember that the function has sent an event, and forget those that are older than 15 minutes."""
        now, subject = time.monotonic(), self.subject(principal, event)
        self.times = {key: when for key, when in self.times.items() if now - when < SECONDS}
        self.times[subject] = now
        if event is not None and event_id(event):
            self.times[subject, event_id(event)] = now

    def subject(self, principal, event):
        """The key of a notice. Each session of a role that cannot be denied may be another person."""
        decision = principal[ANNOTATION]["decision"]
        who = principal.get(self.kind.id_key) or principal[self.kind.name_key]
        session = decision == "cannot-revoke" and event is not None
        return decision, who, str_or_none(event.record["userIdentity"], "principalId") if session else None

    def is_harmless(self, principal, event):
        """Whether a call failed, and was no attempt to take off the denial. In doubt it was: a denied call's record
        does not say what the call was about."""
        record = event.record
        if not record.get("errorCode"):
            return False
        if record.get("eventName") not in [name.format(self.kind.noun) for name in REMOVALS]:
            return True
        about = str_or_none(record, "requestParameters", f"{self.kind.name}Name")
        return about is not None and about.lower() != principal[self.kind.name_key].lower()


def event_id(event):
    """The id of an event's call, which is the same if the event comes again; None if it has none."""
    return str_or_none(event.record, "eventID")
