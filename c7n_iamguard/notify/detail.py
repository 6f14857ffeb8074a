"""What an event of the guard says: its title and its detail. Pure.

The detail is an interface: ``deploy/iam-guard-event.schema.json`` describes it. All of its keys are always there,
because EventBridge leaves out of a mail what is missing. A field that is not known is an empty text, or null.
"""

import json
import re
from dataclasses import dataclass

from c7n_iamguard import __version__
from c7n_iamguard.decisions import ANNOTATION
from c7n_iamguard.event import seconds_since, str_or_none
from c7n_iamguard.notify.wording import (
    contain_command,
    contain_target_command,
    repair_command,
    restore_command,
    sentences,
)

#: The version of the detail's shape. A new key keeps it; a key that goes, or changes its meaning, raises it.
VERSION = "1"
#: The runbook in the project's repository. It counts if the policy's own ``metadata`` has no address of one.
RUNBOOK = "docs/incident.md"
#: The annotation with a principal's calls, if the event history told of them: dicts, newest first.
CALLS = "c7n:IAMCalls"

#: The titles of what is told, which are the events' ``detail-type``. Nobody is told of other decisions.
TITLES = {
    "revoked": "IAM access revoked",
    "would-revoke": "IAM access would be revoked",
    "cannot-revoke": "IAM access cannot be revoked",
    "acted": "Admin group member removed",
    "contained": "Unintended IAM call contained",
    "left": "Unintended IAM call left",
    "would-contain": "Unintended IAM call would be contained",
}
REVOKED_LATE = "IAM access revoked late"
WOULD_REMOVE = "Admin group member would be removed"

#: How many bytes are kept of a text, of a reason or user agent, and of the request parameters. So ten events fit
#: into one request.
TEXT_BYTES, LONG_TEXT_BYTES, PARAMETERS_BYTES = 256, 1024, 4096

#: What goes into mails, and looks as AWS writes it: nothing that a caller could have written there.
MAILED = {
    "eventID": re.compile(r"[\w-]{1,64}", re.ASCII),
    "eventName": re.compile(r"\w{1,128}", re.ASCII),
    "eventTime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII),
    "errorCode": re.compile(r"[\w.]{1,128}", re.ASCII),
    "sourceIPAddress": re.compile(r"[\w.:-]{1,253}|AWS Internal", re.ASCII),
}


IDENTITY_STORE = re.compile(r"arn:aws[a-z-]*:identitystore::(?P<account>[0-9]{12}):identitystore/", re.ASCII)


@dataclass(frozen=True)
class Teller:
    """Who tells: a policy in an account.

    :param alias: the account's alias; empty if it has none, or nobody knows
    :param runbook: what the policy's ``metadata`` says under ``runbook``
    :param observes: whether one of the policy's actions only observes
    :param late: whether the policy is a catch-up: no event told of the call
    """

    policy: str
    account: str
    region: str
    partition: str
    alias: str = ""
    runbook: object = None
    observes: bool = False
    late: bool = False


def title(principal, late=False):
    """The title of what was decided about a principal; None if nobody is told of that.

    :param principal: the resource, with what the policy's actions have noted in it
    :param late: whether a catch-up has decided it
    """
    decided = principal.get(ANNOTATION) or {}
    decision = decided.get("decision")
    if decision == "revoked" and late:
        return REVOKED_LATE
    if decision == "would-revoke" and decided.get("groups"):
        return WOULD_REMOVE
    return TITLES.get(decision)


