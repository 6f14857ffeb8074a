#!/usr/bin/env python3
"""Look at the guard of all accounts, or deploy it, and say of each account what came of it.

    python deploy/ci.py preview FILE ...    who would be denied, and what each function would do
    python deploy/ci.py deploy FILE ...     deploy, except to accounts whose guard somebody has stopped
    python deploy/ci.py status FILE ...     which functions run, since when, and what is missing

FILE is a policy file. The accounts are those of accounts.yml, which deploy/accounts.py writes: all, or with -a or
-t some of them. With --this-account it is the one whose credentials there are, with the settings of iam-guard.yml.
The tables go to the page of a GitHub job, too. The exit status is 1 if anything is wrong in any account, and 2 if
nothing was started.

c7n-org deploys as well. But its exit status is 0 if an account's settings make a policy invalid, its output does
not say which account a line is about, and it deploys to stopped accounts.
"""

import argparse
import itertools
import logging
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import jsonschema
import yaml
from botocore.exceptions import BotoCoreError, ClientError
from c7n.config import Config
from c7n.credentials import assumed_session
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from c7n.structure import StructureParser
from c7n.utils import reset_session_cache, yaml_load
from c7n_org import cli

ACCOUNTS, SETTINGS, LIST = "accounts.yml", "iam-guard.yml", "policies/list-iam-guard-functions.yml"
PREFIX = "iam-guard-"
NO_STACK = "the stack iam-guard is not there: deploy deploy/account.yml"
SHOWN = 20  # names in a cell
#: The columns of a command's table, beside the account.
COLUMNS = {
    "preview": ("function", "what it would do", "whom it would deny at their next call"),
    "deploy": ("function", "what it does"),
    "status": ("function", "version", "observes", "last run", "problem"),
}


class Problem(Exception):
    """Something that keeps the whole run from starting. Its text says what."""


