"""Who called: the caller out of a CloudTrail event as EventBridge delivers it. Pure.

Source: CloudTrail's userIdentity element,
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

import json
import re
from dataclasses import dataclass

#: Where the mode keeps, inside the event, what the filters and actions found out about its caller.
#: c7n keeps its own ``debug`` mark there, too; annotations of the user would be swept in ``not`` blocks.
NOTES = "c7n:iam-guard"

DETAIL_TYPE = "AWS API Call via CloudTrail"

USER_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>[0-9]{12}):user"
    r"(?P<path>/(?:[!-~]{1,510}/)?)(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)
ACCOUNT_ID = re.compile(r"[0-9]{12}", re.ASCII)


class MalformedEvent(ValueError):
    """An event that does not say who called. Its text says which part of the event is wrong."""


@dataclass(frozen=True)
class Caller:
    """Who made a call, as CloudTrail recorded it.

    :param type: CloudTrail's ``userIdentity.type``: ``IAMUser``, ``FederatedUser``, ``AssumedRole``, …
    :param account: the 12-digit id of the account that the caller belongs to; None where CloudTrail
        gives none (AWS services)
    :param name: the IAM user's name; None where the caller is no IAM user
    :param id: the unique id that survives a rename (``AIDA…``); None where the event has none
    :param arn: the IAM user's ARN; None where the caller is no IAM user
    :param path: the IAM user's path, ``/`` where it has none; None where the caller is no IAM user
    """

    type: str
    account: str | None
    name: str | None = None
    id: str | None = None
    arn: str | None = None
    path: str | None = None

    @property
    def is_user(self):
        """Whether IAM rights of a user stand behind the call, directly or through a session."""
        return self.name is not None


def detail(event):
    """The CloudTrail record inside an EventBridge event; MalformedEvent where there is none."""
    if not isinstance(event, dict):
        raise MalformedEvent(f"the event is no JSON object but {_kind(event)}")
    record = event.get("detail")
    if not isinstance(record, dict):
        raise MalformedEvent(f"detail is no JSON object but {_kind(record)}")
    return record


def caller(event):
    """Who made the call that an EventBridge event reports.

    :param event: the event as the function received it; any JSON value
    :returns: :class:`Caller`
    :raises MalformedEvent: where the event names no caller, or contradicts itself about them
    """
    identity = detail(event).get("userIdentity")
    if not isinstance(identity, dict):
        raise MalformedEvent(f"detail.userIdentity is no JSON object but {_kind(identity)}")
    kind = identity.get("type")
    if not isinstance(kind, str) or not kind:
        raise MalformedEvent(f"detail.userIdentity.type is no name of a type but {_kind(kind)}")
    if kind == "IAMUser":
        return _user(kind, identity, "detail.userIdentity")
    if kind == "FederatedUser":
        context = identity.get("sessionContext")
        issuer = context.get("sessionIssuer") if isinstance(context, dict) else None
        where = "detail.userIdentity.sessionContext.sessionIssuer"
        if not isinstance(issuer, dict):
            raise MalformedEvent(f"{where} is no JSON object but {_kind(issuer)}")
        if issuer.get("type") == "IAMUser":
            found = _user(kind, issuer, where)
            if identity.get("accountId", found.account) != found.account:
                raise MalformedEvent(f"detail.userIdentity.accountId is not that of {where}")
            return found
    account = identity.get("accountId")
    return Caller(kind, account if isinstance(account, str) else None)


def _user(kind, identity, where):
    """The IAM user that an identity element describes, every part of it checked against the others."""
    arn = identity.get("arn")
    parts = USER_ARN.fullmatch(arn) if isinstance(arn, str) else None
    if not parts:
        raise MalformedEvent(f"{where}.arn is not the ARN of an IAM user")
    if identity.get("accountId", parts["account"]) != parts["account"]:
        raise MalformedEvent(f"{where}.accountId is not the account of {where}.arn")
    if identity.get("userName", parts["name"]) != parts["name"]:
        raise MalformedEvent(f"{where}.userName is not the user of {where}.arn")
    unique_id = identity.get("principalId")
    if unique_id is not None and not (
        isinstance(unique_id, str) and re.fullmatch(r"\w{1,128}", unique_id, re.ASCII)
    ):
        raise MalformedEvent(f"{where}.principalId is no unique id of IAM")
    return Caller(kind, parts["account"], parts["name"], unique_id, arn, parts["path"])


def accounts(event):
    """Every account that an event names as its own, as a set of 12-digit ids.

    :raises MalformedEvent: where one of them is no account id
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


def granted_groups(event, who):
    """The groups that the very call that an event reports has made its caller a member of.

    That is AddUserToGroup with the caller's own name, and UpdateGroup, which can give an admin group's name
    to any other group. A call that failed has granted nothing.

    :param who: the event's :class:`Caller`
    :returns: names in lower case, as a set
    """
    record = detail(event)
    parameters = record.get("requestParameters")
    if record.get("errorCode") or not isinstance(parameters, dict):
        return set()
    name, group = str(parameters.get("userName")).lower(), None
    if record.get("eventName") == "UpdateGroup":
        group = parameters.get("newGroupName")
        if str(group).lower() == str(parameters.get("groupName")).lower():
            return set()  # Terraform repeats the name where only the path changes
    elif record.get("eventName") == "AddUserToGroup" and who.is_user and name == who.name.lower():
        group = parameters.get("groupName")
    return {group.lower()} if isinstance(group, str) else set()


def facts(event):
    """What a log line or an output record says of an event: id, name, time and error of the call.

    Works on anything, malformed events too: what is not there, or is no text, is left out.
    """
    record = event.get("detail") if isinstance(event, dict) else None
    record = record if isinstance(record, dict) else {}
    keys = ("eventID", "eventName", "eventTime", "errorCode")
    return {key: record[key][:256] for key in keys if isinstance(record.get(key), str)}


def notes(event):
    """What was found out about the event's caller on its way; a scrap of paper outside an event."""
    return event.get(NOTES, {}) if isinstance(event, dict) else {}


def decision(verdict, event, **fields):
    """One decision as one line of JSON, for CloudWatch Logs Insights.

    :param verdict: ``revoked``, ``restored``, ``let-pass`` or ``failed``
    :param event: the event that it was decided on, or None outside an event mode
    :param fields: what else belongs to it; None values are left out
    """
    line = {"decision": verdict, **fields, **facts(event)}
    return json.dumps({key: value for key, value in line.items() if value is not None})


def _kind(value):
    return "null" if value is None else type(value).__name__
