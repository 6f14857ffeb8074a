"""``python -m sandbox replay``: what would the guard have done with these CloudTrail logs?

The logs' calls to IAM are kept on the disk, and only their callers in memory.
"""

import json
import sqlite3
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from tempfile import TemporaryDirectory

from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from sandbox import callers, cloudtrail, eventbridge, guard, logs
from sandbox.rows import SETTLED, print_json, print_table, printable, progress
from sandbox.server import ACCOUNT, Sandbox

LET_PASS, FAILED = "let-pass", "failed"
PROGRESS_SECONDS = 5
#: What a caller's events led to, the stronger the later: one of them is enough.
DECISIONS = (
    "not-delivered",
    LET_PASS,
    FAILED,
    "left",
    "would-contain",
    "acted",
    "contained",
    "cannot-revoke",
    "would-revoke",
    "revoked",
)


@dataclass
class Row:
    """What became of one caller's calls to IAM."""

    account: str
    caller: str
    type: str
    calls: int = 0
    delivered: int = 0
    decision: str = "not-delivered"
    how: str | None = None

    # The function's answer if it failed, and the decision without that; no part of the printed row.
    failure = None
    strongest = "not-delivered"

    def add(self, invocations):
        """Count one call, with the invocations that it led to."""
        self.calls += 1
        self.delivered += bool(invocations)
        for invocation in invocations:
            found = [line for line in invocation.decisions if line["decision"] not in (LET_PASS, FAILED)]
            if not invocation.succeeded:
                self.failure = (invocation.attempts[-1].error or {}).get("errorMessage", "no answer")
            if not found:
                self.decide(LET_PASS if invocation.succeeded else FAILED)
            for line in found:
                self.decide(line["decision"], line.get("how"), not invocation.succeeded)

    def decide(self, decision, how=None, failed=False):
        if strength(decision) > strength(self.strongest):
            self.strongest, self.how = decision, how
            self.decision = f"{decision}, then failed" if failed else decision

    @property
    def settled(self):
        return self.strongest in SETTLED


def strength(decision):
    """How strong a decision is; one that is not known here says at least that something was done."""
    return DECISIONS.index(decision) if decision in DECISIONS else DECISIONS.index(FAILED) + 0.5


# Reading


class Calls:
    """The calls to IAM of all logs, on the disk; their callers, in memory."""

    def __init__(self):
        self.disk = sqlite3.connect("")  # a file of its own, which nobody else sees and which goes by itself
        self.disk.execute("create table calls (account text, entry text)")
        self.disk.execute("create index by_account on calls (account)")
        self.accounts = {}
        self.names = {"user": set(), "role": set()}

    def add(self, entry):
        """Keep an entry of a log, if it is a call to IAM.

        :returns: whether it is one
        """
        record = logs.record_of(entry)
        _, principal = callers.principal_of(record) if isinstance(record, dict) else (None, None)
        if principal:
            self.names[principal.kind].add(principal.name.lower())
        if not callers.is_call_to_iam(record):
            return False
        call = callers.call_of(entry)
        if call.account:
            self.accounts.setdefault(call.account, Account(call.account)).add(call)
        self.disk.execute("insert into calls values (?, ?)", (call.account, json.dumps(entry)))
        return True

    def settle(self):
        """Lay the calls that name no account to the first account that is named."""
        first = next(iter(self.accounts), ACCOUNT)
        changed = self.disk.execute("update calls set account = ? where account is null", (first,)).rowcount
        if changed:
            self.accounts.setdefault(first, Account(first)).calls += changed

    def of(self, account):
        """The calls of an account, in the order of the logs."""
        query = "select entry from calls where account = ? order by rowid"
        for (text,) in self.disk.execute(query, (account,)):
            call = callers.call_of(json.loads(text))
            if call.event:
                call.event["account"] = account
            yield call


