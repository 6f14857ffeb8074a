"""Who called, out of a CloudTrail event as EventBridge delivers it, and what was noted about it. Pure.

Source: CloudTrail's userIdentity element,
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

import re
import time
from calendar import timegm
from dataclasses import dataclass
from typing import TypedDict

#: The mode keeps :class:`Notes` under this key of an event. c7n keeps its own ``debug`` mark in events, too.
NOTES = "c7n:iam-guard"

DETAIL_TYPE = "AWS API Call via CloudTrail"
EVENT_SOURCE = "iam.amazonaws.com"

#: An event older than this many seconds may name somebody who has lost that name since.
FRESH_SECONDS = 15 * 60

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
    """An event that does not say who called. Its text says which part of the event is wrong."""


class Notes(TypedDict, total=False):
    """What the filters and actions found out about an event, for the mode.

    They are kept in the event, because c7n sweeps annotations of resources out of ``not`` blocks.
    """

    admin: str  #: why the caller is meant to use IAM, for the log
    gone: bool  #: IAM does not know the principal under this name
    decided: bool  #: an action has logged its decision
    failed: bool  #: an action has logged its failure


@dataclass(frozen=True)
class Caller:
    """Who made a call, as CloudTrail recorded it.

    :param type: CloudTrail's ``userIdentity.type``: ``IAMUser``, ``FederatedUser``, ``AssumedRole``, …
    :param account: the 12-digit id of the account that the caller belongs to; None if CloudTrail gives none
    :param kind: ``user`` or ``role``, whose rights stand behind the call; None for anybody else
    :param name: the user's or role's name
    :param id: the unique id that survives a rename (``AIDA…``, ``AROA…``); None if the event has none
    :param arn: the user's or role's ARN, with its path; None if a session's event does not have it
    :param path: the user's or role's path, ``/`` if it has none; None like ``arn``
    :param session: the name of a role's session
    :param source_identity: the source identity that a role's session carries
    :param on_behalf_of: the id of the Identity Center user that a session acts for
    :param invoked_by: the AWS service that made the call with the caller's rights
    """

    type: str
    account: str | None
    kind: str | None = None
    name: str | None = None
    id: str | None = None
    arn: str | None = None
    path: str | None = None
    session: str | None = None
    source_identity: str | None = None
    on_behalf_of: str | None = None
    invoked_by: str | None = None


def detail(event):
    """The CloudTrail record inside an EventBridge event.

    :raises MalformedEvent: if there is none
    """
    if not isinstance(event, dict):
        raise MalformedEvent(f"the event is no JSON object but {_type(event)}")
    return _object(event, "detail", "detail")


def caller(event):
    """Who made the call that an EventBridge event reports.

    :param event: the event as the function received it; any JSON value
    :returns: :class:`Caller`
    :raises MalformedEvent: if the event names no caller, or contradicts itself about them
    """
    identity = _object(detail(event), "userIdentity", "detail.userIdentity")
    type_ = identity.get("type")
    if not isinstance(type_, str) or not type_:
        raise MalformedEvent(f"detail.userIdentity.type is no name of a type but {_type(type_)}")
    if type_ == "IAMUser":
        return _principal(type_, "user", identity, identity, "detail.userIdentity")
    context = identity.get("sessionContext")
    issuer = context.get("sessionIssuer") if isinstance(context, dict) else None
    where = "detail.userIdentity.sessionContext.sessionIssuer"
    if type_ == "AssumedRole":
        return _session(identity) if not issuer else _principal(type_, "role", issuer, identity, where)
    if type_ == "FederatedUser":
        if not isinstance(issuer, dict):
            raise MalformedEvent(f"{where} is no JSON object but {_type(issuer)}")
        if issuer.get("type") == "IAMUser":
            return _principal(type_, "user", issuer, identity, where)
    return Caller(type_, text(identity, "accountId"), invoked_by=text(identity, "invokedBy"))


def _session(identity):
    """The role behind a session whose event has no issuer: its name and id, without ARN and path."""
    arn, (unique_id, _, _) = text(identity, "arn"), (text(identity, "principalId") or "").partition(":")
    parts = SESSION_ARN.fullmatch(arn) if arn else None
    if not parts or not UNIQUE_ID.fullmatch(unique_id):
        raise MalformedEvent(
            "detail.userIdentity says neither by its ARN nor by its issuer which role called"
        )
    return Caller(
        "AssumedRole", parts["account"], "role", parts["name"], unique_id, **_circumstances(identity, "role")
    )


def _principal(type_, kind, element, identity, where):
    """The user or role that an element describes; its parts must agree with each other."""
    if not isinstance(element, dict):
        raise MalformedEvent(f"{where} is no JSON object but {_type(element)}")
    arn = element.get("arn")
    parts = ARN.fullmatch(arn) if isinstance(arn, str) else None
    if not parts or parts["kind"] != kind:
        raise MalformedEvent(f"{where}.arn is not the ARN of an IAM {kind}")
    if element.get("accountId", parts["account"]) != parts["account"]:
        raise MalformedEvent(f"{where}.accountId is not the account of {where}.arn")
    if identity.get("accountId", parts["account"]) != parts["account"]:
        raise MalformedEvent(f"detail.userIdentity.accountId is not that of {where}")
    if element.get("userName", parts["name"]) != parts["name"]:
        raise MalformedEvent(f"{where}.userName is not the {kind} of {where}.arn")
    unique_id = element.get("principalId")
    if unique_id is not None and not (isinstance(unique_id, str) and UNIQUE_ID.fullmatch(unique_id)):
        raise MalformedEvent(f"{where}.principalId is no unique id of IAM")
    if kind == "role" and unique_id and unique_id != (text(identity, "principalId") or "").partition(":")[0]:
        raise MalformedEvent(f"detail.userIdentity.principalId is not that of {where}")
    return Caller(
        type_, parts["account"], kind, parts["name"], unique_id, arn, parts["path"],
        **_circumstances(identity, kind),
    )  # fmt: skip


def _circumstances(identity, kind):
    """The session, source identity, person and service of a call, as far as the event tells."""
    session = (text(identity, "principalId") or "").partition(":")[2]
    return {
        "session": session or None if kind == "role" else None,
        "source_identity": text(identity.get("sessionContext"), "sourceIdentity"),
        "on_behalf_of": text(identity.get("onBehalfOf"), "userId"),
        "invoked_by": text(identity, "invokedBy"),
    }


def accounts(event):
    """Every account that an event names as its own, as a set of 12-digit ids.

    :raises MalformedEvent: if one of them is no account id
    """
    record = detail(event)
    named = {
        "account": event.get("account"),
        "detail.recipientAccountId": record.get("recipientAccountId"),
    }
    found = set()
    for key, value in named.items():
        if value is None:
            continue
        if not isinstance(value, str) or not ACCOUNT_ID.fullmatch(value):
            raise MalformedEvent(f"{key} is no account id")
        found.add(value)
    return found


def is_services_own(event, who):
    """Whether an AWS service made its own service-linked role, with the rights of whoever uses the service."""
    return detail(event).get("eventName") == "CreateServiceLinkedRole" and bool(who.invoked_by)


def joined_group(event, who):
    """The name of the group that the call of an event put its own caller into; None if it did not.

    A call that failed put nobody anywhere.

    :param who: the event's :class:`Caller`
    """
    record = detail(event)
    parameters = record.get("requestParameters")
    if record.get("eventName") != "AddUserToGroup" or record.get("errorCode") or who.kind != "user":
        return None
    name = text(parameters, "userName")
    return text(parameters, "groupName") if name and name.lower() == who.name.lower() else None


def seconds_since(event):
    """The seconds since the call of an event was made; None if its time is missing or cannot be read."""
    record = event.get("detail") if isinstance(event, dict) else None
    try:
        return time.time() - timegm(time.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ"))
    except (KeyError, TypeError, ValueError):
        return None


def is_fresh(event):
    """Whether a call was made so recently that its caller's name is still theirs.

    Redriven dead letters are days old. A time that is missing, cannot be read or lies far in the future
    is not fresh.
    """
    age = seconds_since(event)
    return age is not None and abs(age) < FRESH_SECONDS


def notes(event) -> Notes:
    """The notes on an event; outside an event, notes that nobody will read."""
    return event.get(NOTES, {}) if isinstance(event, dict) else {}


def _object(parent, key, where):
    value = parent.get(key)
    if not isinstance(value, dict):
        raise MalformedEvent(f"{where} is no JSON object but {_type(value)}")
    return value


def text(parent: object, key: str) -> str | None:
    """The text under a key; None if it is missing, is no text, or ``parent`` is no JSON object."""
    value = parent.get(key) if isinstance(parent, dict) else None
    return value if isinstance(value, str) else None


def _type(value):
    return "null" if value is None else type(value).__name__
