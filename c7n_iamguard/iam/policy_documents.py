"""The deny documents, their names, and whether another document denies as much. Pure.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

import json
import re

#: What a revocation takes away.
DENIED_ACTIONS = ("iam:*",)


def deny_document(actions=DENIED_ACTIONS):
    """The policy document that denies ``actions`` on everything, as compact JSON text.

    Compact, because all inline policies of a user share 2,048 characters.
    """
    statement = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def is_own_document(policy):
    """Whether a policy document is exactly one that :func:`deny_document` makes, for whichever actions.

    Anything else is somebody else's document.

    :param policy: a policy document, as JSON text or parsed; anything else is nobody's
    """
    found = statements(policy)
    actions = found[0].get("Action") if len(found) == 1 else None
    if not isinstance(actions, list) or not actions or texts(actions) != actions:
        return False
    parsed = json.loads(policy) if isinstance(policy, str) else policy
    return parsed == json.loads(deny_document(actions))


def denies(policy, actions=DENIED_ACTIONS):
    """Whether a policy document denies all of ``actions``, on every resource and under no condition.

    In doubt it says no: a denial under a condition, on some resources, or by several patterns together does
    not count.

    :param policy: a policy document, as JSON text or parsed; anything else denies nothing
    :param actions: action patterns, such as ``iam:*``
    """
    denials = [s for s in statements(policy) if s.get("Effect") == "Deny" and unconditional(s)]
    return bool(actions) and all(any(takes_in(s, action) for s in denials) for action in actions)


def withholds(policy, actions=DENIED_ACTIONS):
    """Whether a permissions boundary of this document leaves nothing of ``actions`` to its user.

    A boundary grants nothing by itself: it withholds what it denies, and what it does not allow.
    """
    found = statements(policy)
    if denies(policy, actions):
        return True
    allowances = [s for s in found if s.get("Effect") != "Deny"]
    return bool(found) and not any(touches(s, action) for s in allowances for action in actions)


def carries_denial(policy):
    """Whether a policy document denies anything to anybody. In doubt it says yes.

    :param policy: a policy document, as JSON text or parsed
    """
    found = statements(policy)
    return not found or any(statement.get("Effect") != "Allow" for statement in found)


def statements(policy):
    """The statements of a document, as a list of dicts; empty where it is no policy document."""
    if isinstance(policy, str):
        try:
            policy = json.loads(policy)
        except ValueError:
            return []
    found = listed(policy.get("Statement", [])) if isinstance(policy, dict) else []
    return found if all(isinstance(statement, dict) for statement in found) else []


def unconditional(statement):
    """Whether a statement holds for every resource and caller, at any time."""
    whole = any(isinstance(r, str) and r and not r.strip("*") for r in listed(statement.get("Resource", [])))
    limited = ("Condition", "NotResource", "Principal", "NotPrincipal")
    return whole and not any(statement.get(key) for key in limited)


def takes_in(statement, action):
    """Whether a statement is about everything that an action pattern matches."""
    if "NotAction" in statement:
        return "Action" not in statement and not any(
            overlap(excepted, action) for excepted in texts(statement["NotAction"])
        )
    return any(covers(pattern, action) for pattern in texts(statement.get("Action", [])))


def touches(statement, action):
    """Whether a statement is about anything that an action pattern matches."""
    if "NotAction" in statement:
        return not any(covers(excepted, action) for excepted in texts(statement["NotAction"]))
    return any(overlap(pattern, action) for pattern in texts(statement.get("Action", [])))


def covers(pattern, other):
    """Whether an action pattern matches all that another one matches, without regard to case.

    ``*`` is any characters, ``?`` is one. A wildcard of ``other`` is only covered by one of ``pattern``.
    """
    # The text between two stars is searched from where the last one ended: the first place is always the best
    # one. A single regular expression would try them all, and the documents are an attacker's.
    other, (head, *middle) = other.lower(), [_one_by_one(part) for part in pattern.lower().split("*")]
    if not middle:
        return re.fullmatch(head, other) is not None
    found = re.match(head, other)
    for part in middle[:-1]:
        found = found and re.compile(part).search(other, found.end())
    return bool(found) and re.compile(f"(?:{middle[-1]})$").search(other, found.end()) is not None


def overlap(one, other):
    """Whether two action patterns may match a name in common, without regard to case. In doubt it says yes.

    They do not if their texts before the first star, or after the last one, contradict each other.
    """
    one, other = one.lower(), other.lower()
    if "*" not in one + other and len(one) != len(other):
        return False
    heads = one.partition("*")[0], other.partition("*")[0]
    tails = one.rpartition("*")[2][::-1], other.rpartition("*")[2][::-1]
    return _agree(*heads) and _agree(*tails)


def _one_by_one(text):
    """A regular expression for text without stars. ``?`` matches no star: it stands for one character."""
    return re.escape(text).replace(r"\?", "[^*]")


def _agree(one, other):
    return all(a == b or "?" in (a, b) for a, b in zip(one, other, strict=False))


def listed(value):
    """A value that may stand alone or in a list, as a list."""
    return value if isinstance(value, list) else [value]


def texts(value):
    """The texts among what may stand alone or in a list."""
    return [item for item in listed(value) if isinstance(item, str)]
