"""``python -m sandbox replay``: what would the guard have done with these CloudTrail logs?"""

import gzip
import json
import re
import sys
import uuid
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from c7n_iamguard.event import MalformedEvent
from c7n_iamguard.event import caller as caller_of
from sandbox import cloudtrail, guard
from sandbox.server import ACCOUNT, Sandbox

IAM = "iam.amazonaws.com"
NOBODY = "?"
GZIP = b"\x1f\x8b"
#: A CloudTrail record has at least one of these.
RECORD_KEYS = {"eventVersion", "eventID", "eventName", "eventSource", "userIdentity"}
#: What a caller's events led to, the stronger the later: one of them is enough.
DECISIONS = ("not-delivered", "let-pass", "failed", "revoked")


class NotALog(ValueError):
    """A file that is no CloudTrail log. Its text says why."""


@dataclass
class Call:
    """One call to IAM, out of a log.

    :param event: EventBridge's event of it; None where the log's entry is too broken to make one
    :param user: :class:`c7n_iamguard.event.Caller` where the caller is an IAM user of that account
    """

    account: str | None
    caller: str
    type: str
    event: dict | None = None
    user: object = None


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

    # What the function answered where it failed; no part of the printed row.
    failure = None

    def add(self, invocations):
        """Count one call, with the invocations that it led to."""
        self.calls += 1
        self.delivered += bool(invocations)
        for invocation in invocations:
            if not invocation.succeeded:
                self.decide("failed")
                self.failure = (invocation.attempts[-1].error or {}).get("errorMessage", "no answer")
                continue
            self.decide("let-pass")
            for found in invocation.decisions:
                self.decide(found["decision"])
                self.how = self.how or found.get("how")

    def decide(self, decision):
        self.decision = max(self.decision, decision, key=DECISIONS.index)


# Reading


def read(path):
    """The entries of a log file: CloudTrail records, EventBridge events, or what stands in their place.

    :param path: ``{"Records": […]}``, one record or event, a list of them, or one of these per line;
        with gzip or without
    :raises NotALog: where the file holds anything else
    """
    found = [entry for document in documents(text_of(path)) for entry in entries(document)]
    if found and not any(is_record(record_of(entry)) for entry in found):
        raise NotALog("it is JSON, but none of its entries is a record of CloudTrail")
    return found


def text_of(path):
    """A file's text, unzipped where it is zipped."""
    try:
        data = Path(path).read_bytes()
        if data.startswith(GZIP):
            data = gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise NotALog("its gzip data is damaged or cut off") from None
    except (OSError, ValueError) as error:
        raise NotALog(getattr(error, "strerror", None) or str(error)) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotALog("it is not text") from None
    if not text.strip():
        raise NotALog("it is empty")
    return text


