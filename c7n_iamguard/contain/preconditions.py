"""Preconditions for reversing a call, so that the reversal takes nothing but what the call gave.

Names can be taken by somebody else, events come late and twice, and an attacker may try to make the guard remove a
denial. So each precondition compares what IAM has now with what the event tells.
"""

import time
from contextlib import suppress

from botocore.exceptions import ClientError

from c7n_iamguard.aws_names import STACK_SETS_ROLES
from c7n_iamguard.contain.plan import Call
from c7n_iamguard.event import seconds_of, seconds_since
from c7n_iamguard.iam.client import answer_or_none, error_code, retry_conflicts
from c7n_iamguard.iam.policy_documents import carries_denial, parsed
from c7n_iamguard.iam.principals import ROLE, USER

#: After so many seconds, all of IAM knows what a call has made. Until then "no such entity" may be wrong.
SETTLED_SECONDS = 10
#: The clocks behind an event's time and behind a creation date may differ by this many seconds.
SKEW_SECONDS = 5
#: How far a password's creation may be from the call that made it.
PASSWORD_SECONDS = 60
#: The ARNs of Identity Center's own SAML providers hold this.
IDENTITY_CENTER_PROVIDER = ":saml-provider/AWSSSO_"

OWN = "the guard's own roles and those of StackSets have such names, and the guard leaves them alone"
DENIES = "the policy denies something, and the guard lifts no denial"


class Unsafe(Exception):
    """Reversing the call might take more than what it gave. The text says why, ``command`` what to do instead."""

    def __init__(self, reason, command=None):
        super().__init__(reason)
        self.command = command


class AlreadyGone(Exception):
    """There is nothing to reverse any more. The text says what is gone."""