@dataclass
class Account:
    """What the logs tell of an account.

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
        if call.principal:
            key = (call.principal.kind, call.principal.name.lower())
            self.principals.setdefault(key, call.principal)
            if call.principal.kind == "role" and call.principal.id:
                self.roles.setdefault(call.principal.id, set()).add(key[1])
        if None in self.partitions:
            named, by_region = self.partitions
            found = callers.partition_of(call)
            named = named or (found if call.principal else None)
            self.partitions = (named, by_region or found)

    @property
    def region(self):
        """The region in which EventBridge gets IAM's events, in the partition that the calls are of."""
        named, by_region = self.partitions
        return cloudtrail.IAM_REGION.get(named or by_region, cloudtrail.IAM_REGION["aws"])


class BadFiles(ValueError):
    """Paths that are no logs. Its text has a line for each."""


def load(paths):
    """Read all files.

    :returns: :class:`Calls`
    :raises BadFiles: where any of them is no log
    """
    calls, bad, files = Calls(), [], []
    for path in paths:
        try:
            files += logs.files(path)
        except logs.NoFile as reason:
            bad.append(f"{path}: {reason}")
    say, skipped, entries, found = Progress(), [], 0, 0
    for number, (file, in_folder) in enumerate(files, 1):
        try:
            for entry in logs.read(file):
                entries += 1
                found += calls.add(entry)
                say(f"read {number} of {len(files)} files, {entries} records, {found} of them calls to IAM")
        except logs.NotALog as reason:
            if in_folder and isinstance(reason, logs.OtherJSON):
                skipped.append(file)
            else:
                bad.append(f"{file} is not a CloudTrail log: {reason}")
        except OSError as reason:
            bad.append(f"{file}: {(reason.strerror or str(reason)).lower()}")
    if skipped:
        progress(f"replay: skipped {len(skipped)} files without CloudTrail records, such as {skipped[0]}")
    if bad:
        raise BadFiles("\n".join(f"replay: {printable(line)}" for line in bad))
    calls.settle()
    return calls


# Replaying


def replay(account, calls, admins, policies):
    """One account's calls, through the guard deployed in a sandbox of that account.

    :param account: the :class:`Account`
    :param calls: all :class:`Calls`
    :param admins: the names of the users and roles who are meant to use IAM, in lower case, by kind
    :returns: a :class:`Row` per caller
    """
    with Sandbox(account.id, account.region) as sandbox, TemporaryDirectory() as folder:
        progress(f"{account.id}: deploying the guard at {sandbox.endpoint}; nothing leaves this machine")
        sandbox.deploy()
        principals = create_principals(account, admins["user"], guard.admin_groups())
        roles = [
            p.name for key, p in account.principals.items() if key[0] == "role" and key[1] in admins["role"]
        ]
        guard.deploy_policies(sandbox, policies, settings=guard.settings_with(folder, roles))
        rows, say = {}, Progress()
        for number, call in enumerate(calls.of(account.id), 1):
            key = (call.caller, call.type)
            row = rows.setdefault(key, Row(account.id, *key))
            deliver(sandbox, call, principals, row, account.region)
            sandbox.calls.clear()  # the guard's own calls, which the sandbox notes for tests
            sandbox.pending.clear()
            say(f"{account.id}: {number} of {account.calls} calls to IAM replayed")
        progress(f"{account.id}: {account.calls} calls to IAM replayed")
    return list(rows.values())


def create_principals(account, admins, groups):
    """The users and roles who appear in the calls, made in moto directly: over HTTP, thousands take minutes.

    :param groups: the admin groups' names
    :returns: moto's users and roles, by kind and name in lower case
    """
    region, backend = account.region, iam_backends[account.id][get_partition(account.region)]
    # Somebody has to be in the group: an account without any admin is no place to deploy the guard in.
    stand_in = backend.create_user(region, f"sandbox-{uuid.uuid4().hex}")
    made = {("role", role.name.lower()): role for role in backend.get_roles()}  # the stack's own
    for key, found in account.principals.items():
        if found.kind == "user":
            made[key] = backend.create_user(region, found.name, path=found.path)
        elif key not in made:
            made[key] = backend.create_role(found.name, "{}", found.path, None, "", [], None)
        give_id(backend, made, found)  # the policies' lists of roles are pinned by it when they are deployed
    members = [made[key] for key in (("user", name) for name in sorted(admins)) if key in made]
    for group in groups:
        backend.create_group(group)
        for member in (stand_in, *members):
            backend.add_user_to_group(group, member.name)
    return made


