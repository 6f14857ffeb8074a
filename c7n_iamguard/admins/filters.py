"""The filters ``admin-group-member`` and ``admin-role``: who is meant to use IAM."""

import logging
import time
from dataclasses import replace
from functools import cached_property

from c7n.exceptions import PolicyExecutionError
from c7n.filters import Filter
from c7n.resources.iam import Role, User
from c7n.utils import type_schema

from c7n_iamguard.admins import groups, roles
from c7n_iamguard.admins.judge import Verdict, judge
from c7n_iamguard.admins.options import OPTIONS, MeantOptions, check_meant
from c7n_iamguard.decisions import log_line
from c7n_iamguard.event import IAMEvent, seconds_of, seconds_since
from c7n_iamguard.iam import authorization_details
from c7n_iamguard.iam.client import iam, map_threaded
from c7n_iamguard.iam.principals import kind_of
from c7n_iamguard.settings import check_execution_mode, refuse, where_is

log = logging.getLogger("c7n_iamguard")


def meant_schema(name, **more):
    """The schema of a filter with the options that say who is meant to use IAM.

    If a "not" block has a schema error, c7n prints a page of alternatives. So the schema takes any keys and
    values, and ``validate()`` refuses wrong ones in one sentence.
    """
    schema = type_schema(name, **{key: {} for key in OPTIONS}, **more)
    schema["patternProperties"] = {".": {}}
    return schema


class MeantFilter(MeantOptions, Filter):
    """A filter whose options say who is meant to use IAM."""

    #: The option that has to be there, also if it is empty.
    required = "groups"

    @cached_property
    def groups(self):
        """The :class:`.AdminGroups` of the function, or of the account as of now."""
        return groups.AdminGroups(self, (self.pins or self.pin())["groups"])

    def validate(self):
        """Check the options, and that there is no other key."""
        policy = self.manager.ctx.policy
        for key in self.data.keys() - self.schema["properties"].keys():
            known = ", ".join(sorted(self.schema["properties"].keys() - {"type"}))
            refuse(policy, f"filter:{self.type} {key}", "there is no such key", f"use {known}")
        if self.required not in self.data:
            where, fix = where_is(self, self.required), f"add {self.required}: {OPTIONS[self.required][1]}"
            refuse(policy, where, "nobody is named", fix)
        check_meant(self)
        check_execution_mode(policy)

    def judge_call(self, event, who, meant, in_admin_group):
        """The judge's answer about an event's call by ``who``, or about any call of theirs now."""
        record = None if event is None else event.record
        # A call without a time counts as one of now.
        moment = time.time() if seconds_since(record) is None else seconds_of(record["eventTime"])
        verdict = judge(record, who, moment, meant, in_admin_group)
        if verdict.meant and event is not None:
            event.meant = verdict.reason
        return verdict

    def judge_principal(self, principal, event, meant):
        """The judge's answer about a user or role: about the event's call if they made it, else about any call."""
        kind = kind_of(self.manager)
        name, unique_id = principal[kind.name_key], principal.get(kind.id_key)
        if event is not None and event.who.is_principal(kind.name, name, unique_id):
            call, who = event, replace(event.who, path=principal.get("Path") or event.who.path)
        else:
            described = principal
            if event is not None and not unique_id:  # a listed event names its target
                described = kind.by_name(iam(self.manager), name) or principal
            call, who = None, kind.as_caller(described)
        return self.judge_call(call, who, meant, lambda ids: self.is_member(principal, ids, call))

    def is_member(self, user, admin_ids, event):
        """Whether a user is in an admin group now. The event is None unless it is about a call of this user."""
        if authorization_details.has_details(self.manager, user):
            of_user = user[authorization_details.GROUPS]
        else:
            of_user = groups.of_user(iam(self.manager), user["UserName"])
        if of_user is None:
            if event is not None:
                event.gone = True
            return Verdict(False, "the user does not exist")
        return groups.membership_now(of_user, admin_ids, event)

    def report(self, verdict, **fields):
        """Log what came of the run, or of one principal, beside the decisions."""
        policy, account = self.manager.ctx.policy.name, self.manager.config.account_id
        log.error(log_line(verdict, None, policy=policy, account=account, **fields))


