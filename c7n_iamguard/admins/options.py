"""The options that say who is meant to use IAM: what may stand there, and what they stand for in the account."""

import re
from datetime import date, datetime, timedelta, timezone
from functools import cached_property

from c7n_iamguard.admins import groups, roles, self_service
from c7n_iamguard.admins.judge import FOREVER, Meant
from c7n_iamguard.iam.principals import ROLE, kind_of
from c7n_iamguard.settings import (
    is_placeholder,
    is_template,
    pins_of,
    refuse,
    refuse_account,
    setting,
    where_is,
)

GROUP_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
ROLE_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):role/(?:[!-.0-~]+/)*[\w+=,.@-]{1,64}", re.ASCII
)
#: Names that only Identity Center gives. It adds 16 hex digits to the name of the permission set.
RESERVED_ROLES = re.compile(r"AWSReservedSSO_[\w+=,.@-]{1,32}_\*", re.ASCII)
GROUP_ID = re.compile(r"AGPA[A-Z0-9]{12,124}", re.ASCII)
#: Single users, roles, and sessions of roles.
EXEMPT_ID = re.compile(r"AIDA[A-Z0-9]{12,124}|AROA[A-Z0-9]{12,124}(:[\w+=,.@-]{2,64})?", re.ASCII)
ANY_ID = re.compile(r"A[A-Z]{2}A[A-Z0-9]{12,124}", re.ASCII)


