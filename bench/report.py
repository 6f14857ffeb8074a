"""The report of all parts: the machine's stamp, tables, targets, the comparison of two runs."""

import json
import os
import platform
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path

VERSIONED = ("c7n", "c7n-org", "boto3", "moto", "awslambdaric")


def stamp():
    """The machine and the versions that a measurement comes from."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {model[1] if model else platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in VERSIONED},
    }


def markdown(header, rows):
    """A Markdown table, numbers to the right."""
    lines = [header, ["---" if i == 0 else "--:" for i in range(len(header))], *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def table_of(rows, columns):
    """A Markdown table of a row per function, by its name."""
    lines = [[who, *(row[key] for key in columns)] for who, row in rows.items()]
    return markdown(["", *columns.values()], lines)


def cell(value):
    return f"{value:,.6g}" if isinstance(value, int | float) else str(value)


def target(text, value, limit, why=""):
    """A line that says whether a value is at most what it was to be.

    :param why: what explains it if it is more
    """
    if value <= limit:
        return f"- ok: {text} {value:.3g}, at most {limit:g}"
    return f"- **missed**: {text} {value:.3g}, at most {limit:g}{why and f'; {why}'}"


def ratio_of(rows, key, who="ours", other="floor"):
    """How many times one function's value is another's."""
    return rows[who][key] / rows[other][key]


def stamped(stamp):
    versions = ", ".join(f"{name} {stamp[name]}" for name in VERSIONED)
    return f"{stamp['date']}: {stamp['machine']}, Python {stamp['python']}, {versions}."


def render(results, parts):
    """The whole report.

    :param results: what was measured, by part
    :param parts: the parts' modules, in order
    """
    stamps = list(dict.fromkeys(stamped(result["stamp"]) for result in results.values()))
    text = [
        "# Measurements",
        "Made by `make bench` on the sandbox; edit nothing here.",
    ]
    text += stamps if len(stamps) == 1 else []
    for name, module in parts.items():
        if name in results:
            text.append(f"## {module.TITLE}")
            text += [stamped(results[name]["stamp"])] if len(stamps) > 1 else []
            text.append(module.table(results[name]["data"]))
    return "\n\n".join(text) + "\n"


def compact(results):
    """The results as JSON text, a line per figure and per row of a table."""
    depths = {"stamp": 0, "figures": 1, "data": 2}
    parts = [
        f"{json.dumps(name)}: "
        + enclosed(
            "{}", [f'"{key}": {lines_of(part[key], depth, "  ")}' for key, depth in depths.items()], " "
        )
        for name, part in results.items()
    ]
    return enclosed("{}", parts) + "\n"


def lines_of(value, depth, indent):
    """JSON text with a line per entry, and per entry of an entry down to a depth. An item of a list is a line."""
    if not depth or not value or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return enclosed("[]", [lines_of(item, 0, "") for item in value], indent)
    entries = [f"{json.dumps(key)}: {lines_of(item, depth - 1, indent + ' ')}" for key, item in value.items()]
    return enclosed("{}", entries, indent)


def enclosed(brackets, entries, indent=""):
    opened, closed = brackets
    return f"{opened}\n{indent} " + f",\n{indent} ".join(entries) + f"\n{indent}{closed}"


def compare(before, now):
    """A table of the figures that two runs have in common, and their ratios."""
    rows = []
    for name in now:
        old, new = (results.get(name, {}).get("figures", {}) for results in (before, now))
        rows += [
            [f"{name}: {key}", round(old[key], 2), round(new[key], 2), ratio(new[key], old[key])]
            for key in new
            if key in old
        ]
    return markdown(["", "committed", "now", "ratio"], rows)


def ratio(new, old):
    return f"{new / old:.2f}" if old else "-"
