#!/usr/bin/env python3
"""What CI does with the policies: c7n-org over all accounts, file by file, and a summary of every account.

    python deploy/ci.py preview FILE ...    who would be revoked, and which functions would change
    python deploy/ci.py deploy FILE ...     deploy, except to accounts whose guard was stopped

The accounts are those of accounts.yml. Without that file, it is the one account whose credentials CI has. The
summary goes to the job's page, where there is one. The exit status is 1 if anything failed in any account.
c7n-org's own exit status does not always say so, and it says nothing of the accounts that went well.
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
from pathlib import Path

import boto3
import botocore.session
import click
import jsonschema
import yaml
from c7n import mu
from c7n_org import cli

REVOKE = "revoke-iam-access"
VERSION_TAG = "iam-guard-version"
SHOWN = 20  # names in a cell
#: What c7n and c7n-org do themselves, before :func:`main` puts this module's functions in front.
RUN_ACCOUNT, PUBLISH = cli.run_account, mu.LambdaManager.publish


class Stopped(Exception):
    """The function's rule is disabled. Deploying the function would enable it."""


class Problem(Exception):
    """Something that keeps the whole run from starting. Its text says what."""


class Notes(logging.Handler):
    """What came of one account: its policies, its functions, and the warnings and errors of all loggers.

    c7n-org runs each account in a process of its own, a copy of this one. So each account has a file.

    :param folder: where the files are
    :param deploying: whether functions are deployed, or only compared
    """

    def __init__(self, folder, deploying):
        super().__init__(logging.WARNING)
        self.folder, self.deploying = Path(folder), deploying

    def emit(self, record):
        if record.getMessage() not in self.found["said"]:
            self.found["said"].append(record.getMessage())

    def run_account(self, account, region, *options):
        """c7n-org's function of this name, with what came of it written down."""
        self.found = {"policies": {}, "functions": {}, "said": []}
        logging.getLogger().addHandler(self)
        try:
            counts, success = RUN_ACCOUNT(account, region, *options)
            self.found["policies"] = counts
            return counts, success
        except Exception as error:
            self.found["said"].append(str(error))
            raise
        finally:
            logging.getLogger().removeHandler(self)
            file = self.folder / f"{account['account_id']}-{region}.json"
            file.write_text(json.dumps(self.found))

    def publish(self, manager, function, *options, **more):
        """c7n's method of this name, which refuses where the guard was stopped. A preview only looks."""
        rules = rules_of(manager, function)
        changes = changes_of(manager, function, rules)
        if any(rule and rule["State"] == "DISABLED" for _, rule in rules):
            if self.deploying:
                raise Stopped(f"{function.name} was stopped. Start it by deploy/switch on, and deploy again")
            changes.append("stopped: it would not be deployed")
        result = PUBLISH(manager, function, *options, **more) if self.deploying else None
        self.found["functions"][function.name] = ", ".join(changes) or "nothing"
        return result


notes = None


def run_account(*arguments):
    """What c7n-org calls in each of its processes, by this name."""
    return notes.run_account(*arguments)


def publish(*arguments, **more):
    """What c7n calls to deploy a function."""
    return notes.publish(*arguments, **more)


def changes_of(manager, function, rules):
    """What a deployment would change about a function, as c7n itself finds out.

    :param manager: c7n's LambdaManager
    :param function: c7n's PolicyLambda
    :param rules: what :func:`rules_of` returned
    """
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
    return changes + ["rule" for source, rule in rules if differs(source, rule)]


def rules_of(manager, function):
    """A function's sources of events, as c7n has them, each with its rule as EventBridge has it."""
    sources = function.get_events(manager.session_factory)
    return [(s, s.get(function.event_name)) for s in sources if isinstance(s, mu.CloudWatchEventSource)]


def differs(source, rule):
    """Whether a rule is not there, or has another pattern or schedule than its source of events."""
    wanted = {
        "EventPattern": source.render_event_pattern(),
        "ScheduleExpression": source.data.get("schedule"),
    }
    return not rule or any(rule.get(key) != value for key, value in wanted.items())


# Accounts


def accounts_in(path, role=None):
    """c7n-org's accounts file as data, or the one account whose credentials there are.

    :param role: the name of the role to take instead of those that the file names
    """
    if not Path(path).exists():
        region = os.environ["AWS_REGION"]
        account = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
        # Without a role, c7n-org takes the credentials that there are.
        return {"accounts": [{"name": account, "account_id": account, "role": [], "regions": [region]}]}
    found = yaml.safe_load(Path(path).read_text())
    try:
        jsonschema.validate(found, cli.CONFIG_SCHEMA)
    except jsonschema.ValidationError as error:
        raise Problem(f"{path}: {error.message}") from None
    for account in found.get("accounts", ()):
        account.setdefault("name", account["account_id"])
        if not account.get("regions"):
            raise Problem(f"{path}: {account['name']} has no regions. Name the one that gets IAM's events")
        if role and not isinstance(account.get("role"), str):
            raise Problem(f"{path}: {account['name']} has no role, or a list of them. Name one by its ARN")
        if role:
            account["role"] = account["role"].rpartition("/")[0] + "/" + role
    return found


# Running


