"""The caller of IAM, out of a log's entry. Nothing in the entry is taken for granted."""

import re
from dataclasses import dataclass

from moto.utilities.utils import get_partition

from c7n_iamguard import event as plugin
from c7n_iamguard.admins.self_service import CALLS, about_themselves
from sandbox.cloudtrail import records
from sandbox.commands.logs import is_envelope, record_of
from sandbox.server import ACCOUNT

NOBODY = "?"
#: An ARN up to its account, and what comes after that.
ARN = re.compile(r"(arn:[\w-]+:\w+::)([^:]*)(:.+)", re.ASCII)
MASKED = re.compile(r"[^:]*[^\w:][^:]*")


@dataclass
class Call:
    """One call to IAM, out of a log.

    :param account: None if the record names none
    :param event: EventBridge's event of it
    :param who: the plugin's :class:`~c7n_iamguard.event.Caller`, if it is a user or a role of that account
    :param problem: why nobody can tell who called; None if the record tells
    """

    account: str | None
    caller: str
    type: str
    event: dict
    who: plugin.Caller | None = None
    problem: str | None = None

    @property
    def detail(self):
        return self.event["detail"]

    @property
    def key(self):
        """The kind and the name of the user or role who called; names have no case."""
        return self.who.kind, self.who.name.lower()

    @property
    def time(self):
        return text_in(self.detail, "eventTime")

    @property
    def name(self):
        return text_in(self.detail, "eventName") or NOBODY

    @property
    def error(self):
        return text_in(self.detail, "errorCode") or None

    @property
    def invoked_by(self):
        return text_in(dict_in(self.detail, "userIdentity"), "invokedBy") or None

    @property
    def source(self):
        return f"{text_in(self.detail, 'sourceIPAddress')} {text_in(self.detail, 'userAgent')[:120]}".strip()

    @property
    def is_about_self(self):
        """Whether it is a call about its caller that the settings could list as self-service."""
        return self.who is not None and about_themselves(self.detail, self.who, CALLS)

    @property
    def partition(self):
        """The partition that a call tells of, by its caller or its region; None if it tells of none."""
        if self.who and self.who.arn:
            return self.who.arn.split(":")[1]
        region = text_in(self.detail, "awsRegion")
        return get_partition(region) if region else None

    def identity_with(self, unique_id):
        """CloudTrail's userIdentity, as if the user or role had this id."""
        identity = self.detail["userIdentity"]
        if self.type == "IAMUser":
            return {**identity, "principalId": unique_id}
        if issuer := issuer_of(identity):
            context = {**identity["sessionContext"], "sessionIssuer": {**issuer, "principalId": unique_id}}
            identity = {**identity, "sessionContext": context}
        if self.who.kind == "role":
            session = self.who.session or text_in(identity, "arn").rpartition("/")[2]
            identity = {**identity, "principalId": f"{unique_id}:{session}"}
        return identity


def call_of(entry, account=None):
    """The :class:`Call` of an entry.

    Account ids that are masked, or that are another one's in the envelope, become that of the record: somebody
    who calls IAM calls that of their own account. A masked unique id is left out.

    :param account: the account of a record that names none
    """
    record = dict(record_of(entry))
    named = account_of(entry, record)
    account = named or account
    stand_in = account or ACCOUNT
    if "recipientAccountId" in record:
        record["recipientAccountId"] = stand_in
    if isinstance(record.get("userIdentity"), dict):
        record["userIdentity"] = unmasked(record["userIdentity"], stand_in)
    envelope = entry if is_envelope(entry) else envelope_of(record)
    event = {**envelope, "account": stand_in, "detail": record}
    identity = dict_in(record, "userIdentity")
    try:
        who, problem = plugin.caller(record), None
        if who.account not in (None, stand_in):
            problem = f"the caller is of account {who.account}, and the call was made in {stand_in}"
            who = None
    except plugin.MalformedEvent as error:
        who, problem = None, str(error)
    who = who if who and who.kind else None
    kind = text_in(identity, "type") or NOBODY
    return Call(account, label(identity, who), kind, event, who, problem)


def account_of(entry, record):
    """The account whose IAM was called; None if nothing in the record is the id of one."""
    identity = dict_in(record, "userIdentity")
    arns = [ARN.fullmatch(text_in(one, "arn")) for one in (identity, issuer_of(identity))]
    named = [record.get("recipientAccountId"), identity.get("accountId"), *(arn[2] for arn in arns if arn)]
    named += [entry.get("account")] if is_envelope(entry) else []
    return next((str(one) for one in named if is_account(one)), None)


def unmasked(identity, account):
    """CloudTrail's userIdentity, with an account for each that is masked, and without unique ids that are."""
    found = {key: value for key, value in identity.items() if key != "principalId" or not is_masked(value)}
    if "accountId" in found and not is_account(found["accountId"]):
        found["accountId"] = account
    arn = ARN.fullmatch(text_in(found, "arn"))
    if arn and not is_account(arn[2]):
        found["arn"] = arn[1] + account + arn[3]
    if issuer := issuer_of(found):
        if len(found) < len(identity):
            issuer = {key: value for key, value in issuer.items() if key != "principalId"}
        found["sessionContext"] = {**found["sessionContext"], "sessionIssuer": unmasked(issuer, account)}
    return found


def is_masked(unique_id):
    """Whether somebody has made an id unreadable, such as ``AIDA****``; a session's name comes behind a role's."""
    return MASKED.fullmatch(str(unique_id).partition(":")[0]) is not None


def is_account(value):
    return re.fullmatch("[0-9]{12}", str(value)) is not None


def issuer_of(identity):
    """The issuer of a session; empty if there is no session."""
    return dict_in(dict_in(identity, "sessionContext"), "sessionIssuer")


def dict_in(parent, key):
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def text_in(parent, key):
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def label(identity, who=None):
    """A caller's name for people, by userIdentity: a user's name, role/session, root, the service that called."""
    if who and who.kind == "user":
        return who.name
    kind = text_in(identity, "type")
    if kind == "Root":
        return "root"
    name = text_in(identity, "userName")
    in_arn = text_in(identity, "arn").split(":", 5)[-1].partition("/")[2]
    names = (name, in_arn) if kind == "IAMUser" else (in_arn, name)
    others = (text_in(identity, key) for key in ("invokedBy", "principalId", "accountId"))
    return next(filter(None, (*names, *others)), NOBODY)


def envelope_of(record):
    """A record as EventBridge wraps it."""
    region = text_in(record, "awsRegion") or records.IAM_REGION["aws"]
    return records.envelope({"recipientAccountId": None, "eventTime": None, **record, "awsRegion": region})
