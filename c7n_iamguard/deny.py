"""The deny statement: its document and its names. Pure."""

import json

#: The managed policy that ``deploy/account.yml`` makes, and that a revocation attaches.
MANAGED_POLICY = "DenyIAMAccess"
#: The inline policy that a revocation puts where the managed one cannot be attached.
INLINE_POLICY = "DenyIAM"
#: What a revocation takes away.
DENIED_ACTIONS = ("iam:*",)


def document(actions=DENIED_ACTIONS):
    """The policy document that denies ``actions`` on everything, as compact JSON text.

    Compact, because white space is no use to anyone and inline policies share 2,048 characters.
    """
    statement = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def policy_arn(policy, partition, account):
    """The ARN of a managed policy that is given by its ARN, or by its path and name.

    :param policy: ``DenyIAMAccess``, ``security/DenyIAMAccess`` or a whole ARN
    :param partition: ``aws``, ``aws-cn`` or ``aws-us-gov``
    :param account: the 12-digit id of the account that owns it
    """
    if policy.startswith("arn:"):
        return policy
    return f"arn:{partition}:iam::{account}:policy/{policy.lstrip('/')}"
