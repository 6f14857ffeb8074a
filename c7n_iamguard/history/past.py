"""The judge's view of CloudTrail's event history: who was an admin when, and who was given IAM back."""

import time
from functools import cached_property

from c7n_iamguard.admins.judge import Verdict, judge
from c7n_iamguard.admins.membership import CHANGES, Membership
from c7n_iamguard.aws_names import INLINE_POLICY, MANAGED_POLICY, RESTORED_TAG
from c7n_iamguard.event import MalformedEvent, caller, seconds_of, str_or_none, time_text, value_at
from c7n_iamguard.history.iam_calls import IAMCalls
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import KINDS, ROLE, kind_of

#: How many hours are read: more than the time between two runs (1 hour), the delay of the alarm that says that they
#: have stopped (3 hours) and the event path's half hour together, so that operators can close a gap in time.
HOURS = 6
#: How long reading the history may take, and reading with working out who had which name then: well under the
#: function's 15 minutes.
READING_SECONDS, NAMING_SECONDS = 10 * 60, 13 * 60
#: The calls that remove one form of the denial.
REMOVALS = frozenset(
    f"{verb}{kind.noun}{what}"
    for kind in KINDS
    for verb, what in (("Detach", "Policy"), ("Delete", "Policy"), ("Delete", "PermissionsBoundary"))
)
TAGGING = frozenset(("TagUser", "TagRole", "CreateUser", "CreateRole"))
#: How far clocks may be apart, and how long after a call CloudTrail's history may still lack it, in seconds.
SKEW_SECONDS, LAG_SECONDS = 300, 90 * 60


