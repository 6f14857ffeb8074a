"""What a replay prints: its rows for people or as JSON, and lines on stderr."""

import json
import sys
from dataclasses import asdict

from sandbox import guard

#: The guard decides this way on all further events of a caller, so its functions need not be asked again.
SETTLED = ("revoked", "would-revoke", "cannot-revoke")


def print_json(rows):
    for row in rows:
        print(json.dumps(asdict(row)))


def print_table(rows, roles_judged=True):
    """The rows for people, and what they come to.

    :param roles_judged: whether the policy of roles was deployed
    """
    if not rows:
        print("These files hold no call to IAM.")
        return
    cells = [["-" if v is None else printable(str(v)) for v in asdict(row).values()] for row in rows]
    print(*guard.table([list(asdict(rows[0])), *cells]), sep="\n")
    revoked, observed, immune = (sum(row.strongest == decision for row in rows) for decision in SETTLED)
    print(f"\nThe guard would have revoked IAM access of {revoked} of these {len(rows)} callers.")
    if observed:
        print(f"It would have logged would-revoke for {observed}, and denied them nothing: observe is true.")
    if immune:
        print(f"It could not have revoked {immune}, because AWS lets nobody change these roles.")
    print("Not delivered are reads (Get*, List*, Describe*), and callers whom the policy's rule leaves out.")
    roles = [row for row in rows if row.type == "AssumedRole"]
    if roles and not roles_judged and not any(row.delivered for row in roles):
        names = 'ROLES="NAME …", or --admin-role NAME …'
        print(f"Roles are judged once you say which are meant to use IAM: {names}")


def printable(text):
    """Text from a log, or from a command line, without what a terminal would act on."""
    return "".join(character if character.isprintable() else "?" for character in text)


def progress(line):
    print(line, file=sys.stderr, flush=True)
