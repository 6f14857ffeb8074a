"""What the guard looks at before it takes a call back, so that it hits nothing but what the call gave.

Names can be taken by somebody else, events come late and twice, and callers would like to have a denial lifted. So
each look compares what is there now with what the event tells.
"""

import json
import time

from botocore.exceptions import ClientError
from c7n.exceptions import PolicyExecutionError

from c7n_iamguard.admins import groups
from c7n_iamguard.aws_names import STACK_SETS_ROLES
from c7n_iamguard.event import seconds_of, seconds_since
from c7n_iamguard.iam import managed_policies
from c7n_iamguard.iam.client import error_code, retry_conflicts
from c7n_iamguard.iam.policy_documents import carries_denial
from c7n_iamguard.iam.principals import ROLE, USER

#: IAM knows what a call has made everywhere after some seconds. Until then "no such entity" may be wrong.
SETTLED_SECONDS = 10
#: The clocks behind an event's time and behind a creation date may differ by this many seconds.
SKEW_SECONDS = 5
#: How far a password's creation may be from the call that made it.
PASSWORD_SECONDS = 60
#: Identity Center's own SAML providers have such names.
IDENTITY_CENTER_PROVIDER = ":saml-provider/AWSSSO_"

OWN = "the guard's own roles and those of StackSets have such names, and the guard spares them"

#: Whether a managed policy of AWS carries a denial, by its ARN. Nobody but AWS can change one.
_known = {}


class Leave(Exception):
    """The guard must not take back what the call gave. Its text says why."""


class Gone(Exception):
    """There is nothing to take back any more. Its text says what is gone."""


