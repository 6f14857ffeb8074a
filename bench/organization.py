"""``c7n-org run`` over 10, 50 and 100 accounts of one moto server."""

import json
import tempfile
from pathlib import Path

import yaml
from moto.awslambda.models import lambda_backends

from bench import functions
from bench.callers import Users, backend
from bench.common import command, sandbox, say
from bench.functions import FUNCTIONS, REVOKE, policy_text
from bench.report import markdown, ratio
from sandbox.commands.guard import SETTINGS

TITLE = "An organization"
SIZES = (10, 30, 100)
DEPLOYER = "iam-guard-deployer"


def measure():
    """Deploy the policy over more and more accounts, each time to fresh ones."""
    return [run(size) for size in SIZES]


def run(size):
    """One deployment over so many accounts."""
    say(f"organization: {size} accounts")
    ids = [f"{200000000000 + number}" for number in range(size)]
    with sandbox() as box, tempfile.TemporaryDirectory() as folder:
        for account in ids:
            prepare(box, account)
        accounts, policy = Path(folder) / "accounts.json", Path(folder) / "policy.json"
        settings = yaml.safe_load(SETTINGS.read_bytes())
        accounts.write_text(json.dumps({"vars": settings, "accounts": [entry(box, a) for a in ids]}))
        policy.write_text(policy_text(REVOKE))
        del box.calls[:]
        done = command(box, "c7n-org", "run", "-c", accounts, "-u", policy, "-r", box.region)
        missing = [a for a in ids if FUNCTIONS["ours"].name not in function_names(a, box.region)]
        if missing:
            raise RuntimeError(f"nothing was deployed in {len(missing)} accounts: {done.output[-3000:]}")
        calls = len(box.calls)
    return {
        "accounts": size,
        "seconds": round(done.seconds, 1),
        "per account": round(done.seconds / size, 3),
        "cpu per account": round(done.cpu / size, 3),
        "calls per account": round(calls / size, 1),
    }


def prepare(box, account):
    """The needs of a deployment in an account: our stack, an admin, and the deployer's role."""
    box.deploy(account=account)
    Users.prepare(box, account)
    if DEPLOYER not in [role.name for role in backend(account).roles.values()]:
        functions.add_role(box, account, DEPLOYER, {"AWS": f"arn:aws:iam::{box.account}:root"})


def entry(box, account):
    role = f"arn:aws:iam::{account}:role/{DEPLOYER}"
    return {"account_id": account, "name": f"account-{account}", "regions": [box.region], "role": role}


def function_names(account, region):
    return [function.function_name for function in lambda_backends[account][region].list_functions()]


# Report


def table(rows):
    """The part as Markdown."""
    keys = ["accounts", "seconds", "per account", "cpu per account", "calls per account"]
    small, large = rows[0], rows[-1]
    elapsed, cpu = (ratio(large[key], small[key]) for key in ("per account", "cpu per account"))
    return "\n\n".join(
        [
            "`c7n-org run`, first deployment, as many processes as c7n-org takes by itself; the one moto "
            "server shares the machine with them.",
            markdown(
                ["accounts", "seconds", "per account", "its CPU", "calls per account"],
                [[row[key] for key in keys] for row in rows],
            ),
            f"From {small['accounts']} to {large['accounts']} accounts, the time per account becomes "
            f"{elapsed} times what it was, its processor time {cpu} times: 1 is linear.",
        ]
    )


def figures(rows):
    """The figures that a later run is compared by."""
    return {
        f"{row['accounts']} accounts: {key}": row[key]
        for row in rows
        for key in ("seconds", "cpu per account", "calls per account")
    }
