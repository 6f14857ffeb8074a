"""``python -m bench [part …]``: measure, write the report, and compare with the committed run.

``python -m bench profile`` prints instead where our function's time goes, compared with the floor's.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

from bench import accounts, burst, chart, events, hook, load, organization, report, shares, starts
from bench.common import sandbox, say
from bench.functions import FUNCTIONS

PARTS = {
    "starts": starts,
    "events": events,
    "burst": burst,
    "accounts": accounts,
    "organization": organization,
    "load": load,
    "hook": hook,
}
JSON_FILE = Path(__file__).with_name("results.json")
MARKDOWN_FILE = JSON_FILE.with_suffix(".md")
CHART_FILE = JSON_FILE.with_suffix(".svg")


def main():
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; or profile")
    parts = parser.parse_args().parts
    unknown = set(parts) - {*PARTS, "profile"}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if "profile" in parts:
        return profile()
    begun = time.perf_counter()
    results = json.loads(JSON_FILE.read_text()) if JSON_FILE.exists() else {}
    for number, name in enumerate(parts or PARTS, 1):
        started = time.perf_counter()
        data = PARTS[name].measure()
        results[name] = {"stamp": report.stamp(), "figures": PARTS[name].figures(data), "data": data}
        now = time.perf_counter()
        say(
            f"{name}: {now - started:.0f} s, part {number} of {len(parts or PARTS)}, {now - begun:.0f} s in all"
        )
    results = {name: results[name] for name in PARTS if name in results}
    JSON_FILE.write_text(report.compact(results))
    MARKDOWN_FILE.write_text(report.render(results, PARTS))
    if drawn := chart.draw(results):
        CHART_FILE.write_text(drawn)
    measured = {name: results[name] for name in parts or PARTS}
    print(report.render(measured, PARTS))
    comparison = report.compare(committed(), measured)
    print(f"## Compared with the committed run\n\n{comparison or 'There is none.'}")


def profile():
    """Print where our function's time goes, and the floor's."""
    compared = {who: FUNCTIONS[who] for who in ("ours", "floor")}
    with sandbox() as box:
        for function in compared.values():
            function.prepare(box)
        shares.show_all(box, compared)


def committed():
    """The results that were committed last; none if there are none, or no git."""
    show = ["git", "show", f"HEAD:./{JSON_FILE.name}"]
    try:
        found = subprocess.run(show, cwd=JSON_FILE.parent, capture_output=True, text=True)
    except FileNotFoundError:
        return {}
    return json.loads(found.stdout) if found.returncode == 0 else {}


if __name__ == "__main__":
    main()
