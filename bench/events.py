"""The cost of one event in a warm function: milliseconds and calls until the denial, an admin."""

from statistics import median, quantiles

from bench.callers import ADMIN
from bench.clock import Clock, once
from bench.common import DELAYS, LATENCY, cpu_seconds, milliseconds, sandbox, say
from bench.functions import EVENTS, of
from bench.report import ratio_of, table_of, target

TITLE = "One event, warm"
RUNS, DELAYED_RUNS, WARM_UP = 200, 60, 3
COLUMNS = {
    "denial calls": "calls until the denial",
    "denial p50": "until the denial",
    "denial p99": "p99",
    "end p50": "until the end",
    "connections": "new connections",
    "moto": "of it moto",
    "cpu": "its CPU",
    "admin calls": "admin: calls",
    "admin p50": "until the end",
    "admin p99": "p99",
    "admin cpu": "its CPU",
}


def measure():
    """Everything about events that find their function warm."""
    with sandbox() as box:
        compared = of(EVENTS)
        for who, function in compared.items():
            say(f"events: deploying {who}")
            function.prepare(box)
        clock = Clock(box)
        data = {"plain": rows(box, clock, compared, RUNS)}
        box.call_delay, box.connection_delay = LATENCY
        data["latency"] = rows(box, clock, compared, DELAYED_RUNS)
    return data


def rows(box, clock, compared, runs):
    """The rows of one table: a dict per function."""
    say(f"events: {runs} per function{', with latency' if box.call_delay else ''}")
    denied = warm(box, clock, compared, runs, lambda of: of.kind.new(box, of.account))
    let_pass = warm(box, clock, compared, runs, lambda of: ADMIN)
    return {who: denial(*denied[who]) | admin(*let_pass[who]) for who in compared}


def warm(box, clock, compared, runs, caller):
    """Events that find their function warm, the functions in turn.

    :param caller: gives the name of the next event's caller for a function
    :returns: for each function its samples, and its processor time per event
    """
    samples, cpu = {who: [] for who in compared}, {}
    for who, function in compared.items():
        for _ in range(WARM_UP):
            once(box, clock, function, caller(function))
        cpu[who] = -cpu_seconds(function.environment(box).process.pid)
    for _ in range(runs):
        for who, function in compared.items():
            samples[who].append(once(box, clock, function, caller(function)))
    for who, function in compared.items():
        cpu[who] += cpu_seconds(function.environment(box).process.pid)
    return {who: (samples[who], cpu[who] / runs) for who in compared}


def denial(samples, cpu):
    """The figures of the events of callers who are denied."""
    return {
        "denial calls": median(s.denied_calls for s in samples),
        "denial p50": milliseconds(s.denied_seconds for s in samples),
        "denial p99": p99(s.denied_seconds for s in samples),
        "end p50": milliseconds(s.seconds for s in samples),
        "connections": median(s.connections for s in samples),
        "moto": milliseconds(s.moto_seconds for s in samples),
        "cpu": round(cpu * 1000, 1),
    }


def admin(samples, cpu):
    """The figures of the events of somebody who may use IAM."""
    return {
        "admin calls": median(s.calls for s in samples),
        "admin p50": milliseconds(s.seconds for s in samples),
        "admin p99": p99(s.seconds for s in samples),
        "admin cpu": round(cpu * 1000, 1),
    }


def p99(seconds):
    return round(quantiles(seconds, n=100)[98] * 1000, 1)


# Report


def table(data):
    """The part as Markdown."""
    return "\n\n".join(
        [
            "Milliseconds, medians. The denial is when IAM has taken it, for the containment the quarantine of the "
            "user whom the call has made; the end is the function's. CPU is the "
            "processor time of the function's process, without moto and the rest of the machine.",
            table_of(data["plain"], COLUMNS),
            f"The same with {DELAYS} more, as from Lambda to IAM; moto's part has them, too:",
            table_of(data["latency"], COLUMNS),
            "Targets:",
            "\n".join(targets(data["plain"], data["latency"])),
        ]
    )


def targets(plain, delayed):
    """The targets, and whether they were reached."""
    ours, roles, floor = plain["ours"], plain["ours, for roles"], plain["floor"]

    def why(key):
        more = ours[key] - floor[key]
        return f"its process computes {more:.1f} ms more than the floor's"

    yield target("calls until the denial", ours["denial calls"], floor["denial calls"])
    yield target("new connections", ours["connections"], 0)
    yield target("until the denial, times the floor", ratio_of(plain, "denial p50"), 1.2, why("cpu"))
    yield target("until the denial with latency, times the floor", ratio_of(delayed, "denial p50"), 1.1)
    yield target(
        "until the denial, times the blog post", ratio_of(plain, "denial p50", other="blog post"), 0.5
    )
    yield target("until the denial, times stock", ratio_of(plain, "denial p50", other="stock"), 0.5)
    yield target("admin: calls", ours["admin calls"], 1)
    yield target("admin, times the floor", ratio_of(plain, "admin p50"), 1.2, why("admin cpu"))
    yield target("admin with latency, times the floor", ratio_of(delayed, "admin p50"), 1.1)
    yield target("role on the list: calls", roles["admin calls"], 0)
    times = ratio_of(plain, "admin p50", "ours, for roles")
    yield target("role on the list, times the floor's admin", times, 0.3, why("admin cpu"))


def figures(data):
    """The figures that a later run is compared by."""
    found = {}
    for name in ("plain", "latency"):
        for key in ("denial p50", "admin p50", "cpu"):
            found[f"{name}: {key}, ms"] = data[name]["ours"][key]
            found[f"{name}: {key}, times the floor"] = round(ratio_of(data[name], key), 3)
        found[f"{name}: role on the list, ms"] = data[name]["ours, for roles"]["admin p50"]
    return found
