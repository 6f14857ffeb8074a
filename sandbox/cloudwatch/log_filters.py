"""Metric filters of CloudWatch Logs: which log lines they match, and what they count.

Patterns are terms for text, as in deploy/; any other pattern is refused.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import re

from moto.logs.models import logs_backends

#: A term of a pattern: bare or in quotes, optional by ``?``.
TERM = re.compile(r'\s*(\??)(?:"((?:\\.|[^"\\])*)"|([^\s"?{%-][^\s"]*))')


def matched(account, region, group, line):
    """The counts of a log group's metric filters for a line: (namespace, metric, value) of each."""
    for found in logs_backends[account][region].filters.metric_filters:
        if found["logGroupName"] == group and matches(found["filterPattern"], line):
            for made in found["metricTransformations"]:
                yield made["metricNamespace"], made["metricName"], float(made["metricValue"])


def matches(pattern, line):
    """Whether a filter pattern matches a log line: all of its terms, or any if they are optional."""
    terms = [(term[1], re.sub(r"\\(.)", r"\1", term[2] or term[3])) for term in TERM.finditer(pattern)]
    if TERM.sub("", pattern).strip() or len({mark for mark, _ in terms}) != 1:
        raise ValueError(f"the sandbox does not know the filter pattern {pattern}")
    return (any if terms[0][0] else all)(term in line for _, term in terms)
