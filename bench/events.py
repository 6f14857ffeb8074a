"""What one event costs, warm and cold: ours, the floor, the blog post's algorithm and stock Custodian."""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from moto.awslambda.models import lambda_backends

from bench import common as bench
from bench import shares
from bench.common import ADMIN, LATENCY, OURS, say
from bench.report import markdown, target

TITLE = "One event"
HERE = Path(__file__).parent
FUNCTIONS = {
    "ours": OURS,
    "floor": "bench-floor",
    "blog post": "bench-blogpost",
    "stock": "custodian-bench-stock",
}
COLD, WARM, GROWTH = 16, 200, 100
SMALL, LARGE = 10, 5000
LARGE_ACCOUNT = "444455556666"
COLUMNS = {
    "calls": "calls",
    "connections": "new connections",
    "init": "init",
    "first": "first event",
    "cold": "cold",
    "cold cpu": "its CPU",
    "revocation p50": "revocation p50",
    "revocation p99": "p99",
    "revocation moto": "of it moto",
    "revocation cpu": "its CPU",
    "admin p50": "admin p50",
    "admin p99": "p99",
    "memory": "peak MB",
    "zip": "zip kB",
}


@dataclass
class Sample:
    """One event: what the Runtime API saw of it, what reached IAM, and how long that took there."""

    seconds: float
    init_seconds: float
    calls: int
    connections: int
    moto: float


class Clock:
    """The seconds that moto spends on calls, so that they can be told from the functions' own."""

    def __init__(self, box):
        self.answer, self.seconds = box.server.application, 0.0
        box.server.application = self

    def __call__(self, environ, start_response):
        started = time.perf_counter()
        try:
            return self.answer(environ, start_response)
        finally:
            self.seconds += time.perf_counter() - started