def read(path):
    """The mapping of a YAML file."""
    try:
        found = yaml_load(Path(path).read_bytes())
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise Problem(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    return found if isinstance(found, dict) else {}


def functions_in(path):
    """The policies of a file, each of which is deployed as a function."""
    if not (policies := [one for one in read(path).get("policies") or () if one.get("mode")]):
        raise Problem(f"{path} has no policy that is deployed as a function")
    for policy in policies:
        if not isinstance(policy.get("resource"), str):
            raise Problem(f"{path}: the policy {policy.get('name')} needs a resource, such as aws.iam-user")
    return policies


def accounts_in(path, role=None, names=None, tags=None):
    """The accounts of c7n-org's accounts file.

    :param role: the name of another role to take than the file names
    :param names: take only accounts of these names or ids; ``tags``: only those that have all of these tags
    """
    found = read(path)
    try:
        jsonschema.validate(found, cli.CONFIG_SCHEMA)
    except jsonschema.ValidationError as error:
        raise Problem(": ".join([path, *map(str, error.absolute_path), error.message])) from None
    if found.get("vars") != read(SETTINGS):
        raise Problem(f"{path} has other settings than {SETTINGS}: run python deploy/accounts.py again")
    cli.filter_accounts(found, cli.comma_expand(tags), names)
    for account in found["accounts"]:
        account["own"] = set(account.get("vars", ()))  # what iam-guard.yml alone says comes into vars next
    if not (accounts := list(cli.accounts_iterator(found))):
        raise Problem(f"{path} has no such account")
    for account in accounts:
        if not isinstance(account.get("role"), str) or len(account.get("regions") or ()) != 1:
            raise Problem(f"{path}: {account['name']} does not have one role and one region")
        if role:
            account["role"] = "/".join([*account["role"].split("/")[:-1], role])
    return accounts


def this_account():
    """The account whose credentials there are."""
    if not (region := os.environ.get("AWS_REGION") or boto3.Session().region_name):
        raise Problem("AWS_REGION is not set: name the region that gets IAM's events, such as us-east-1")
    number = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    account = {"name": number, "account_id": number, "role": None, "regions": [region]}
    return account | {"vars": (settings := read(SETTINGS)), "own": set(settings)}


class Notes(logging.Handler):
    """The messages of the plugin and of Custodian: the line of each function, and warnings."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.lines, self.said = {}, []

    def emit(self, record):
        name, _, does = record.getMessage().partition(": ")
        if record.levelno >= logging.WARNING and not record.exc_info:
            self.said.append(record.getMessage())
        elif record.name == "c7n_iamguard" and name.startswith(PREFIX):
            self.lines[name] = does


def work(what, account, policies, own):
    """Do a command in one account: the rows of the table, what else was said, whether something is wrong."""
    reset_session_cache()  # c7n would go on with the session of the account that this process did before
    asked = read(LIST)["policies"] if what == "status" else policies
    load_resources(StructureParser().get_resource_types({"policies": asked}))
    notes, rows, bad = Notes(), [], False
    logging.basicConfig(level=logging.INFO, handlers=[notes], force=True)
    try:
        session = session_of(account)
        stop = stopped(session, own) or unseen(session, account, policies, own)
        with TemporaryDirectory(prefix=PREFIX) as output:
            for policy in asked:
                # Somebody may have stopped it meanwhile.
                if what == "deploy" and (stop := stop or stopped(session, own)):
                    break
                try:
                    rows += DOES[what](loaded(account, policy, output, what), policies, notes)
                except Exception as error:
                    bad = True
                    notes.said.append(str(error) or repr(error))
    except (BotoCoreError, ClientError) as error:
        return [], [unreachable(account, error)], True
    bad |= stop == NO_STACK or (what == "deploy" and bool(stop))
    bad |= what == "status" and any(row[-1] != "none" for row in rows)
    return rows, [*filter(None, [stop]), *grouped(notes.said)], bad


def grouped(said):
    """Each message once: a text about several functions after all of their names."""
    names = {}
    for line in said:
        name, _, text = line.partition(": ") if line.startswith(PREFIX) else ("", "", line)
        names.setdefault(text, {})[name] = None
    return [": ".join(filter(None, [", ".join(sorted(about)), text])) for text, about in names.items()]


def session_of(account):
    """A session of an account's role; without a role, of the credentials that there are."""
    session = boto3.Session(region_name=account["regions"][0])
    if not account["role"]:
        return session
    more = {"session": session, "region": session.region_name, "external_id": account.get("external_id")}
    return assumed_session(account["role"], "iam-guard", **more)


def own_names(policies):
    """The names of the guard's functions and rules: of these policies, and of those in the folder."""
    files = [read(file).get("policies") or () for file in sorted(Path("policies").glob("*.yml"))]
    return {f"{PREFIX}{policy['name']}" for policy in itertools.chain(policies, *files)}


def stopped(session, own):
    """Why nothing may be deployed: the stack is not there, or somebody has stopped the guard. None if it may."""
    iam = session.client("iam")
    try:
        iam.get_role(RoleName="iam-guard")
    except iam.exceptions.NoSuchEntityException:
        return NO_STACK
    pages = session.client("events").get_paginator("list_rules").paginate(NamePrefix=PREFIX)
    disabled = {rule["Name"] for page in pages for rule in page["Rules"] if rule["State"] == "DISABLED"}
    names = disabled & own
    return (
        names
        and f"stopped, since these rules are disabled: {short(names)}. To go on, run deploy/switch on, then this"
    )


def unseen(session, account, policies, own):
    """Why nothing may act in an account without functions. None if that account's own settings let it act."""
    used = set(re.findall(r"{(observe_\w+)}", str(policies)))
    acts = sorted(key for key in used - account["own"] if account["vars"].get(key) is False)
    pages = session.client("lambda").get_paginator("list_functions").paginate()
    there = {function["FunctionName"] for page in pages for function in page["Functions"]}
    if not acts or there & own:
        return None
    entry = (
        f'{{account_id: "{account["account_id"]}", vars: {{{", ".join(f"{key}: true" for key in acts)}}}}}'
    )
    return (
        f"{SETTINGS} lets the guard act, but it has no function here yet, so that nobody has seen whom it would "
        f"hit. Write {entry} into differences.yml to observe first, or false to act at once"
    )


def unreachable(account, error):
    """Why an account cannot even be looked at."""
    if getattr(error, "operation_name", None) != "AssumeRole":
        return f"{error}. Is deploy/access.yml of this version deployed there?"
    caller = boto3.client("sts", region_name=account["regions"][0]).get_caller_identity()["Arn"]
    return (
        f"{account['role']} cannot be taken: is deploy/access.yml deployed there, and does it trust {caller}?"
    )


def loaded(account, policy, output, what):
    """A policy as c7n has it, with the settings of an account."""
    options = Config.empty(
        region=account["regions"][0], account_id=account["account_id"], assume_role=account["role"],
        external_id=account.get("external_id"), output_dir=output, dryrun=what == "preview",
    )  # fmt: skip
    (found,) = PolicyCollection.from_data({"policies": [policy]}, options)
    found.expand_variables(found.get_variables(account["vars"]))
    found.validate()
    return found


def preview(policy, policies, notes):
    """The plugin's line about a function, and the callers that its policy would deny."""
    line, warnings = policy.get_execution_mode().preview()
    name, _, does = line.partition(": ")
    notes.said += [f"{name}: {warning}" for warning in warnings]
    denies = policy.execution_mode == "cloudtrail" and any(
        action.type == "revoke-iam-access" for action in policy.resource_manager.actions
    )
    found = [one for one in (policy.run() if denies else ()) if ":role/iam-guard" not in one["Arn"]]
    return [(name, does, short([one.get("UserName") or one["RoleName"] for one in found]))]


def deploy(policy, policies, notes):
    """The line about a function that was deployed."""
    name = policy.run()["FunctionName"]
    return [(name, notes.lines[name])]


def status(policy, policies, notes):
    """The functions that are there, and those of the files that are not."""
    found, rows = {function["FunctionName"]: function for function in policy.run()}, []
    for name in sorted({*found, *(f"{PREFIX}{one['name']}" for one in policies)}):
        function = found.get(name, {})
        tags = {tag["Key"]: tag["Value"] for tag in function.get("Tags", ())}
        health = function.get("c7n:IAMGuardHealth", {"last-run": "", "problem": "not deployed"})
        about = (tags.get("iam-guard-version", ""), tags.get("iam-guard-observes", ""))
        rows.append((name, *about, health["last-run"], health["problem"]))
    return rows


DOES = {"preview": preview, "deploy": deploy, "status": status}


def short(names):
    """A list of names for a cell."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more


def table(head, rows):
    """Print rows as a Markdown table, and add them to the job's summary."""
    rows = [head, ["---"] * len(head), *rows]
    lines = [" | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    text = "".join(f"| {line} |\n" for line in lines)
    print(text, flush=True)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a") as page:
            print(text, file=page)


def main(arguments=None):
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("what", choices=list(DOES))
    parser.add_argument("files", nargs="+", metavar="FILE", help="policy files")
    parser.add_argument("-c", "--config", default=ACCOUNTS, help="c7n-org's accounts file")
    parser.add_argument("-a", "--accounts", action="append", help="only these, by name or id, as for c7n-org")
    parser.add_argument("-t", "--tags", action="append", help="only those with these tags, as for c7n-org")
    parser.add_argument("--this-account", action="store_true", help="use the credentials that there are")
    parser.add_argument("--role", help="take this role in each account, not the one in the accounts file")
    options = parser.parse_args(arguments)
    try:
        policies = [policy for file in options.files for policy in functions_in(file)]
        own = own_names(policies)
        listed = (options.config, options.role, options.accounts, options.tags)
        accounts = [this_account()] if options.this_account else accounts_in(*listed)
    except (Problem, BotoCoreError, ClientError) as problem:
        print(problem, file=sys.stderr)
        return 2
    names = [f"{account['name']} ({account['account_id']})" for account in accounts]
    with ProcessPoolExecutor(cli.WORKER_COUNT) as pool:
        jobs = [pool.submit(work, options.what, account, policies, own) for account in accounts]
        results = [(name, job.result()) for name, job in zip(names, jobs, strict=True)]
    table(
        ("account", *COLUMNS[options.what]), [(name, *row) for name, (rows, _, _) in results for row in rows]
    )
    said = [(name, "**failed**" if bad else "ok", "; ".join(said)) for name, (_, said, bad) in results]
    table(("account", "result", ""), said)
    return int(any(bad for _, (_, _, bad) in results))


if __name__ == "__main__":
    sys.exit(main())
