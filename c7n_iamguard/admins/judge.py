"""The judge: was a caller meant to make a call to IAM? Pure.

The judge knows users and roles by id: a path or a name makes nobody an admin. It reads neither IAM nor CloudTrail.
The caller of the judge says who is in an admin group: IAM's answer about now, the event history's about the past.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from c7n_iamguard.admins import self_service
from c7n_iamguard.aws_names import IDENTITY_CENTER_PATH, OWN_ROLES
from c7n_iamguard.event import Caller

#: The end of an entry that still stands in the settings.
FOREVER = float("inf")


class Verdict(NamedTuple):
    """An answer of the judge. The guard never denies, removes or takes back anything on "unknown"."""

    meant: bool | None  #: None: unknown
    reason: str


NOT_LISTED = Verdict(False, "not on any list")
#: Whether the user in question is in one of the groups of these ids.
InGroup = Callable[[Collection[str]], Verdict]


@dataclass(frozen=True)
class Meant:
    """The settings' entries of who is meant to use IAM, each with the moment until which it counts.

    An entry that was removed from a list counts for the calls before its removal.
    """

    groups: Mapping[str, float] = field(default_factory=dict)  #: ids of admin groups
    roles: Mapping[str, float] = field(default_factory=dict)  #: ids of roles
    role_names: Collection[str] = ()  #: the names under which these roles were listed, in lower case
    patterns: Mapping[str, float] = field(default_factory=dict)  #: ``AWSReservedSSO_NAME_*``
    exempt: Mapping[str, float] = field(default_factory=dict)  #: ids of users, roles and sessions
    self_service: Mapping[str, float] = field(default_factory=dict)  #: calls about oneself


def judge(
    call: Mapping[str, Any] | None, who: Caller, moment: float, meant: Meant, in_admin_group: InGroup
) -> Verdict:
    """Whether a caller was meant to call IAM.

    :param call: CloudTrail's record of the call; None to ask about any call
    :param moment: when, in seconds since 1970
    :param in_admin_group: says whether the user is in an admin group
    """
    if call is not None and who.kind and who.id is None:
        return Verdict(None, f"the record does not say by id which {who.kind} called")
    session = f"{who.id}:{who.session}" if who.session else ""
    for entry in (who.id, session):
        if entry and moment < meant.exempt.get(entry, 0):
            return Verdict(True, f"exempt: {entry}")
    if who.kind == "role":
        return judge_role(who.id, str(who.name), who.path, moment, meant)
    if who.kind != "user":
        return NOT_LISTED
    if call is not None and self_service.about_themselves(call, who, valid(meant.self_service, moment)):
        return Verdict(True, f"self-service: {call.get('eventName')}")
    return in_admin_group(valid(meant.groups, moment))


def judge_role(role_id: str | None, name: str, path: str | None, moment: float, meant: Meant) -> Verdict:
    """Whether a role was meant to use IAM. Another role of a listed name is unknown until the next deployment."""
    if role_id and moment < meant.roles.get(role_id, 0):
        return Verdict(True, f"admin role {name}")
    if is_reserved(name, path or IDENTITY_CENTER_PATH, valid(meant.patterns, moment)):
        if path is None:
            return Verdict(None, f"the record does not say whether the role {name!r} is Identity Center's")
        return Verdict(True, f"admin role {name}")
    if name.lower() in (*meant.role_names, *OWN_ROLES):
        reason = f"the role {name!r} ({role_id}) is not the one that was listed under this name"
        return Verdict(None, f"{reason}; deploy the policies again if this role is meant, or rename it")
    return NOT_LISTED


def is_reserved(name: str, path: str, patterns: Collection[str]) -> bool:
    """Whether a role is one of Identity Center's, of a permission set that is listed."""
    if not re.fullmatch(re.escape(IDENTITY_CENTER_PATH) + r"([a-z0-9-]+/)?", path):
        return False
    starts = [re.escape(pattern.removesuffix("*")) for pattern in patterns]
    return any(re.fullmatch(start + "[0-9a-f]{16}", name) for start in starts)


def valid(entries: Mapping[str, float], moment: float) -> set[str]:
    """The entries that counted at a moment."""
    return {entry for entry, until in entries.items() if moment < until}
