"""A call to IAM as CloudTrail recorded it, and the plan for it: no change, a reversal, or manual steps. Pure.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from botocore import xform_name  # type: ignore

from c7n_iamguard.event import Caller, str_or_none, value_at

REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d", re.ASCII)


class MissingField(Exception):
    """The record lacks a field that a plan needs. The text is the field's path."""


@dataclass(frozen=True)
class Call:
    """A call to IAM that the guard or a person could make."""

    operation: str  #: such as ``UpdateAccessKey``
    parameters: dict[str, Any]  #: as boto3 takes them

    @property
    def method(self) -> str:
        """The name of boto3's method."""
        return str(xform_name(self.operation))

    @property
    def command(self) -> str:
        """The call as a command that a person can paste into a shell."""
        words = [f"aws iam {xform_name(self.operation, '-')}"]
        for name, value in self.parameters.items():
            option = f"--{xform_name(name, '-')}"
            if value is True:
                words.append(option)
            elif isinstance(value, list):
                words.append(f"{option} {shlex.quote(json.dumps(value))}")
            else:
                # Without "=", the shell's command would take a value that begins with a dash for an option.
                words.append(f"{option}{'=' if value.startswith('-') else ' '}{shlex.quote(value)}")
        return " ".join(words)


@dataclass(frozen=True)
class Target:
    """The user, role or group that a call was about."""

    kind: str  #: ``user``, ``role`` or ``group``
    name: str
    id: str = ""  #: the unique id, if the call made it

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class NoChange:
    """The call changed nothing."""

    reason: str


@dataclass(frozen=True)
class ManualSteps:
    """The commands for a person. The guard cannot know whether reversing the call is right."""

    reason: str
    commands: tuple[str, ...]
    target: Target | None = None  #: if this user or role is quarantined, a person has nothing to do
    policy: str | None = None  #: the ARN of the managed policy that the call changed


#: A method of :class:`.Preconditions`. It returns the reversal, for the name that its user has now.
Check: TypeAlias = Callable[[Any, "Reversal"], "Reversal"]


@dataclass(frozen=True)
class Reversal:
    """The call that reverses this one."""

    containment: str  #: the result, in words
    call: Call  #: the call that reverses it
    redo: Call  #: the call that gives it again, if it was legitimate
    target: Target | None = None
    check: Check | None = None  #: the precondition

    def for_user(self, name: str) -> Reversal:
        """The same reversal for the same user, who has another name by now."""
        calls = [replace(c, parameters={**c.parameters, "UserName": name}) for c in (self.call, self.redo)]
        target = self.target and replace(self.target, name=name)
        return replace(self, call=calls[0], redo=calls[1], target=target)


@dataclass(frozen=True)
class Record:
    """CloudTrail's record of a call. IAM's parameters begin there in lower case, such as ``sSHPublicKeyId``."""

    record: dict[str, Any]  #: the event's ``detail``
    who: Caller
    quarantine: str  #: the ARN of the managed policy that denies everything

    @property
    def operation(self) -> str:
        """The name of the call, such as ``CreateUser``; empty if there is none."""
        return str_or_none(self.record, "eventName") or ""

    def parameter(self, name: str) -> Any:
        """A parameter of the call, of any JSON type; None if it was not sent."""
        return value_at(self.record, "requestParameters", camel(name))

    def text(self, name: str) -> str:
        """A parameter of the call that has to be text."""
        value = self.parameter(name)
        if not isinstance(value, str) or not value:
            raise MissingField(f"requestParameters.{camel(name)}")
        return value

    def texts(self, *names: str) -> dict[str, Any]:
        """Some parameters, as boto3 takes them. A call without ``UserName`` is about its caller."""
        return {name: self.user() if name == "UserName" else self.text(name) for name in names}

    def answer(self, *path: str) -> str:
        """A text of IAM's answer."""
        keys = [camel(key) for key in path]
        value = str_or_none(self.record, "responseElements", *keys)
        if not value:
            raise MissingField(f"responseElements.{'.'.join(keys)}")
        return value

    def user(self, element: str | None = None) -> str:
        """The user whom the call was about: named by ``element`` of IAM's answer or by the call, or the caller."""
        if element:
            with suppress(MissingField):
                return self.answer(element, "userName")
        name = self.parameter("UserName")
        if isinstance(name, str) and name:
            return name
        if name is None and self.who.kind == "user" and self.who.name:
            return self.who.name
        raise MissingField("requestParameters.userName")

    @property
    def lookup_command(self) -> str:
        """The command that shows the whole record."""
        region = str_or_none(self.record, "awsRegion") or ""
        attribute = f"AttributeKey=EventId,AttributeValue={str_or_none(self.record, 'eventID') or 'EVENT-ID'}"
        where = f" --region {region}" if REGION.fullmatch(region) else ""
        return f"aws cloudtrail lookup-events{where} --lookup-attributes {shlex.quote(attribute)}"


def camel(parameter: str) -> str:
    """A parameter's name as CloudTrail writes it."""
    return parameter[:1].lower() + parameter[1:]
