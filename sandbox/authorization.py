"""IAM's policy evaluation, as far as the guard's tests rely on it.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
An operator or a condition key that is not known here fails loudly: a wrong yes would be worse.
"""

import json
import re

#: The condition keys that a request can carry here. Any other key in a policy is an error.
KNOWN_KEYS = {
    "aws:principalarn",
    "aws:principalaccount",
    "aws:sourceaccount",
    "aws:tagkeys",
    "iam:policyarn",
    "iam:permissionsboundary",
    "iam:passedtoservice",
    "lambda:functionarn",
    "sts:externalid",
    "token.actions.githubusercontent.com:aud",
    "token.actions.githubusercontent.com:sub",
}


def allows(policies, action, resource, context=None):
    """Whether one set of policies allows an action: ``True``, ``False`` by default, ``None`` by a deny.

    :param policies: policy documents, as dicts or JSON text
    :param action: ``service:Operation``
    :param resource: the ARN that it is about, ``*`` if none
    :param context: the request's condition keys, in lower case
    """
    allowed = False
    for policy in policies:
        document = json.loads(policy) if isinstance(policy, str) else policy
        for statement in listed(document["Statement"]):
            if applies(statement, action, resource, context or {}):
                if statement["Effect"] == "Deny":
                    return None
                allowed = True
    return allowed


def authorized(principal, action, resource, context, scps=()):
    """Whether a principal may do something, by every kind of policy that has a say."""
    if principal.kind in ("Root", "Service"):
        return True
    if action == "sts:GetCallerIdentity":
        return True
    context = {
        "aws:principalarn": policy_arn_of(principal),
        "aws:principalaccount": principal.account,
        **context,
    }
    layers = [identity_policies(principal)]
    boundary = boundary_of(principal)
    if boundary is not None:
        layers.append([boundary])
    if principal.policy or principal.kind == "FederatedUser":
        layers.append([principal.policy] if principal.policy else [])
    if scps:
        layers.append(scps)
    return all(allows(layer, action, resource, context) for layer in layers)


def trusts(document, names, action, context):
    """Whether a role's trust policy lets somebody take the role.

    :param document: the trust policy, as a dict or JSON text
    :param names: what the caller may be called in it: values by ``AWS``, ``Service`` and ``Federated``
    """
    document = json.loads(document) if isinstance(document, str) else document
    about = [s for s in listed(document["Statement"]) if names_any(s["Principal"], names)]
    return allows([{"Statement": about}], action, "*", context) is True


def names_any(principal, names):
    """Whether a statement's ``Principal`` names somebody who may be called by ``names``."""
    principal = {"AWS": "*"} if principal == "*" else principal
    return any(
        value == "*" or value in names.get(kind, ())
        for kind, values in principal.items()
        for value in listed(values)
    )


def policy_arn_of(principal):
    """``aws:PrincipalArn`` is the role's ARN for its sessions, the user's for theirs."""
    return principal.entity.arn if principal.entity else principal.arn


def identity_policies(principal):
    """The documents of a principal's inline and managed policies, and those of a user's groups."""
    entity = principal.entity
    holders = [entity]
    if principal.kind != "AssumedRole":
        holders += principal.backend.get_groups_for_user(entity.name)
    documents = []
    for holder in holders:
        documents += holder.policies.values()
        documents += [default_document(policy) for policy in holder.managed_policies.values()]
    return documents


def boundary_of(principal):
    arn = getattr(principal.entity, "permissions_boundary_arn", None)
    return default_document(principal.backend.managed_policies[arn]) if arn else None


def default_document(policy):
    return next(version.document for version in policy.versions if version.is_default)


def applies(statement, action, resource, context):
    """Whether a statement is about this action, on this resource, under these conditions."""
    if "Action" in statement:
        about = any(matches(pattern, action, re.IGNORECASE) for pattern in listed(statement["Action"]))
    else:
        about = not any(matches(p, action, re.IGNORECASE) for p in listed(statement["NotAction"]))
    if not about:
        return False
    if "NotResource" in statement:
        about = not any(matches(pattern, resource) for pattern in listed(statement["NotResource"]))
    else:
        about = any(matches(pattern, resource) for pattern in listed(statement.get("Resource", "*")))
    return about and all(
        holds(operator, key, listed(expected), context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, expected in keys.items()
    )


def holds(operator, key, expected, context):
    """Whether one condition holds."""
    key = key.lower()
    if operator.startswith("ForAllValues:"):
        operator = operator.removeprefix("ForAllValues:")
        return all(holds(operator, key, expected, {key: value}) for value in context.get(key, ()))
    if operator.startswith("ForAnyValue:"):
        operator = operator.removeprefix("ForAnyValue:")
        return any(holds(operator, key, expected, {key: value}) for value in context.get(key, ()))
    name, if_exists = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    if key not in KNOWN_KEYS:
        raise ValueError(f"the sandbox does not know the condition key {key}")
    if name == "Null":
        return (context.get(key) is None) == (expected[0] == "true")
    negated = "Not" in name
    name = name.replace("Not", "")
    if name not in ("StringEquals", "StringLike", "ArnEquals", "ArnLike", "StringEqualsIgnoreCase"):
        raise ValueError(f"the sandbox does not know the condition operator {operator}")
    actual = context.get(key)
    if actual is None:
        return if_exists or negated
    if name == "StringEquals":
        found = actual in expected
    elif name == "StringEqualsIgnoreCase":
        found = actual.lower() in (value.lower() for value in expected)
    else:
        found = any(matches(pattern, actual) for pattern in expected)
    return found != negated


def matches(pattern, value, flags=0):
    """IAM's wildcards: ``*`` for any characters, ``?`` for one. Nothing else is special."""
    pattern = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, value, flags | re.DOTALL) is not None


def listed(value):
    return value if isinstance(value, list) else [value]


def resource_of(service, action, params, account, partition, region):
    """The ARN that a request is about, for the services that a test of the guard calls.

    :param params: the request's parameters
    """
    iam = f"arn:{partition}:iam::{account}:"
    if service == "iam":
        if "UserName" in params and "GroupName" not in params:
            return f"{iam}user/{params['UserName']}"
        for key, kind in (("GroupName", "group"), ("RoleName", "role")):
            if key in params:
                return f"{iam}{kind}/{params[key]}"
        for key in ("PolicyArn", "Arn"):
            if key in params:
                return params[key]
        if action == "CreatePolicy":
            return f"{iam}policy{params.get('Path', '/')}{params['PolicyName']}"
        return "*"
    if service == "sts" and "RoleArn" in params:
        return params["RoleArn"]
    if service == "events" and (name := params.get("Rule") or params.get("Name")):
        return f"arn:{partition}:events:{region}:{account}:rule/{name}"
    if service == "lambda" and action.endswith("EventSourceMapping"):
        return "*"  # Lambda knows the function by a condition key alone
    if service == "lambda" and (name := params.get("FunctionName") or params.get("Resource")):
        if name.startswith("arn:"):
            return name
        return f"arn:{partition}:lambda:{region}:{account}:function:{name}"
    if service == "sqs" and (url := params.get("QueueUrl")):
        return f"arn:{partition}:sqs:{region}:{account}:{url.rsplit('/', 1)[-1]}"
    return "*"
