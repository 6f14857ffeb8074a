"""What the catch-ups know from CloudTrail's event history: who was an admin when, and who was given IAM back."""

import logging
import time
from functools import cached_property

from c7n_iamguard import aws_names
from c7n_iamguard.admins import membership
from c7n_iamguard.admins.groups import AdminGroups
from c7n_iamguard.admins.judge import AdminCriterion, AdminGroupMember
from c7n_iamguard.admins.roles import AdminRole
from c7n_iamguard.aws_names import RESTORED_TAG
from c7n_iamguard.decisions import log_line
from c7n_iamguard.event import MalformedEvent, caller, seconds_of, str_or_none
from c7n_iamguard.history.iam_calls import IAMCalls
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import ROLE, kind_of
from c7n_iamguard.settings import name_list, pinned

log = logging.getLogger("c7n_iamguard")

#: The span that is looked at: longer than the time between two runs (1 hour), the delay of the alarm that says that
#: they have stopped (3 hours) and SETTLED_SECONDS together, so that a gap can be closed before it is forgotten.
HOURS = 6
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
#: How far clocks may be apart.
SKEW_SECONDS = 300
#: How long after a call CloudTrail's history may still lack it.
LAG_SECONDS = 90 * 60
TAGGING = frozenset(("TagUser", "TagRole", "CreateUser", "CreateRole"))