def deliver(sandbox, call, principals, row, region):
    """Hand one call's event to EventBridge, and note in its caller's row what it led to.

    The event comes as if the call were made now: the guard looks twice at the caller of an event that is old,
    and the log's events were new in their time.
    """
    if not (call.event and isinstance(call.event["detail"], dict)):
        row.add([])
        return
    detail = dict(call.event["detail"])
    if isinstance(detail.get("eventTime"), str):
        detail["eventTime"] = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {**call.event, "detail": detail}
    if row.settled:
        row.calls += 1
        row.delivered += bool(eventbridge.targets(event, event["account"], region))
        return
    if call.principal:
        give_id(iam_backends[event["account"]][get_partition(region)], principals, call.principal)
        made = principals[call.principal.kind, call.principal.name.lower()]
        if call.principal.kind == "role" and call.principal.id not in (None, made.id):
            event["detail"] = with_id(detail, made.id)
    row.add(sandbox.deliver(event, region=region))


def give_id(backend, principals, principal):
    """Let the one who has a caller's name have the id that the caller had, if it is known.

    The id of another role, be it the guard's own, stays that role's: logs that hide ids give all roles one.
    """
    if not principal.id:
        return
    made = principals[principal.kind, principal.name.lower()]
    if principal.kind == "role" and made.id != principal.id:
        if principal.id in backend.roles:
            return
        backend.roles[principal.id] = backend.roles.pop(made.id)
    made.id = principal.id


def with_id(detail, unique_id):
    """The record of a role's session, as if the role had another id."""
    identity = detail["userIdentity"]
    issuer = {**identity["sessionContext"]["sessionIssuer"], "principalId": unique_id}
    session = str(identity.get("principalId")).partition(":")[2]
    return {
        **detail,
        "userIdentity": {
            **identity,
            "principalId": f"{unique_id}:{session}",
            "sessionContext": {**identity["sessionContext"], "sessionIssuer": issuer},
        },
    }


def run(paths, admins=(), as_json=False, policies=(guard.POLICY,), admin_roles=()):
    """Replay log files and print a row per caller.

    :param paths: files, folders and patterns
    :param admins: the names of the users who are in the admin group
    :param as_json: print one JSON object per row, and nothing else
    :param policies: the policy files that are deployed
    :param admin_roles: the names of the roles that are meant to use IAM, beside those in the policy files
    :returns: the exit status: 0; 1 where the function failed on an event; 2 where a file is no log
    """
    try:
        calls = load(paths)
    except BadFiles as reasons:
        progress(str(reasons))
        return 2
    meant = {}
    for kind, words in (("user", admins), ("role", admin_roles)):
        names = {name.lower(): name for name in names_in(words, calls.names[kind])}
        meant[kind] = set(names)
        for name in sorted(meant[kind] - calls.names[kind]):
            progress(f"replay: warning: no {kind} named {printable(names[name])} appears in these files")
    ids = [one for found in calls.accounts.values() for one, roles in found.roles.items() if len(roles) > 1]
    if ids:
        progress(
            f"replay: warning: several roles have the id {printable(ids[0])} in these files; "
            "each is known by its name alone"
        )
    rows = [row for found in calls.accounts.values() for row in replay(found, calls, meant, policies)]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, guard.ROLES_POLICY in policies)
    failed = [row for row in rows if row.failure]
    for row in failed:
        progress(f"replay: the function failed on an event of {printable(f'{row.caller}: {row.failure}')}")
    return 1 if failed else 0


def names_in(words, known):
    """The names in words such as ``alice,bob``. IAM allows commas in names, so a known name is one."""
    for word in words:
        yield from [word] if word.lower() in known else filter(None, map(str.strip, word.split(",")))


class Progress:
    """Says how far a long run is, every few seconds."""

    def __init__(self):
        self.next = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, line):
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + PROGRESS_SECONDS
            progress(f"replay: {line}")
