"""A burst: somebody who must not use IAM calls it 20 times within a second, and nothing is warm."""

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median_high

from bench.clock import Clock
from bench.common import DELAYS, LATENCY, milliseconds, sandbox, say
from bench.functions import BURST, FUNCTIONS, of
from bench.report import markdown

TITLE = "A burst"
CALLS, SECONDS, RUNS = 20, 1.0, 3
ENVIRONMENTS = (1, 10)
COLUMNS = {
    "environments": "environments at most",
    "denial": "until the denial",
    "denial calls": "calls until then",
    "end": "until the last event is handled",
    "calls": "calls in all",
    "started": "environments started",
}


def measure():
    """Bursts, the functions in turn, with one environment at most and with ten."""
    functions = of(BURST)
    with sandbox() as box:
        for who, function in functions.items():
            say(f"burst: deploying {who}")
            function.prepare(box)
        clock = Clock(box)
        box.call_delay, box.connection_delay = LATENCY
        found = {(who, limit): [] for limit in ENVIRONMENTS for who in functions}
        for run in range(RUNS):
            say(f"burst: {run + 1} of {RUNS}")
            for who, limit in found:
                found[who, limit].append(burst(box, clock, functions[who], limit))
    return [{"function": who, "environments": limit, **row(runs)} for (who, limit), runs in found.items()]


def burst(box, clock, function, limit):
    """One burst of a new caller.

    :param limit: how many environments the function may have at a time; what comes meanwhile waits
    :returns: the seconds until the denial and until the last event was handled, calls, environments
    """
    kind, account = function.kind, function.account
    box.functions.cool()
    name = kind.new(box, account)
    events = [kind.event(box, account, name) for _ in range(CALLS)]
    clock.watch(lambda: kind.is_denied(account, name))
    begun = time.perf_counter()
    with ThreadPoolExecutor(limit) as pool:
        handled = []
        for number, event in enumerate(events):
            time.sleep(max(0, begun + number * SECONDS / CALLS - time.perf_counter()))
            handled.append(pool.submit(box.functions.attempt, function.name, event, account))
    ended = time.perf_counter()
    # The sandbox unpacks the archive for the first of a function's environments, and Lambda keeps it unpacked.
    unpacked = min(environment.started for environment in box.functions.all)
    failed = [attempt.result() for attempt in handled if attempt.result().outcome != "succeeded"]
    if failed or clock.denied_at is None:
        raise RuntimeError(f"{function.name} has not denied {name}: {failed[:1]}")
    return {
        "denial": clock.denied_at - unpacked,
        "denial calls": clock.denied_calls,
        "end": ended - unpacked,
        "calls": len(clock.calls()),
        "started": len(box.functions.all),
    }


def row(runs):
    """The medians of some bursts."""
    counts = {key: median_high(run[key] for run in runs) for key in ("denial calls", "calls", "started")}
    return {**{key: milliseconds(run[key] for run in runs) for key in ("denial", "end")}, **counts}


# Report


def table(rows):
    """The part as Markdown."""
    return "\n\n".join(
        [
            f"One caller, {CALLS} calls within {SECONDS:g} second, their events in the same pace, and no "
            f"environment that is warm. With {DELAYS}. "
            f"Milliseconds from the start of the first environment, medians of {RUNS} bursts. Ten environments "
            "start on this machine's processors, in Lambda on one each. The calls are those of all environments, "
            "their starts included.",
            markdown(["", *COLUMNS.values()], [[row["function"], *map(row.get, COLUMNS)] for row in rows]),
        ]
    )


def figures(rows):
    """The figures that a later run is compared by."""
    return {
        f"{row['function']}, {row['environments']} environments: {key}": row[key]
        for row in rows
        if row["function"] in FUNCTIONS and row["function"].startswith("ours")
        for key in ("denial", "calls")
    }
