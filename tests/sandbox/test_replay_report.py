"""The page of a replay: what it says, that it needs nothing else, and that text from logs is no more than text."""

import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from records import ACCOUNT

from sandbox.commands import report
from sandbox.commands.rows import Decided, Row

HOSTILE = "\"'></title><script>alert(1)</script><img src=//192.0.2.1/x onerror=alert(1)>{{ 7 * 7 }}&amp;"


def row(caller, *calls, kind="IAMUser", why=None):
    """A caller, with calls as (minute, name, decision, more of the call)."""
    found = Row(ACCOUNT, caller, kind)
    for minute, name, decision, *more in calls:
        found.calls += 1
        found.decide(decision, why=why) if decision else None
        time = f"2026-11-20T09:{minute:02d}:00Z" if isinstance(minute, int) else minute
        found.decided.append(Decided(time, name, decision, **(more[0] if more else {})))
    return found


SELF = {"about_self": True}
ROWS = [
    row("alice", (0, "CreateUser", "let-pass"), why="in admin group admins"),
    row(
        "bob",
        (1, "ListUsers", "not-delivered"),
        (2, "CreateUser", "revoked", {"source": "198.51.100.7 aws-cli"}),
        (2, "CreateRole", None),
        (9, "CreateAccessKey", None, {"error": "LimitExceededException"}),
        (10, "CreateAccessKey", None, {"invoked_by": "cloudformation.amazonaws.com"}),
    ),
    row("carol", (3, "ChangePassword", "revoked", SELF), (4, "GetUser", "not-delivered")),
    row("dave", (4, "AttachUserPolicy", "revoked")),
    row("terraform/run", (5, "CreateRole", "would-revoke"), kind="AssumedRole"),
    row("app/i-1", (5, "CreateRole", "would-revoke"), kind="AssumedRole"),
    row("AWSReservedSSO_Ops_0123456789abcdef/eve", (6, "GetRole", "would-revoke"), kind="AssumedRole"),
    row("erin", (7, "ListUsers", "not-delivered"), why="reads alone"),
    row("autoscaling.amazonaws.com", (7, "CreateRole", "not-delivered"), kind="AWSService"),
    row(
        HOSTILE, (8, HOSTILE, "unreadable", {"source": HOSTILE, "error": HOSTILE}), why=HOSTILE, kind=HOSTILE
    ),
    row("late", (HOSTILE, "CreateUser", "let-pass")),
]


class Page(HTMLParser):
    """A page's elements, its text, and all that an element could load or run."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.dangerous = Counter(), [], []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attributes):
        self.tags[tag, dict(attributes).get("class")] += 1
        named = {name for name, _ in attributes}
        loads = {"src", "href", "srcset", "data", "action"} & named or any(n.startswith("on") for n in named)
        if loads or tag in ("script", "img", "iframe", "link", "object", "embed", "form", "base"):
            self.dangerous.append((tag, attributes))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write(path, ROWS, [HOSTILE])
    return path


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text())


def test_the_page_begins_with_what_it_comes_to(page):
    """One sentence says how many would have lost IAM, and who of them did nothing but change a password."""
    assert (
        "3 of 11 callers would have lost IAM, and 3 more if the guard acted and did not only observe; "
        "1 of them only changed their password."
    ) in page.text


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "None of 0 callers would have lost IAM."),
        (ROWS[:1], "None of 1 caller would have lost IAM."),
        ([row("bob", (1, "CreateAccessKey", "revoked", SELF))], "IAM; 1 of them only called about themselves."),
    ],
)  # fmt: skip
def test_the_sentence_fits_what_was_found(tmp_path, rows, sentence):
    """Nobody, and what people do about themselves beside passwords, is said as well."""
    report.write(tmp_path / "page", rows)
    assert sentence in Page((tmp_path / "page").read_text()).text


def test_the_page_needs_nothing_else_and_runs_nothing(path, page):
    """No element loads or runs anything, and the page's own policy forbids it, too."""
    assert page.dangerous == []
    assert "default-src 'none'" in path.read_text()
    assert "url(" not in path.read_text()


def test_text_from_logs_is_text(page):
    """Hostile names, calls, errors and user agents stand on the page as they are, in no element of their own."""
    assert page.text.count(HOSTILE) >= 6
    marks = sum(n for (tag, kind), n in page.tags.items() if kind in ("call", "read"))
    assert page.tags["title", None] == 1 + marks - 2


def test_a_timeline_shows_the_calls_the_denial_and_what_would_not_have_happened(page):
    """Each call whose time can be read is a mark, and each denial a line with a band behind it."""
    legend = 1
    assert page.tags["line", "deny"] == page.tags["rect", "after"] == 6 + legend
    assert page.tags["line", "read"] == 4 + legend
    calls = sum(call.decision != "not-delivered" for row in ROWS for call in row.decided)
    same_minute, unreadable_time = 1, 1
    assert page.tags["line", "call"] == calls - same_minute - unreadable_time + legend


def test_a_caller_has_their_calls_and_what_later_ones_would_have_met(page):
    """Later calls are counted by name; those within a minute of the denial may still have succeeded."""
    assert "2026-11-20T09:02:00Z CreateUser revoked 198.51.100.7 aws-cli" in page.text
    assert "CreateAccessKey LimitExceededException after the denial" in page.text
    assert "AccessDenied: CreateAccessKey, 2 times" in page.text
    assert "AccessDenied: CreateRole" not in page.text


def test_the_page_suggests_lines_for_the_settings(page):
    """Calls about oneself, CI's roles and permission sets come as YAML; what changes rights is no self-service."""
    assert "self_service: - ChangePassword " in page.text
    assert "AttachUserPolicy -" not in page.text.partition("Callers")[0]
    assert "admin_roles: - terraform " in page.text
    assert "admin_roles: - AWSReservedSSO_Ops_* " in page.text
    assert "- app" not in page.text
    assert "left 1 service of AWS alone" in page.text
    assert "cloudformation.amazonaws.com made some calls" in page.text
    assert "1 caller only read." in page.text


def test_a_long_page_stays_short(tmp_path, monkeypatch):
    """So many calls and timelines are shown, and the rest is counted."""
    monkeypatch.setattr(report, "CALLS", 2)
    monkeypatch.setattr(report, "TIMELINES", 3)
    report.write(tmp_path / "page", ROWS)
    text = Page((tmp_path / "page").read_text()).text
    assert "and 3 more" in text
    assert "8 more callers are in the table" in text
