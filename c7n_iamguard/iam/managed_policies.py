"""Whether a managed policy still denies what it must. IAM is asked at most once a minute.

An attacker who may write policies can turn ``DenyIAMAccess`` into one that allows everything. Attaching it would
then help nobody. So its default version is read, and the answer is remembered for :data:`SECONDS`.
"""

import threading
import time
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError

from c7n_iamguard.event import str_or_none

SECONDS = 60

_known = {}
_lock = threading.Lock()


class Distrusted(Exception):
    """A managed policy that cannot be relied on. Its text says why."""


def check(client, arn, actions, holds):
    """Make sure that a managed policy denies what it must.

    :param client: the IAM client
    :param arn: the policy's ARN
    :param actions: what it has to deny, as action patterns
    :param holds: what decides on its document: ``denies`` or ``withholds`` of :mod:`.policy_documents`
    :raises Distrusted: if it does not, or cannot be read
    """
    key = (arn, tuple(actions), holds.__name__)
    with _lock:  # revocations in bulk use several threads
        known = _known.get(key)
        if known is None or time.monotonic() - known[0] >= SECONDS:
            known = _known[key] = (time.monotonic(), _problem(client, arn, actions, holds))
    if known[1]:
        raise Distrusted(known[1])


def document(client, arn):
    """The document of a managed policy's default version.

    Most policies were never changed, so this asks for the first version before it asks which one counts.

    :raises botocore.exceptions.ClientError: whatever IAM answers
    """
    with suppress(client.exceptions.NoSuchEntityException):
        first = client.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
        if first["IsDefaultVersion"]:
            return first["Document"]
    version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def changed_policy(event):
    """The ARN of the managed policy that an event's call has changed; None if it changed none."""
    if event is None or event.record.get("errorCode"):
        return None
    return str_or_none(event.record.get("requestParameters"), "policyArn")


def forget(arn):
    """Ask IAM again the next time, because somebody has changed the policy."""
    for key in [key for key in _known if key[0] == arn]:
        del _known[key]


def _problem(client, arn, actions, holds):
    try:
        version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        answer = client.get_policy_version(PolicyArn=arn, VersionId=version)
    except (BotoCoreError, ClientError) as error:
        return f"{arn} cannot be read: {error}"
    if not holds(answer["PolicyVersion"]["Document"], actions):
        return f"{arn}, version {version}, does not deny {', '.join(actions)}"
    return None
