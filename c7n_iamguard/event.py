"""A call to IAM, as CloudTrail records it and EventBridge delivers it. Pure.

A record is CloudTrail's JSON object of one call: an event's ``detail``, or an entry of the event history.

Source: CloudTrail's userIdentity element,
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

EVENT_SOURCE = "iam.amazonaws.com"

#: Types of callers behind whom there may be nobody, that is no IAM user and no role of the account.
OTHER_TYPES = {"Root", "FederatedUser", "AWSService", "AWSAccount", "Directory", "IdentityCenterUser"}
#: The place in a record that says whether the caller had signed in with MFA.
MFA = ("userIdentity", "sessionContext", "attributes", "mfaAuthenticated")
#: How CloudTrail and the guard's tags write a time.
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
#: For how many seconds after a call its caller's name counts as still theirs.
NAME_SECONDS = 15 * 60

ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>[0-9]{12}):(?P<kind>user|role)"
    r"(?P<path>/(?:[!-~]{1,510}/)?)(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)
SESSION_ARN = re.compile(
    r"arn:aws[a-z-]*:sts::(?P<account>[0-9]{12}):assumed-role/(?P<name>[\w+=,.@-]{1,64})/[\w+=,.@-]+",
    re.ASCII,
)
ACCOUNT_ID = re.compile(r"[0-9]{12}", re.ASCII)
UNIQUE_ID = re.compile(r"\w{1,128}", re.ASCII)


class MalformedEvent(ValueError):
    """An event that does not say who called. The text says which part of the event is wrong."""


@dataclass(frozen=True)
class Caller:
    """The caller of IAM, as CloudTrail recorded them. A fact that CloudTrail does not tell is None."""

    type: str  #: CloudTrail's ``userIdentity.type``: ``IAMUser``, ``FederatedUser``, ``AssumedRole``, …
    account: str | None  #: the 12-digit id of the account that the caller belongs to
    kind: str | None = None  #: ``user`` or ``role``, whose rights the call used; None for others
    name: str | None = None  #: the user's or role's name
    id: str | None = None  #: the unique id that survives a rename (``AIDA…``, ``AROA…``)
    arn: str | None = None  #: the user's or role's ARN, with its path
    path: str | None = None  #: the user's or role's path, ``/`` if it has none
    session: str | None = None  #: the name of a role's session
    source_identity: str | None = None  #: the source identity that a role's session carries
    on_behalf_of: str | None = None  #: the id of the Identity Center user that a session acts for
    invoked_by: str | None = None  #: the AWS service that made the call with the caller's rights

    def is_principal(self, kind: str, name: str, unique_id: str | None) -> bool:
        """Whether this is a user or role: by id, whatever the name is now, or by name if the id is not known."""
        same_name = str(self.name).lower() == name.lower()
        return self.kind == kind and (self.id == unique_id if unique_id else same_name)


class IAMEvent(dict[str, Any]):
    """An event about a call to IAM, with the notes that filters and actions make about its caller."""

    def __init__(self, event: dict[str, Any]) -> None:
        super().__init__(event)
        self.forget()

    @classmethod
    def of(cls, event: dict[str, Any] | None) -> IAMEvent | None:
        """The event that a filter or action was given; None if it runs without one."""
        return event if event is None or isinstance(event, cls) else cls(event)

    def forget(self) -> None:
        """Forget all notes, before the policy runs on the event again."""
        # The notes are not on the resource, because c7n drops the annotations that a "not" block makes.
        self.meant: str | None = None  #: why the caller is meant to use IAM, for the log
        self.gone = False  #: IAM does not know the principal under this name
        self.decided = self.failed = False  #: an action has logged its decision, or its failure

    @cached_property
    def record(self) -> dict[str, Any]:
        """CloudTrail's record of the call."""
        return _object(self.get("detail"), "detail")

    @cached_property
    def who(self) -> Caller:
        """The event's caller."""
        return caller(self.record)

    @property
    def is_fresh(self) -> bool:
        """Whether the call is so recent that its caller's name is still theirs. In doubt it is not.

        Redriven dead letters are days old.
        """
        age = seconds_since(self.get("detail"))
        return age is not None and abs(age) < NAME_SECONDS

    @property
    def accounts(self) -> set[str]:
        """The 12-digit ids of all accounts that the event names as its own."""
        recipient = self.record.get("recipientAccountId")
        named = {"account": self.get("account"), "detail.recipientAccountId": recipient}
        for key, value in named.items():
            if value is not None and not (isinstance(value, str) and ACCOUNT_ID.fullmatch(value)):
                raise MalformedEvent(f"{key} is no account id")
        return {value for value in named.values() if value}


