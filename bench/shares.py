"""Where our function's time goes: its init and its events under cProfile, its imports by ``-X importtime``.

A copy of the function runs as the function does, with the profiler in its archive. cProfile sees the
handler's own thread only, and makes many small calls look dearer than they are.
"""

import re
from pathlib import Path

from moto.awslambda.models import lambda_backends

from bench import common as bench
from bench.common import ADMIN, OURS
from bench.report import markdown

WARM, STARTS, TOP = 50, 5, 40
HANDLERS = {OURS: "c7n_iamguard.handler.run", "bench-floor": "floor.run"}
#: What the report shows: (phase, what it is, the places whose cumulated time it is).
STAGES = (
    ("init", "all of the handler's import", r"importlib/__init__\.py:\d+:import_module"),
    ("init", "compiling sources, as there is no .pyc", r"~:0:<built-in method builtins\.compile>"),
    ("init", "time zones that c7n's offhours filter reads", r"dateutil/zoneinfo.*:get_zonefile_instance"),
    ("init", "boto3's clients", r"botocore/session\.py:\d+:create_client"),
    ("first", "first event", r"bench_handler"),
    ("first", "a session of boto3", r"boto3/session\.py:\d+:__init__"),
    ("first", "a client of boto3", r"botocore/session\.py:\d+:create_client"),
    ("first", "the calls to IAM, in botocore and in moto", r"botocore/client\.py:\d+:_api_call"),
    ("warm", "warm revocation", r"bench_handler"),
    ("warm", "c7n makes and validates the policy", r"c7n/policy\.py:\d+:(from_data|validate)"),
    ("warm", "filter admin-group-member", r"c7n_iamguard/filters\.py:\d+:process"),
    ("warm", "action revoke-iam-access", r"c7n_iamguard/actions\.py:\d+:process"),
    ("warm", "c7n's context and its output files", r"c7n/ctx\.py:\d+:__(enter|exit)__"),
    ("warm", "the calls to IAM, in botocore and in moto", r"botocore/client\.py:\d+:_api_call"),
    ("warm", "threads: started, waited for", r"concurrent/futures/thread\.py:\d+:(submit|shutdown)"),
)
LIBRARIES = {
    "c7n": "c7n",
    "c7n_iamguard": "the plugin",
    **dict.fromkeys(("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "jmespath", "six"), "boto3"),
}
REST = "Python and the runtime client"


def summary(box):
    """What the report shows of our function, as JSON. It must be deployed in ``box``, and the floor, too."""
    phases = profiles(box, OURS)
    stages = []
    for phase, label, place in STAGES:
        found = [total for where, _, _, total in phases[phase] if re.search(place, where)]
        if found:
            largest = max(total for where, _, _, total in phases[phase])
            stages.append([phase, label, round(sum(found) * 1000, 2), round(sum(found) / largest, 3)])
    return {"stages": stages, "imports": {who: by_library(imports(box, who)) for who in HANDLERS}}


def table(data):
    """The summary as Markdown."""
    stages = markdown(
        ["phase", "what", "ms", "share"],
        [[phase, label, ms, f"{share:.0%}"] for phase, label, ms, share in data["stages"]],
    )
    ours, floor = (data["imports"][who] for who in HANDLERS)
    libraries = markdown(
        ["imports", "ours, ms", "floor, ms"],
        [[library, ours[library], floor.get(library, 0)] for library in ours],
    )
    return f"{stages}\n\n{libraries}"


def show_all(box):
    """Print the whole profiles of our function and of the floor, which must be deployed in ``box``."""
    for function in HANDLERS:
        print(f"# {function}\n")
        show_imports(imports(box, function))
        for phase, rows in profiles(box, function).items():
            show(f"{phase}: by cumulated time", sorted(rows, key=lambda row: -row[3])[:TOP])
            show(f"{phase}: by own time", sorted(rows, key=lambda row: -row[2])[: TOP // 2])


def profiles(box, function):
    """Init, the first event and a warm event under cProfile.

    :returns: for each, rows of place, calls, own and cumulated seconds
    """
    name = copy(box, function, "profiled")
    for _ in range(WARM + 1):
        attempt = box.functions.attempt(name, bench.event(box, bench.new_user(box)))
        if attempt.outcome != "succeeded":
            raise RuntimeError(f"{name}: {attempt}")
    phases = {}
    for phase, runs in (("init", 1), ("first", 1), ("warm", WARM)):
        rows = box.functions.attempt(name, {"profile": phase}).result
        phases[phase] = [[shortened(place), *(n / runs for n in numbers)] for place, *numbers in rows]
    return phases


def imports(box, function):
    """What is imported while the function initializes, in the fastest of some starts.

    :returns: (microseconds of its own, of it and what it imports, depth, module), in Python's own order
    """
    copied = copy(box, function, "imported", PYTHONPROFILEIMPORTTIME="1")
    starts = []
    for _ in range(STARTS):
        box.functions.cool()
        log = box.functions.attempt(copied, bench.event(box, ADMIN)).log
        found = re.findall(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)", log)
        starts.append(
            [(int(own), int(total), len(depth) // 2, module) for own, total, depth, module in found]
        )
    return min(starts, key=lambda rows: sum(own for own, *_ in rows))


def by_library(rows):
    """The milliseconds that each library's modules take to import; their own, so that they add up."""
    sums = dict.fromkeys(["c7n", "the plugin", "boto3", REST], 0)
    for own, _, _, module in rows:
        sums[LIBRARIES.get(module.split(".")[0], REST)] += own / 1000
    return {library: round(ms, 1) for library, ms in sums.items()}


def copy(box, function, suffix, **environment):
    """The same function once more, under another name, with the profiler in its archive."""
    original = lambda_backends[box.account][box.region].get_function(function)
    environment = {**original.environment_vars, **environment, "PROFILED": HANDLERS[function]}
    name = f"{function}-{suffix}"
    profiler = Path(__file__).parent / "profiled.py"
    bench.deploy_module(box, profiler, name, more=original.code_bytes, environment=environment)
    return name


def shortened(place):
    """A place in the code without the folders above its package."""
    return re.sub(r"^.*/(site-packages|sandbox-(task|runtime)-[^/]+|python3\.\d+)/", "", place)


def show_imports(rows):
    """The import tree, without what costs less than 2 ms."""
    print(f"## imports: {len(rows)} modules, {sum(own for own, *_ in rows) / 1000:.0f} ms\n")
    dear = [
        [f"{'· ' * depth}{module}", round(total / 1000, 1), round(own / 1000, 1)]
        for own, total, depth, module in reversed(rows)
        if total > 2000
    ]
    print(markdown(["module", "ms with what it imports", "own ms"], dear) + "\n")


def show(title, rows):
    lines = [[place, ms(total), ms(own), calls] for place, calls, own, total in rows]
    print(f"## {title}\n\n{markdown(['function', 'ms', 'own ms', 'calls'], lines)}\n")


def ms(seconds):
    return round(seconds * 1000, 3)
