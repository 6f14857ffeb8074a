#!/usr/bin/env python3
"""What CI does with the policies: c7n-org over all accounts, file by file, and a summary of every account.

    python deploy/ci.py preview FILE ...    who would be revoked, and which functions would change
    python deploy/ci.py deploy FILE ...     deploy, except to accounts whose guard was stopped

The accounts are those of accounts.yml, which deploy/accounts.py writes, or with --this-account the one whose
credentials CI has, with the settings of iam-guard.yml. The summary goes to the job's page, if it has one. The
exit status is 1 if anything failed in any account, and 2 if nothing was started. c7n-org's own exit status does
not always say so, and it says nothing of the accounts that went well.
"""

import argparse
import contextlib
import functools
import json
import logging
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import botocore.session
import click
import jsonschema
import yaml
from botocore.exceptions import BotoCoreError, ClientError
from c7n import mu
from c7n_org import cli

ACCOUNTS, SETTINGS = "accounts.yml", "iam-guard.yml"
REVOKE = "revoke-iam-access"
VERSION_TAG = "iam-guard-version"
SHOWN = 20  # names in a cell
#: What c7n and c7n-org do themselves, before :func:`main` puts this module's functions in front.
RUN_ACCOUNT, PUBLISH = cli.run_account, mu.LambdaManager.publish


class Stopped(Exception):
    """Somebody has stopped the guard in an account. A deployment there would start it, or a part of it."""


class Problem(Exception):
    """Something that keeps the whole run from starting. Its text says what."""


class Notes(logging.Handler):
    """What came of one account: its policies, its functions, and the warnings and errors of all loggers.

    c7n-org runs each account in a process of its own, a copy of this one. So each account has a file.

    :param folder: where the files are
    :param deploying: whether functions are deployed, or only compared
    """

    def __init__(self, folder, deploying):
        super().__init__(logging.INFO)
        self.folder, self.deploying = Path(folder), deploying

    def emit(self, record):
        text = record.getMessage()
        name, _, does = text.partition(": ")
        if record.levelno >= logging.WARNING:
            self.found["said"] += [] if text in self.found["said"] else [text]
        elif name in self.found["functions"]:  # the plugin's line about a function that it deploys
            self.found["functions"][name]["does"] = does

    def run_account(self, account, *options):
        """c7n-org's function of this name, with what came of it written down."""
        mu.LambdaManager.publish = lambda *arguments, **more: self.publish(*arguments, **more)
        self.found = {"policies": {}, "functions": {}, "said": []}
        logging.getLogger().addHandler(self)
        try:
            counts, success = RUN_ACCOUNT(account, *options)
            self.found["policies"] = counts
            return counts, success
        except Exception as error:
            self.found["said"].append(str(error))
            raise
        finally:
            logging.getLogger().removeHandler(self)
            (self.folder / account["account_id"]).write_text(json.dumps(self.found))

    def publish(self, manager, function, *options, **more):
        """c7n's method of this name. A preview only looks; a deployment ends if the guard was stopped meanwhile."""
        if self.deploying:
            refuse_if_stopped(manager.session_factory())
        changes = changes_of(manager, function)
        result = PUBLISH(manager, function, *options, **more) if self.deploying else None
        done = {"policy": function.policy.name, "changes": ", ".join(changes) or "nothing", "does": ""}
        self.found["functions"][function.name] = done
        return result


notes = None


def run_account(*arguments):
    """What c7n-org calls in each of its processes, by this name."""
    return notes.run_account(*arguments)


