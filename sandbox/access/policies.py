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
    """Whether a statement of a resource's policy is about somebody whom ``names`` has by ``AWS``, ``Service``, …"""
    if "NotPrincipal" in statement:
        raise ValueError("the sandbox does not know NotPrincipal")
    principal = statement["Principal"]
    principal = {"AWS": "*"} if principal == "*" else principal
    return any(
        value == "*" or value in names.get(kind, ())
        for kind, values in principal.items()
        for value in listed(values)
    )


def grants(document, names, action, resource, context):
    """The answer of a resource's policy, a dict or JSON text, to somebody's call, as :func:`allows`."""
    about = [statement for statement in statements(document) if names_any(statement, names)]
    return allows([{"Statement": about}], action, resource, context)


def applies(statement, action, resource, context):
    if "NotResource" in statement:
        raise ValueError("the sandbox does not know NotResource")
    named = statement.get("Action") or statement["NotAction"]
    about = any(matches(pattern, action, re.IGNORECASE) for pattern in listed(named)) == (
        "Action" in statement
    )
    about = about and any(matches(pattern, resource) for pattern in listed(statement.get("Resource", "*")))
    return about and all(
        holds(operator, key, listed(expected), context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, expected in keys.items()
    )


def statements(*documents):
    for document in documents:
        document = json.loads(document) if isinstance(document, str) else document
        yield from listed(document["Statement"])


def listed(value):
    return value if isinstance(value, list) else [value]