def describe(principal, kind, event, teller):
    """What is told of a decision, as a JSON object.

    :param principal: the resource, with what the policy's actions have noted in it
    :param kind: the principal's :class:`~c7n_iamguard.iam.principals.Kind`
    :param event: the event that it was decided on; None outside an event mode
    :param teller: :class:`Teller`
    """
    decided, record = principal[ANNOTATION], record_of(principal, event)
    who = None if event is None else event.who
    about = {
        "type": kind.name,
        "name": principal[kind.name_key],
        "id": principal.get(kind.id_key) or "",
        "arn": principal.get("Arn") or "",
    }
    called, path = about, (who and who.path) or principal.get("Path") or "/"
    if who and (who.id or who.name) not in (about["id"], about["name"]):
        called = {"type": who.kind, "name": who.name, "id": who.id or "", "arn": who.arn or ""}
    age = seconds_since(record)
    found = {
        "version": VERSION,
        "account": {"id": teller.account, "alias": teller.alias},
        "principal": about,
        "caller": called,
        "decision": decided["decision"],
        "how": decided.get("how") or "",
        "reason": cut(decided.get("reason"), LONG_TEXT_BYTES),
        "groups": decided.get("groups") or [],
        "observed": teller.observes,
        "late": teller.late,
        "delay": None if age is None else round(age),
        "call": call(record, who),
        "containment": containment(decided),
        "policy": {"name": teller.policy, "version": __version__},
        "runbook": teller.runbook if is_address(teller.runbook) else RUNBOOK,
    }
    reader = f"arn:{teller.partition}:iam::{teller.account}:role/iam-guard-response"
    session = found["call"]["sessionName"]
    found["commands"] = {
        "restore": restore_command(about, decided, teller.region),
        "repair": repair_command(decided),
        "containTarget": contain_target_command(decided),
        "contain": contain_command(
            called, path or "/", session, teller.region, reader, directory_account(record)
        ),
    }
    found["text"] = sentences(found, decided)
    return found


def containment(decided):
    """How the guard undid the call, and what a person can do about the rest, with nothing left out."""
    texts = {key: decided.get(key) or "" for key in ("containment", "target")}
    lists = {key: decided.get(key) or [] for key in ("did", "reverse", "commands", "carriers")}
    return {"result": texts["containment"], "target": texts["target"], **lists}


def directory_account(record):
    """The id of the account that the Identity Center of a call's person is in; None if the record has none."""
    identity = record.get("userIdentity")
    person = identity.get("onBehalfOf") if isinstance(identity, dict) else None
    found = IDENTITY_STORE.match(str_or_none(person, "identityStoreArn") or "")
    return found and found["account"]


def record_of(principal, event):
    """CloudTrail's record of the call that was decided on, or what the event history told of the newest call."""
    if event is not None:
        return event.record
    return next(iter(principal.get(CALLS) or ()), {})


def call(record, who):
    """The call, out of CloudTrail's record or out of the event history's, which is flat and has the same keys.

    :param who: the event's :class:`~c7n_iamguard.event.Caller`; None outside an event mode
    """
    identity = record.get("userIdentity")
    context = identity.get("sessionContext") if isinstance(identity, dict) else None
    attributes = context.get("attributes") if isinstance(context, dict) else None
    mfa = str_or_none(attributes or record, "mfaAuthenticated")
    return {
        **{key: mailed(record, key) for key in MAILED},
        "userAgent": cut(str_or_none(record, "userAgent"), LONG_TEXT_BYTES),
        "accessKeyId": cut(str_or_none(identity, "accessKeyId") or str_or_none(record, "accessKeyId")),
        "mfaAuthenticated": {"true": True, "false": False}.get(mfa),
        "invokedBy": cut(who.invoked_by if who else str_or_none(record, "invokedBy")),
        "sessionName": cut(who.session if who else str_or_none(record, "sessionName")),
        "sourceIdentity": cut(who.source_identity if who else str_or_none(record, "sourceIdentity")),
        "onBehalfOf": cut(who.on_behalf_of if who else str_or_none(record, "onBehalfOf")),
        "requestParameters": parameters(record.get("requestParameters")),
    }


def mailed(record, key):
    """The text under a key; empty if it is not what AWS writes there."""
    found = str_or_none(record, key) or ""
    return found if MAILED[key].fullmatch(found) else ""


def parameters(value):
    """A call's parameters as JSON text, cut if they are too long; empty if it has none."""
    return "" if value is None else cut(json.dumps(value, ensure_ascii=False), PARAMETERS_BYTES)


def cut(value, size=TEXT_BYTES):
    """A text on one line that takes no more than ``size`` bytes; "…" stands for the rest. None is an empty text."""
    line = "".join(char if char.isprintable() else " " for char in value or "").encode(errors="replace")
    return line.decode() if len(line) <= size else line[: size - 3].decode(errors="ignore") + "…"


def is_address(value):
    """Whether a person can open what a policy's ``metadata`` says about the runbook."""
    return isinstance(value, str) and value.startswith("https://")
