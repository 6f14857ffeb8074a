"""The search for users outside the admin groups, among 5,000: stock source and filter against ours."""

import json
import re
import tempfile
from pathlib import Path

from bench.callers import ADMIN_GROUP, Users, backend
from bench.common import DELAYS, LATENCY, command, sandbox, say
from bench.report import markdown, target

TITLE = "A whole account"
USERS, ADMINS, TRIAL = 5000, 20, 1000
#: Stock runs over a fifth of the users, where all of them would take longer than this.
PATIENCE = 240
OURS, STOCK = "authorization-details", "stock"
POLICIES = {
    STOCK: {"filters": [{"not": [{"type": "group", "key": "GroupName", "value": ADMIN_GROUP}]}]},
    OURS: {"source": OURS, "filters": [{"not": [{"type": "admin-group-member", "groups": [ADMIN_GROUP]}]}]},
}


def measure():
    """Dry runs of the stock command, side by side, without and with latency."""
    rows = [run(STOCK, TRIAL)]
    if rows[0]["seconds"] * USERS / TRIAL < PATIENCE:
        rows.append(run(STOCK, USERS))
    rows.append(run(STOCK, TRIAL, LATENCY))
    return [*rows, run(OURS, USERS), run(OURS, USERS, LATENCY)]


def run(source, users, latency=(0, 0)):
    """One dry run over an account of so many users, in a sandbox of its own.

    :param latency: seconds added per API call and per new connection
    """
    say(f"accounts: {source}, {users} users{', with latency' if any(latency) else ''}")
    with sandbox() as box, tempfile.TemporaryDirectory() as folder:
        backend(box.account).create_group(ADMIN_GROUP)
        Users.add(box, box.account, (f"admin-{i}" for i in range(ADMINS)), [ADMIN_GROUP])
        Users.add(box, box.account, (f"user-{i}" for i in range(users - ADMINS)))
        path = Path(folder) / "policy.json"
        policy = {"name": "outside-the-admin-group", "resource": "aws.iam-user", **POLICIES[source]}
        path.write_text(json.dumps({"policies": [policy]}))
        box.call_delay, box.connection_delay = latency
        done = command(box, "custodian", "run", "--dryrun", "--cache-period", "0", path)
        logged = re.search(rf"count:{users - ADMINS} time:([0-9.]+)", done.output)
        if not logged:
            raise RuntimeError(f"not {users - ADMINS} users were found: {done.output[-3000:]}")
        calls = sum(call.service == "iam" for call in box.calls)
    return {
        "source": source,
        "users": users,
        "latency": "yes" if any(latency) else "no",
        "calls": calls,
        "seconds": round(done.seconds, 2),
        "policy": float(logged[1]),
    }


# Report


def table(rows):
    """The part as Markdown."""
    keys = ["source", "users", "latency", "calls", "seconds", "policy"]
    text = [
        f"A dry run that lists the users outside of the admin group, which has {ADMINS} members. The seconds "
        "of the policy are those that Custodian logs; the rest is its start, whatever the source. Latency is "
        f"{DELAYS}, as over a network.",
        markdown(
            ["source", "users", "latency", "calls to IAM", "seconds", "of it the policy"],
            [[row[key] for key in keys] for row in rows],
        ),
    ]
    return "\n\n".join([*text, "\n".join(targets(rows))])


def targets(rows):
    """The targets, and whether they were reached."""
    for latency in ("no", "yes"):
        ours, stock, scale = compared(rows, latency)
        times = {key: stock[key] * scale / ours[key] for key in ("seconds", "policy")}
        scaled = f" (its {stock['users']:,} users times {scale:g})" if scale > 1 else ""
        name = "with latency" if latency == "yes" else "without latency"
        if latency == "no":
            yield target("calls of ours", ours["calls"], 6)
        why = "seven eighths of it are moto's answers and botocore's reading of them"
        yield target(f"{name}, the policy's time, parts of stock's{scaled}", 1 / times["policy"], 0.05, why)
        yield f"- {name}, {times['policy']:.0f} times faster, {times['seconds']:.0f} times with the start"


def compared(rows, latency):
    """Our row, stock's row, and what stock's has to be multiplied by to be about as many users."""
    rows = [row for row in rows if row["latency"] == latency]
    ours = next(row for row in rows if row["source"] == OURS)
    stock = max((row for row in rows if row["source"] == STOCK), key=lambda row: row["users"])
    return ours, stock, USERS / stock["users"]


def figures(rows):
    """The figures that a later run is compared by."""
    return {
        f"{row['source']}, {row['users']} users, latency {row['latency']}: {key}": row[key]
        for row in rows
        for key in ("calls", "seconds", "policy")
    }