def changes_of(manager, function):
    """What a deployment by c7n's LambdaManager would change about a PolicyLambda, as c7n itself finds out."""
    deployed, archive, settings = manager.get(function.name), function.get_archive(), function.get_config()
    function.get_archive = lambda: archive  # c7n asks for it again, and it can be made only once
    tags = settings.pop("Tags", {})
    settings.pop("Architectures", None)
    new = tags.get(VERSION_TAG)
    if not deployed:
        return [f"new, version {new}"]
    before = deployed["Configuration"]
    changes = manager.delta_function(before, settings | {"Role": function.role})
    changes += ["code"] if archive.get_checksum() != before["CodeSha256"] else []
    old = deployed.get("Tags", {}).get(VERSION_TAG)
    changes += [f"version {old} to {new}"] if old != new else []
    for source in function.get_events(manager.session_factory):
        if isinstance(source, mu.CloudWatchEventSource) and differs(source, source.get(function.event_name)):
            changes.append("rule")
    return changes


def differs(source, rule):
    """Whether a rule is not there, or has another pattern or schedule than its source of events."""
    pattern, schedule = source.render_event_pattern(), source.data.get("schedule")
    return not rule or (rule.get("EventPattern"), rule.get("ScheduleExpression")) != (pattern, schedule)


# Accounts and policies


def look(account):
    """Whether CI can deploy to an account: the result for the summary, and the reason."""
    region = account["regions"][0]
    own = boto3.Session(region_name=region)
    try:
        taken = account.get("role") or account.get("profile")
        refuse_if_stopped(cli.get_session(account, "iam-guard", region) if taken else own)
    except Stopped as stopped:
        return "stopped", str(stopped)
    except (BotoCoreError, ClientError) as error:
        if "(AccessDenied" not in str(error):
            return "failed", str(error)
        if error.operation_name != "AssumeRole":
            return "failed", f"{error}. Is deploy/access.yml of this version deployed there?"
        trusted = f"does it trust {own.client('sts').get_caller_identity()['Arn']}?"
        return "failed", f"CI may not take {taken}: is deploy/access.yml deployed there, and {trusted}"
    return "ok", ""


def refuse_if_stopped(session):
    """Raise :class:`Stopped` if any rule of the guard is disabled in the account and region of a session."""
    pages = session.client("events").get_paginator("list_rules").paginate(NamePrefix="iam-guard-")
    names = [rule["Name"] for page in pages for rule in page["Rules"] if rule["State"] == "DISABLED"]
    if names:
        mend = "run deploy/switch on, and then this again"
        raise Stopped(f"nothing is deployed here while rules are disabled ({short(names)}): {mend}")


