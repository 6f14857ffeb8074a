"""Whether a managed policy still denies what it must, asked of IAM once a minute at the most.

Whoever may write policies can turn ``DenyIAMAccess`` into one that allows everything, and attaching it would
then help nobody. So its default version is read, and remembered for :data:`SECONDS`.
"""

import threading
import time

from botocore.exceptions import BotoCoreError, ClientError

SECONDS = 60

_seen = {}
_lock = threading.Lock()


def doubt(client, arn, actions, holds):
    """Why a managed policy is not to be relied on; an empty text where it is.

    :param client: the IAM client
    :param arn: the policy's ARN
    :param actions: what it has to deny, as action patterns
    :param holds: what decides on its document: ``denies`` or ``withholds`` of :mod:`c7n_iamguard.deny`
    """
    key = (arn, tuple(actions), holds.__name__)
    with _lock:  # revocations in bulk are made by several threads
        seen = _seen.get(key)
        if seen is None or time.monotonic() - seen[0] >= SECONDS:
            seen = _seen[key] = (time.monotonic(), _look(client, arn, actions, holds))
        return seen[1]


def forget(arn):
    """Ask IAM again the next time: something has been done to the policy."""
    for key in [key for key in _seen if key[0] == arn]:
        del _seen[key]


def _look(client, arn, actions, holds):
    try:
        version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        answer = client.get_policy_version(PolicyArn=arn, VersionId=version)
    except (BotoCoreError, ClientError) as error:
        return f"{arn} cannot be read: {error}"
    if not holds(answer["PolicyVersion"]["Document"], actions):
        return f"{arn}, version {version}, does not deny {', '.join(actions)}"
    return ""
