"""Filters of the catch-ups: what the event path has missed."""

import time

from c7n.resources.iam import User

from c7n_iamguard.admins.filters import MeantFilter, meant_schema
from c7n_iamguard.admins.judge import valid
from c7n_iamguard.aws_names import OBSERVED, SINCE_TAG
from c7n_iamguard.errors import Refusal
from c7n_iamguard.event import seconds_of
from c7n_iamguard.history.iam_calls import HOURS_SCHEMA, Calls, IAMCalls, summary
from c7n_iamguard.history.past import Past
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.authorization_details import AuthorizationDetails
from c7n_iamguard.iam.deciding_action import observes
from c7n_iamguard.iam.principals import USER, kind_of
from c7n_iamguard.settings import refuse

#: The event path has half an hour for a call: CloudTrail's delay, three tries, and the history's own delay.
SETTLED_SECONDS = 30 * 60
#: A little more than the time between two runs.
PERIOD_SECONDS = 62 * 60
#: How many managed policies IAM attaches to a principal, unless the quota was raised.
FULL = 10


class CatchUpFilter(MeantFilter):
    """A filter that reads the event history, and needs all principals with their groups and policies."""

    permissions = ("cloudtrail:LookupEvents", "iam:ListRoles", "iam:ListGroups", "iam:GetGroup")

    def validate(self):
        """Check the options and the source."""
        super().validate()
        if not isinstance(self.manager.source, AuthorizationDetails):
            problem = f"{self.type} needs all users or roles of the account with their groups and policies"
            refuse(self.manager.ctx.policy, "source", problem, "add source: authorization-details")


