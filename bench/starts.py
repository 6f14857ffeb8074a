"""The cost of a cold start: from the start of an execution environment to the denial, and to the function's end."""

from statistics import median_high, quantiles

from bench import imports
from bench.clock import Clock, once
from bench.common import DELAYS, LATENCY, cpu_seconds, milliseconds, sandbox, say
from bench.functions import FUNCTIONS, STARTS, of
from bench.report import markdown, ratio_of, table_of, target

TITLE = "A cold start"
RUNS, DELAYED_RUNS = 24, 6
COLUMNS = {
    "init": "init",
    "denial": "until the denial",
    "calls": "calls until then",
    "cold": "until the end",
    "middle half": "its middle half",
    "cpu": "its CPU",
    "memory": "peak MB",
    "zip": "zip kB",
}


def measure():
    """First events of fresh execution environments, the functions in turn."""
    functions = of(STARTS)
    with sandbox() as box:
        for who, function in functions.items():
            say(f"starts: deploying {who}")
            function.prepare(box)
        clock = Clock(box)
        data = {"plain": rows(box, clock, functions, RUNS)}
        box.call_delay, box.connection_delay = LATENCY
        data["latency"] = rows(box, clock, functions, DELAYED_RUNS)
        box.call_delay = box.connection_delay = 0.0
        say("starts: imports")
        compared = {who: functions[who] for who in ("ours", "ours, without bytecode", "floor")}
        data["imports"] = {who: imports.by_library(box, function) for who, function in compared.items()}
    return data


def rows(box, clock, functions, runs):
    """The rows of one table: a dict per function."""
    samples, cpu, memory = {who: [] for who in functions}, dict.fromkeys(functions, 0.0), {}
    for run in range(runs):
        say(f"starts: {run + 1} of {runs}{', with latency' if box.call_delay else ''}")
        for who, function in functions.items():
            box.functions.cool()
            samples[who].append(once(box, clock, function, function.kind.new(box, function.account)))
            environment = function.environment(box)
            cpu[who] += cpu_seconds(environment.process.pid) / runs
            memory[who] = environment.peak_memory()
    return {
        who: {
            **row(samples[who]),
            "cpu": round(cpu[who] * 1000),
            "memory": round(memory[who], 1),
            "zip": round(len(function.uploaded(box).code_bytes) / 1000, 1),
        }
        for who, function in functions.items()
    }


def row(samples):
    """The figures of one function's samples."""
    colds = [sample.init_seconds + sample.seconds for sample in samples]
    low, _, high = (round(cut * 1000) for cut in quantiles(colds, n=4))
    return {
        "init": milliseconds(sample.init_seconds for sample in samples),
        "denial": milliseconds(sample.init_seconds + sample.denied_seconds for sample in samples),
        "calls": median_high(sample.denied_calls for sample in samples),
        "cold": milliseconds(colds),
        "middle half": f"{low} to {high}",
    }


# Report


def table(data):
    """The part as Markdown."""
    names = list(data["imports"])
    libraries = [
        [library, *(data["imports"][who].get(library, 0) for who in names)]
        for library in data["imports"]["ours"]
    ]
    return "\n\n".join(
        [
            "The first event of a fresh execution environment. Milliseconds from its start, medians. For the "
            "containment, the denial is the quarantine of the user whom the call has made. CPU is the "
            "processor time of the function's process, without moto and the rest of the machine. A zip with "
            "bytecode is what custodian uploads if it runs on the Python of the function's runtime.",
            table_of(data["plain"], COLUMNS),
            f"The same with {DELAYS} more, as from Lambda to IAM:",
            table_of(data["latency"], COLUMNS),
            "Targets:",
            "\n".join(targets(data["plain"])),
            "What the imports take, in ms, by `python -X importtime`, which makes them a little slower; for each "
            "module the fastest of some starts:",
            markdown(["", *names], libraries),
        ]
    )


def targets(rows):
    """The targets, and whether they were reached."""
    for who, other, limit in (
        ("ours", "floor", 1.15),
        ("ours", "blog post", 1.05),
        ("ours", "stock", 1),
        ("ours, without bytecode", "floor", 1.45),
        ("ours, for roles", "floor", 1.15),
    ):
        cpu = ratio_of(rows, "cpu", who, other)
        why = f"in processor time it is {cpu:.2f} times, and the imports below say where it goes"
        text = f"{who}: cold start until the denial, times the {other}'s"
        yield target(text, ratio_of(rows, "denial", who, other), limit, why)
    why = "c7n or the plugin has grown; archive.py says what gets bytecode"
    yield target("ours: MB of the archive", rows["ours"]["zip"] / 1000, 3, why)


def figures(data):
    """The figures that a later run is compared by."""
    found = {}
    for name in ("plain", "latency"):
        rows = data[name]
        for who in (who for who in rows if who in FUNCTIONS and who.startswith("ours")):
            found[f"{name}, {who}: denial, ms"] = rows[who]["denial"]
            for key in ("denial", "cold", "cpu"):
                found[f"{name}, {who}: {key}, times the floor"] = round(ratio_of(rows, key, who), 3)
    found["zip, kB"] = data["plain"]["ours"]["zip"]
    return found
