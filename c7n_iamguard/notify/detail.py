"""The title and the detail of an event of the guard. Pure.

The detail is an interface: ``deploy/iam-guard-event.schema.json`` describes it. It always has all keys, because
EventBridge leaves out of a mail what is missing. If a value is not known, it is an empty text, or null.

A ``principal`` is the resource, and ``noted`` is the decision that the policy's actions noted in it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c7n_iamguard import __version__
from c7n_iamguard.decisions import ANNOTATION
from c7n_iamguard.event import MFA, Caller, IAMEvent, seconds_since, str_or_none
from c7n_iamguard.notify import wording

if TYPE_CHECKING:
    from c7n_iamguard.iam.principals import Kind

#: The version of the detail's shape. It rises if a key goes or changes its meaning.
VERSION = "1"
#: The runbook in the project's repository, if the policy's ``metadata`` has no address of another one.
RUNBOOK = "docs/incident.md"
#: The annotation with a principal's calls, if the event history told of them: dicts, newest first.
CALLS = "c7n:IAMCalls"

#: The events' ``detail-type`` by decision. Other decisions make no event.
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

#: The most bytes of a text, of a reason or user agent, and of the request parameters, so that ten events fit into
#: one request.
TEXT_BYTES, LONG_TEXT_BYTES, PARAMETERS_BYTES = 256, 1024, 4096

#: The parts of a call that go into mails, if they look as AWS writes them. A caller writes none of these.
MAILED = {
    "eventID": re.compile(r"[\w-]{1,64}", re.ASCII),
    "eventName": re.compile(r"\w{1,128}", re.ASCII),
    "eventTime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII),
    "errorCode": re.compile(r"[\w.]{1,128}", re.ASCII),
    "sourceIPAddress": re.compile(r"[\w.:-]{1,253}|AWS Internal", re.ASCII),
}
#: The directory of Identity Center, and its account.
IDENTITY_STORE = re.compile(r"arn:aws[a-z-]*:identitystore::(?P<account>[0-9]{12}):identitystore/", re.ASCII)


@dataclass(frozen=True)
class Teller:
    """The policy that sends an event, and its account."""

    policy: str
    account: str
    region: str
    alias: str = ""  #: the account's alias; empty if it has none, or IAM does not say
    runbook: object = None  #: what the policy's ``metadata`` says under ``runbook``
    observes: bool = False  #: whether one of the policy's actions only observes
    late: bool = False  #: whether the policy is a catch-up


def title(principal: dict[str, Any], late: bool = False) -> str | None:
    """The ``detail-type`` of a decision, which a catch-up may have made late; None if it makes no event."""
    noted = principal.get(ANNOTATION) or {}
    decision = noted.get("decision", "")
    if decision == "revoked" and late:
        return REVOKED_LATE
    if decision == "would-revoke" and noted.get("groups"):
        return WOULD_REMOVE
    return TITLES.get(decision)


def describe(principal: dict[str, Any], kind: Kind, event: IAMEvent | None, teller: Teller) -> dict[str, Any]:
    """The detail of a decision, as a JSON object; ``event`` is None outside an event mode."""
    noted: dict[str, Any] = principal[ANNOTATION]
    calls: list[dict[str, Any]] = principal.get(CALLS) or [{}]
    record, who = (calls[0], None) if event is None else (event.record, event.who)
    about = named(kind.name, principal[kind.name_key], principal.get(kind.id_key), principal.get("Arn"))
    age = seconds_since(record)
    runbook = teller.runbook if isinstance(teller.runbook, str) else ""
    detail = {
        "version": VERSION,
        "account": {"id": teller.account, "alias": teller.alias},
        "principal": about,
        "caller": caller(about, who),
        "decision": noted["decision"],
        "how": noted.get("how") or "",
        "reason": cut(noted.get("reason"), LONG_TEXT_BYTES),
        "groups": noted.get("groups") or [],
        "observed": noted.get("observed", teller.observes),
        "late": teller.late,
        "delay": None if age is None else round(age),
        "call": call(record, who),
        "containment": {
            "result": noted.get("containment") or "",
            "target": noted.get("target") or "",
            **{key: noted.get(key) or [] for key in ("did", "reverse", "commands", "carriers")},
        },
        "policy": {"name": teller.policy, "version": __version__},
        "runbook": runbook if runbook.startswith("https://") else RUNBOOK,
    }
    path = (who and who.path) or principal.get("Path") or "/"
    detail["commands"] = commands(detail, noted, record, path, teller)
    detail["text"] = wording.sentences(detail, noted)
    return detail


def named(type_: str | None, name: str | None, id_: str | None, arn: str | None) -> dict[str, str]:
    """A user or role, in the detail's words."""
    return {"type": type_ or "", "name": name or "", "id": id_ or "", "arn": arn or ""}


