"""Whether a managed policy denies what it should.

An attacker who may write policies can turn ``DenyIAMAccess`` into a policy that allows everything. So an action
reads its default version before it relies on it, at most once a minute.
"""

import threading
import time
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError

from c7n_iamguard.event import str_or_none
from c7n_iamguard.iam.policy_documents import carries_denial

SECONDS = 60


class Distrusted(Exception):
    """A managed policy does not deny what it should, or cannot be read. Its text says why."""


class ManagedPolicies:
    """The managed policies that an action has read, for as long as the function lives."""

    def __init__(self):
        #: When a policy was read and what is wrong with it, by ARN, actions and the function that judged it.
        self.problems = {}
        #: Whether a policy of AWS denies anything, by ARN.
        self.denials = {}
        self.lock = threading.Lock()

    def check(self, client, arn, actions, holds):
        """Make sure that a managed policy denies some actions.

        :param holds: what judges the document: ``denies`` or ``withholds`` of :mod:`.policy_documents`
        :raises Distrusted: if it does not, or cannot be read
        """
        key = (arn, tuple(actions), holds.__name__)
        with self.lock:  # revocations in bulk use several threads
            read, problem = self.problems.get(key, (None, None))
            if read is None or time.monotonic() - read >= SECONDS:
                problem = problem_of(client, arn, actions, holds)
                self.problems[key] = (time.monotonic(), problem)
        if problem:
            raise Distrusted(problem)

    def forget_changed(self, event):
        """Forget the policy that an event's call has changed, so that it is read again."""
        if event is None or event.record.get("errorCode"):
            return
        changed = str_or_none(event.record, "requestParameters", "policyArn")
        self.problems = {key: known for key, known in self.problems.items() if key[0] != changed}

    def carries_denial(self, client, arn):
        """Whether a managed policy denies anything to anybody. AWS's own are read once: only AWS changes them."""
        if arn in self.denials:
            return self.denials[arn]
        answer = carries_denial(document_of(client, arn))
        if ":iam::aws:policy/" in arn:
            self.denials[arn] = answer
        return answer


def document_of(client, arn):
    """The document of a managed policy's default version."""
    with suppress(client.exceptions.NoSuchEntityException):  # most policies were never changed
        first = client.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
        if first["IsDefaultVersion"]:
            return first["Document"]
    version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def problem_of(client, arn, actions, holds):
    """Why a managed policy cannot be relied on, as text; None if it can."""
    try:
        version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        answer = client.get_policy_version(PolicyArn=arn, VersionId=version)
    except (BotoCoreError, ClientError) as error:
        return f"{arn} cannot be read: {error}"
    if not holds(answer["PolicyVersion"]["Document"], actions):
        return f"{arn}, version {version}, does not deny {', '.join(actions)}"
    return None
