"""No flood: who was told of somebody a moment ago is not told again of each further call."""

import logging
import time

from c7n_iamguard.decisions import ANNOTATION
from c7n_iamguard.event import detail, text

log = logging.getLogger("c7n_iamguard")

#: For how many seconds nobody is told again of somebody who goes on calling.
SECONDS = 15 * 60

#: Decisions that change nothing for the caller, so that no denial ends the calls: all of these calls are alike.
LASTING = ("would-revoke", "would-contain", "cannot-revoke")

#: Calls that could take off the denial.
REMOVALS = ("Detach{}Policy", "Delete{}Policy", "Delete{}PermissionsBoundary", "Put{}PermissionsBoundary")


class Quiet:
    """What a function has told, for as long as it stays warm.

    :param kind: the :class:`~c7n_iamguard.principals.Kind` of principal that it tells of
    """

    def __init__(self, kind):
        self.kind = kind
        self.told = {}  # when, by subject

    def adds_nothing(self, principal, event):
        """Whether somebody was told of a principal a moment ago, and need not hear of this event as well."""
        when = self.told.get(self.subject(principal, event))
        if event is None or when is None or time.monotonic() - when >= SECONDS:
            return False
        decision = principal[ANNOTATION]["decision"]
        if decision in LASTING or (decision == "revoked" and self.is_harmless(principal, event)):
            log.debug("not told again: %s, %s", principal[self.kind.name_key], decision)
            return True
        return False

    def note(self, principal, event):
        """Remember that somebody was told, and forget what is too old to matter."""
        now = time.monotonic()
        self.told = {subject: when for subject, when in self.told.items() if now - when < SECONDS}
        self.told[self.subject(principal, event)] = now

    def subject(self, principal, event):
        """A decision about a principal. Each session of a role that cannot be denied may be another person."""
        decision = principal[ANNOTATION]["decision"]
        who = principal.get(self.kind.id_key) or principal[self.kind.name_key]
        session = decision == "cannot-revoke" and event is not None
        return decision, who, text(detail(event)["userIdentity"], "principalId") if session else None

    def is_harmless(self, principal, event):
        """Whether a call failed, and was no attempt to take off the denial.

        CloudTrail does not say what a call was about that IAM denied. In doubt it was such an attempt.
        """
        record = detail(event)
        if not record.get("errorCode"):
            return False
        if record.get("eventName") not in [name.format(self.kind.noun) for name in REMOVALS]:
            return True
        about = text(record.get("requestParameters"), f"{self.kind.name}Name")
        return about is not None and about.lower() != principal[self.kind.name_key].lower()