@User.filter_registry.register("admin-group-member")
class AdminGroupMember(MeantFilter):
    """Users who are meant to use IAM: members of the admin groups, and who is exempt.

    ``groups`` names the groups, by name without regard to case, or by id; ``exempt`` single users by id;
    ``self-service`` the calls that everybody may make about themselves. The shipped policies take these from
    ``iam-guard.yml``.

    Deploying a policy pins the groups' ids. From then on the function knows them under any name, and takes no
    other group for them. If one of them is gone, or all are empty, events of users outside of them fail.

    An error of IAM ends the run: it never counts as "in no group". A user who does not exist does not match. If an
    admin group does not exist, or no group has a member, the policy is neither deployed nor run over an account,
    because it would deny everybody.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-outside-the-admin-group
            resource: aws.iam-user
            filters:
              - not: [{type: admin-group-member, groups: [admins]}]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupsForUser.html
    """

    schema = meant_schema("admin-group-member")
    permissions = ("iam:ListGroupsForUser", "iam:GetGroup", "iam:ListGroups", "iam:ListRoles")
    #: Whether ``not`` of the filter leaves those alone who are meant to use IAM.
    spares_admins = True

    def process(self, resources, event=None):
        """The users among ``resources`` who are meant to use IAM."""
        event = IAMEvent.of(event)
        meant = self.who_is_meant(event)
        verdicts = map_threaded(self, lambda user: self.judge_principal(user, event, meant), resources)
        unknown = [verdict for verdict in verdicts if verdict.meant is None]
        if unknown:
            raise PolicyExecutionError(unknown[0].reason)
        if self.pins is not None and any(verdict.meant is False for verdict in verdicts):
            self.groups.check()
        return [user for user, verdict in zip(resources, verdicts, strict=True) if verdict.meant]


@Role.filter_registry.register("admin-role")
class AdminRole(MeantFilter):
    """Roles that are meant to use IAM, and who is exempt.

    ``roles`` names the roles, by exact name or by ARN. ``AWSReservedSSO_AdministratorAccess_*`` stands for the
    roles of a permission set, below ``/aws-reserved/sso.amazonaws.com/``, where only AWS can make roles.
    ``exempt`` names single roles and sessions by id. The shipped policies take these from ``iam-guard.yml``.

    The guard's own roles and StackSets' execution roles match as well, whatever the list says.

    Deploying a policy pins the roles' ids. If a role is deleted and made again under a listed name, its events fail
    until the policy is deployed again.

    :example:

    .. code-block:: yaml

        policies:
          - name: roles-that-should-not-use-iam
            resource: aws.iam-role
            filters:
              - not: [{type: admin-role, roles: [Terraform, "AWSReservedSSO_AdministratorAccess_*"]}]

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """

    schema = meant_schema("admin-role")
    permissions = ("iam:GetRole", "iam:ListRoles", "iam:GetGroup", "iam:ListGroups")
    spares_admins, required = True, "roles"

    def process(self, resources, event=None):
        """The roles that are meant to use IAM, and outside of an event those of which nobody can tell."""
        event = IAMEvent.of(event)
        meant, matched = self.who_is_meant(event), []
        for role in resources:
            verdict, name = self.judge_principal(role, event, meant), role["RoleName"]
            if verdict.meant is None and event is not None:
                raise PolicyExecutionError(verdict.reason)
            if verdict.meant is None:
                self.report("failed", role=name, reason=verdict.reason)
            if verdict.meant is not False:
                matched.append(role)
            elif self.pins is None and roles.USUAL.fullmatch(name):
                log.warning(
                    f"the role {name} is usual in organizations, and is not meant to use IAM; if it is, add {name} "
                    "to admin_roles in iam-guard.yml"
                )
        return matched
