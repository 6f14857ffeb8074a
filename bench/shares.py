"""Where a function's time goes: its imports by ``-X importtime``, its start and its events under cProfile.

A copy of the function runs as the function does, with the profiler in its archive. cProfile sees the
handler's own thread only, and makes many small calls look dearer than they are.
"""

import re
from dataclasses import replace

from bench.callers import ADMIN
from bench.functions import HERE, deploy_module
from bench.report import markdown

WARM, STARTS, TOP = 50, 10, 40
#: What the report shows: (phase, what it is, the places whose cumulated time it is).
STAGES = (
    ("init", "all of the handler's import", r"importlib/__init__\.py:\d+:import_module"),
    ("init", "boto3's clients", r"botocore/session\.py:\d+:create_client"),
    ("init", "calls to AWS, in botocore and in moto", r"botocore/client\.py:\d+:_api_call"),
    ("first", "first event", r"bench_handler"),
    ("first", "calls to AWS, in botocore and in moto", r"botocore/client\.py:\d+:_api_call"),
    ("warm", "warm denial", r"bench_handler"),
    ("warm", "the policy's filters", r"c7n/manager\.py:\d+:filter_resources"),
    ("warm", "the policy's actions", r"c7n/policy\.py:\d+:run_resource_set"),
    ("warm", "c7n's context and its output files", r"c7n/ctx\.py:\d+:__(enter|exit)__"),
    ("warm", "calls to AWS, in botocore and in moto", r"botocore/client\.py:\d+:_api_call"),
)
LIBRARIES = {
    "c7n": "c7n",
    "c7n_iamguard": "the plugin",
    **dict.fromkeys(("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "jmespath", "six"), "boto3"),
}
REST = "Python and the runtime client"


def stages(box, function):
    """What the report shows of a function that is deployed, as JSON."""
    phases, found = profiles(box, function), []
    for phase, label, place in STAGES:
        matching = [total for where, _, _, total in phases[phase] if re.search(place, where)]
        if matching:
            largest = max(total for where, _, _, total in phases[phase])
            found.append([phase, label, round(sum(matching) * 1000, 2), round(sum(matching) / largest, 3)])
    return found


def table(stages):
    """The stages as Markdown."""
    rows = [[phase, label, ms, f"{share:.0%}"] for phase, label, ms, share in stages]
    return markdown(["phase", "what", "ms", "share"], rows)


def show_all(box, functions):
    """Print the whole profiles of functions that are deployed."""
    for who, function in functions.items():
        print(f"# {who}\n")
        show_imports(imports(box, function))
        for phase, rows in profiles(box, function).items():
            show(f"{phase}: by cumulated time", sorted(rows, key=lambda row: -row[3])[:TOP])
            show(f"{phase}: by own time", sorted(rows, key=lambda row: -row[2])[: TOP // 2])


def profiles(box, function):
    """Init, the first event and a warm event under cProfile.

    :returns: for each, rows of place, calls, own and cumulated seconds
    """
    copied = copy(box, function, "profiled")
    for _ in range(WARM + 1):
        run(box, copied, function.kind.new(box, function.account))
    phases = {}
    for phase, runs in (("init", 1), ("first", 1), ("warm", WARM)):
        rows = box.functions.attempt(copied.name, {"profile": phase}, copied.account).result
        phases[phase] = [[shortened(place), *(n / runs for n in numbers)] for place, *numbers in rows]
    return phases


def run(box, function, name):
    """One event of a caller, which must succeed."""
    event = function.kind.event(box, function.account, name)
    attempt = box.functions.attempt(function.name, event, function.account)
    if attempt.outcome != "succeeded":
        raise RuntimeError(f"{function.name}: {attempt}")
    return attempt


def imports(box, function):
    """What is imported while the function initializes, for each module the fastest of some starts.

    :returns: (microseconds of its own, depth, module), in Python's own order
    """
    copied, fastest, order = copy(box, function, "imported", PYTHONPROFILEIMPORTTIME="1"), {}, []
    for _ in range(STARTS):
        box.functions.cool()
        log = run(box, copied, ADMIN).log
        order = re.findall(r"import time: +(\d+) \| +\d+ \| ( *)(\S+)", log)
        for own, _, module in order:
            fastest[module] = min(fastest.get(module, int(own)), int(own))
    return [(fastest[module], len(depth) // 2, module) for _, depth, module in order]


def by_library(box, function):
    """The milliseconds that each library's modules take to import; their own, so that they add up."""
    sums = dict.fromkeys(["c7n", "the plugin", "boto3", REST], 0)
    for own, _, module in imports(box, function):
        sums[LIBRARIES.get(module.split(".")[0], REST)] += own / 1000
    return {library: round(ms, 1) for library, ms in sums.items()}


def copy(box, function, suffix, **environment):
    """The same function once more, under another name, with the profiler in its archive."""
    original = function.uploaded(box)
    environment = {**original.environment_vars, **environment, "PROFILED": original.handler}
    copied = replace(function, name=f"{function.name}-{suffix}")
    deploy_module(HERE / "profiled.py", copied.name, box, copied.account, original, environment)
    return copied


def shortened(place):
    """A place in the code without the folders above its package."""
    return re.sub(r"^.*/(site-packages|sandbox-(task|runtime)-[^/]+|python3\.\d+)/", "", place)


def show_imports(rows):
    """The import tree, without what costs less than half a millisecond."""
    print(f"## imports: {len(rows)} modules, {sum(own for own, *_ in rows) / 1000:.0f} ms\n")
    dear = [[f"{'· ' * depth}{module}", round(own / 1000, 1)] for own, depth, module in reversed(rows)]
    print(markdown(["module", "ms of its own"], [row for row in dear if row[1] >= 0.5]) + "\n")


def show(title, rows):
    lines = [[place, ms(total), ms(own), calls] for place, calls, own, total in rows]
    print(f"## {title}\n\n{markdown(['function', 'ms', 'own ms', 'calls'], lines)}\n")


def ms(seconds):
    return round(seconds * 1000, 3)