def read(path):
    """The mapping of a YAML file; an empty one if the file holds something else."""
    try:
        found = yaml.safe_load(Path(path).read_bytes())
        return found if isinstance(found, dict) else {}
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise Problem(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def functions_in(path):
    """The policies of a file that are deployed as functions."""
    found = read(path).get("policies") or ()
    policies = [p for p in found if isinstance(p, dict) and isinstance(p.get("mode"), dict)]
    if not policies:
        raise Problem(f"{path} has no policy that is deployed as a function")
    return policies


def accounts_of(options):
    """The accounts that the command line names, as c7n-org has them when it runs."""
    path = options.config
    if options.this_account:
        if Path(path).exists():
            raise Problem(f"--this-account would pass over the accounts of {path}: leave out one of the two")
        return [this_account()]
    if not Path(path).exists():
        force = f"git add --force {path}"
        raise Problem(f"{path} is not there: commit it with `{force}`, or pass --this-account")
    return accounts_in(path, options.role)


def this_account():
    """The account whose credentials there are."""
    region = os.environ.get("AWS_REGION") or boto3.Session().region_name
    if not region:
        raise Problem("AWS_REGION is not set: name the region that gets IAM's events, such as us-east-1")
    number = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    # Without a role, c7n-org takes the credentials that there are.
    own = {"name": number, "account_id": number, "role": [], "regions": [region]}
    return own | {"vars": read(SETTINGS)}


def accounts_in(path, role=None):
    """The accounts of c7n-org's accounts file.

    :param role: the name of the role to take instead of those that the file names
    """
    found = read(path)
    if not found.get("accounts"):
        raise Problem(f"{path} names no account")
    try:
        for number, account in enumerate(found["accounts"], 1):
            if not isinstance(account, dict):
                raise Problem(f"{path}: account {number} is no account, but {account!r}")
            place = f"{path}: {account.setdefault('name', account.get('account_id', f'account {number}'))}"
            if not account.get("role") and not account.get("profile"):
                raise Problem(f"{place} has no role")
            if len(account.get("regions") or ()) != 1:
                raise Problem(f"{place} does not have one region: name the one that gets IAM's events")
            jsonschema.validate(account, cli.CONFIG_SCHEMA["definitions"]["account"])
            if role and not isinstance(account.get("role"), str):
                raise Problem(f"{place} has no role, or a list of them: name one")
            if role:  # in place of a name, or of an ARN's last part
                account["role"] = "/".join([*account["role"].split("/")[:-1], role])
        place = path
        jsonschema.validate(found, cli.CONFIG_SCHEMA)
    except jsonschema.ValidationError as error:
        raise Problem(": ".join([place, *map(str, error.absolute_path), error.message])) from None
    if found.get("vars") != read(SETTINGS):
        raise Problem(f"{path} has other settings than {SETTINGS}: run python deploy/accounts.py again")
    return list(cli.accounts_iterator(found))


# Running


class Run:
    """c7n-org over all accounts, a file at a time, and what came of each account.

    :param accounts: what :func:`accounts_of` returned
    :param folder: an empty folder for this run's files
    :param deploying: whether functions are deployed, or only compared
    """

    def __init__(self, accounts, folder, deploying):
        self.folder, self.deploying = Path(folder), deploying
        self.accounts = {place_of(account): account for account in accounts}
        with ThreadPoolExecutor(cli.WORKER_COUNT) as pool:
            looks = dict(zip(self.accounts, pool.map(look, self.accounts.values()), strict=True))
        self.results = {name: result for name, (result, _) in looks.items()}
        self.said = {name: [reason] if reason else [] for name, (_, reason) in looks.items()}
        self.reached = [name for name, result in self.results.items() if result != "failed"]
        self.running = [name for name, result in self.results.items() if result == "ok"]

    def c7n_org(self, names, file, policies, dry=False):
        """Run policies of a file over accounts; the notes on each, by its name, and the folder of the output."""
        global notes
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        output, config, notes = folder / "output", folder / ACCOUNTS, Notes(folder, self.deploying)
        cli.run_account = run_account
        config.write_text(yaml.safe_dump({"accounts": [self.accounts[name] for name in names]}))
        arguments = ["run", "-c", str(config), "-u", file, "-s", str(output), "--cache-period", "0"]
        arguments += ["--dryrun"] if dry else []
        arguments += [word for policy in policies for word in ("-p", policy["name"])]
        with contextlib.suppress(SystemExit):  # of 1 where it has noticed a failure; the notes know of all
            cli.cli.main(arguments, standalone_mode=False)
        files = {name: folder / self.accounts[name]["account_id"] for name in names}
        return {n: json.loads(f.read_text()) if f.exists() else {} for n, f in files.items()}, output

    def check(self, name, note, missing):
        """Keep the warnings about an account, and whether a policy or a function is missing there."""
        said = list(note.get("said", ()))
        if missing:
            said = said or ["nothing was said of " + ", ".join(missing)]
            self.results[name] = "failed"
        self.said[name] += [line for line in said if line not in self.said[name]]

    def who(self, file, policies):
        """The users and roles whom a file's policies would revoke if they called IAM, as rows of a table."""
        policies = [policy for policy in policies if revokes(policy)]
        if not policies:
            return []
        noted, output = self.c7n_org(self.reached, file, policies, dry=True)
        rows = []
        for name, note in noted.items():
            folder = output / self.accounts[name]["name"] / self.accounts[name]["regions"][0]
            self.check(name, note, [p["name"] for p in policies if p["name"] not in note.get("policies", ())])
            for policy in policies:
                file = folder / policy["name"] / "resources.json"
                found = json.loads(file.read_text()) if file.exists() else []
                names = [r.get("UserName") or r.get("RoleName") or r.get("Arn", "?") for r in found]
                rows += [(name, policy["name"], short(names))] if names else []
        return rows

    def functions(self, file, policies):
        """Deploy a file's policies, or only compare; the changes, as rows of a table."""
        rows = []
        for name, note in self.c7n_org(self.running, file, policies)[0].items():
            done = note.get("functions", {})
            rows += [(name, function, what["changes"], what["does"]) for function, what in done.items()]
            ran = {what["policy"] for what in done.values()} & set(note.get("policies", ()))
            self.check(name, note, [p["name"] for p in policies if p["name"] not in ran])
        return rows


def place_of(account):
    """An account as the summary calls it."""
    name, number = account["name"], account["account_id"]
    return name if name == number else f"{name} ({number})"


def revokes(policy):
    """Whether a policy denies IAM to whoever calls it, so that its dry run lists who would be revoked."""
    actions = [a if isinstance(a, str) else a.get("type") for a in policy.get("actions", ())]
    return policy["mode"]["type"] == "cloudtrail" and REVOKE in actions


def short(names):
    """A list of names for a cell."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more


# The summary


def say(*lines):
    """Print lines, and add them to the job's summary."""
    print(*lines, sep="\n", flush=True)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a") as page:
            print(*lines, sep="\n", file=page)


def table(title, head, rows, otherwise=""):
    """Say rows as a Markdown table."""
    say(f"### {title}", "")
    if not rows:
        say(otherwise, "")
        return
    for row in (head, ["---"] * len(head), *rows):
        cells = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in row)
        say("| " + " | ".join(cells) + " |")
    say("")