def measure():
    """Everything about single events."""
    with bench.sandbox() as box:
        say("events: deploying")
        deploy(box, FUNCTIONS)
        clock = Clock(box)
        say("events: plain")
        data = {"plain": per_event(box, clock, (0, 0), WARM, COLD)}
        say("events: with latency")
        data["latency"] = per_event(box, clock, LATENCY, WARM // 2, COLD // 2)
        say("events: growth")
        data["growth"] = growth(box, clock)
        say("events: profile")
        data["shares"] = shares.summary(box)
    return data


def deploy(box, functions, account=None):
    """The functions that are compared, in one account."""
    bench.prepare(box, account)
    for who in functions:
        if who in ("ours", "stock"):
            bench.deploy_policy(box, bench.POLICY if who == "ours" else HERE / "stock.yml", account)
        else:
            bench.deploy_module(box, HERE / f"{who.replace(' ', '')}.py", FUNCTIONS[who], account)


def environment(box, function, account=None):
    """The execution environment of a function that is alive."""
    wanted = f":{account or box.account}:function:{function}"
    return next(e for e in box.functions.all if e.function_arn.endswith(wanted))


def once(box, clock, function, user, account=None):
    """One event of a user through a function; anything but the right outcome is an error."""
    account = account or box.account
    event = bench.event(box, user, account)
    connections = len(box.connections)
    del box.calls[:], box.pending[:]
    clock.seconds = 0.0
    attempt = box.functions.attempt(function, event, account)
    own = [call for call in box.calls if call.action != "AssumeRole"]  # which Lambda does, not the function
    new = len(box.connections) - connections - (len(box.calls) - len(own))
    if attempt.outcome != "succeeded" or bench.is_revoked(user, account) != (user != ADMIN):
        raise RuntimeError(f"{function} has not done its work on {user}: {attempt}")
    return Sample(attempt.seconds, attempt.init_seconds, len(own), new, clock.seconds)


def cold(box, clock, runs):
    """First events of fresh execution environments, the functions in turn.

    :returns: the samples of each, and the processor time of each from its start
    """
    samples, cpu = {who: [] for who in FUNCTIONS}, dict.fromkeys(FUNCTIONS, 0)
    for _ in range(runs):
        for who, function in FUNCTIONS.items():
            box.functions.cool()
            samples[who].append(once(box, clock, function, bench.new_user(box)))
            cpu[who] += bench.cpu_seconds(environment(box, function).process.pid) / runs
    return samples, cpu


def warm(box, clock, contestants, runs, user):
    """Events that find their function warm, the functions in turn.

    :param contestants: (function, account) by any name
    :param user: gives the name of the next event's caller in an account
    :returns: the samples of each, and the processor time of each per event
    """
    samples, cpu = {key: [] for key in contestants}, {}
    for key, (function, account) in contestants.items():
        for _ in range(3):
            once(box, clock, function, user(account), account)
        cpu[key] = -bench.cpu_seconds(environment(box, function, account).process.pid)
    for _ in range(runs):
        for key, (function, account) in contestants.items():
            samples[key].append(once(box, clock, function, user(account), account))
    for key, (function, account) in contestants.items():
        cpu[key] += bench.cpu_seconds(environment(box, function, account).process.pid)
    return samples, {key: seconds / runs for key, seconds in cpu.items()}


def per_event(box, clock, latency, runs, cold_runs):
    """The rows of one table: a dict per function.

    :param latency: seconds added per API call and per new connection
    """
    box.call_delay, box.connection_delay = latency
    contestants = {who: (function, box.account) for who, function in FUNCTIONS.items()}
    firsts, cold_cpu = cold(box, clock, cold_runs)
    say("  cold starts done")
    phases = {
        "revocation": warm(box, clock, contestants, runs, lambda account: bench.new_user(box, account)),
        "admin": warm(box, clock, contestants, runs, lambda account: ADMIN),
    }
    say("  warm events done")
    box.call_delay = box.connection_delay = 0.0
    functions = lambda_backends[box.account][box.region]
    rows = {}
    for who, function in FUNCTIONS.items():
        row = rows[who] = {
            "init": milliseconds(s.init_seconds for s in firsts[who]),
            "first": milliseconds(s.seconds for s in firsts[who]),
            "cold": milliseconds(s.init_seconds + s.seconds for s in firsts[who]),
            "cold cpu": round(cold_cpu[who] * 1000),
            "memory": round(environment(box, function).peak_memory(), 1),
            "zip": round(len(functions.get_function(function).code_bytes) / 1000, 1),
        }
        for phase, (samples, cpu) in phases.items():
            row |= {f"{phase} {key}": value for key, value in of_phase(samples[who], cpu[who]).items()}
        row["calls"] = f"{row['revocation calls']:g} / {row['admin calls']:g}"
        row["connections"] = f"{row['revocation connections']:g} / {row['admin connections']:g}"
    return rows


def of_phase(samples, cpu):
    return {
        "calls": median(s.calls for s in samples),
        "connections": median(s.connections for s in samples),
        "p50": milliseconds(s.seconds for s in samples),
        "p99": round(quantiles([s.seconds for s in samples], n=100)[98] * 1000, 1),
        "moto": milliseconds(s.moto for s in samples),
        "cpu": round(cpu * 1000, 1),
    }


def growth(box, clock):
    """A revocation in an account of 10 users and in one of 5,000, with groups and policies in proportion."""
    bench.add_users(box, (f"more-{i}" for i in range(SMALL)))
    deploy(box, ("ours", "floor"), LARGE_ACCOUNT)
    iam = bench.backend(LARGE_ACCOUNT)
    for number in range(LARGE // 20):
        iam.create_group(f"group-{number}")
        members = [f"member-{number}-{i}" for i in range(20)]
        bench.add_users(box, members, [f"group-{number}"], LARGE_ACCOUNT)
        allow = bench.document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
        iam.create_policy("", "/", allow, f"policy-{number}", [])
    contestants = {
        (who, size): (FUNCTIONS[who], account)
        for who in ("ours", "floor")
        for size, account in ((SMALL, box.account), (LARGE, LARGE_ACCOUNT))
    }
    samples, cpu = warm(box, clock, contestants, GROWTH, lambda account: bench.new_user(box, account))
    return [
        {"function": who, "users": size, **of_phase(samples[who, size], cpu[who, size])}
        for who, size in contestants
    ]


def milliseconds(seconds):
    return round(median(seconds) * 1000, 1)


# Report


def table(data):
    """The part as Markdown."""
    plain, delayed = data["plain"], data["latency"]
    call, connection = (round(seconds * 1000) for seconds in LATENCY)
    return "\n\n".join(
        [
            "Milliseconds, medians. Calls and new connections are those of a warm revocation / of an admin's "
            "event. Cold is init and first event. CPU is the processor time of the function's "
            "process, which leaves moto and whatever else the machine did out.",
            rows_of(plain),
            f"The same with {call} ms added per API call and {connection} ms per new connection, "
            "as from Lambda to IAM; moto's part has them, too:",
            rows_of(delayed),
            "Targets:",
            "\n".join(targets(plain, delayed)),
            f"Growth: a warm revocation in an account of {SMALL} users, and in one of {LARGE:,} with "
            f"{LARGE // 20} groups and as many policies.",
            growth_table(data["growth"]),
            target(
                "processor time per event there, times that in the small account", grown(data["growth"]), 1.1
            ),
            "Where our time goes, by `python -m bench profile` (cProfile makes many small calls look dearer "
            "than they are; some rows are parts of others; imports are measured without it):",
            shares.table(data["shares"]),
        ]
    )


def rows_of(rows):
    lines = [[who, *(row[key] for key in COLUMNS)] for who, row in rows.items()]
    return markdown(["", *COLUMNS.values()], lines)


def growth_table(rows):
    keys = ["calls", "p50", "moto", "cpu"]
    lines = [[row["function"], f"{row['users']:,}", *(row[key] for key in keys)] for row in rows]
    return markdown(["", "users", "calls", "p50", "of it moto", "CPU"], lines)


def grown(rows):
    """How many times the processor time of ours in the large account is that in the small one."""
    small, large = (row["cpu"] for row in rows if row["function"] == "ours")
    return large / small


def targets(plain, delayed):
    """What was to be reached, and whether it was."""

    def times(rows, key, other="floor"):
        return rows["ours"][key] / rows[other][key]

    ours = plain["ours"]
    yield target("warm revocation: API calls", ours["revocation calls"], 2)
    yield target("warm revocation: new connections", ours["revocation connections"], 0)
    yield target("warm revocation, times the floor", times(plain, "revocation p50"), 1.3)
    yield target("warm revocation, times the blog post", times(plain, "revocation p50", "blog post"), 0.5)
    yield target("warm revocation, times stock", times(plain, "revocation p50", "stock"), 0.5)
    yield target("warm revocation with latency, times the floor", times(delayed, "revocation p50"), 1.1)
    yield target("warm admin: API calls", ours["admin calls"], 1)
    yield target("warm admin, times the floor", times(plain, "admin p50"), 1.3)
    yield target("warm admin with latency, times the floor", times(delayed, "admin p50"), 1.1)
    yield target("cold, times the floor", times(plain, "cold"), 1.6)
    yield target("cold, times stock", times(plain, "cold", "stock"), 1)
    yield f"- no target: cold with latency, times the floor {times(delayed, 'cold'):.2f}"


def figures(data):
    """What a later run is compared by."""
    found = {}
    for name, rows in (("plain", data["plain"]), ("latency", data["latency"])):
        for key in ("cold", "cold cpu", "revocation p50", "revocation cpu", "admin p50"):
            found[f"{name}: {key}, ms"] = rows["ours"][key]
            found[f"{name}: {key}, times the floor"] = rows["ours"][key] / rows["floor"][key]
    found["peak memory, MB"] = data["plain"]["ours"]["memory"]
    found["zip, kB"] = data["plain"]["ours"]["zip"]
    return found