class Looks:
    """The looks at one event.

    :param client: the IAM client
    :param event: the event, which names its call and its caller
    :param name: the name that the caller has now
    :param spared: the ids of the admin groups, whose members are never quarantined
    """

    def __init__(self, client, event, who, name, spared):
        self.client, self.event, self.who, self.name, self.spared = client, event, who, name, spared
        self.by_name = {
            "credential": lambda plan: plan,
            "password": self.password,
            "principal": self.principal,
            "inline": self.inline,
            "managed": self.managed,
            "group": self.group,
            "provider": self.provider,
        }

    def named(self, plan):
        """A plan, about the name that the caller has now if it is about the caller."""
        return plan.about(self.name) if self.is_caller(plan.target) else plan

    def before(self, plan):
        """Look at what a plan is about.

        :returns: the plan, about the name that its user has now
        :raises Leave: if it must not be carried out
        :raises Gone: if there is nothing to take back any more
        :raises botocore.exceptions.ClientError: whatever else IAM answers
        """
        return self.by_name[plan.look](plan)

    def is_caller(self, target):
        """Whether a plan is about the user who made the call."""
        known = target and target.kind == self.who.kind == "user"
        return bool(known) and target.name.lower() in (self.who.name.lower(), self.name.lower())

    def settled(self, function, **parameters):
        """Make a call, once more after some seconds if IAM does not know yet what the event has made.

        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        try:
            return retry_conflicts(function, **parameters)
        except ClientError as error:
            age = seconds_since(self.event.record)
            if error_code(error) != "NoSuchEntity" or age >= SETTLED_SECONDS:
                raise
        time.sleep(min(SETTLED_SECONDS, SETTLED_SECONDS - age))
        return retry_conflicts(function, **parameters)

    def missing(self, plan):
        """Find out why IAM does not know what a plan is about.

        :returns: the plan, about the name that its user has now
        :raises Gone: if somebody has deleted it
        :raises Leave: if nobody can tell
        """
        key, target = plan.call.parameters.get("AccessKeyId"), plan.target
        if key:
            return plan.about(self.owner(key))
        if target is None or target.kind == "role" or self.is_caller(target):
            raise Gone("what the call gave is gone already")
        if target.kind == "user":
            found = USER.by_name(self.client, target.name)
        else:
            found = next(iter(groups.named(self.client, target.name)), None)
        if found is None or found["CreateDate"].timestamp() >= self.time:
            raise Leave(f"the {target.kind} {target.name} has been deleted, renamed or replaced since")
        raise Gone("what the call gave is gone already")

    @property
    def time(self):
        """When the call was made, in seconds since 1970; the event's time has no fractions."""
        return seconds_of(self.event.record["eventTime"])

    def owner(self, key):
        """The name of the user who has an access key now."""
        try:
            return self.client.get_access_key_last_used(AccessKeyId=key)["UserName"]
        except ClientError as error:
            if error_code(error) == "NoSuchEntity":
                raise Gone("the access key is gone already") from error
            if error_code(error) == "AccessDenied":
                raise Leave(f"IAM does not say whose access key {key} is now") from error
            raise

    def principal(self, plan):
        """A new user or role: is it still the one that the call made, and may it be quarantined?"""
        kind, name = (USER if plan.target.kind == "user" else ROLE), plan.target.name
        try:
            call = kind.operation(self.client, "get_{}")
            found = self.settled(lambda: call(name))[kind.noun]
        except self.client.exceptions.NoSuchEntityException:
            found = None
        if found is None or found[kind.id_key] != plan.facts["id"]:
            # Users can be renamed, roles cannot.
            found = USER.by_id(self.client, plan.facts["id"]) if kind is USER else None
        if found is None:
            raise Gone(f"the new {kind.name} is gone already")
        name = found[kind.name_key]
        if is_own(plan.target):
            raise Leave(OWN)
        if kind is ROLE:
            return plan
        of_user = groups.of_user(self.client, name) or []
        if any(group["GroupId"] in self.spared for group in of_user):
            raise PolicyExecutionError(
                f"the call made {name}, who is a member of the admin group by now, and an admin is never "
                "quarantined: look who added them"
            )
        return plan.about(name)

    def password(self, plan):
        """A new password: is it still the one that the call made, or that of somebody who has taken the name?"""
        try:
            found = self.settled(self.client.get_login_profile, UserName=plan.target.name)["LoginProfile"]
        except self.client.exceptions.NoSuchEntityException:
            self.missing(plan)
        if abs(found["CreateDate"].timestamp() - self.time) > PASSWORD_SECONDS:
            raise Leave(f"the password that {plan.target.name} has is another one than the call made")
        return plan

    def inline(self, plan):
        """An inline policy: is it still the one that the call put, and does it deny anything?"""
        if is_own(plan.target):
            raise Leave(OWN)
        read = getattr(self.client, f"get_{plan.target.kind}_policy")
        try:
            found = self.settled(read, **plan.call.parameters)["PolicyDocument"]
        except self.client.exceptions.NoSuchEntityException:
            self.missing(plan)
        if carries_denial(found):
            raise Leave("the policy denies something, and the guard lifts no denial")
        if parsed(found) != parsed(plan.facts["document"]):
            raise Leave("somebody has changed the policy since")
        return plan

    def managed(self, plan):
        """A managed policy: does it deny anything?"""
        try:
            if denies(self.client, plan.call.parameters["PolicyArn"]):
                raise Leave("the policy denies something, and the guard lifts no denial")
        except self.client.exceptions.NoSuchEntityException:
            raise Gone("the policy is gone already") from None
        return plan

    def group(self, plan):
        """A group: does any of its policies deny anything?"""
        name = plan.call.parameters["GroupName"]
        pages = self.client.get_paginator("get_account_authorization_details")
        pages = pages.paginate(Filter=["Group"], PaginationConfig={"PageSize": 1000})
        every = [group for page in pages for group in page["GroupDetailList"]]
        found = next((group for group in every if group["GroupName"].lower() == name.lower()), None)
        if found is None or int(found["CreateDate"].timestamp()) > self.time:
            raise Leave(f"the group {name} has been deleted, renamed or replaced since")
        documents = [policy["PolicyDocument"] for policy in found["GroupPolicyList"]]
        attached = [policy["PolicyArn"] for policy in found["AttachedManagedPolicies"]]
        if any(map(carries_denial, documents)) or any(denies(self.client, arn) for arn in attached):
            raise Leave(f"the group {name} denies its members something, and the guard lifts no denial")
        return plan

    def provider(self, plan):
        """An identity provider: is it still the one that the call made?"""
        ((name, arn),) = plan.call.parameters.items()
        if IDENTITY_CENTER_PROVIDER in arn:
            raise Leave("it has the name of a provider of Identity Center")
        method = plan.call.method.replace("delete", "get", 1)
        try:
            found = self.settled(getattr(self.client, method), **{name: arn})
        except self.client.exceptions.NoSuchEntityException:
            raise Gone("the provider is gone already") from None
        if found["CreateDate"].timestamp() > self.time + SKEW_SECONDS:
            raise Leave("somebody has made another provider of this name since")
        return plan


def denies(client, arn):
    """Whether a managed policy carries a denial.

    :raises botocore.exceptions.ClientError: whatever IAM answers
    """
    found = _known.get(arn)
    if found is None:
        found = carries_denial(managed_policies.document(client, arn))
        if ":iam::aws:policy/" in arn:
            _known[arn] = found
    return found


def is_own(target):
    """Whether a plan is about a role that has a name of the guard's own roles, or of StackSets'."""
    name = target.name.lower()
    return target.kind == "role" and (name.startswith("iam-guard") or bool(STACK_SETS_ROLES.fullmatch(name)))


def parsed(document):
    """A policy document as Python values; None if it is none."""
    try:
        return json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return None
