"""The documents that deny, and whether another document denies as much. Pure.

A document is JSON text, or parsed. Whatever else stands there denies nothing.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

import json
import re
from collections.abc import Sequence
from typing import Any

#: The actions that a revocation denies.
DENIED_ACTIONS = ("iam:*",)


def deny_document(actions: Sequence[str] = DENIED_ACTIONS) -> str:
    """The policy document that denies ``actions``, as compact JSON: inline policies share 2,048 characters."""
    statement = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def is_own_document(document: Any) -> bool:
    """Whether a policy document is exactly one that :func:`deny_document` makes, for whichever actions."""
    only = statements(document)[0] if len(statements(document)) == 1 else {}
    actions = only.get("Action")
    if not isinstance(actions, list) or not actions or texts(actions) != actions:
        return False
    return bool(parsed(document) == json.loads(deny_document(actions)))


def denies(document: Any, actions: Sequence[str] = DENIED_ACTIONS) -> bool:
    """Whether a policy document denies all of ``actions``, which are patterns such as ``iam:*``.

    A denial under a condition, on some resources, or by several patterns together does not count.
    """
    denials = [s for s in statements(document) if s.get("Effect") == "Deny" and unconditional(s)]
    return bool(actions) and all(any(takes_in(s, action) for s in denials) for action in actions)


def withholds(document: Any, actions: Sequence[str] = DENIED_ACTIONS) -> bool:
    """Whether a permissions boundary of this document leaves nothing of ``actions`` to its user.

    A boundary grants nothing by itself: it withholds what it denies, and what it does not allow.
    """
    if denies(document, actions):
        return True
    every = statements(document)
    allowances = [s for s in every if s.get("Effect") != "Deny"]
    return bool(every) and not any(touches(s, action) for s in allowances for action in actions)


def carries_denial(document: Any) -> bool:
    """Whether a policy document denies anything to anybody. In doubt it says yes."""
    every = statements(document)
    return not every or any(statement.get("Effect") != "Allow" for statement in every)


def parsed(document: Any) -> Any:
    """A document as Python values; None if it is no JSON text."""
    try:
        return json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return None


def statements(document: Any) -> list[dict[str, Any]]:
    """The statements of a document; empty if it is no policy document."""
    document = parsed(document)
    every = listed(document.get("Statement", [])) if isinstance(document, dict) else []
    return every if all(isinstance(statement, dict) for statement in every) else []


def unconditional(statement: dict[str, Any]) -> bool:
    """Whether a statement holds for every resource and caller, at any time."""
    whole = any(isinstance(r, str) and r and not r.strip("*") for r in listed(statement.get("Resource", [])))
    limited = ("Condition", "NotResource", "Principal", "NotPrincipal")
    return whole and not any(statement.get(key) for key in limited)


def takes_in(statement: dict[str, Any], action: str) -> bool:
    """Whether a statement is about everything that an action pattern matches."""
    if "NotAction" in statement:
        excepted = texts(statement["NotAction"])
        return "Action" not in statement and not any(overlap(pattern, action) for pattern in excepted)
    return any(covers(pattern, action) for pattern in texts(statement.get("Action", [])))


def touches(statement: dict[str, Any], action: str) -> bool:
    """Whether a statement is about anything that an action pattern matches."""
    if "NotAction" in statement:
        return not any(covers(excepted, action) for excepted in texts(statement["NotAction"]))
    return any(overlap(pattern, action) for pattern in texts(statement.get("Action", [])))


def covers(pattern: str, other: str) -> bool:
    """Whether an action pattern matches all that another one matches, without regard to case.

    ``*`` is any characters, ``?`` is one. A wildcard of ``other`` is only covered by one of ``pattern``.
    """
    # The text between two stars is searched from where the last one ended: the first place is always the best
    # one. A single regular expression would try them all, and the documents are an attacker's.
    other, (head, *middle) = other.lower(), [_one_by_one(part) for part in pattern.lower().split("*")]
    if not middle:
        return re.fullmatch(head, other) is not None
    match = re.match(head, other)
    for part in (*middle[:-1], f"(?:{middle[-1]})$"):
        match = match and re.compile(part).search(other, match.end())
    return match is not None


def overlap(pattern: str, other: str) -> bool:
    """Whether two action patterns may match a name in common, without regard to case. In doubt it says yes.

    They do not if their texts before the first star, or after the last one, contradict each other.
    """
    pattern, other = pattern.lower(), other.lower()
    if "*" not in pattern + other and len(pattern) != len(other):
        return False
    heads = zip(pattern.partition("*")[0], other.partition("*")[0], strict=False)
    tails = zip(pattern.rpartition("*")[2][::-1], other.rpartition("*")[2][::-1], strict=False)
    return all(a == b or "?" in (a, b) for a, b in (*heads, *tails))


def _one_by_one(text: str) -> str:
    """A regular expression for text without stars. ``?`` matches no star: it stands for one character."""
    return re.escape(text).replace(r"\?", "[^*]")


def listed(value: Any) -> list[Any]:
    """A value that may stand alone or in a list, as a list."""
    return value if isinstance(value, list) else [value]


def texts(value: Any) -> list[str]:
    """The texts among what may stand alone or in a list."""
    return [item for item in listed(value) if isinstance(item, str)]
