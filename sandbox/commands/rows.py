"""The result of a replay: a row per caller, how it prints them, and lines on stderr."""

import json
import sys
from dataclasses import asdict, dataclass

from tabulate import tabulate

NOT_DELIVERED, LET_PASS, UNREADABLE, FAILED = "not-delivered", "let-pass", "unreadable", "failed"
#: What a caller's events led to, the stronger the later: one of them is enough.
DECISIONS = (
    NOT_DELIVERED,
    LET_PASS,
    UNREADABLE,
    FAILED,
    "left",
    "would-contain",
    "acted",
    "contained",
    "cannot-revoke",
    "would-revoke",
    "revoked",
)
#: The guard decides this way on all further events of a caller, so its functions need not be asked again.
SETTLED = ("revoked", "would-revoke", "cannot-revoke")
CONTAINED = ("contained", "would-contain", "left")
READS = "reads alone"
NOT_MEANT = {"user": "in no admin group", "role": "not on the list of admin roles"}


@dataclass(slots=True)
class Decided:
    """One call of a caller, and what it led to; the decision is None once the caller's is settled."""

    time: str
    name: str
    decision: str | None
    why: str | None = None
    error: str | None = None
    source: str = ""
    about_self: bool = False
    invoked_by: str | None = None


@dataclass
class Row:
    """The outcome of one caller's calls to IAM."""

    account: str
    caller: str
    type: str
    calls: int = 0
    delivered: int = 0
    decision: str = NOT_DELIVERED
    how: str | None = None
    why: str | None = None

    # The function's answer if it failed, and the decision without that; no part of the printed row.
    failure = None
    strongest = NOT_DELIVERED

    def __post_init__(self):
        self.decided = []

    def add(self, invocations, kind="user"):
        """Note what a call's invocations decided, and return the strongest decision, and why."""
        self.delivered += 1
        found = []
        for invocation in invocations:
            lines = [line for line in invocation.decisions if line["decision"] != FAILED]
            if not invocation.succeeded:
                self.failure = (invocation.attempts[-1].error or {}).get("errorMessage", "no answer")
                if all(line["decision"] == LET_PASS for line in lines):
                    lines = [{"decision": FAILED, "reason": self.failure}]
            for line in lines or [{"decision": LET_PASS}]:
                why = reason_of(line, kind)
                self.decide(line["decision"], line.get("how"), why, not invocation.succeeded)
                found.append((line["decision"], why))
        return max(found, key=lambda one: strength(one[0]))

    def decide(self, decision, how=None, why=None, failed=False):
        """Note a decision; it counts if it is stronger than those before."""
        if strength(decision) > strength(self.strongest) or (
            decision == self.strongest and self.why in (None, READS)
        ):
            self.strongest, self.how, self.why = decision, how, why
            self.decision = f"{decision}, then failed" if failed and decision != FAILED else decision

    @property
    def settled(self):
        return self.strongest in SETTLED

    @property
    def settled_at(self):
        return next((call.time for call in self.decided if call.decision in SETTLED), None)


def reason_of(line, kind):
    """Why the guard decided so, out of its log line."""
    if line["decision"] in SETTLED:
        return NOT_MEANT[kind]
    return line.get("reason") or line.get("containment")


def strength(decision):
    """How strong a decision is; one that is not known here says at least that something was done."""
    return DECISIONS.index(decision) if decision in DECISIONS else DECISIONS.index(FAILED) + 0.5


def print_json(rows, calls=False):
    for row in rows:
        more = {"events": [asdict(call) for call in leading(row)]} if calls else {}
        print(json.dumps(asdict(row) | more))


def print_table(rows, calls=False):
    """The rows for people, and what they come to; with ``calls``, the calls that led to each decision, too."""
    if not rows:
        print("These files hold no call to IAM.")
        return
    cells = [["-" if v is None else printable(str(v)) for v in asdict(row).values()] for row in rows]
    print(tabulate(cells, list(asdict(rows[0])), disable_numparse=True))
    for row in rows if calls else ():
        print(f"\n{printable(row.caller)} in {row.account}: {row.decision}")
        for call in leading(row):
            print(printable(f"  {call.time}  {call.name}  {call.why or ''}").rstrip())
    print("", *verdict(rows), sep="\n")


def leading(row):
    return [call for call in row.decided if call.decision == row.strongest]


def verdict(rows):
    """The sum of the rows, as sentences."""
    revoked, observed, immune = (sum(row.strongest == decision for row in rows) for decision in SETTLED)
    yield f"The guard would have revoked IAM access of {revoked} of these {counted(len(rows), 'caller')}."
    if observed:
        yield f"It would have logged would-revoke for {observed}, and denied them nothing: observe is true."
    if immune:
        yield f"It could not have revoked {immune}, because AWS lets nobody change these roles."
    if any(row.strongest in CONTAINED for row in rows):
        taken, left = (
            sum(any(call.decision in kinds for call in row.decided) for row in rows)
            for kinds in (CONTAINED[:2], CONTAINED[2:])
        )
        yield f"It would have taken back calls of {counted(taken, 'caller')}, and left calls of {left} to a person."
    calls = [call for row in rows for call in row.decided if call.decision == UNREADABLE]
    if calls:
        callers = sum(any(call.decision == UNREADABLE for call in row.decided) for row in rows)
        of = f"{counted(len(calls), 'call')} of {counted(callers, 'caller')}"
        yield f"It could not judge {of}: the records do not say who called."
    if any(row.why == ROLES_NOT_JUDGED for row in rows):
        names = 'ROLES="NAME …", or --admin-role NAME …'
        yield f"Roles are judged once you say which are meant to use IAM: {names}"


ROLES_NOT_JUDGED = "roles are not judged yet"


def counted(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text):
    """Text from a log, or from a command line, without what a terminal would act on."""
    return "".join(character if character.isprintable() else "?" for character in text)


def progress(line):
    print(line, file=sys.stderr, flush=True)
