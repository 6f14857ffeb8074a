"""Who called IAM, out of a log's entry. Nothing in the entry is taken for granted."""

import re
from dataclasses import dataclass

from moto.utilities.utils import get_partition

from sandbox import cloudtrail
from sandbox.logs import is_envelope, record_of
from sandbox.server import ACCOUNT

IAM = "iam.amazonaws.com"
NOBODY = "?"
ARN = re.compile(
    r"arn:(?P<partition>[\w-]+):iam::(?P<account>[0-9]{12})"
    r":(?P<kind>user|role)(?P<path>/[!-~]+/|/)(?P<name>[\w+=,.@-]+)",
    re.ASCII,
)
#: Callers who are a user or a role, and whether it is the session's issuer that describes them.
SESSIONS = {"IAMUser": False, "FederatedUser": True, "AssumedRole": True}


@dataclass
class Principal:
    """An IAM user or role of the log's account, as the log has it."""

    kind: str
    name: str
    path: str
    id: str | None
    partition: str


@dataclass
class Call:
    """One call to IAM, out of a log.

    :param event: EventBridge's event of it; None where the log's entry is too broken to make one
    :param principal: the :class:`Principal` who called, if it is a user or a role of that account
    """

    account: str | None
    caller: str
    type: str
    event: dict | None = None
    principal: Principal | None = None


def is_call_to_iam(record):
    """Whether a record is about IAM. One that does not tell is counted, so that it shows."""
    source = record.get("eventSource") if isinstance(record, dict) else None
    if isinstance(source, str):
        return source == IAM
    return not (isinstance(record, dict) and record.get("eventCategory") == "Insight")


def call_of(entry):
    """The :class:`Call` of an entry."""
    record = record_of(entry)
    if not isinstance(record, dict):
        return Call(None, NOBODY, NOBODY)
    identity = dict_in(record, "userIdentity")
    owner, principal = principal_of(record)
    owners = (
        entry.get("account") if is_envelope(entry) else None,
        record.get("recipientAccountId"),
        identity.get("accountId"),
        owner,
    )
    account = next((found for found in owners if is_account(found)), None)
    if account != owner:
        principal = None
    kind = text_in(identity, "type") or NOBODY
    return Call(account, label(identity, principal), kind, event_of(entry, account or ACCOUNT), principal)


def principal_of(record):
    """The user or role who made a call.

    :returns: the account that owns it, and the :class:`Principal`; None and None for all other callers
    """
    identity = dict_in(record, "userIdentity")
    kind = text_in(identity, "type")
    if SESSIONS.get(kind):
        identity = dict_in(dict_in(identity, "sessionContext"), "sessionIssuer")
    parts = ARN.fullmatch(text_in(identity, "arn"))
    if kind not in SESSIONS or not parts:
        return None, None
    unique_id = text_in(identity, "principalId") or None
    return parts["account"], Principal(
        parts["kind"], parts["name"], parts["path"], unique_id, parts["partition"]
    )


def is_account(value):
    return isinstance(value, str) and re.fullmatch("[0-9]{12}", value) is not None


def dict_in(parent, key):
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def text_in(parent, key):
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def label(identity, principal=None):
    """What people call a caller: a user's name, role/session, root, the service that called.

    :param identity: CloudTrail's userIdentity element
    """
    if principal and principal.kind == "user":
        return principal.name
    kind = text_in(identity, "type")
    if kind == "Root":
        return "root"
    name = text_in(identity, "userName")
    in_arn = text_in(identity, "arn").split(":", 5)[-1].partition("/")[2]
    names = (name, in_arn) if kind == "IAMUser" else (in_arn, name)
    others = (text_in(identity, key) for key in ("invokedBy", "principalId", "accountId"))
    return next(filter(None, (*names, *others)), NOBODY)


def event_of(entry, account):
    """EventBridge's event of an entry: an event as it is, a record in the envelope that it comes in."""
    if is_envelope(entry):
        return {**entry, "account": account}
    if not isinstance(entry.get("eventSource"), str):
        return None
    known = {"eventTime": None, "awsRegion": cloudtrail.IAM_REGION["aws"], **entry}
    return {**cloudtrail.envelope({**known, "recipientAccountId": account}), "detail": entry}


def partition_of(call):
    """The partition that a call tells of, by its caller or its region; None where it tells of none."""
    if call.principal:
        return call.principal.partition
    region = call.event and record_of(call.event).get("awsRegion")
    return get_partition(region) if isinstance(region, str) and region else None