class MeantOptions:
    """The options ``groups``, ``roles``, ``exempt`` and ``self-service`` of a filter or action.

    A deployment pins what they stand for: the function knows groups and roles by the ids that they had then,
    because ids survive renaming, and names can be taken by somebody else.
    """

    def __init__(self, element):
        self.element = element

    @property
    def exempt(self):
        """The exempt ids, each with the moment until which it counts, in seconds since 1970."""
        entries = [e if isinstance(e, dict) else {"id": e} for e in setting(self.element, "exempt", [])]
        return {entry["id"]: end_of(entry["until"]) if "until" in entry else FOREVER for entry in entries}

    def pin(self):
        """What the options stand for in the account as of now.

        :returns: a JSON object that becomes part of the policy's pins
        :raises Refusal: if an admin group does not exist, or none of them has a member
        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        element, listed = self.element, setting(self.element, "roles", [])
        wanted = "roles" in element.data or kind_of(element.manager) is ROLE
        return {
            "groups": groups.pin(element, setting(element, "groups", [])),
            "roles": roles.pin(element, listed) if wanted else {},
            "patterns": {role: None for role in listed if roles.is_pattern(role)},
        }

    def known(self, event):
        """Who is meant to use IAM: as pinned in a function, or as of now outside one.

        :raises Refusal: if a function was deployed without pins
        """
        if event is not None and self.pins is None:
            refuse_account(
                self.element, "the function does not know the admins' ids", "deploy the policy again"
            )
        return self.meant if self.pins is not None else self.meant_by(self.pin())

    @cached_property
    def pins(self):
        """What the deployment has pinned; None outside a function."""
        return pins_of(self.element.manager.ctx.policy)

    @cached_property
    def meant(self):
        """Who is meant to use IAM, as pinned."""
        return self.meant_by(self.pins)

    def meant_by(self, pins):
        """Who is meant to use IAM, by pins, and by the entries that were taken off the lists since."""
        names = {name.lower() for name in setting(self.element, "groups", [])}
        listed = setting(self.element, "roles", [])
        calls = setting(self.element, "self-service", [])
        off = pins.get("off", {})
        return Meant(
            groups=off.get("groups", {})
            | {id_: FOREVER for name, id_ in pins["groups"].items() if name.lower() in names},
            roles=off.get("roles", {}) | dict.fromkeys(pins["roles"].values(), FOREVER),
            role_names={name.lower() for name in pins["roles"]}
            | {roles.name_of(role) for role in listed if not roles.is_pattern(role)},
            patterns=off.get("patterns", {}) | {role: FOREVER for role in listed if roles.is_pattern(role)},
            exempt=self.exempt
            | {e: max(end, self.exempt.get(e, 0)) for e, end in off.get("exempt", {}).items()},
            self_service=off.get("self_service", {}) | dict.fromkeys(calls, FOREVER),
        )


def end_of(day):
    """The end of a day in UTC, as a date or as text, in seconds since 1970."""
    start = datetime.fromisoformat(str(day)).replace(tzinfo=timezone.utc)
    return (start + timedelta(days=1)).timestamp()


def check_meant(element):
    """Refuse options that say in a wrong way who is meant to use IAM.

    :raises PolicyValidationError: naming the policy, the key, the setting and the fix
    """
    policy = element.manager.ctx.policy
    for key, (check, example) in OPTIONS.items():
        value, where = element.data.get(key, []), where_is(element, key)
        if is_placeholder(value):
            continue
        if not isinstance(value, list | str):
            refuse(policy, where, f"{value!r} is no list", f"write a list, such as {example}")
        for item in value if isinstance(value, list) else [value]:
            if not is_placeholder(item):
                check(policy, where, item)


def check_group(policy, where, group):
    """Refuse what is neither a group's name nor a group's id."""
    if not isinstance(group, str):
        refuse(policy, where, f"{group!r} is no group's name", "write it as text, in quotes")
    if ANY_ID.fullmatch(group) and not GROUP_ID.fullmatch(group):
        refuse(
            policy, where, f"{group} is no group's id", "name a group; single users and roles go under exempt"
        )
    if not GROUP_NAME.fullmatch(group):
        refuse(
            policy,
            where,
            f"{group!r} is no group's name",
            "write its name or its id, without path or wildcards",
        )


def check_role(policy, where, role):
    """Refuse what is neither a role's name nor its ARN, nor a pattern that only AWS's own names match."""
    if not isinstance(role, str):
        refuse(policy, where, f"{role!r} is no role's name", "write it as text, in quotes")
    if ANY_ID.fullmatch(role):
        refuse(policy, where, f"{role} is an id", "write the role's name or ARN; ids go under exempt")
    if not any(known.fullmatch(role) for known in (ROLE_NAME, ROLE_ARN, RESERVED_ROLES)):
        fix = (
            "write a name or an ARN. Only AWSReservedSSO_NAME_* may have a wildcard, because whoever may create "
            "roles could take any other name"
        )
        refuse(policy, where, f"{role!r} is no role's name", fix)
    arn = ROLE_ARN.fullmatch(role)
    if arn and not is_template(policy) and arn["account"] != policy.options.account_id:
        problem = f"{role!r} is of another account than {policy.options.account_id}"
        refuse(policy, where, problem, "write its name alone")


def check_exempt(policy, where, entry):
    """Refuse what is no id of a user, a role or a role's session, or has an end that is no date."""
    unique_id = entry
    if isinstance(entry, dict):
        if entry.keys() != {"id", "until"}:
            problem = f"{entry!r} has not the keys id and until alone"
            refuse(policy, where, problem, "write {id: …, until: 2026-12-31}")
        unique_id = entry["id"]
        try:
            date.fromisoformat(str(entry["until"]))
        except ValueError:
            refuse(policy, where, f"until {entry['until']!r} is no date", "write it as 2026-12-31")
    if not isinstance(unique_id, str) or not EXEMPT_ID.fullmatch(unique_id):
        fix = (
            "write AIDA… for a user, AROA… for a role, or AROA…:NAME for a role's session. Names can be taken "
            "over, so that they exempt nobody"
        )
        refuse(policy, where, f"{unique_id!r} is no id of a user or role", fix)


def check_self_service(policy, where, call):
    """Refuse a call that a user cannot be let make about themselves alone."""
    problems = self_service.unknown([call])
    if problems:
        fix = f"list some of {', '.join(self_service.CALLS)}"
        refuse(policy, where, f"{problems[0]} cannot be self-service", fix)


#: The options: how an entry is checked, and an example of a list.
OPTIONS = {
    "groups": (check_group, "[admins]"),
    "roles": (check_role, "[Terraform]"),
    "exempt": (check_exempt, "[AIDAEXAMPLEBREAKGLASS]"),
    "self-service": (check_self_service, "[ChangePassword]"),
}