class Preconditions:
    """The preconditions for reversing one event's call, whose caller has ``name`` now."""

    def __init__(self, client, event, name, quarantine):
        self.client, self.event, self.name, self.quarantine = client, event, name, quarantine

    @property
    def time(self):
        """When the call was made, in seconds since 1970; the event's time has no fractions."""
        return seconds_of(self.event.record["eventTime"])

    def retarget(self, plan):
        """A plan about the caller, for the name that the caller has now; another plan as it is."""
        return plan.for_user(self.name) if self.is_caller(plan.target) else plan

    def is_caller(self, target):
        """Whether a plan is about the user who made the call."""
        who = self.event.who
        if target is None or not target.kind == who.kind == "user":
            return False
        return target.name.lower() in (who.name.lower(), self.name.lower())

    def retry_until_visible(self, function, **parameters):
        """Make a call, once more after some seconds if IAM does not know yet what the event has made."""
        try:
            return retry_conflicts(function, **parameters)
        except ClientError as error:
            age = seconds_since(self.event.record)
            if error_code(error) != "NoSuchEntity" or age >= SETTLED_SECONDS:
                raise
        time.sleep(min(SETTLED_SECONDS, SETTLED_SECONDS - age))
        return retry_conflicts(function, **parameters)

    def explain_missing(self, plan):
        """Find out why IAM does not know what a plan is about: its user has another name now, or it is gone."""
        key, target = plan.call.parameters.get("AccessKeyId"), plan.target
        if key:
            return plan.for_user(self.owner(key))
        if target and target.kind != "role" and not self.is_caller(target):
            if target.kind == "user":
                holder = USER.by_name(self.client, target.name)
            else:
                holder = (answer_or_none(self.client.get_group, GroupName=target.name) or {}).get("Group")
            if holder is None or holder["CreateDate"].timestamp() >= self.time:
                raise Unsafe(f"the {target.kind} {target.name} has been deleted, renamed or replaced since")
        raise AlreadyGone("what the call gave is gone already")

    def owner(self, key):
        """The name of the user who has an access key now."""
        try:
            return self.client.get_access_key_last_used(AccessKeyId=key)["UserName"]
        except self.client.exceptions.NoSuchEntityException:
            raise AlreadyGone("the access key is gone already") from None
        except ClientError as error:
            if error_code(error) != "AccessDenied":
                raise
            raise Unsafe(f"IAM does not say whose access key {key} is now") from error

    # The preconditions: each returns the plan, for the name that its user has now

    def new_principal(self, plan):
        """A new user or role: is it the one that the call made, and may it be quarantined?"""
        kind = USER if plan.target.kind == "user" else ROLE
        principal = self.find(kind, plan.target)
        if principal is None:
            raise AlreadyGone(f"the new {kind.name} is gone already")
        if is_own(plan.target):
            raise Unsafe(OWN)
        name = principal[kind.name_key]
        if principal["CreateDate"].timestamp() < self.time - SKEW_SECONDS:
            show = Call(f"Get{kind.noun}", {kind.name_key: name}).command
            raise Unsafe(f"the {kind.name} {name} was there before the call", show)
        if kind is USER:
            plan = plan.for_user(name)
        self.quarantine.refuse_admin(self.client, plan.target)
        self.quarantine.check(self.client)
        return plan

    def find(self, kind, target):
        """The user or role that a call made, whatever its name is now; None if it is gone."""
        get = kind.operation(self.client, "get_{}")
        with suppress(self.client.exceptions.NoSuchEntityException):
            principal = self.retry_until_visible(lambda: get(target.name))[kind.noun]
            if principal[kind.id_key] == target.id:
                return principal
        return kind.by_id(self.client, target.id)

    def password(self, plan):
        """A new password: is it still the one that the call made, and not of somebody who has taken the name?"""
        name = plan.target.name
        try:
            profile = self.retry_until_visible(self.client.get_login_profile, UserName=name)["LoginProfile"]
        except self.client.exceptions.NoSuchEntityException:
            self.explain_missing(plan)
        if abs(profile["CreateDate"].timestamp() - self.time) > PASSWORD_SECONDS:
            raise Unsafe(f"the password that {name} has is another one than the call made")
        return plan

    def inline_policy(self, plan):
        """An inline policy: is it still the one that the call put, and does it deny anything?"""
        if is_own(plan.target):
            raise Unsafe(OWN)
        read = getattr(self.client, f"get_{plan.target.kind}_policy")
        try:
            document = self.retry_until_visible(read, **plan.call.parameters)["PolicyDocument"]
        except self.client.exceptions.NoSuchEntityException:
            self.explain_missing(plan)
        if carries_denial(document):
            raise Unsafe(DENIES)
        if parsed(document) != parsed(plan.redo.parameters["PolicyDocument"]):
            raise Unsafe("somebody has changed the policy since")
        return plan

    def attachment(self, plan):
        """A managed policy: does it deny anything?"""
        try:
            if self.denies(plan.call.parameters["PolicyArn"]):
                raise Unsafe(DENIES)
        except self.client.exceptions.NoSuchEntityException:
            raise AlreadyGone("the policy is gone already") from None
        return plan

    def membership(self, plan):
        """A group: does any of its policies deny anything?"""
        name = plan.call.parameters["GroupName"]
        pages = self.client.get_paginator("get_account_authorization_details")
        pages = pages.paginate(Filter=["Group"], PaginationConfig={"PageSize": 1000})
        every = pages.search("GroupDetailList[]")
        group = next((group for group in every if group["GroupName"].lower() == name.lower()), None)
        if group is None or int(group["CreateDate"].timestamp()) > self.time:
            raise Unsafe(f"the group {name} has been deleted, renamed or replaced since")
        documents = [policy["PolicyDocument"] for policy in group["GroupPolicyList"]]
        attached = [policy["PolicyArn"] for policy in group["AttachedManagedPolicies"]]
        if any(map(carries_denial, documents)) or any(map(self.denies, attached)):
            raise Unsafe(f"the group {name} denies its members something, and the guard lifts no denial")
        return plan

    def denies(self, arn):
        """Whether a managed policy denies anything."""
        return self.quarantine.managed_policies.carries_denial(self.client, arn)

    def new_provider(self, plan):
        """An identity provider: is it still the one that the call made?"""
        ((parameter, arn),) = plan.call.parameters.items()
        if IDENTITY_CENTER_PROVIDER in arn:
            raise Unsafe("it has the name of a provider of Identity Center")
        read = getattr(self.client, plan.call.method.replace("delete", "get", 1))
        try:
            provider = self.retry_until_visible(read, **{parameter: arn})
        except self.client.exceptions.NoSuchEntityException:
            raise AlreadyGone("the provider is gone already") from None
        if provider["CreateDate"].timestamp() > self.time + SKEW_SECONDS:
            raise Unsafe("somebody has made another provider of this name since")
        return plan


def is_own(target):
    """Whether a role has a name as the guard's own roles or those of StackSets have."""
    name = target.name.lower()
    return target.kind == "role" and (name.startswith("iam-guard") or bool(STACK_SETS_ROLES.fullmatch(name)))