class ByHistory(AdminCriterion):
    """What both filters need: the history, who was an admin when, and which roles may make admins."""

    spares_admins = False

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
        return self.admin_role.pin() | (self.groups.pin() if "groups" in self.data else {})

    @cached_property
    def groups(self):
        """The admin groups that the filter itself names, for a policy on roles."""
        where = f"filter:{self.type} groups"
        names = name_list(self.manager.ctx.policy, where, self.data.get("groups", []))
        return AdminGroups(self, names, may_be_missing=True)

    def read(self, look=lambda record: None):
        """Read the history.

        :param look: is called with each record, the newest first
        :returns: the records of successful calls that change who is an admin, or who is denied
        """
        reader = IAMCalls({"type": "iam-calls", "hours": self.data.get("hours", HOURS)}, self.manager)
        history, kept = reader.history(partial=True, seconds=READING_SECONDS), []
        wanted = membership.CHANGES | REMOVALS | TAGGING
        for record in history:
            look(record)
            if record.get("eventName") in wanted and not record.get("errorCode"):
                kept.append(record)
        self.complete = history.complete
        if not self.complete:
            self.report("incomplete", reason="; ".join(history.problems))
        return kept

    def membership(self, records):
        """The :class:`~c7n_iamguard.admins.membership.Membership` over the span of the records."""
        source, groups = self.manager.source, {}
        for item in self.manager.iter_filters():
            if isinstance(item, AdminGroupMember):
                groups |= item.groups.by_id(None)
        # Names, members and groups have to be of one moment: those that were read together.
        current = {group.id: group.name for group in (getattr(source, "groups", None) or {}).values()}
        groups = {group_id: current.get(group_id, name) for group_id, name in groups.items()}
        members = {pair for pair in getattr(source, "members", ()) if pair[0] in groups}
        names = getattr(source, "names", {})
        return membership.Membership(records, groups, names, members, self.is_trusted)

    def is_trusted(self, who):
        """Whether a caller that is no user may make admins: root, and the roles that are meant to use IAM.

        :returns: None if nobody can tell: a role of a listed name that is not the one that was listed
        """
        if who.account != self.manager.config.account_id:
            return False
        if who.kind != "role":
            return who.type == "Root"
        ids = pinned(self.manager.ctx.policy).get("roles")
        return self.admin_role.knows(ROLE.of_caller(who), ids or self.admin_role.pin()["roles"])

    def is_lawful(self, record, admins):
        """Whether somebody made a call who was meant to use IAM then, or of whom nobody can tell."""
        try:
            who = caller(record)
        except MalformedEvent:
            return False
        if who.kind != "user":
            return self.is_trusted(who) is not False
        if kind_of(self.manager) is ROLE:
            return who.id in self.admins_now
        second = seconds_of(record["eventTime"])
        return bool(who.id) and (
            admins.was_admin(who.id, second) or admins.may_have_been_admin(who.id, second)
        )

    @cached_property
    def admins_now(self):
        """The ids of the admin groups' members, for a policy on roles, which does not read the users."""
        client, found = iam(self.manager), set()
        self.groups.check(None)  # finds them by their ids, under the names of now
        for name in self.groups.by_id(None).values():
            for page in client.get_paginator("get_group").paginate(GroupName=name):
                found |= {user["UserId"] for user in page["Users"]}
        return found

    def restored_at(self, kind, principal, records, admins):
        """When a principal was last given IAM back, in seconds since the epoch; 0 if never."""
        about = self.records_about(kind, principal, records)
        lawful = [one for one in about if self.takes_off(one) and self.is_lawful(one, admins)]
        found = [seconds_of(record["eventTime"]) for record in lawful]
        return max(0, *found, self.tagged_at(kind, principal, about, admins))

    @staticmethod
    def records_about(kind, principal, records):
        """The records, the newest first, of calls about a principal, under the name that it had at each time.

        A principal that had its name before, or has its former name now, is another one.
        """
        name, found = principal[kind.name_key].lower(), []
        for record in sorted(records, key=lambda one: one["eventTime"], reverse=True):
            parameters = record.get("requestParameters")
            target = (str_or_none(parameters, f"{kind.name}Name") or "").lower()
            new = (str_or_none(parameters, f"new{kind.noun}Name") or "").lower()
            if target and new == name:
                name = target
            if target == name:
                found.append(record)
        return found

    def takes_off(self, record):
        """Whether a call took off a form of the guard's denial."""
        parameters = record.get("requestParameters")
        named = (str_or_none(parameters, "policyArn") or "").rpartition("/")[2] or str_or_none(
            parameters, "policyName"
        )
        if record["eventName"].endswith("PermissionsBoundary"):
            return record["eventName"] in REMOVALS
        return record["eventName"] in REMOVALS and named in (self.deny_name, aws_names.INLINE_POLICY)

    @property
    def deny_name(self):
        """The name of the managed policy that the policy's revocation attaches."""
        named = (
            action.managed_policy for action in self.manager.actions if action.type == "revoke-iam-access"
        )
        return next(named, aws_names.MANAGED_POLICY).rpartition("/")[2]

    def tagged_at(self, kind, principal, about, admins):
        """The time in a principal's tag ``iam-guard-restored``; 0 if there is none that counts.

        :param about: the records about the principal, the newest first
        """
        value = next((t["Value"] for t in principal["Tags"] if t["Key"].lower() == RESTORED_TAG), None)
        if value is None:
            return 0
        problem, span = None, self.data.get("hours", HOURS) * 3600
        try:
            moment = seconds_of(value)
            problem = "a time in the future" if moment > time.time() + SKEW_SECONDS else None
        except ValueError:
            problem = "no time"
        setters = [record for record in about if self.sets_tag(record)]
        if setters and not self.is_lawful(setters[0], admins):  # the newest
            problem = "set by somebody who is no admin"
        elif not setters and not problem and self.complete and LAG_SECONDS < time.time() - moment < span:
            problem = "set by nobody, by CloudTrail's history"
        if problem:
            reason = f"the tag {RESTORED_TAG} is {problem}, and is ignored"
            self.report("ignored", reason=reason, **{kind.name: principal[kind.name_key]})
            return 0
        return moment

    @staticmethod
    def sets_tag(record):
        """Whether a call set the tag ``iam-guard-restored``."""
        if record["eventName"] not in TAGGING:
            return False
        tags = record["requestParameters"].get("tags")
        keys = [str_or_none(tag, "key") or "" for tag in tags] if isinstance(tags, list) else []
        return RESTORED_TAG in [key.lower() for key in keys]

    def report(self, verdict, **fields):
        """Log what came of the run, or of one principal, beside the decisions."""
        policy, account = self.manager.ctx.policy.name, self.manager.config.account_id
        log.error(log_line(verdict, None, policy=policy, account=account, **fields))
