"""The calls to IAM of all logs, which stay on disk until they are replayed; only their callers are in memory."""

import json
import sqlite3
import time
from dataclasses import dataclass, field

from sandbox.cloudtrail import records
from sandbox.commands import callers, logs
from sandbox.commands.rows import printable, progress
from sandbox.server import ACCOUNT

PROGRESS_SECONDS = 5


class Calls:
    """The calls to IAM of all logs, on the disk; their callers, in memory."""

    def __init__(self):
        self.disk = sqlite3.connect("")  # a file of its own, which nobody else sees and which goes by itself
        self.disk.execute("create table calls (account text, time text, entry text)")
        self.disk.execute("create index by_account on calls (account, time)")
        self.accounts = {}

    def add(self, entry):
        call = callers.call_of(entry)
        if call.account:
            self.accounts.setdefault(call.account, Account(call.account)).add(call)
        row = (call.account, call.time, json.dumps(entry))
        self.disk.execute("insert into calls values (?, ?, ?)", row)

    def settle(self):
        """Lay the calls that name no account to the first account that is named."""
        first = next(iter(self.accounts), ACCOUNT)
        for (text,) in self.disk.execute("select entry from calls where account is null"):
            found = self.accounts.setdefault(first, Account(first))
            found.add(callers.call_of(json.loads(text), first))
        self.disk.execute("update calls set account = ? where account is null", (first,))

    def of(self, account):
        """The calls of an account, in the order of their times."""
        query = "select entry from calls where account = ? order by time, rowid"
        for (text,) in self.disk.execute(query, (account,)):
            yield callers.call_of(json.loads(text), account)


@dataclass
class Account:
    """An account as the logs show it.

    :param principals: its users and roles who called IAM, by kind and name in lower case
    :param partitions: the partitions that calls name: those of users and roles, and those of regions
    :param roles: the names of the roles that have an id, in lower case, by the id
    """

    id: str
    calls: int = 0
    principals: dict = field(default_factory=dict)
    partitions: tuple = (None, None)
    roles: dict = field(default_factory=dict)

    def add(self, call):
        self.calls += 1
        if call.who:
            self.principals.setdefault(call.key, call.who)
            if call.who.kind == "role" and call.who.id:
                self.roles.setdefault(call.who.id, set()).add(call.key[1])
        if None in self.partitions:
            named, by_region = self.partitions
            named = named or (call.partition if call.who else None)
            self.partitions = (named, by_region or call.partition)

    @property
    def region(self):
        """The region that gets IAM's events in the partition that the calls are of; None if nobody knows it."""
        named, by_region = self.partitions
        return records.IAM_REGION.get(named or by_region or "aws")


def load(paths):
    """Read all files.

    :returns: :class:`Calls`, and a line for each file that could not be read, or not wholly
    :raises logs.NoFile: if a path stands for no file; its text has a line for each
    """
    files, missing = [], []
    for path in paths:
        try:
            files += logs.files(path)
        except logs.NoFile as reason:
            missing.append(f"{path}: {reason}")
    if missing:
        raise logs.NoFile("\n".join(f"replay: {printable(line)}" for line in missing))
    calls, bad, say, skipped, found = Calls(), [], Progress(), [], 0
    for number, (file, in_folder) in enumerate(files, 1):
        for name, entry in logs.read(file):
            if not isinstance(entry, logs.NotALog):
                calls.add(entry)
                found += 1
            elif isinstance(entry, logs.OtherJSON) and (in_folder or name != file):
                skipped.append(name)
            else:
                bad.append(f"{name}: {entry}")
        say(f"read {number} of {len(files)} files, {found} calls to IAM")
    if skipped:
        progress(f"replay: skipped {len(skipped)} files without CloudTrail records, such as {skipped[0]}")
    calls.settle()
    return calls, bad


class Progress:
    """Says how far a long run is, every few seconds."""

    def __init__(self):
        self.next = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, line):
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + PROGRESS_SECONDS
            progress(f"replay: {line}")