def caller(about: dict[str, str], who: Caller | None) -> dict[str, str]:
    """The caller: the principal, or somebody else if the decision is about a member whom they added."""
    if who is None or who.is_principal(about["type"], about["name"], about["id"]):
        return about
    return named(who.kind, who.name, who.id, who.arn)


def commands(
    detail: dict[str, Any], noted: dict[str, Any], record: dict[str, Any], path: str, teller: Teller
) -> dict[str, str]:
    """The commands that a person can run, each of which may be empty; ``path`` is the caller's."""
    called, session, directory = detail["caller"], detail["call"]["sessionName"], directory_account(record)
    region, left = teller.region, noted.get("commands") or ()
    return {
        "restore": wording.restore_command(detail["principal"], noted, region),
        "repair": wording.plain(left) if noted["decision"] == "left" else "",
        "containTarget": next((command for command in left if command.startswith("aws ssm ")), ""),
        "contain": wording.contain_command(called, path, session, region, teller.account, directory),
    }


def directory_account(record: dict[str, Any]) -> str | None:
    """The id of the account that the Identity Center of a call's person is in; None if the record has none."""
    arn = str_or_none(record, "userIdentity", "onBehalfOf", "identityStoreArn")
    parts = IDENTITY_STORE.match(arn or "")
    return parts and parts["account"]


def call(record: dict[str, Any], who: Caller | None) -> dict[str, Any]:
    """The call, from CloudTrail's record, or from the event history's flat one, which has no ``who``."""
    mfa = str_or_none(record, *MFA) or str_or_none(record, "mfaAuthenticated")
    key_id = str_or_none(record, "userIdentity", "accessKeyId") or str_or_none(record, "accessKeyId")
    parameters = record.get("requestParameters")
    sent = "" if parameters is None else json.dumps(parameters, ensure_ascii=False)
    return {
        **{key: mailed(record, key) for key in MAILED},
        "userAgent": cut(str_or_none(record, "userAgent"), LONG_TEXT_BYTES),
        "accessKeyId": cut(key_id),
        "mfaAuthenticated": {"true": True, "false": False}.get(mfa or ""),
        "invokedBy": cut(who.invoked_by if who else str_or_none(record, "invokedBy")),
        "sessionName": cut(who.session if who else str_or_none(record, "sessionName")),
        "sourceIdentity": cut(who.source_identity if who else str_or_none(record, "sourceIdentity")),
        "onBehalfOf": cut(who.on_behalf_of if who else str_or_none(record, "onBehalfOf")),
        "requestParameters": cut(sent, PARAMETERS_BYTES),
    }


def mailed(record: dict[str, Any], key: str) -> str:
    """The text under a key; empty if it is not what AWS writes there."""
    text = str_or_none(record, key) or ""
    return text if MAILED[key].fullmatch(text) else ""


def cut(value: str | None, size: int = TEXT_BYTES) -> str:
    """A text on one line that takes no more than ``size`` bytes; "…" stands for the rest. None is an empty text."""
    line = "".join(char if char.isprintable() else " " for char in value or "").encode(errors="replace")
    return line.decode() if len(line) <= size else line[: size - 3].decode(errors="ignore") + "…"