def summary(run, rows):
    """Say the table of all accounts, and return the exit status."""
    results = []
    for name, said in run.said.items():
        result = run.results[name]
        count = [f"{sum(row[0] == name for row in rows)} functions"] if result == "ok" else []
        results.append((name, result if count else f"**{result}**", "; ".join(count + said)))
    table("Accounts", ("account", "result", ""), results)
    bad = {"failed", "stopped"} if run.deploying else {"failed"}
    return 1 if bad & set(run.results.values()) else 0


def main(arguments=None):
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("what", choices=["preview", "deploy"])
    parser.add_argument("files", nargs="+", metavar="FILE", help="policy files")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-c", "--config", default=ACCOUNTS, help="c7n-org's accounts file")
    where.add_argument("--this-account", action="store_true", help="use the credentials that there are")
    parser.add_argument("--role", help="take this role in each account, not the one in the accounts file")
    options = parser.parse_args(arguments)
    deploying = options.what == "deploy"
    with tempfile.TemporaryDirectory(prefix="iam-guard-") as folder:
        try:
            files = {file: functions_in(file) for file in options.files}
            accounts = accounts_of(options)
            # c7n-org's processes know what is replaced here. c7n makes a session for each look, and each would read
            # AWS's descriptions of its services anew.
            multiprocessing.set_start_method("fork", force=True)
            botocore.session.create_loader = functools.cache(botocore.session.create_loader)
            run = Run(accounts, folder, deploying)
            rows, who = [], []
            for file, policies in files.items():
                if not deploying:
                    who += run.who(file, policies)
                rows += run.functions(file, policies)
        except (Problem, click.ClickException, BotoCoreError, ClientError) as problem:
            say(f"**{problem}**")
            return 2
        if not deploying:
            title = "Who would be revoked at their next call to IAM"
            table(title, ("account", "policy", "who"), who, "Nobody.")
        head = "Functions" if deploying else "Which functions would change"
        table(head, ("account", "function", "what changes", "what it does"), rows, "None.")
        return summary(run, rows)


if __name__ == "__main__":
    sys.exit(main())
