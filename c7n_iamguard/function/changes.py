"""The changes that a deployment makes: who is meant to use IAM now and was not before, and the other way round."""

import json
import time

from c7n_iamguard import __version__
from c7n_iamguard.admins import groups, roles
from c7n_iamguard.admins.options import GROUP_ID, MeantOptions
from c7n_iamguard.aws_names import GROUPS_TAG, OBSERVES_TAG, VERSION_TAG
from c7n_iamguard.errors import Refusal
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import ROLE, USER
from c7n_iamguard.settings import PINS, setting

#: CloudTrail's event history holds the calls of so many seconds, so that nobody asks about an earlier time.
REMEMBERED_SECONDS = 90 * 24 * 3600
#: Lambda's limit for all environment variables of a function together is 4 KB.
MOST_CHARACTERS = 3500
#: The lists of the settings, as the pins name them.
LISTS = ("groups", "roles", "patterns", "exempt", "self_service")


def pins_for(policy, before):
    """The pins for a function that is about to be deployed, and a list of warnings.

    :param before: the pins of the function that is deployed now; None if there is none
    :raises Refusal: if the account contradicts the settings
    """
    pins, elements = {name: {} for name in LISTS}, elements_of(policy)
    for element in elements:
        for name, entries in element.pin().items():
            pins[name] |= entries
        pins["self_service"] |= dict.fromkeys(setting(element, "self-service", []), None)
    pins["exempt"], missing = exempt_here(policy, elements)
    check_groups(policy, before or {}, pins)
    check_somebody(policy, elements)
    check_stack(policy, elements, pins)
    pins["off"] = taken_off(before or {}, pins, time.time())
    size = len(json.dumps(pins))
    if size > MOST_CHARACTERS:
        raise Refusal(
            f"policy:{policy.name}: who is meant to use IAM takes {size} characters, and a function has room for "
            f"{MOST_CHARACTERS}; list fewer roles or exempt ids in this account"
        )
    return pins, [*missing, *missing_roles(elements, pins), *trusted_roles(policy, before or {}, pins)]


def elements_of(policy):
    """The filters and actions of a policy whose options say who is meant to use IAM."""
    manager = policy.resource_manager
    return [part for part in (*manager.iter_filters(), *manager.actions) if isinstance(part, MeantOptions)]


def exempt_here(policy, elements):
    """The exempt ids of this account, each with its end, and warnings of those that nobody here has."""
    entries = {entry: end for element in elements for entry, end in element.exempt.items()}
    client, ids = iam(policy.resource_manager), set()
    for kind, prefix in ((USER, "AIDA"), (ROLE, "AROA")):
        if any(entry.startswith(prefix) for entry in entries):
            ids |= {principal[kind.id_key] for principal in kind.everybody(client)}
    here = {entry: end for entry, end in entries.items() if entry.partition(":")[0] in ids}
    ends = {entry: None if end == float("inf") else end for entry, end in here.items()}
    return ends, [f"exempt: nobody in this account is {entry}" for entry in entries if entry not in here]


def check_groups(policy, before, pins):
    """Refuse a group that took the name of the one that the deployed function knows."""
    known_ids = {name.lower(): group_id for name, group_id in before.get("groups", {}).items()}
    for name, group_id in pins["groups"].items():
        known = known_ids.get(name.lower(), group_id)
        if known != group_id and not GROUP_ID.fullmatch(name):
            raise Refusal(
                f"policy:{policy.name}: the admin group {name!r} is {group_id}, and the deployed function knows it "
                f"as {known}; if this group is meant, write {group_id} under admin_groups"
            )


def check_stack(policy, elements, pins):
    """Refuse settings that name other groups than the stack: its role may change only those that it was given."""
    if not any("groups" in element.data for element in elements):
        return
    client, role = iam(policy.resource_manager), policy.data["mode"]["role"].rpartition("/")[2]
    tags = (ROLE.by_name(client, role) or {}).get("Tags", ())
    given = next((tag["Value"].split() for tag in tags if tag["Key"] == GROUPS_TAG), None)
    if given is None:
        return  # the role is no role of deploy/account.yml, or that of an older stack
    named = {groups.find(elements[0], name).name for name in pins["groups"]}
    if {name.lower() for name in named} != {name.lower() for name in given}:
        ours = ", ".join(sorted(named)) or "no group"
        raise Refusal(
            f"policy:{policy.name}: admin_groups names {ours}, and the stack of the role {role} was given "
            f"AdminGroups={','.join(given)}; deploy the stack with the same groups"
        )


