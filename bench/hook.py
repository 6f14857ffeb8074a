"""What the ``.pth`` hook costs every start of Python in the environment."""

import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

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
            "difference of the fastest quarters": milliseconds(quarter(0, pairs) - quarter(1, pairs)),
            "start without": milliseconds(median(b for _, b in pairs)),
            "importtime": import_milliseconds(with_hook),
        }


def site(folder):
    """A folder of site-packages with nothing in it but the plugin, compiled, as pip leaves it."""
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=1)
    return folder


def command(folder, *options):
    """A Python that looks for ``.pth`` files in one folder only."""
    return [sys.executable, "-S", *options, "-c", f"import site; site.addsitedir({str(folder)!r})"]


def start(folder):
    """The seconds of one start of Python."""
    arguments = command(folder)
    started = time.perf_counter()
    os.waitpid(os.posix_spawn(sys.executable, arguments, {}), 0)
    return time.perf_counter() - started


def import_milliseconds(folder):
    """What ``-X importtime`` says of the hook's own imports; the median of some starts."""
    seen = []
    for _ in range(20):
        done = subprocess.run(command(folder, "-X", "importtime"), capture_output=True, text=True, env={})
        own = re.findall(rf"import time: +(\d+) \| +\d+ \| +{PACKAGE}", done.stderr)
        seen.append(sum(map(int, own)) / 1000)
    return round(median(seen), 3)


def quarter(which, pairs):
    return quantiles([pair[which] for pair in pairs], n=4)[0]


def milliseconds(seconds):
    return round(seconds * 1000, 3)


# Report


def table(data):
    """The part as Markdown."""
    return "\n".join(
        [
            target(
                f"ms per start of Python, median difference of {data['starts']} pairs of starts",
                data["difference"],
                1,
            ),
            target("ms, difference of the fastest quarters", data["difference of the fastest quarters"], 1),
            target("ms by -X importtime", data["importtime"], 1),
            "",
            f"A start without it takes {data['start without']:.1f} ms.",
        ]
    )


def figures(data):
    """What a later run is compared by."""
    return {"ms per start": data["difference"]}
