"""Whether the policies of all kinds allow a call.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from sandbox.access import resource_policies
from sandbox.access.policies import allows, listed
from sandbox.organizations import organization

SERVICE_LINKED = "/aws-service-role/"


def authorized(principal, action, resource, context, scps=()):
    """Whether a principal may do something.

    :param resource: the ARN that it is about, ``*`` if none; a list where the call is about several
    :param context: the request's condition keys, in lower case
    """
    taking_a_role = action.startswith("sts:AssumeRole")
    if action == "sts:GetCallerIdentity" or (principal.kind == "Root" and not taking_a_role):
        return True
    context = {**context_of(principal), **context}
    return all(_authorized(principal, action, one, context, scps) for one in listed(resource))


def _authorized(principal, action, resource, context, scps):
    owner = owner_of(resource, principal.account)
    on_resource = resource_policies.verdict(resource, principal, action, context)
    if on_resource is None:
        return False
    if principal.kind == "Root":
        return bool(on_resource)
    if principal.kind == "Service":
        return on_resource == "caller"
    if principal.kind == "FederatedUser" and principal.name is None:  # root's
        return bool(principal.policy) and allows([principal.policy], action, resource, context) is True
    if principal.entity is None:
        return False  # a session outlives its role or user, and may do nothing
    granted = allows(identity_policies(principal), action, resource, context)
    limits = [allows(layer, action, resource, context) for layer in limits_of(principal, scps)]
    if granted is None or None in limits:
        return False
    if owner != principal.account:
        return bool(on_resource and granted and all(limits))
    if action.startswith("sts:AssumeRole") and not on_resource:
        return False
    if on_resource == "caller" and principal.kind == "IAMUser":
        # A permissions boundary does not hold back a user whom the resource's policy names.
        return not scps or allows(scps, action, resource, context) is True
    return bool((granted or on_resource == "caller") and all(limits))


def context_of(principal):
    """The condition keys that tell of the caller."""
    context = {
        "aws:principalisawsservice": str(principal.kind == "Service").lower(),
        "aws:securetransport": "true",
    }
    if principal.kind == "Service":
        if principal.session:
            context |= {"aws:sourcearn": principal.session, "aws:sourceaccount": principal.account}
        return context
    context |= {
        "aws:principalarn": principal.policy_arn,
        "aws:principalaccount": principal.account,
        "aws:sourceowner": principal.account,
        "aws:userid": principal.identity()["principalId"],
    }
    if organization.of(principal.account):
        context["aws:principalorgid"] = organization.of(principal.account)
    return context


def owner_of(resource, default):
    parts = resource.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4].isdigit() else default


def identity_policies(principal):
    entity = principal.entity
    holders = [entity]
    if principal.kind != "AssumedRole":
        holders += principal.backend.get_groups_for_user(entity.name)
    documents = []
    for holder in holders:
        documents += holder.policies.values()
        documents += [default_document(policy) for policy in holder.managed_policies.values()]
    return documents


def limits_of(principal, scps):
    """The sets of policies that a call needs an allow of, beside one that grants it."""
    limits = []
    arn = getattr(principal.entity, "permissions_boundary_arn", None)
    if arn:
        limits.append([default_document(principal.backend.managed_policies[arn])])
    if principal.policy or principal.kind == "FederatedUser":
        limits.append([principal.policy] if principal.policy else [])
    if scps and not principal.entity.path.startswith(SERVICE_LINKED):
        limits.append(scps)
    return limits


def default_document(policy):
    return next(version.document for version in policy.versions if version.is_default)
