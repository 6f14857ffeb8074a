"""Filters of the catch-ups: what the event path has missed."""

import time

from c7n.resources.iam import User
from c7n.utils import type_schema

from c7n_iamguard.aws_names import SINCE_TAG
from c7n_iamguard.event import seconds_of
from c7n_iamguard.function.deployment import OBSERVED
from c7n_iamguard.history.by_history import PERIOD_SECONDS, SETTLED_SECONDS, ByHistory
from c7n_iamguard.history.iam_calls import Calls, IAMCalls
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.actions import observes
from c7n_iamguard.iam.principals import kind_of

#: How many managed policies IAM attaches to a principal, unless the quota was raised.
FULL = 10


@principals.register("filter_registry", "unintended-iam-calls")
class UnintendedIAMCalls(ByHistory):
    """Users or roles that called IAM within the last ``hours``, 6 by default, without being meant to.

    These are the calls that ``revoke-unintended-iam-access`` should have acted on. What does not count:

    - calls of the last half hour, which the event path may still be working on;
    - calls of a user who was lawfully in an admin group at that moment;
    - calls from before the function was first deployed, or from before it stopped to observe;
    - calls from before IAM was given back: by the tag ``iam-guard-restored``, or because an admin took off the
      denial. A tag with a time in the future, or set by somebody who is no admin, is ignored and reported.

    ``roles`` names the roles that may make admins and give IAM back, as ``admin-role`` does; ``groups`` the admin
    groups whose members may give it back, in a policy on roles. The calls that count are in ``c7n:IAMCalls``, the
    newest first. If nobody can tell whether somebody was an admin, that is logged as ``failed``, and they do not
    match. If the history cannot be read to its end within ten minutes, that is logged as ``incomplete``, and the
    calls that were read count.

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
        groups={"type": "array"},
    )
    permissions = ("cloudtrail:LookupEvents", "iam:ListRoles", "iam:GetGroup")

    def process(self, resources, event=None):
        """The principals among ``resources`` with calls that count.

        :raises PolicyExecutionError: if it is unknown who the admins are
        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        kind = kind_of(self.manager)
        calls = Calls(kind, resources, self.manager.config.account_id)
        records = self.read(calls.add)
        admins, since, until = self.membership(records), self.judged_since(), time.time() - SETTLED_SECONDS
        found = []
        for name, made in calls.found.items():
            principal = calls.by_name[name]
            after = max(since, self.restored_at(kind, principal, records, admins))
            if self.is_never_stopped(kind, principal):
                after = max(after, until - PERIOD_SECONDS)
            counted = [call for call in made if after < seconds_of(call["eventTime"]) <= until]
            counted = self.made_by_a_non_admin(kind, principal, counted, admins)
            if counted:
                principal[IAMCalls.annotation] = counted
                found.append(principal)
        return found

    def judged_since(self):
        """Since when calls are judged: since the function was first deployed, or stopped to observe."""
        tags = self.manager.ctx.policy.data.get("mode", {}).get("tags", {})
        mark = tags.get(SINCE_TAG, "").removesuffix(OBSERVED)
        return seconds_of(mark) if mark else 0

    def is_never_stopped(self, kind, principal):
        """Whether no denial will keep a principal from calling again, and from matching in each run."""
        # With full quotas, somebody's own boundary may be all that denies them IAM, and nothing shows that.
        bound = "PermissionsBoundary" in principal and len(principal["AttachedManagedPolicies"]) >= FULL
        return observes(self.manager) or bound or kind.is_unmodifiable(principal)

    def made_by_a_non_admin(self, kind, principal, calls, admins):
        """The calls among ``calls`` that a principal made while they were no admin."""
        user_id = principal[kind.id_key]
        calls = [call for call in calls if not admins.was_admin(user_id, seconds_of(call["eventTime"]))]
        certain = [
            call for call in calls if not admins.may_have_been_admin(user_id, seconds_of(call["eventTime"]))
        ]
        if calls and not certain:
            reason = "nobody can tell whether they were an admin when they called: look at the admin group"
            self.report("failed", reason=reason, **{kind.name: principal[kind.name_key]})
        return certain


@User.filter_registry.register("unlawful-admin-group-member")
class UnlawfulAdminGroupMember(ByHistory):
    """Members of the admin groups whom somebody added within the last ``hours``, 6 by default, who was no admin.

    CloudTrail's event history tells who was an admin when, in whatever order the events came, and under whatever
    names the users and groups went. ``roles`` names the roles that may make admins, as ``admin-role`` does. What
    nobody can tell is logged as ``failed``. Additions of the last half hour are left to the event path.

    :example:

    .. code-block:: yaml

        policies:
          - name: admins-whom-no-admin-has-made
            resource: aws.iam-user
            source: authorization-details
            filters:
              - admin-group-member
              - unlawful-admin-group-member

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    """

    schema = type_schema(
        "unlawful-admin-group-member",
        hours={"type": "integer", "minimum": 1, "maximum": 2160},
        roles={"type": "array"},
    )
    permissions = ("cloudtrail:LookupEvents", "iam:ListRoles")

    def process(self, resources, event=None):
        """The members among ``resources`` who are not lawful.

        :raises PolicyExecutionError: if it is unknown which the admin groups are
        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        until = time.time() - SETTLED_SECONDS
        # With the records of the last half hour: the names and members that IAM tells are those of now.
        admins = self.membership(self.read())
        doubtful = admins.doubtful_members(until)
        for user in resources:
            if user["UserId"] in doubtful:
                reason = "nobody can tell whether an admin made them one: look at the admin group"
                self.report("failed", reason=reason, user=user["UserName"])
        return [user for user in resources if user["UserId"] in admins.unlawful_members(until)]