class Run:
    """c7n-org over all accounts, a file at a time, and what came of each account.

    :param accounts: what :func:`accounts_in` returned
    :param folder: an empty folder for this run's files
    """

    def __init__(self, accounts, folder):
        self.folder = Path(folder)
        self.places = [(a, region) for a in accounts["accounts"] for region in a["regions"]]
        self.said = {self.name(*place): [] for place in self.places}
        self.failed = set()
        self.config = self.folder / "accounts.yml"
        self.config.write_text(yaml.safe_dump(accounts))

    def name(self, account, region):
        name = (
            account["name"]
            if account["name"] == account["account_id"]
            else "{name} ({account_id})".format(**account)
        )
        return f"{name} {region}" if len(account["regions"]) > 1 else name

    def c7n_org(self, file, policies, deploying=False, dry=False):
        """Run policies of a file over all accounts.

        :returns: the notes on each account, by its name; and the folder of c7n-org's output
        """
        global notes
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        output, notes = folder / "output", Notes(folder, deploying)
        cli.run_account, mu.LambdaManager.publish = run_account, publish
        arguments = ["run", "-c", str(self.config), "-u", file, "-s", str(output), "--cache-period", "0"]
        arguments += ["--dryrun"] if dry else []
        for policy in policies:
            arguments += ["-p", policy["name"]]
        with contextlib.suppress(SystemExit):  # of 1 where it has noticed a failure; the notes know of all
            cli.cli.main(arguments, standalone_mode=False)
        found = {}
        for account, region in self.places:
            file = folder / f"{account['account_id']}-{region}.json"
            found[self.name(account, region)] = json.loads(file.read_text()) if file.exists() else {}
        return found, output

    def check(self, name, note, missing):
        """Keep the warnings about an account, and whether a policy or a function is missing there."""
        said = list(note.get("said", ()))
        if missing:
            said = said or ["nothing was said of " + ", ".join(missing)]
            self.failed.add(name)
        self.said[name] += [line for line in said if line not in self.said[name]]

    def who(self, file, policies):
        """The users and roles whom a file's policies would revoke if they called IAM, as rows of a table."""
        policies = [policy for policy in policies if revokes(policy)]
        if not policies:
            return []
        found, output = self.c7n_org(file, policies, dry=True)
        rows = []
        for account, region in self.places:
            name = self.name(account, region)
            notes = found[name]
            self.check(
                name, notes, [p["name"] for p in policies if p["name"] not in notes.get("policies", ())]
            )
            for policy in policies:
                resources = output / account["name"] / region / policy["name"] / "resources.json"
                names = [names_of(r) for r in json.loads(resources.read_text())] if resources.exists() else []
                if names:
                    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                    rows.append((name, policy["name"], ", ".join(sorted(names)[:SHOWN]) + more))
        return rows

    def functions(self, file, policies, deploying):
        """Deploy a file's policies, or only compare; the changes, as rows of a table."""
        found, _ = self.c7n_org(file, policies, deploying)
        rows = []
        for name, note in found.items():
            done = note.get("functions", {})
            rows += [(name, function, change) for function, change in done.items()]
            wanted = {function_of(policy): policy["name"] for policy in policies}
            ran = note.get("policies", ())
            self.check(name, note, [w for w, policy in wanted.items() if w not in done or policy not in ran])
        return rows


def revokes(policy):
    """Whether a policy denies IAM to whoever calls it, so that its dry run lists who would be revoked."""
    actions = [
        action if isinstance(action, str) else action.get("type") for action in policy.get("actions", ())
    ]
    return policy["mode"]["type"] == "cloudtrail" and REVOKE in actions


def function_of(policy):
    """The name of a policy's function, as c7n makes it."""
    return policy["mode"].get("function-prefix", "custodian-") + policy["name"]


def names_of(resource):
    return resource.get("UserName") or resource.get("RoleName") or resource.get("Arn", "?")


# The summary


def say(*lines):
    """Print lines, and add them to the job's summary."""
    print(*lines, sep="\n", flush=True)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a") as page:
            print(*lines, sep="\n", file=page)


def table(title, head, rows, otherwise):
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
    """The table of all accounts.

    :returns: the exit status
    """
    results = []
    for name, said in run.said.items():
        functions = [f"{sum(row[0] == name for row in rows)} functions"] if name not in run.failed else []
        results.append((name, "ok" if functions else "**failed**", "; ".join(functions + said)))
    table("Accounts", ("account", "result", ""), results, "accounts.yml names no account.")
    return 1 if run.failed or not results else 0


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["preview", "deploy"])
    parser.add_argument("files", nargs="+", metavar="FILE", help="policy files")
    parser.add_argument("-c", "--config", default="accounts.yml", help="c7n-org's accounts file")
    parser.add_argument(
        "--role", help="the role to take in each account, instead of the one in the accounts file"
    )
    options = parser.parse_args(arguments)
    multiprocessing.set_start_method("fork", force=True)  # c7n-org's processes know what is replaced here
    # c7n makes a session for each look, and each would read AWS's descriptions of its services anew.
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    deploying = options.what == "deploy"
    with tempfile.TemporaryDirectory(prefix="iam-guard-") as folder:
        try:
            run = Run(accounts_in(options.config, options.role), folder)
            rows, who = [], []
            for file in options.files:
                policies = [p for p in yaml.safe_load(Path(file).read_text())["policies"] if "mode" in p]
                if not policies:
                    raise Problem(f"{file} has no policy that is deployed as a function")
                if not deploying:
                    who += run.who(file, policies)
                rows += run.functions(file, policies, deploying)
        except (Problem, click.ClickException) as problem:
            say(f"**{problem}**")
            return 2
        if not deploying:
            table(
                "Who would be revoked at their next call to IAM", ("account", "policy", "who"), who, "Nobody."
            )
        title = "Functions" if deploying else "Which functions would change"
        table(title, ("account", "function", "what changes"), rows, "None.")
        return summary(run, rows)


if __name__ == "__main__":
    sys.exit(main())
