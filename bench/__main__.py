"""``python -m bench [part …]``: measure, write the report, and compare with the committed run.

``python -m bench profile`` prints instead where our function's time goes, compared with the floor's.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

from bench import accounts, events, hook, load, organization, report, shares
from bench.common import sandbox, say

PARTS = {
    "events": events,
    "accounts": accounts,
    "organization": organization,
    "load": load,
    "hook": hook,
}
JSON_FILE = Path(__file__).with_name("results.json")
MARKDOWN_FILE = Path(__file__).with_name("results.md")


def main():
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; or profile")
    parts = parser.parse_args().parts
    unknown = set(parts) - {*PARTS, "profile"}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if "profile" in parts:
        return profile()
    results = json.loads(JSON_FILE.read_text()) if JSON_FILE.exists() else {}
    for name in parts or PARTS:
        started = time.perf_counter()
        data = PARTS[name].measure()
        results[name] = {"stamp": report.stamp(), "figures": PARTS[name].figures(data), "data": data}
        say(f"{name}: {time.perf_counter() - started:.0f} s")
    JSON_FILE.write_text(json.dumps(results, indent=1) + "\n")
    MARKDOWN_FILE.write_text(report.render(results, PARTS))
    print(report.render({name: results[name] for name in parts or PARTS}, PARTS))
    comparison = report.compare(committed(), {name: results[name] for name in parts or PARTS})
    print(f"## Compared with the committed run\n\n{comparison or 'There is none.'}")


def profile():
    """Print where our function's time goes, and the floor's."""
    with sandbox() as box:
        events.deploy(box, ("ours", "floor"))
        shares.show_all(box)


def committed():
    """The results that were committed last; none where there are none, or no git."""
    show = ["git", "show", f"HEAD:./{JSON_FILE.name}"]
    try:
        found = subprocess.run(show, cwd=JSON_FILE.parent, capture_output=True, text=True)
    except FileNotFoundError:
        return {}
    return json.loads(found.stdout) if found.returncode == 0 else {}


if __name__ == "__main__":
    main()
