"""What the event path has missed, by CloudTrail's event history: two filters for the catch-ups."""

import logging
import time
from calendar import timegm
from datetime import datetime, timedelta, timezone

from c7n.exceptions import PolicyExecutionError
from c7n.resources.iam import User
from c7n.utils import type_schema

from c7n_iamguard import deny, membership, principals
from c7n_iamguard.admin_roles import AdminRole
from c7n_iamguard.admins import AdminCriterion, AdminGroupMember
from c7n_iamguard.calls import Calls, IAMCalls
from c7n_iamguard.decisions import line
from c7n_iamguard.deployment import OBSERVED, SINCE_TAG
from c7n_iamguard.event import MalformedEvent, caller, text
from c7n_iamguard.principals import ROLE, kind_of
from c7n_iamguard.restore import RESTORED_TAG
from c7n_iamguard.settings import pinned

log = logging.getLogger("c7n_iamguard")

#: The event path has half an hour for a call: CloudTrail's delay, three tries, and the history's own delay.
SETTLED_SECONDS = 30 * 60
#: A little more than the time between two runs.
PERIOD_SECONDS = 62 * 60
#: How long reading the history may take: well under the function's 15 minutes.
READING_SECONDS = 10 * 60
#: The calls that take off one form of the denial, by name.
REMOVALS = frozenset(
    f"{verb}{kind.noun}{what}"
    for kind in principals.KINDS
    for verb, what in (("Detach", "Policy"), ("Delete", "Policy"), ("Delete", "PermissionsBoundary"))
)
TAGGING = frozenset(("TagUser", "TagRole"))


class ByHistory(AdminCriterion):
    """What both filters need: the history, who was an admin when, and which roles may make admins."""

    def __init__(self, data, manager=None):
        super().__init__(data, manager)
        listed = {"type": "admin-role", "roles": data.get("roles", []), "allow-missing-role": True}
        self.admin_role = AdminRole(listed, manager)

    def validate(self):
        """Check the roles' names.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        if self.data.get("roles"):
            self.admin_role.validate()

    def pin(self):
        """The ids of the roles that may make admins and give IAM back."""
        return self.admin_role.pin()

    def read(self, look=lambda record: None):
        """Read the history.

        :param look: is called with each record, the newest first
        :returns: the records of successful calls that change who is an admin, or who is denied
        """
        reader = IAMCalls({"type": "iam-calls", "hours": self.data.get("hours", 6)}, self.manager)
        history, kept = reader.history(partial=True, seconds=READING_SECONDS), []
        wanted = membership.CHANGES | REMOVALS | TAGGING
        for record in history:
            look(record)
            if record.get("eventName") in wanted and not record.get("errorCode"):
                kept.append(record)
        if not history.complete:
            self.report("incomplete", reason="; ".join(history.problems))
        return kept

    def membership(self, records):
        """The :class:`~c7n_iamguard.membership.Membership` over the span of the records."""
        source, groups = self.manager.source, {}
        for item in self.manager.iter_filters():
            if isinstance(item, AdminGroupMember):
                groups |= item.groups.by_id(None)
        members = {pair for pair in getattr(source, "members", ()) if pair[0] in groups}
        names = getattr(source, "names", {})
        return membership.Membership(records, groups, names, members, self.is_trusted)

    def is_trusted(self, who):
        """Whether a caller that is no user may make admins: root, and the roles that are meant to use IAM."""
        if who.account != self.manager.config.account_id:
            return False
        if who.kind != "role":
            return who.type == "Root"
        ids = pinned(self.manager.ctx.policy).get("roles")
        try:
            return self.admin_role.is_listed(ROLE.of_caller(who), ids or self.admin_role.pin()["roles"], None)
        except PolicyExecutionError:
            return False  # a listed name, and not the role that was listed under it

    def report(self, verdict, **fields):
        """Log what came of the run, or of one principal, beside the decisions."""
        policy, account = self.manager.ctx.policy.name, self.manager.config.account_id
        log.error(line(verdict, None, policy=policy, account=account, **fields))


def seconds_of(record):
    """When a record's call was made, in seconds since the epoch."""
    return timegm(time.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ"))


@principals.register("filter_registry", "unintended-iam-calls")
class UnintendedIAMCalls(ByHistory):
    """Users or roles that called IAM within the last ``hours``, 6 by default, without being meant to.

    These are the calls that ``revoke-unintended-iam-access`` should have acted on. What does not count:

    - calls of the last half hour, which the event path may still be working on;
    - calls of a user who was lawfully in an admin group at that moment;
    - calls from before the function was first deployed, or from before it stopped to observe;
    - calls from before IAM was given back: by the tag ``iam-guard-restored``, or because an admin took off the
      denial. A tag with a time in the future, or set by somebody who is no admin, is ignored and reported.

    ``roles`` names the roles that may make admins and give IAM back, as ``admin-role`` does. The calls that
    count are in ``c7n:IAMCalls``, the newest first. If nobody can tell whether somebody was an admin, that is
    logged as ``failed``, and they do not match. If the history cannot be read to its end within ten minutes, that
    is logged as ``incomplete``, and the calls that were read count.

    If no denial stops a principal from calling again, because the policy observes or only AWS can change the role,
    each call counts in one hour alone.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-calls-that-the-guard-missed
            resource: aws.iam-user
            source: authorization-details
            filters:
              - not:
                  - admin-group-member
              - not:
                  - iam-access-revoked
              - unintended-iam-calls

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    """

    schema = type_schema(
        "unintended-iam-calls",
        hours={"type": "integer", "minimum": 1, "maximum": 2160},
        roles={"type": "array"},
    )
    permissions = ("cloudtrail:LookupEvents", "iam:ListRoles")

    def process(self, resources, event=None):
        """The principals among ``resources`` with calls that count.

        :raises PolicyExecutionError: if it is unknown who the admins are
        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        self.kind, self.now = kind_of(self.manager), time.time()
        calls = Calls(self.kind, resources, self.manager.config.account_id)
        records = self.read(calls.add)
        settled = [record for record in records if self.now - seconds_of(record) >= SETTLED_SECONDS]
        self.admins, self.lawful_records = self.membership(records), []
        self.settled_admins = self.membership(settled)
        found = []
        for name, made in calls.found.items():
            principal = calls.by_name[name]
            since = max(self.judged_since(), self.restored_at(principal, records))
            counted = [call for call in made if self.counts(principal, call, since)]
            if counted:
                principal[IAMCalls.annotation] = counted
                found.append(principal)
        return found