def documents(text):
    """The JSON values of a text: one for all of it, or one per line."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError):
                raise NotALog(f"line {number} is not JSON" if found else "it is not JSON") from None
    return found


def entries(document):
    """The entries of one JSON value."""
    if isinstance(document, dict) and "Records" in document:
        document = document["Records"]
        if not isinstance(document, list):
            raise NotALog("its Records are no list")
        return document
    if document == []:
        raise NotALog("it is an empty list")
    return document if isinstance(document, list) else [document]


def is_envelope(entry):
    return isinstance(entry, dict) and "detail" in entry and "detail-type" in entry


def record_of(entry):
    """The CloudTrail record of an entry."""
    return entry["detail"] if is_envelope(entry) else entry


def is_record(record):
    """Whether this is a record of CloudTrail. Notifications of S3 look alike, with a source ``aws:s3``."""
    if not isinstance(record, dict) or str(record.get("eventSource")).startswith("aws:"):
        return False
    return not RECORD_KEYS.isdisjoint(record)


# Understanding


def is_call_to_iam(record):
    """Whether a record is about IAM. One that does not tell is counted, so that it shows."""
    source = record.get("eventSource") if isinstance(record, dict) else None
    if isinstance(source, str):
        return source == IAM
    return not (isinstance(record, dict) and record.get("eventCategory") == "Insight")


def call_of(entry):
    """The :class:`Call` of an entry. Nothing in the entry is taken for granted."""
    record = record_of(entry)
    if not isinstance(record, dict):
        return Call(None, NOBODY, NOBODY)
    identity = record.get("userIdentity")
    identity = identity if isinstance(identity, dict) else {}
    user = user_of(record)
    owners = (
        entry.get("account") if is_envelope(entry) else None,
        record.get("recipientAccountId"),
        identity.get("accountId"),
        user and user.account,
    )
    account = next((owner for owner in owners if is_account(owner)), None)
    if user and account != user.account:
        user = None
    kind = text_in(identity, "type") or NOBODY
    return Call(account, label(identity, user), kind, event_of(entry, account or ACCOUNT), user)


def user_of(record):
    """The :class:`~c7n_iamguard.event.Caller` of a record where it is an IAM user, else None."""
    try:
        who = caller_of({"detail": record})
    except MalformedEvent:
        return None
    return who if who.is_user else None


def is_account(value):
    return isinstance(value, str) and re.fullmatch("[0-9]{12}", value) is not None


def text_in(identity, key):
    value = identity.get(key)
    return value if isinstance(value, str) else ""


def label(identity, user=None):
    """What people call a caller: a user's name, role/session, root, the service that called.

    :param identity: CloudTrail's userIdentity element
    """
    if user:
        return user.name
    kind = text_in(identity, "type")
    if kind == "Root":
        return "root"
    name = text_in(identity, "userName")
    in_arn = text_in(identity, "arn").split(":", 5)[-1].partition("/")[2]
    names = (name, in_arn) if kind == "IAMUser" else (in_arn, name)
    others = (text_in(identity, key) for key in ("invokedBy", "principalId", "accountId"))
    return next(filter(None, (*names, *others)), NOBODY)


def event_of(entry, account):
    """EventBridge's event of an entry: an event as it is, a record in the envelope that it comes in."""
    if is_envelope(entry):
        return {**entry, "account": account}
    if not isinstance(entry.get("eventSource"), str):
        return None
    known = {"eventTime": None, "awsRegion": cloudtrail.IAM_REGION["aws"], **entry}
    return {**cloudtrail.envelope({**known, "recipientAccountId": account}), "detail": entry}


def region_of(calls):
    """The region in which EventBridge gets IAM's events, in the partition that the calls are of."""
    for call in calls:
        if call.user:
            return cloudtrail.IAM_REGION.get(call.user.arn.split(":")[1], cloudtrail.IAM_REGION["aws"])
    for call in calls:
        region = call.event and record_of(call.event).get("awsRegion")
        if isinstance(region, str) and region:
            return cloudtrail.IAM_REGION.get(get_partition(region), cloudtrail.IAM_REGION["aws"])
    return cloudtrail.IAM_REGION["aws"]


# Replaying


def load(paths):
    """Read all files.

    :returns: the calls to IAM, by account; and the names of all users that the files know, in lower case
    :raises NotALog: where any of them is no log, with a line per such file
    """
    calls, names, bad = [], set(), []
    for path in paths:
        try:
            found = read(path)
        except NotALog as reason:
            bad.append(f"replay: {printable(str(path))} is not a CloudTrail log: {reason}")
            continue
        for entry in found:
            record = record_of(entry)
            user = user_of(record)
            if user:
                names.add(user.name.lower())
            if is_call_to_iam(record):
                calls.append(call_of(entry))
    if bad:
        raise NotALog("\n".join(bad))
    return by_account(calls), names


def by_account(calls):
    """Calls by account; those that name none are laid to the first account that is named."""
    fallback = next((call.account for call in calls if call.account), ACCOUNT)
    accounts = {}
    for call in calls:
        call.account = call.account or fallback
        if call.event:
            call.event["account"] = call.account
        accounts.setdefault(call.account, []).append(call)
    return accounts


