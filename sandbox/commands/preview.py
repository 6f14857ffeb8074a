"""``python -m sandbox preview``: the page of a replay, from what a preview of accounts has found."""

import json
from pathlib import Path

from sandbox.commands import report
from sandbox.commands.rows import NOT_MEANT, Row, counted, printable, progress

#: The policies of ``policies/preview-unintended-iam-access.yml``, whose names their output folders have.
KINDS = {"preview-unintended-iam-access": "user", "preview-unintended-iam-access-of-roles": "role"}
TYPES = {"user": "IAMUser", "role": "AssumedRole"}


def run(folder, page):
    """Write the page of an output folder, and return the exit status: 1 if one cannot be read, 2 for none."""
    rows, bad, accounts = [], [], set()
    files = [file for file in sorted(Path(folder).rglob("resources.json")) if file.parent.name in KINDS]
    if not files:
        progress(f"preview: no output of {' or '.join(KINDS)} is below {printable(str(folder))}")
        return 2
    for file in files:
        accounts.add(file.parent.parent)
        kind = KINDS[file.parent.name]
        try:
            rows += [row_of(found, kind) for found in json.loads(file.read_text(encoding="utf-8"))]
        except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
            bad.append(f"{file}: {type(error).__name__}")
    report.write(page, rows, bad, preview=headline(rows, len(accounts)))
    progress(f"preview: wrote {page}")
    for line in bad:
        progress(f"preview: {printable(line)} cannot be read")
    return 1 if bad else 0


def row_of(found, kind):
    """The row of a user or role that a preview has found. When it called, IAM does not tell."""
    row = Row(found["Arn"].split(":")[4], found[f"{kind.title()}Name"], TYPES[kind])
    groups = ", ".join(found.get("GroupList", ()))
    row.decide("would-revoke", why=f"{NOT_MEANT[kind]}{f', but in {groups}' if groups else ''}")
    return row


def headline(rows, accounts):
    users, roles = (sum(row.type == type_ for row in rows) for type_ in TYPES.values())
    found = f"{counted(users, 'user')} and {counted(roles, 'role')} of {counted(accounts, 'account')}"
    return f"{found} are not meant to use IAM, and used it in the last 90 days."
