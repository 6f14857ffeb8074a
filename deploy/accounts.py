#!/usr/bin/env python3
"""Write c7n-org's accounts.yml from iam-guard.yml and from lists of accounts.

    python deploy/accounts.py organization.yml [differences.yml ...]

A list is what `c7n-org aws-accounts -f organization.yml` writes, or one by hand like deploy/accounts.example.yml. A
later list may add accounts, and change those of an earlier one: it names their account_id and what differs. The
settings become the vars of all accounts, and an account's own vars win over them.

c7n-org makes vars of an account's tags. Of these, only admin_groups counts: the name of one group. Tags that look
like other settings set nothing, and are printed. accounts.yml is never read: edit the other files and run it again.

The names of all admin groups go into deploy/scp.json, too. The exit status is 1 if nothing was written.
"""

import argparse
import difflib
import json
import re
import sys
from pathlib import Path

import yaml

SETTINGS_FILE, OUTPUT, SCP = "iam-guard.yml", "accounts.yml", "deploy/scp.json"
SETTINGS = ("admin_groups", "admin_roles", "exempt", "self_service", "runbook",
            "observe_users", "observe_roles", "observe_people", "observe_containment")  # fmt: skip
#: The keys of an account that c7n-org reads. It ignores other ones, and so a misspelt one.
TEXTS = ("account_id", "name", "display_name", "email", "org_id", "profile", "external_id")
FIELDS = dict.fromkeys(TEXTS, str) | {"role": (str, list), "regions": list, "tags": list, "vars": dict}
#: How the written file begins.
HEAD = "# Written by deploy/accounts.py."
#: The names that groups can have, and their ids. c7n_iamguard refuses all others.
NAME, ID = re.compile(r"[\w+=,.@-]+"), re.compile(r"AGPA[A-Z0-9]{12,}")
#: The groups that a statement of the SCP is about.
GROUPS = re.compile(r'"Resource":\s*(?:"arn:[^"]*:group/[^"]*"|\[\s*"arn:[^"]*:group/[^\]]*\])')


class Problem(Exception):
    """Something in the input that cannot be meant. Its text is one sentence."""


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice. Of two values, YAML would silently take the last one."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read(path):
    """The mapping that a YAML file holds."""
    try:
        found = yaml.load(Path(path).read_bytes(), Loader)  # noqa: S506  it is a SafeLoader
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise Problem(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise Problem(f"{path} is no mapping of keys to values")
    return found


def check_keys(where, keys, known):
    """Refuse a key that nobody reads."""
    for key in keys:
        if key not in known:
            close = [f", did you mean {name}?" for name in difflib.get_close_matches(str(key), known, 1)]
            raise Problem(f"{where}: there is no {key}{''.join(close)}")


def accounts_in(path):
    """The accounts of a list."""
    found = read(path)
    if found.keys() & {"vars", *SETTINGS}:
        raise Problem(f"{path} has settings of all accounts: write them into {SETTINGS_FILE}")
    check_keys(path, found, ["accounts"])
    if not isinstance(found.get("accounts"), list) or not found["accounts"]:
        raise Problem(f"{path} names no accounts")
    ids = set()
    for number, account in enumerate(found["accounts"], 1):
        if not isinstance(account, dict):
            raise Problem(f"{path}: account {number} is no mapping of keys to values")
        where = f"{path}: {account.get('name') or account.get('account_id') or f'account {number}'}"
        check_keys(where, account, list(FIELDS))
        for key, value in account.items():
            texts = not isinstance(value, list) or all(isinstance(one, str) for one in value)
            if not isinstance(value, FIELDS[key]) or not texts:
                raise Problem(f"{where}: {key} cannot be {value!r}")
        if not re.fullmatch(r"\d{12}", account.get("account_id", "")):
            raise Problem(f"{where}: account_id is not 12 digits in quotes")
        if account["account_id"] in ids:
            raise Problem(f"{where}: account_id {account['account_id']} is there twice")
        ids.add(account["account_id"])
        yield where, account


def own_vars(where, account, ignored):
    """The settings of an account itself: by hand any of them, by its tags the admin group.

    :param ignored: collects tags that look like settings: their accounts, by the tag's key
    """
    own = {}
    for key, value in account.get("vars", {}).items():
        if not isinstance(value, str) or f"{key}:{value}" not in account.get("tags", ()):
            check_keys(f"{where}: vars", [key], SETTINGS)
            own[key] = value
        elif key == "admin_groups":
            own[key] = [value]
        elif difflib.get_close_matches(key.lower(), SETTINGS):
            ignored.setdefault(key, []).append(account.get("name", account["account_id"]))
    return own


def merged(lists, ignored):
    """The accounts of all lists. What a later list says of an account wins, also over its tags."""
    accounts = {}
    for path in lists:
        for where, account in accounts_in(path):
            known = accounts.setdefault(account["account_id"], {"name": account["account_id"], "vars": {}})
            known.update(account, vars=known["vars"] | own_vars(where, account, ignored))
            if not known.get("role") and not known.get("profile"):
                left = f"has it left the organization? Then take it out of {path}"
                raise Problem(f"{where} has no role, and is in no list before: {left}")
            if len(known.get("regions", ())) != 1:
                raise Problem(f"{where}: regions does not name one region, the one that gets IAM's events")
    return list(accounts.values())


def update_scp(settings, accounts):
    """Write the names of all admin groups into the SCP: a group's ARN has its name, not its id."""
    lists = [one.get("admin_groups") for one in (settings, *(account["vars"] for account in accounts))]
    lists = [[groups] if isinstance(groups, str) else groups for groups in lists]  # a text is a list of one
    groups = dict.fromkeys(str(group) for groups in lists if isinstance(groups, list) for group in groups)
    names = list(filter(NAME.fullmatch, groups))
    if ids := list(filter(ID.fullmatch, names)):
        print(f"{SCP} is left as it was, since it goes by name: name {', '.join(ids)} there by hand")
    elif names and Path(SCP).exists():
        arns = [f"arn:*:iam::*:group/{path}{name}" for name in names for path in ("", "*/")]
        before = Path(SCP).read_text()
        after = GROUPS.sub(lambda _: f'"Resource": {json.dumps(arns)}', before)
        if after != before:
            Path(SCP).write_text(after)
            print(f"{SCP} names {', '.join(names)} now: if it is attached, attach it anew")


def main():
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("lists", nargs="+", metavar="LIST")
    lists, ignored, output = parser.parse_args().lists, {}, Path(OUTPUT)
    try:
        if output.exists() and not output.read_text().startswith(HEAD):
            raise Problem(f"{OUTPUT} is not by this command: rename it, and name it as a list")
        settings = read(SETTINGS_FILE)
        check_keys(SETTINGS_FILE, settings, SETTINGS)
        accounts = merged(lists, ignored)
    except Problem as problem:
        return str(problem)
    data = yaml.safe_dump({"vars": settings, "accounts": accounts}, sort_keys=False)
    again = f"python deploy/accounts.py {' '.join(lists)}"
    output.write_text(f"{HEAD} Edit the other files and run it again:\n# {again}\n{data}")
    for key, names in ignored.items():
        print(f"The tag {key} sets nothing, since a tag may set admin_groups alone: {', '.join(names)}")
    own = ", ".join(account["name"] for account in accounts if account["vars"]) or "none"
    print(f"{OUTPUT} has {len(accounts)} accounts; with settings of their own: {own}")
    update_scp(settings, accounts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