def replay(account, calls, admins, policy):
    """One account's calls, through the guard deployed in a sandbox of that account.

    :param admins: the names of the admin group's members, in lower case
    :returns: a :class:`Row` per caller
    """
    region = region_of(calls)
    with Sandbox(account, region) as sandbox:
        progress(f"{account}: deploying the guard at {sandbox.endpoint}; nothing leaves this machine")
        users = create_users(account, region, calls, admins, guard.admin_groups(sandbox, policy))
        guard.deploy(sandbox, policy)
        rows, step = {}, max(1000, len(calls) // 10)
        for number, call in enumerate(calls, 1):
            key = (call.caller, call.type)
            row = rows.setdefault(key, Row(account, *key))
            row.add(deliver(sandbox, call, users, region))
            if number % step == 0 or number == len(calls):
                progress(f"{account}: {number} of {len(calls)} IAM calls replayed")
    return list(rows.values())


def create_users(account, region, calls, admins, groups):
    """The users who appear in the calls, made in moto directly: over HTTP thousands of them take minutes.

    :param groups: the admin groups' names
    :returns: moto's users by name, in lower case
    """
    iam = iam_backends[account][get_partition(region)]
    # Somebody has to be in the group: an account without any admin is no place to deploy the guard in.
    stand_in = iam.create_user(region, f"sandbox-{uuid.uuid4().hex}")
    users = {}
    for user in (call.user for call in calls if call.user):
        if user.name.lower() not in users:
            users[user.name.lower()] = iam.create_user(region, user.name, path=user.path)
    for group in groups:
        iam.create_group(group)
        for member in (stand_in, *(users[name] for name in admins & users.keys())):
            iam.add_user_to_group(group, member.name)
    return users


def deliver(sandbox, call, users, region):
    """Hand one call's event to EventBridge, as if the call were made now, by a user of the id that it names.

    The guard looks twice at the caller of an event that is old. The log's events were new in their time.

    :returns: the invocations that it led to
    """
    if not (call.event and isinstance(call.event["detail"], dict)):
        return []
    if call.user and call.user.id:
        users[call.user.name.lower()].id = call.user.id
    detail = dict(call.event["detail"])
    if isinstance(detail.get("eventTime"), str):
        detail["eventTime"] = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return sandbox.deliver({**call.event, "detail": detail}, region=region)


def run(paths, admins=(), as_json=False, policy=guard.POLICY):
    """Replay log files and print a row per caller.

    :param paths: the files
    :param admins: the names of the users who are in the admin group
    :param as_json: print one JSON object per row, and nothing else
    :param policy: the policy file that is deployed
    :returns: the exit status: 0; 1 where the function failed on an event; 2 where a file is no log
    """
    try:
        accounts, names = load(paths)
    except NotALog as reason:
        progress(str(reason))
        return 2
    admins = {name.lower(): name for name in admins}
    for name in sorted(admins.keys() - names):
        progress(f"replay: warning: no user named {printable(admins[name])} appears in these files")
    rows = [row for account, calls in accounts.items() for row in replay(account, calls, set(admins), policy)]
    (print_json if as_json else print_table)(rows)
    failed = [row for row in rows if row.failure]
    for row in failed:
        progress(f"replay: the function failed on an event of {printable(f'{row.caller}: {row.failure}')}")
    return 1 if failed else 0


def print_json(rows):
    for row in rows:
        print(json.dumps(asdict(row)))


def print_table(rows):
    """The rows for people, and what they come to."""
    if not rows:
        print("These files hold no call to IAM.")
        return
    cells = [["-" if v is None else printable(str(v)) for v in asdict(row).values()] for row in rows]
    print(*guard.table([list(asdict(rows[0])), *cells]), sep="\n")
    revoked = sum(row.decision == "revoked" for row in rows)
    print(f"\nThe guard would have revoked IAM access of {revoked} of these {len(rows)} callers.")
    print("Reads (Get*, List*, ...) and calls of roles, root and AWS services are not delivered to its rule.")


def printable(text):
    """Text from a log, or from a command line, without what a terminal would act on."""
    return "".join(character if character.isprintable() else "?" for character in text)


def progress(line):
    print(line, file=sys.stderr, flush=True)
