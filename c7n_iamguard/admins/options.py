"""The options that say who is meant to use IAM: what may stand there, and what they stand for in the account."""

import json
import re
from datetime import date, datetime, timedelta, timezone
from functools import cached_property

from c7n_iamguard.admins import groups, roles, self_service
from c7n_iamguard.admins.judge import FOREVER, Meant
from c7n_iamguard.iam.principals import ROLE, kind_of
from c7n_iamguard.settings import PINS, is_placeholder, is_template, refuse, refuse_account, setting, where_is

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


#: The option ``groups`` of an action.
GROUPS_SCHEMA = {"type": ["array", "string"]}


class MeantOptions:
    """The options ``groups``, ``roles``, ``exempt`` and ``self-service`` of a filter or action. A mixin.

    A deployment pins the ids of the groups and roles. Ids survive renaming, and names can be taken over.
    """

    @property
    def exempt(self):
        """The exempt ids, each with the moment until which it counts, in seconds since 1970."""
        entries = [e if isinstance(e, dict) else {"id": e} for e in setting(self, "exempt", [])]
        return {entry["id"]: end_of(entry["until"]) if "until" in entry else FOREVER for entry in entries}

    def pin(self):
        """The ids that the options stand for in the account now, as a JSON object that becomes part of the pins."""
        listed, wanted = setting(self, "roles", []), "roles" in self.data or kind_of(self.manager) is ROLE
        return {
            "groups": groups.pin(self, setting(self, "groups", [])),
            "roles": roles.pin(self, listed) if wanted else {},
            "patterns": {role: None for role in listed if roles.is_pattern(role)},
        }

    @cached_property
    def pins(self):
        """The pins of the deployment; None outside a function."""
        environment = self.manager.ctx.policy.data.get("mode", {}).get("environment", {})
        return json.loads(environment.get("Variables", {}).get(PINS, "null"))

    def who_is_meant(self, event):
        """The :class:`.Meant`: as pinned in a function, or as of now outside one."""
        if event is not None and self.pins is None:
            refuse_account(self, "the function does not know the admins' ids", "deploy the policy again")
        pins = self.pin() if self.pins is None else self.pins
        off = pins.get("off", {})  # the entries that were removed from the lists since
        names = {name.lower() for name in setting(self, "groups", [])}
        group_ids = [group_id for name, group_id in pins["groups"].items() if name.lower() in names]
        listed, calls, exempt = setting(self, "roles", []), setting(self, "self-service", []), self.exempt
        patterns = [role for role in listed if roles.is_pattern(role)]
        role_names = {name.lower() for name in pins["roles"]}
        ended = {entry: max(end, exempt.get(entry, 0)) for entry, end in off.get("exempt", {}).items()}
        return Meant(
            groups=off.get("groups", {}) | dict.fromkeys(group_ids, FOREVER),
            roles=off.get("roles", {}) | dict.fromkeys(pins["roles"].values(), FOREVER),
            role_names=role_names | {roles.name_of(role) for role in listed if role not in patterns},
            patterns=off.get("patterns", {}) | dict.fromkeys(patterns, FOREVER),
            exempt=exempt | ended,
            self_service=off.get("self_service", {}) | dict.fromkeys(calls, FOREVER),
        )


def end_of(day):
    """The end of a day in UTC, as a date or as text, in seconds since 1970."""
    start = datetime.fromisoformat(str(day)).replace(tzinfo=timezone.utc)
    return (start + timedelta(days=1)).timestamp()


def check_meant(element):
    """Refuse wrong options by a PolicyValidationError that names the policy, the key, the setting and the fix."""
    policy = element.manager.ctx.policy
    for key, (problem_with, example) in OPTIONS.items():
        value, where = element.data.get(key, []), where_is(element, key)
        if not isinstance(value, list | str):
            refuse(policy, where, f"{value!r} is no list", f"write a list, such as {example}")
        for entry in value if isinstance(value, list) else [value]:
            problem = None if is_placeholder(entry) else problem_with(entry, policy)
            if problem:
                refuse(policy, where, *problem)


def problem_with_group(group, policy):
    """Why an entry is neither a group's name nor a group's id, and the fix; None if it is one."""
    if not isinstance(group, str):
        return f"{group!r} is no group's name", "write it as text, in quotes"
    if ANY_ID.fullmatch(group) and not GROUP_ID.fullmatch(group):
        return f"{group} is no group's id", "name a group; single users and roles go under exempt"
    if not GROUP_NAME.fullmatch(group):
        return f"{group!r} is no group's name", "write its name or its id, without path or wildcards"
    return None


def problem_with_role(role, policy):
    """Why an entry is neither a role's name nor its ARN, nor a pattern that only AWS's own names match."""
    if not isinstance(role, str):
        return f"{role!r} is no role's name", "write it as text, in quotes"
    if ANY_ID.fullmatch(role):
        return f"{role} is an id", "write the role's name or ARN; ids go under exempt"
    arn = ROLE_ARN.fullmatch(role)
    if not arn and not ROLE_NAME.fullmatch(role) and not RESERVED_ROLES.fullmatch(role):
        fix = (
            "write a name or an ARN. Only AWSReservedSSO_NAME_* may have a wildcard, because whoever may create "
            "roles could take any other name"
        )
        return f"{role!r} is no role's name", fix
    if arn and not is_template(policy) and arn["account"] != policy.options.account_id:
        return f"{role!r} is of another account than {policy.options.account_id}", "write its name alone"
    return None


def problem_with_exempt(entry, policy):
    """Why an entry is no id of a user, a role or a role's session, or has an end that is no date."""
    unique_id = entry
    if isinstance(entry, dict):
        if entry.keys() != {"id", "until"}:
            return f"{entry!r} has not the keys id and until alone", "write {id: …, until: 2026-12-31}"
        unique_id = entry["id"]
        try:
            date.fromisoformat(str(entry["until"]))
        except ValueError:
            return f"until {entry['until']!r} is no date", "write it as 2026-12-31"
    if not isinstance(unique_id, str) or not EXEMPT_ID.fullmatch(unique_id):
        fix = (
            "write AIDA… for a user, AROA… for a role, or AROA…:NAME for a role's session. Names can be taken "
            "over, so that they exempt nobody"
        )
        return f"{unique_id!r} is no id of a user or role", fix
    return None


def problem_with_call(call, policy):
    """Why an entry is no call that users may be allowed to make about themselves."""
    if isinstance(call, str) and call in self_service.CALLS:
        return None
    fix = f"list some of {', '.join(self_service.CALLS)}"
    return f"{self_service.described(call)} cannot be self-service", fix


#: The options: what is wrong with an entry, and an example of a list.
OPTIONS = {
    "groups": (problem_with_group, "[admins]"),
    "roles": (problem_with_role, "[Terraform]"),
    "exempt": (problem_with_exempt, "[AIDAEXAMPLEBREAKGLASS]"),
    "self-service": (problem_with_call, "[ChangePassword]"),
}
