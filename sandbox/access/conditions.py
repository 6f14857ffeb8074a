"""The conditions of IAM policies: which keys there are, of which type, and what the operators make of them.

A key or an operator that is not known here fails loudly, and so does an operator that does not fit its key's
type: a wrong yes would be worse.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import re

STRING, ARN, BOOL = "string", "ARN", "bool"

#: The types of the condition keys that a request can carry here. Any other key in a policy is an error.
KEYS = {
    "aws:principalaccount": STRING,
    "aws:principalarn": ARN,
    "aws:principalisawsservice": BOOL,
    "aws:principalorgid": STRING,
    "aws:securetransport": BOOL,
    "aws:sourceaccount": STRING,
    "aws:sourcearn": ARN,
    "aws:sourceowner": STRING,
    "aws:tagkeys": STRING,
    "aws:userid": STRING,
    "cloudwatch:namespace": STRING,
    "events:source": STRING,
    "iam:passedtoservice": STRING,
    "iam:permissionsboundary": STRING,
    "iam:policyarn": ARN,
    "lambda:functionarn": ARN,
}
#: Keys that start with the name of an identity provider, such as token.actions.githubusercontent.com:sub.
CLAIMS = (":aud", ":sub")

#: Which types an operator fits. AWS recommends ARN operators for ARNs, but string operators work, too.
FITTING = {
    "StringEquals": (STRING, ARN),
    "StringEqualsIgnoreCase": (STRING, ARN),
    "StringLike": (STRING, ARN),
    "ArnEquals": (ARN,),
    "ArnLike": (ARN,),
    "Bool": (BOOL,),
    "Null": (STRING, ARN, BOOL),
}
QUANTIFIERS = {"ForAllValues": all, "ForAnyValue": any}


def holds(operator, key, expected, context):
    """Whether one condition holds.

    :param operator: with what may stand before its name: ``ForAnyValue:``, ``ForAllValues:``
    :param expected: the policy's values, as a list
    :param context: the request's condition keys, in lower case; a list where a key has several values
    :raises ValueError: where AWS would have to decide, and the sandbox cannot
    """
    key = key.lower()
    quantifier, _, operator = operator.rpartition(":")
    actual = context.get(key)
    negated, name = "Not" in operator, operator.replace("Not", "")
    _check(name, key)
    if operator == "Null":
        return (actual is None) == (str(expected[0]).lower() == "true")
    values = [] if actual is None else actual if isinstance(actual, list) else [actual]
    if not quantifier:
        return any(_compares(name, expected, value) for value in values) != negated
    return QUANTIFIERS[quantifier](_compares(name, expected, value) != negated for value in values)


def matches(pattern, value, flags=0):
    """IAM's wildcards: ``*`` for any characters, ``?`` for one. Nothing else is special."""
    pattern = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, value, flags | re.DOTALL) is not None


def arn_matches(pattern, arn):
    """Whether an ARN fits a pattern: each of the six parts by itself, as the ARN operators compare."""
    patterns, parts = pattern.split(":", 5), arn.split(":", 5)
    return pattern == "*" or (len(patterns) == len(parts) and all(map(matches, patterns, parts)))


def _check(name, key):
    type_ = STRING if key.endswith(CLAIMS) else KEYS.get(key)
    if name not in FITTING or type_ is None:
        raise ValueError(f"the sandbox does not know the condition {name} of {key}")
    if type_ not in FITTING[name]:
        raise ValueError(f"{key} is a key of type {type_}: {name} does not fit it")


def _compares(name, expected, actual):
    if name == "StringEquals":
        return actual in expected
    if name == "StringEqualsIgnoreCase":
        return actual.lower() in (value.lower() for value in expected)
    if name == "StringLike":
        return any(matches(pattern, actual) for pattern in expected)
    if name == "Bool":
        return str(actual).lower() in (str(value).lower() for value in expected)
    return any(arn_matches(pattern, actual) for pattern in expected)