@principals.register("filter_registry", "unintended-iam-calls")
class UnintendedIAMCalls(CatchUpFilter):
    """Users or roles that called IAM within the last ``hours``, 6 by default, without being meant to.

    These are the calls that ``revoke-unintended-iam-access`` should have acted on. What does not count:

    - calls of the last half hour, which the event path may still be working on;
    - calls of somebody who is meant to use IAM now, or was meant to at that moment;
    - calls from before the function was first deployed, or from before it stopped to observe;
    - calls from before IAM was given back: by the tag ``iam-guard-restored``, or because an admin took off the
      denial. A tag with a time in the future, or set by somebody who is no admin, is ignored and reported.

    The calls that count are in ``c7n:IAMCalls``, the newest first. If nobody can tell whether somebody was meant
    to call, or if a caller does not exist any more, that is logged as ``failed``, and they do not match. If the
    history cannot be read to its end within ten minutes, that is logged as ``incomplete``, and the calls that were
    read count. If more match than the policy's ``max-resources``, nobody does, and the run fails and names them.

    If no denial stops a principal from calling again, because the policy observes or only AWS can change the role,
    each call counts in one hour alone.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-calls-that-the-guard-missed
            resource: aws.iam-user
            source: authorization-details
            filters:
              - not: [iam-access-revoked]
              - {type: unintended-iam-calls, groups: [admins]}

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    """

    schema = meant_schema("unintended-iam-calls", hours=HOURS_SCHEMA)
    leaves_out_admins = True

    def process(self, resources, event=None):
        """The principals among ``resources`` with calls that count."""
        kind, meant = kind_of(self.manager), self.who_is_meant(None)
        if self.pins is not None:
            self.groups.check()
        calls = Calls(kind, resources, self.manager.config.account_id)
        past = Past(self, meant, calls.add)
        # Calls from before the function was deployed, or while it observed, do not count.
        tags = self.manager.ctx.policy.data.get("mode", {}).get("tags", {})
        mark = tags.get(SINCE_TAG, "").removesuffix(OBSERVED)
        since, until = seconds_of(mark) if mark else 0, time.time() - SETTLED_SECONDS
        matched = []
        for name, own in calls.of_principals.items():
            principal = calls.by_name[name]
            counted = self.held_against(past, principal, own, since, until)
            if counted:
                principal[IAMCalls.annotation] = [summary(record, who) for record, who in counted]
                matched.append(principal)
        self.report_the_rest(past, calls, max(since, until - PERIOD_SECONDS), until)
        self.check_number(matched, kind)
        return matched

    def held_against(self, past, principal, calls, since, until):
        """The calls of a principal that count, as (record, caller)."""
        now = self.judge_principal(principal, None, past.meant)
        restored, perhaps_restored = past.restored_at(principal)
        after, doubts, counted = max(since, restored), [], []
        # With full quotas, somebody's own boundary may be all that denies them IAM, and nothing shows that.
        bound = "PermissionsBoundary" in principal and len(principal["AttachedManagedPolicies"]) >= FULL
        # If no denial stops them, each call counts in one run alone.
        if observes(self.manager) or bound or past.kind.is_unmodifiable(principal):
            after = max(after, until - PERIOD_SECONDS)
        for record, who in calls if now.meant is not True else ():
            moment = seconds_of(record["eventTime"])
            if not after < moment <= until:
                continue
            verdict = past.judge(record, who)
            if verdict.meant is None or now.meant is None:
                doubts.append(now.reason if now.meant is None else verdict.reason)
            elif moment <= perhaps_restored:
                doubts.append("nobody can tell whether an admin gave them IAM back since")
            elif not verdict.meant:
                counted.append((record, who))
        if doubts and not counted:
            self.report("failed", reason=doubts[0], **{past.kind.name: principal[past.kind.name_key]})
        return counted

    def report_the_rest(self, past, calls, since, until):
        """Log the calls whose caller cannot be read, or does not exist any more."""
        for record, problem in calls.unreadable:
            if since < seconds_of(record["eventTime"]) <= until:
                reason = f"nobody can tell who made the call {record.get('eventID')}: {problem}"
                self.report("failed", reason=reason)
        for unique_id, (record, who) in calls.of_others.items():
            recent = since < seconds_of(record["eventTime"]) <= until
            exists = unique_id in self.manager.source.names
            if recent and not exists and past.judge(record, who).meant is not True:
                reason = f"{unique_id} called IAM and does not exist any more, so that nobody can be denied"
                self.report("failed", reason=reason, **{past.kind.name: who.name})

    def check_number(self, matched, kind):
        """Refuse to deny more principals at once than the policy allows."""
        policy = self.manager.ctx.policy
        limit = policy.data.get("max-resources")
        if isinstance(limit, int) and len(matched) > limit:
            names = ", ".join(principal[kind.name_key] for principal in matched)
            raise Refusal(
                f"policy:{policy.name} filter:{self.type}: {len(matched)} {kind.name}s called IAM without being "
                f"meant to, and max-resources is {limit}, so that nobody was denied: {names}. Make them admins or "
                "exempt, or raise max-resources and deploy the policy again"
            )


@User.filter_registry.register("unlawful-admin-group-member")
class UnlawfulAdminGroupMember(CatchUpFilter):
    """Members of the admin groups whom a non-admin added within the last ``hours``, 6 by default.

    CloudTrail's event history tells who was an admin when, whatever the order of the events and whatever names the
    users and groups had. ``roles`` and ``exempt`` name who may make admins without being one. What
    nobody can tell is logged as ``failed``: a record does not say whether an addition changed anything, so that
    somebody may have been an admin before. Additions of the last half hour are left to the event path.

    :example:

    .. code-block:: yaml

        policies:
          - name: admins-whom-no-admin-has-made
            resource: aws.iam-user
            source: authorization-details
            filters:
              - {type: unlawful-admin-group-member, groups: [admins]}

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    """

    schema = meant_schema("unlawful-admin-group-member", hours=HOURS_SCHEMA)

    def process(self, resources, event=None):
        """The members among ``resources`` who are not lawful."""
        until, meant = time.time() - SETTLED_SECONDS, self.who_is_meant(None)
        # The records of the last half hour are needed, too: IAM returns the names and members of now.
        past = Past(self, meant)
        membership = past.membership(valid(meant.groups, time.time()))
        doubtful, unlawful = membership.doubtful_members(until), membership.unlawful_members(until)
        for user in resources:
            if user[USER.id_key] in doubtful:
                reason = "nobody can tell whether an admin made them one: review the admin group's members"
                self.report("failed", reason=reason, user=user["UserName"])
        return [user for user in resources if user[USER.id_key] in unlawful]