class Past:
    """The history of a span of time, for a :class:`.MeantFilter`.

    :param meant: who is meant to use IAM, as :class:`.Meant`
    :param look: is called with each record, the newest first
    """

    def __init__(self, element, meant, look=lambda record: None):
        self.element, self.manager, self.meant = element, element.manager, meant
        self.kind = kind_of(self.manager)
        self.hours, self.deadline = element.data.get("hours", HOURS), time.monotonic() + NAMING_SECONDS
        reader = IAMCalls({"type": "iam-calls", "hours": self.hours}, self.manager)
        history = reader.history(partial=True, seconds=READING_SECONDS)
        self.records, wanted = [], CHANGES | REMOVALS | TAGGING
        for record in history:
            look(record)
            if record.get("eventName") in wanted and not record.get("errorCode"):
                self.records.append(record)
        self.complete, self.memberships = not history.problems, {}
        if history.problems:
            element.report("incomplete", reason="; ".join(history.problems))

    def judge(self, record, who):
        """The judge's answer about a call of the past."""
        moment = seconds_of(record["eventTime"])
        return judge(record, who, moment, self.meant, lambda ids: self.was_member(who.id, moment, ids))

    def was_member(self, user_id, moment, admin_ids):
        """Whether a user was in an admin group at a moment, as :class:`.Verdict`."""
        if self.kind is ROLE:  # which does not read the users
            return Verdict(user_id in self.admins_now, "in an admin group now")
        membership = self.membership(admin_ids)
        was_admin = membership.was_admin(user_id, moment)
        if was_admin:
            return Verdict(True, "in an admin group then")
        if was_admin is None:
            reason = "nobody can tell whether they were an admin when they called"
            return Verdict(None, f"{reason}: review the admin group's members")
        existing = {group.id for group in self.manager.source.groups.values()}
        if set(admin_ids) - existing:
            return Verdict(None, "an admin group of that time does not exist any more")
        return Verdict(False, "in no admin group then")

    def membership(self, admin_ids):
        """The :class:`.Membership` of the admin groups of some ids, over the span."""
        key = frozenset(admin_ids)
        if key not in self.memberships:
            source = self.manager.source
            # Names, members and groups have to be of one moment: those that were read together.
            names = {group.id: group.name for group in source.groups.values()}
            members = {pair for pair in source.members if pair[0] in key}
            groups = {group_id: names.get(group_id, group_id) for group_id in key}
            self.memberships[key] = Membership(
                self.records, groups, source.names, members, self.is_trusted,
                lambda: time.monotonic() > self.deadline,
            )  # fmt: skip
            moment = self.memberships[key].unknown_until
            if moment > 0:
                problem = "so many users and groups were renamed that nobody knows who was an admin before"
                self.element.report("incomplete", reason=f"{problem} {time_text(moment)}")
        return self.memberships[key]

    def is_trusted(self, who, moment):
        """Whether a caller might make admins without being one: root, and whoever was exempt or a listed role."""
        if who.account != self.manager.config.account_id:
            return False
        if who.type == "Root":
            return True
        nobody = Verdict(False, "")
        return judge(None, who, moment, self.meant, lambda ids: nobody).meant

    @cached_property
    def admins_now(self):
        """The ids of the admin groups' members, for a policy on roles."""
        groups = map(self.element.groups.find, self.element.groups.names)
        paginate = iam(self.manager).get_paginator("get_group").paginate
        pages = [paginate(GroupName=group.name) for group in groups if group]
        return {user_id for each in pages for user_id in each.search("Users[].UserId")}

    def is_lawful(self, record):
        """Whether the caller was meant to use IAM at the moment of a call; None if nobody can tell."""
        try:
            who = caller(record)
        except MalformedEvent:
            return None
        if who.account != self.manager.config.account_id:
            return False
        return True if who.type == "Root" else self.judge(record, who).meant

    def restored_at(self, principal):
        """When an admin last gave IAM back to a principal, and when perhaps, in seconds since 1970; 0 if never."""
        about = self.records_about(principal)
        moments = {True: [0], None: [0], False: []}
        for record in filter(self.takes_off, about):
            moments[self.is_lawful(record)].append(seconds_of(record["eventTime"]))
        lawful, moment = self.tagged_at(principal, about)
        moments[lawful].append(moment)
        return max(moments[True]), max(moments[None])

    def records_about(self, principal):
        """The records, the newest first, of calls about a principal, under the name that it had at each time.

        A principal that had its name before, or has its former name now, is another one.
        """
        name, about = principal[self.kind.name_key].lower(), []
        for record in sorted(self.records, key=lambda each: each["eventTime"], reverse=True):
            parameters = record.get("requestParameters")
            target = (str_or_none(parameters, f"{self.kind.name}Name") or "").lower()
            new = (str_or_none(parameters, f"new{self.kind.noun}Name") or "").lower()
            if target and new == name:
                name = target
            if target == name:
                about.append(record)
        return about

    def takes_off(self, record):
        """Whether a call removed a form of the guard's denial."""
        parameters, call = record.get("requestParameters"), record["eventName"]
        policy = str_or_none(parameters, "policyArn") or ""
        named = policy.rpartition("/")[2] or str_or_none(parameters, "policyName")
        ours = call.endswith("PermissionsBoundary") or named in (self.deny_name, INLINE_POLICY)
        return call in REMOVALS and ours

    @property
    def deny_name(self):
        """The name of the managed policy that the policy's revocation attaches."""
        named = (a.managed_policy for a in self.manager.actions if a.type == "revoke-iam-access")
        return next(named, MANAGED_POLICY).rpartition("/")[2]

    def tagged_at(self, principal, about):
        """The time in a principal's tag ``iam-guard-restored``, and whether it counts; 0 if there is none."""
        value = next((t["Value"] for t in principal["Tags"] if t["Key"].lower() == RESTORED_TAG), None)
        if value is None:
            return True, 0
        problem, moment = None, 0
        try:
            moment = seconds_of(value)
            problem = "a time in the future" if moment > time.time() + SKEW_SECONDS else None
        except ValueError:
            problem = "no time"
        setters = [record for record in about if sets_tag(record)]
        lawful = self.is_lawful(setters[0]) if setters else None  # the newest
        if lawful is False:
            problem = "set by somebody who is no admin"
        elif not setters and self.complete and LAG_SECONDS < time.time() - moment < self.hours * 3600:
            problem = problem or "set by nobody, by CloudTrail's history"
        if problem:
            reason = f"the tag {RESTORED_TAG} is {problem}, and is ignored"
            self.element.report("ignored", reason=reason, **{self.kind.name: principal[self.kind.name_key]})
            return True, 0
        return lawful, moment


def sets_tag(record):
    """Whether a call set the tag ``iam-guard-restored``."""
    if record["eventName"] not in TAGGING:
        return False
    tags = value_at(record, "requestParameters", "tags")
    keys = [str_or_none(tag, "key") or "" for tag in tags] if isinstance(tags, list) else []
    return RESTORED_TAG in [key.lower() for key in keys]