def caller(record: Any) -> Caller:
    """The caller of a record.

    :raises MalformedEvent: if the record names no caller, contradicts itself, or has a type that nobody knows
    """
    identity = _object(value_at(record, "userIdentity"), "userIdentity")
    type_ = identity.get("type")
    if not isinstance(type_, str) or not type_:
        raise MalformedEvent(f"userIdentity.type is no name of a type but {_type(type_)}")
    if type_ == "IAMUser":
        return _principal(type_, "user", identity, identity, "userIdentity")
    issuer = value_at(identity, "sessionContext", "sessionIssuer")
    where = "userIdentity.sessionContext.sessionIssuer"
    if type_ == "AssumedRole":
        if not issuer:
            return _session(identity)
        return _principal(type_, "role", issuer, identity, where)
    if type_ == "FederatedUser" and _object(issuer, where).get("type") == "IAMUser":
        return _principal(type_, "user", issuer, identity, where)
    if type_ == "FederatedUser" and issuer.get("type") == "Root":
        type_ = "Root"  # a federated session of root's
    if type_ not in OTHER_TYPES:
        raise MalformedEvent(f"nobody knows whose rights a caller of the type {type_} has")
    account, service = str_or_none(identity, "accountId"), str_or_none(identity, "invokedBy")
    return Caller(type_, account, invoked_by=service)


def _session(identity: dict[str, Any]) -> Caller:
    """The role behind a session whose event has no issuer: its name and id, without ARN and path."""
    arn = str_or_none(identity, "arn")
    unique_id = (str_or_none(identity, "principalId") or "").partition(":")[0]
    parts = SESSION_ARN.fullmatch(arn) if arn else None
    if not parts or not UNIQUE_ID.fullmatch(unique_id):
        raise MalformedEvent("userIdentity says neither by its ARN nor by its issuer which role called")
    circumstances = _circumstances(identity, "role")
    return Caller("AssumedRole", parts["account"], "role", parts["name"], unique_id, **circumstances)


def _principal(type_: str, kind: str, element: Any, identity: dict[str, Any], where: str) -> Caller:
    """The user or role that an element describes; its parts must agree with each other."""
    arn = str_or_none(_object(element, where), "arn")
    parts = ARN.fullmatch(arn) if arn else None
    if not parts or parts["kind"] != kind:
        raise MalformedEvent(f"{where}.arn is not the ARN of an IAM {kind}")
    if element.get("accountId", parts["account"]) != parts["account"]:
        raise MalformedEvent(f"{where}.accountId is not the account of {where}.arn")
    if identity.get("accountId", parts["account"]) != parts["account"]:
        raise MalformedEvent(f"userIdentity.accountId is not that of {where}")
    if element.get("userName", parts["name"]) != parts["name"]:
        raise MalformedEvent(f"{where}.userName is not the {kind} of {where}.arn")
    unique_id = element.get("principalId")
    if unique_id is not None and not (isinstance(unique_id, str) and UNIQUE_ID.fullmatch(unique_id)):
        raise MalformedEvent(f"{where}.principalId is no unique id of IAM")
    own_id = (str_or_none(identity, "principalId") or "").partition(":")[0]
    if kind == "role" and unique_id and unique_id != own_id:
        raise MalformedEvent(f"userIdentity.principalId is not that of {where}")
    return Caller(
        type_, parts["account"], kind, parts["name"], unique_id, arn, parts["path"],
        **_circumstances(identity, kind),
    )  # fmt: skip


def _circumstances(identity: dict[str, Any], kind: str) -> dict[str, str | None]:
    """The session, source identity, person and service of a call. What the event does not tell is None."""
    session = (str_or_none(identity, "principalId") or "").partition(":")[2]
    return {
        "session": session or None if kind == "role" else None,
        "source_identity": str_or_none(identity, "sessionContext", "sourceIdentity"),
        "on_behalf_of": str_or_none(identity, "onBehalfOf", "userId"),
        "invoked_by": str_or_none(identity, "invokedBy"),
    }


def is_services_own(record: Mapping[str, Any], who: Caller) -> bool:
    """Whether an AWS service made its own service-linked role, with the rights of whoever uses the service."""
    service = str_or_none(record, "requestParameters", "aWSServiceName")
    makes_role = record.get("eventName") == "CreateServiceLinkedRole"
    return makes_role and bool(service) and service == who.invoked_by


def seconds_of(moment: str) -> int:
    """A time as CloudTrail and the guard's tags write it, in seconds since 1970."""
    return timegm(time.strptime(moment, TIME_FORMAT))


def time_text(seconds: float | None = None) -> str:
    """A time in seconds since 1970, or now, as CloudTrail writes it."""
    return time.strftime(TIME_FORMAT, time.gmtime(seconds))


def seconds_since(record: Any) -> float | None:
    """The seconds since a call was made; None if its time is missing or cannot be read."""
    try:
        return time.time() - seconds_of(record["eventTime"])
    except (KeyError, TypeError, ValueError):
        return None


def value_at(parent: Any, *path: str) -> Any:
    """The JSON value that a path of keys leads to; None if it is missing, or if the path leaves JSON objects."""
    for key in path:
        parent = parent.get(key) if isinstance(parent, dict) else None
    return parent


def str_or_none(parent: Any, *path: str) -> str | None:
    """The text that a path of keys leads to; None if there is no text."""
    value = value_at(parent, *path)
    return value if isinstance(value, str) else None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedEvent(f"{where} is no JSON object but {_type(value)}")
    return value


def _type(value: Any) -> str:
    return "null" if value is None else type(value).__name__
