"""The cost of the ``.pth`` hook for every start of Python in the environment."""

import compileall
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.common import ROOT, say
from bench.report import target

TITLE = "The .pth hook"
STARTS = 400
PACKAGE = "c7n_iamguard"
HOOK = f"{PACKAGE}.pth"


def measure():
    """Starts with and without the hook, in turn; the difference of each pair."""
    say(f"hook: {STARTS} pairs of starts")
    with tempfile.TemporaryDirectory() as folder:
        with_hook, without = site(Path(folder) / "with"), site(Path(folder) / "without")
        shutil.copy(ROOT / HOOK, with_hook)
        pairs = [(start(with_hook), start(without)) for _ in range(STARTS)]
        return {
            "starts": STARTS,
            "difference": milliseconds(median(a - b for a, b in pairs)),
            "start without": milliseconds(median(b for _, b in pairs)),
        }


def site(folder):
    """A folder of site-packages with nothing in it but the plugin, compiled, as pip leaves it."""
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=1)
    return folder


def start(folder):
    """The seconds of one start of a Python that looks for ``.pth`` files in one folder only."""
    arguments = [sys.executable, "-S", "-c", f"import site; site.addsitedir({str(folder)!r})"]
    started = time.perf_counter()
    os.waitpid(os.posix_spawn(sys.executable, arguments, {}), 0)
    return time.perf_counter() - started


def milliseconds(seconds):
    return round(seconds * 1000, 3)


# Report


def table(data):
    """The part as Markdown."""
    pairs = f"ms per start of Python, median difference of {data['starts']} pairs of starts"
    without = f"A start without it takes {data['start without']:.1f} ms."
    return f"{target(pairs, data['difference'], 1)}\n\n{without}"


def figures(data):
    """The figures that a later run is compared by."""
    return {"ms per start": data["difference"]}
