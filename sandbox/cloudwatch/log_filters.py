"""Metric filters of CloudWatch Logs: which log lines they match, and what they count.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import json
import re
from fnmatch import fnmatchcase

from moto.logs.models import logs_backends

#: A term of a pattern for text: bare or in quotes, optional by ``?``, unwanted by ``-``.
TERM = re.compile(r'\s*([?-]?)(?:"((?:\\.|[^"\\])*)"|([^\s"]+))')
#: One condition of a pattern for JSON.
CONDITION = re.compile(
    r"\(?\s*\$\.(?P<path>[\w.\[\]-]+)\s*"
    r"(?:(?P<operator>!=|>=|<=|=|>|<)\s*(?P<value>\"(?:\\.|[^\"\\])*\"|[^\s()&|]+)|(?P<word>IS\s+\w+|EXISTS|NOT\s+EXISTS))"
    r"\s*\)?"
)
COMPARISONS = {
    ">": float.__gt__,
    "<": float.__lt__,
    ">=": float.__ge__,
    "<=": float.__le__,
}


def matched(account, region, group, line):
    """What the metric filters of a log group count for a line: (namespace, metric, value) of each."""
    for found in logs_backends[account][region].filters.metric_filters:
        if found["logGroupName"] == group and matches(found["filterPattern"], line):
            for made in found["metricTransformations"]:
                yield made["metricNamespace"], made["metricName"], value_of(made["metricValue"], line)


def value_of(text, line):
    """The number that a metric filter writes: a number itself, or a field of the line."""
    if text.startswith("$."):
        return float(at(json.loads(line), text[2:]))
    return float(text)


def matches(pattern, line):
    """Whether a filter pattern matches a log line."""
    pattern = pattern.strip()
    if pattern.startswith("{"):
        return matches_json(pattern, line)
    terms = [(mark, _unquoted(quoted) if quoted is not None else bare)
             for mark, quoted, bare in ((m[1], m[2], m[3]) for m in TERM.finditer(pattern))]  # fmt: skip
    optional = [term for mark, term in terms if mark == "?"]
    wanted = [term for mark, term in terms if not mark]
    if optional and wanted:
        raise ValueError("CloudWatch ignores optional terms beside others: the sandbox refuses them")
    unwanted = [term for mark, term in terms if mark == "-"]
    return (
        all(term in line for term in wanted)
        and (not optional or any(term in line for term in optional))
        and not any(term in line for term in unwanted)
    )


def matches_json(pattern, line):
    """Whether a pattern such as ``{ $.decision = "failed" && $.delay > 60 }`` matches a line that is JSON."""
    start = line.find("{")
    try:
        event = json.loads(line[start:]) if start == 0 else None
    except ValueError:
        event = None
    if not isinstance(event, dict):
        return False  # a line with anything in front of its JSON is none
    inner = pattern[1:-1].strip()
    return any(
        all(_holds(condition.strip(), event) for condition in part.split("&&")) for part in inner.split("||")
    )


def _holds(text, event):
    found = CONDITION.fullmatch(text)
    if not found:
        raise ValueError(f"the sandbox does not know the filter pattern {text}")
    actual, operator, wanted = at(event, found["path"]), found["operator"], found["value"]
    if found["word"]:
        word = re.sub(r"\s+", " ", found["word"])
        return {
            "EXISTS": actual is not None,
            "NOT EXISTS": actual is None,
            "IS NULL": actual is None,
            "IS TRUE": actual is True,
            "IS FALSE": actual is False,
        }[word]
    if operator in COMPARISONS:
        numeric = isinstance(actual, int | float) and not isinstance(actual, bool)
        return numeric and COMPARISONS[operator](float(actual), float(wanted))
    if actual is None:
        return False
    quoted = wanted.startswith('"')
    wanted = _unquoted(wanted[1:-1]) if quoted else wanted
    numeric = isinstance(actual, int | float) and not isinstance(actual, bool) and not quoted
    same = float(actual) == float(wanted) if numeric else fnmatchcase(str(actual), wanted)
    return same == (operator == "=")


def _unquoted(text):
    return re.sub(r"\\(.)", r"\1", text)


def at(event, path):
    """What stands at a path such as ``detail.groups[0]``; None if nothing does."""
    for name, number in re.findall(r"([\w-]+)|\[(\d+)\]", path):
        try:
            event = event[int(number)] if number else event[name]
        except (KeyError, IndexError, TypeError):
            return None
    return event
