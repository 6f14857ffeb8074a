"""How policy documents are evaluated for an action, a resource and a request's context.

Pure: it knows no account. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
import re

from sandbox.access.conditions import holds, matches


def allows(policies, action, resource, context=None):
    """Whether one set of policies allows an action: ``True``, ``False`` by default, ``None`` by a deny.

    :param policies: policy documents, as dicts or JSON text
    :param action: ``service:Operation``
    :param resource: the ARN that it is about, ``*`` if none
    :param context: the request's condition keys, in lower case
    """
    allowed = False
    for statement in statements(*policies):
        if applies(statement, action, resource, context or {}):
            if statement["Effect"] == "Deny":
                return None
            allowed = True
    return allowed


def names_any(statement, names):
    """Whether a statement of a resource's policy is about somebody who may be called by ``names``.

    :param names: what the caller may be called: values by ``AWS``, ``Service`` and ``Federated``
    """
    if "NotPrincipal" in statement:
        raise ValueError("the sandbox does not know NotPrincipal")
    principal = statement["Principal"]
    principal = {"AWS": "*"} if principal == "*" else principal
    return any(
        value == "*" or value in names.get(kind, ())
        for kind, values in principal.items()
        for value in listed(values)
    )


def trusts(document, names, action, context):
    """Whether a role's trust policy lets somebody take the role.

    :param document: the trust policy, as a dict or JSON text
    :param names: what the caller may be called in it: values by ``AWS``, ``Service`` and ``Federated``
    """
    about = [statement for statement in statements(document) if names_any(statement, names)]
    return allows([{"Statement": about}], action, "*", context) is True


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


def statements(*documents):
    """All statements of policy documents, which are dicts or JSON text."""
    for document in documents:
        document = json.loads(document) if isinstance(document, str) else document
        yield from listed(document["Statement"])


def listed(value):
    return value if isinstance(value, list) else [value]
