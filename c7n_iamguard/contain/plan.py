"""What can be made of a call to IAM: a plan to take it back, or the commands for a person. Pure.

:class:`Record` reads CloudTrail's record of the call. It holds IAM's parameters with the first letter in lower
case: ``UserName`` is ``userName``, and ``SSHPublicKeyId`` is ``sSHPublicKeyId``.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

import dataclasses
import json
import re
import shlex
from dataclasses import dataclass

from botocore import xform_name

from c7n_iamguard.event import str_or_none

REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d", re.ASCII)


class Unclear(Exception):
    """The event lacks what is needed to take the call back. Its text names the part of the event."""


@dataclass(frozen=True)
class Call:
    """A call to IAM that the guard or a person could make.

    :param operation: such as ``UpdateAccessKey``
    :param parameters: as boto3 takes them
    """

    operation: str
    parameters: dict

    @property
    def method(self):
        """The name of boto3's method."""
        return xform_name(self.operation)

    @property
    def command(self):
        """The call as a command that a person can paste into a shell."""
        words = [f"aws iam {xform_name(self.operation, '-')}"]
        for name, value in self.parameters.items():
            option = f"--{xform_name(name, '-')}"
            if value is True:
                words.append(option)
            elif isinstance(value, list):
                words.append(f"{option} {shlex.quote(json.dumps(value))}")
            else:
                # What begins with a dash would be taken for another option.
                words.append(f"{option}{'=' if value.startswith('-') else ' '}{shlex.quote(value)}")
        return " ".join(words)

    def about(self, name):
        """The same call about a user of another name."""
        return Call(self.operation, {**self.parameters, "UserName": name})


@dataclass(frozen=True)
class Target:
    """Whom or what a call was about: ``kind`` is ``user``, ``role`` or ``group``."""

    kind: str
    name: str


@dataclass(frozen=True)
class Nothing:
    """The call gave nothing that could stay."""

    reason: str


@dataclass(frozen=True)
class Left:
    """What the call gave stays, because the guard cannot know that taking it back is right.

    :param commands: what a person would do about it
    :param target: a quarantine of this user or role outweighs what the call gave
    :param policy: the ARN of the managed policy that the call changed
    """

    reason: str
    commands: tuple
    target: Target | None = None
    policy: str | None = None


@dataclass(frozen=True)
class Undo:
    """What takes the call back.

    :param containment: what is so afterwards, in words
    :param call: the call that does it
    :param reverse: the call that reverses it, if the call of the event was legitimate
    :param look: what has to be looked at before: a name of :mod:`c7n_iamguard.contain.preconditions`
    :param facts: what the look compares with
    """

    containment: str
    call: Call
    reverse: Call
    target: Target | None = None
    look: str | None = None
    facts: dict = dataclasses.field(default_factory=dict)

    def about(self, name):
        """The same plan for the same user under another name."""
        return dataclasses.replace(
            self,
            call=self.call.about(name),
            reverse=self.reverse.about(name),
            target=Target(self.target.kind, name),
        )

    def leave(self, reason):
        """The plan left to a person."""
        return Left(reason, (self.call.command,), self.target)


class Record:
    """CloudTrail's record of a call, as the plans read it.

    :param record: the event's ``detail``
    :param who: the event's :class:`~c7n_iamguard.event.Caller`
    """

    def __init__(self, record, who):
        self.record, self.who = record, who
        self.event = str_or_none(record, "eventName") or ""

    def parameter(self, name):
        """A parameter of the call, of any JSON type; None if it was not sent."""
        parameters = self.record.get("requestParameters")
        return parameters.get(camel(name)) if isinstance(parameters, dict) else None

    def asked(self, name):
        """A parameter of the call that has to be text.

        :raises Unclear: if it is not
        """
        found = self.parameter(name)
        if not isinstance(found, str) or not found:
            raise Unclear(f"requestParameters.{camel(name)}")
        return found

    def named(self, *names):
        """Some parameters of the call, as boto3 takes them. A call without a user's name is about its caller."""
        return {name: self.user() if name == "UserName" else self.asked(name) for name in names}

    def answered(self, *path):
        """A text of IAM's answer.

        :raises Unclear: if it is not there
        """
        found = self.record.get("responseElements")
        for key in path[:-1]:
            found = found.get(key) if isinstance(found, dict) else None
        value = str_or_none(found, path[-1])
        if not value:
            raise Unclear(f"responseElements.{'.'.join(path)}")
        return value

    def user(self, element=None):
        """The name of the user whom the call was about: the caller, if it names nobody.

        :param element: the part of IAM's answer that may name them
        :raises Unclear: if nobody is named, and the caller is no user
        """
        if element:
            try:
                return self.answered(element, "userName")
            except Unclear:
                pass
        asked = self.parameter("UserName")
        if isinstance(asked, str) and asked:
            return asked
        if asked is None and self.who.kind == "user":
            return self.who.name
        raise Unclear("requestParameters.userName")

    def is_caller(self, user):
        """Whether a name is that of the user who made the call; IAM's names of users have no case."""
        return self.who.kind == "user" and user.lower() == self.who.name.lower()

    def look_it_up(self):
        """The command that shows the whole record."""
        region = str_or_none(self.record, "awsRegion") or ""
        attribute = f"AttributeKey=EventId,AttributeValue={str_or_none(self.record, 'eventID') or 'EVENT-ID'}"
        where = f" --region {region}" if REGION.fullmatch(region) else ""
        return f"aws cloudtrail lookup-events{where} --lookup-attributes {shlex.quote(attribute)}"


def camel(parameter):
    """A parameter's name as CloudTrail writes it."""
    return parameter[:1].lower() + parameter[1:]


def compact(document):
    """A policy document without needless white space; other text as it is."""
    try:
        return json.dumps(json.loads(document), separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        return document
