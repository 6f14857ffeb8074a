"""``python -m bench [part …]``: measure, write the report, and compare with the committed run."""

import argparse
import json
import subprocess
import time
from pathlib import Path

from bench import accounts, burst, events, hook, load, organization, report, starts
from bench.common import say

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


def main():
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=", ".join(PARTS))
    parts = parser.parse_args().parts or list(PARTS)
    begun = time.perf_counter()
    results = json.loads(JSON_FILE.read_text())
    for number, name in enumerate(parts, 1):
        started = time.perf_counter()
        data = PARTS[name].measure()
        results[name] = {"stamp": report.stamp(), "figures": PARTS[name].figures(data), "data": data}
        now = time.perf_counter()
        say(f"{name}: {now - started:.0f} s, part {number} of {len(parts)}, {now - begun:.0f} s in all")
    results = {name: results[name] for name in PARTS if name in results}
    JSON_FILE.write_text(report.compact(results))
    MARKDOWN_FILE.write_text(report.render(results, PARTS))
    measured = {name: results[name] for name in parts}
    print(report.render(measured, PARTS))
    comparison = report.compare(committed(), measured)
    print(f"## Compared with the committed run\n\n{comparison}")


def committed():
    """The results that were committed last."""
    show = ["git", "show", f"HEAD:./{JSON_FILE.name}"]
    return json.loads(subprocess.run(show, cwd=JSON_FILE.parent, capture_output=True, check=True).stdout)


if __name__ == "__main__":
    main()
