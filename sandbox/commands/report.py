"""The page of a replay: one HTML file that needs nothing else, for people who were not at the command line."""

import re
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sandbox.commands.rows import NOT_DELIVERED, READS, ROLES_NOT_JUDGED, SETTLED, counted, strength, verdict

#: The guard denies about this long after the event; calls in between may still succeed.
SECONDS_UNTIL_DENIED = 60
#: So many calls of a caller are listed, and so many callers have a timeline.
CALLS, TIMELINES = 200, 100
#: The width of a timeline, in units of its own; calls at the same place are drawn once.
WIDTH = 1000
INFRASTRUCTURE = re.compile(
    r"terraform|tofu|pulumi|cdk|cloudformation|stacksets|crossplane|atlantis|spacelift|ansible|github|gitlab|bitbucket"
    r"|jenkins|circleci|buildkite|teamcity|argo|codebuild|codepipeline|pipeline|deploy|(^|[-_/])ci([-_/]|$)",
    re.IGNORECASE,
)
SSO_ROLE = re.compile(r"(AWSReservedSSO_.+_)[0-9a-f]{16}")


def write(path, rows, notes=(), preview=None):
    """Write the page.

    :param rows: a :class:`~sandbox.commands.rows.Row` per caller
    :param notes: what could not be read
    :param preview: the first sentence of a preview's page, whose rows have no calls
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    rows = sorted(rows, key=lambda row: (-strength(row.strongest), -row.calls))
    times = [call.time for row in rows for call in row.decided if seconds(call.time) is not None]
    span = Span(min(times), max(times)) if times else None
    page = environment.get_template("report.html").render(
        headline=preview or headline(rows),
        verdict=[] if preview else list(verdict(rows)),
        made_of="a preview of unintended IAM access" if preview else "a replay of CloudTrail's records",
        span=span,
        callers=[Caller(row, span) for row in rows],
        timelines=TIMELINES,
        accounts=len({row.account for row in rows}),
        suggestions=list(suggestions(rows)),
        notes=notes,
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    )
    Path(path).write_text(page, encoding="utf-8")


def seconds(time):
    """A record's time in seconds; None if it cannot be read."""
    try:
        return datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").timestamp()
    except ValueError:
        return None


class Span(NamedTuple):
    first: str
    last: str

    def place(self, time):
        start = seconds(self.first)
        return round((seconds(time) - start) / max(1, seconds(self.last) - start) * WIDTH)


class Caller:
    def __init__(self, row, span):
        self.row = row
        self.calls, self.more = row.decided[:CALLS], max(0, len(row.decided) - CALLS)
        self.denied, self.later = None, []
        if row.settled_at and (settled := seconds(row.settled_at)) is not None:
            self.denied = span.place(row.settled_at)
            until = settled + SECONDS_UNTIL_DENIED
            later = (call.name for call in row.decided if (seconds(call.time) or 0) > until)
            self.later = Counter(later).most_common()
        ticks = {}
        for call in row.decided:
            if seconds(call.time) is not None:
                kind = "read" if call.decision == NOT_DELIVERED else "call"
                ticks.setdefault((span.place(call.time), kind), f"{call.time} {call.name}")
        self.ticks = [(place, kind, title) for (place, kind), title in ticks.items()]


def headline(rows):
    """The page's result, in one sentence."""
    lost, observed = (sum(row.strongest == decision for row in rows) for decision in SETTLED[:2])
    sentence = f"{lost or 'None'} of {counted(len(rows), 'caller')} would have lost IAM"
    if observed:
        sentence += f", and {observed} more if the guard acted and did not only observe"
    selves = [row for row in rows if row.strongest in SETTLED[:2] and only_about_self(row)]
    if selves:
        names = {call.name for row in selves for call in acting(row)}
        did = "changed their password" if names == {"ChangePassword"} else "called about themselves"
        sentence += f"; {len(selves)} of them only {did}"
    return f"{sentence}."


def acting(row):
    """A caller's calls but for those that the guard does not get."""
    return [call for call in row.decided if call.decision != NOT_DELIVERED]


def only_about_self(row):
    return all(call.about_self for call in acting(row))


def suggestions(rows):
    """The lines to write into iam-guard.yml, as (sentence, YAML)."""
    lost = [row for row in rows if row.strongest in SETTLED]
    names = sorted({call.name for row in lost if only_about_self(row) for call in acting(row)})
    roles = [row for row in rows if row in lost or row.why == ROLES_NOT_JUDGED]
    roles = {row.caller.partition("/")[0]: row.caller for row in roles if row.type == "AssumedRole"}
    people = sorted({found[1] + "*" for role in roles if (found := SSO_ROLE.fullmatch(role))})
    machines = sorted(
        role for role, who in roles.items() if INFRASTRUCTURE.search(who) and not SSO_ROLE.match(role)
    )
    services = ", ".join(sorted({call.invoked_by for row in lost for call in acting(row) if call.invoked_by}))
    own = sum(row.why == "a service-linked role" or row.type == "AWSService" for row in rows)
    readers = sum(row.why == READS for row in rows)
    only = counted(readers, "caller")
    found = (
        ({"self_service": names},
         "Some callers only made calls about themselves. If everybody may do so, allow these calls:"),
        ({"admin_roles": machines},
         "These roles look like CI or infrastructure. List those that are meant to use IAM:"),
        ({"admin_roles": people},
         "People of Identity Center called with these permission sets. List those that are meant to use IAM:"),
    )  # fmt: skip
    for lines, sentence in found:
        if any(lines.values()):
            yield sentence, yaml.safe_dump(lines, sort_keys=False)
    sentences = (
        own and f"The guard left {counted(own, 'service')} of AWS alone, service-linked roles included.",
        services and f"{services} made some calls with a caller's rights. They count as the caller's own.",
        readers and f"{only} only read. EventBridge delivers no reads: nobody is denied for it.",
    )
    yield from ((sentence, "") for sentence in sentences if sentence)