def check_somebody(policy, elements):
    """Refuse settings under which nobody would be meant to use IAM."""
    keys = ("groups", "roles", "exempt")
    if elements and not any(setting(element, key, []) for element in elements for key in keys):
        raise Refusal(
            f"policy:{policy.name}: nobody would be meant to use IAM; name somebody under admin_groups, "
            "admin_roles or exempt in iam-guard.yml"
        )


def taken_off(before, pins, now):
    """The ids that were taken off the lists, and when, in seconds since 1970. Their earlier calls deny nobody."""
    off = {}
    for name in LISTS:
        listed = set(ids_in(pins[name]))
        ended = dict(before.get("off", {}).get(name, {}))
        for entry in ids_in(before.get(name, {})):
            end = before["exempt"].get(entry) if name == "exempt" else None
            ended[entry] = min(now, end or now)
        # An exemption also ends by a day that has passed.
        back = {e for e in listed if name == "exempt" and (pins["exempt"][e] or now) < ended.get(e, 0)}
        gone = {entry: end for entry, end in ended.items() if entry not in listed or entry in back}
        off[name] = {entry: end for entry, end in gone.items() if end > now - REMEMBERED_SECONDS}
    return {name: entries for name, entries in off.items() if entries}


def ids_in(entries):
    """The ids in a list of the pins, which has groups and roles as ids by name, and others as keys."""
    return [id_ if isinstance(id_, str) else name for name, id_ in entries.items()]


def missing_roles(elements, pins):
    """Warnings of listed roles that do not exist here."""
    known = {name.lower() for name in pins["roles"]}
    listed = dict.fromkeys(role for e in elements for role in setting(e, "roles", []))
    missing = [role for role in listed if not roles.is_pattern(role) and roles.name_of(role) not in known]
    return [f"admin_roles: there is no role {role} in this account" for role in missing]


def trusted_roles(policy, before, pins):
    """A warning of the roles that the deployed function does not know by their ids."""
    client, known = iam(policy.resource_manager), set(before.get("roles", {}).values())
    new = {name: role_id for name, role_id in pins["roles"].items() if role_id not in known}
    created = {name: ROLE.by_name(client, name)["CreateDate"] for name in new}
    trusted = [f"{name} ({role_id}, created {created[name]:%Y-%m-%d %H:%M})" for name, role_id in new.items()]
    return [f"newly trusted roles: {', '.join(trusted)}"] if trusted else []


def summary(policy, name, observes, tags, pins):
    """One line about a function; ``tags`` are those of the deployed function, and empty if there is none."""
    observed = {"yes": True, "no": False}.get(tags.get(OBSERVES_TAG), observes)
    version = tags.get(VERSION_TAG, __version__)
    changed = [] if tags else ["new"]
    changed += [f"it {'observed' if observed else 'acted'} before"] if observed != observes else []
    changed += [f"version {version} before"] if version != __version__ else []
    does = "observes" if observes else "acts"
    does += f" ({', '.join(changed)})" if changed else ""
    client = iam(policy.resource_manager)
    meant = [
        f"{count(members(client, id_), 'user')} of {name}{'' if tags else f' ({id_})'}"
        for name, id_ in pins["groups"].items()
    ]
    listed = {role for element in elements_of(policy) for role in setting(element, "roles", [])}
    meant += [count(len(listed), "role")] if listed else []
    exempt = f"; exempt: {', '.join(sorted(pins['exempt']))}" if pins["exempt"] else ""
    return f"{name}: {does}; meant: {', '.join(meant) or 'nobody but the exempt'}{exempt}"


def count(number, noun):
    """A number and a noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def members(client, group_id):
    """How many users are in a group."""
    name = groups.search(client, lambda group: group["GroupId"] == group_id).name
    pages = client.get_paginator("get_group").paginate(GroupName=name)
    return sum(len(page["Users"]) for page in pages)


def write(policy, pins):
    """Put the pins into a policy that is about to be deployed."""
    variables = policy.data["mode"].setdefault("environment", {}).setdefault("Variables", {})
    variables[PINS] = json.dumps(pins, separators=(",", ":"), sort_keys=True)
    policy.data = json.loads(json.dumps(policy.data, default=str))  # YAML's dates become text
