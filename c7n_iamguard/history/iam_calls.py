"""Filter ``iam-calls``: who called IAM, by CloudTrail's event history."""

import logging
import re
from datetime import datetime, timedelta, timezone

from c7n.exceptions import PolicyExecutionError
from c7n.filters import Filter
from c7n.utils import get_partition, type_schema

from c7n_iamguard.aws_names import IAM_REGIONS
from c7n_iamguard.event import MFA, MalformedEvent, caller, is_services_own, str_or_none
from c7n_iamguard.history import lookup_events
from c7n_iamguard.iam import principals
from c7n_iamguard.iam.client import client_of

log = logging.getLogger("c7n_iamguard.history.iam_calls")

#: The option ``hours``: CloudTrail keeps events for 90 days.
HOURS_SCHEMA = {"type": "integer", "minimum": 1, "maximum": 90 * 24}
#: The facts that a call is annotated with, as CloudTrail names them in the record.
COPIED = (
    "eventTime", "eventName", "eventID", "errorCode", "errorMessage", "sourceIPAddress", "userAgent",
    "requestParameters", "responseElements",
)  # fmt: skip
#: The names of calls that EventBridge delivers to no rule begin like this.
READS = ("Get", "List", "Describe")
#: The names of parameters that are whole documents or keys end like this.
DOCUMENTS = ("Document", "Body")
#: The resource in the message of IAM's AccessDenied.
RESOURCE = re.compile(r"not authorized to perform: \S+ on resource: (.+?)(?= because | with an explicit |$)")


def target(record):
    """The subject of a call, for a column of a report: the texts among its parameters, without documents.

    If IAM denied a call, CloudTrail keeps no parameters, but the error message may name the resource. The caller of
    a failed call chooses these texts freely. So they are cut and reduced to printable ASCII: a line break would
    forge a row of the report, and other characters would act on the terminal.
    """
    parameters = record.get("requestParameters")
    if isinstance(parameters, dict):
        texts = [v for k, v in parameters.items() if isinstance(v, str) and not k.endswith(DOCUMENTS)]
    else:
        texts = RESOURCE.findall(str_or_none(record, "errorMessage") or "")
    return ", ".join(re.sub("[^ -~]", "?", value[:100]) for value in texts) or None


def summary(record, who):
    """The facts of a call for a report or a message, without those that CloudTrail does not tell."""
    facts = {key: record.get(key) for key in COPIED} | {
        "target": target(record),
        "accessKeyId": str_or_none(record, "userIdentity", "accessKeyId") or None,
        "mfaAuthenticated": str_or_none(record, *MFA),
        "sessionName": who.session,
        "sourceIdentity": who.source_identity,
        "onBehalfOf": who.on_behalf_of,
        "invokedBy": who.invoked_by,
    }
    return {key: value for key, value in facts.items() if value is not None}


class Calls:
    """The calls of some users or roles, collected from CloudTrail's records one by one."""

    def __init__(self, kind, principals, account, read_only=False, failed=True):
        self.kind, self.account = kind, account
        self.read_only, self.failed = read_only, failed
        self.by_id = {principal.get(kind.id_key): principal for principal in principals}
        self.by_name = {principal[kind.name_key]: principal for principal in principals}
        #: The calls of each principal that has any, by its name, in the order of the records: (record, caller).
        self.of_principals = {}
        #: The newest call of each user or role that is not among the principals, by id; records that name nobody.
        self.of_others, self.unreadable = {}, []
        self.seen = set()

    def add(self, record):
        """Keep the call of a record if it counts."""
        is_read = (str_or_none(record, "eventName") or "").startswith(READS)
        is_left_out = (is_read and not self.read_only) or (record.get("errorCode") and not self.failed)
        if is_left_out or record.get("eventID") in self.seen:
            return
        try:
            who = caller(record)
        except MalformedEvent as problem:
            self.unreadable.append((record, problem))
            return
        if who.kind != self.kind.name or who.account != self.account or is_services_own(record, who):
            return
        self.seen.add(record.get("eventID"))
        # By id, which survives renaming and is never given twice. Another user may have the name now.
        principal = self.by_id.get(who.id) if who.id else self.by_name.get(who.name)
        if principal is None:
            self.of_others.setdefault(who.id, (record, who))
        else:
            self.of_principals.setdefault(principal[self.kind.name_key], []).append((record, who))


@principals.register("filter_registry", "iam-calls")
class IAMCalls(Filter):
    """Users or roles that called IAM within the last ``hours``, 24 by default, by CloudTrail's event history.

    The history has the calls of the last 90 days (2,160 hours), and needs no trail. A new call shows up in it
    after about five minutes, in rare cases after an hour.

    Reads count only with ``read-only: true``. Calls that failed count, unless ``failed: false``. Calls with
    temporary credentials of a user (GetSessionToken, GetFederationToken) are the user's. A service-linked role
    that an AWS service made with the principal's rights does not count.

    The calls are in ``c7n:IAMCalls``, the newest first, and so are the principals. Each call has what CloudTrail
    tells of it: the fields of the record under their own names, ``accessKeyId``, ``mfaAuthenticated``,
    ``sessionName``, ``sourceIdentity``, ``onBehalfOf``, ``invokedBy``, and as ``target`` the names among the
    parameters, for a column of a report.

    AWS allows the account two requests a second, of 50 events each, reads included, so 10,000 events take 100
    seconds. If AWS answers no request for five minutes, or an entry cannot be read, the run fails: some calls are
    never shown as all calls.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-who-called-iam-within-a-week
            resource: aws.iam-user
            source: authorization-details
            filters:
              - {type: iam-calls, hours: 168, failed: false}

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    """

    schema = type_schema(
        "iam-calls", hours=HOURS_SCHEMA, failed={"type": "boolean"}, **{"read-only": {"type": "boolean"}}
    )
    permissions = ("cloudtrail:LookupEvents",)
    annotation = "c7n:IAMCalls"

    def process(self, resources, event=None):
        """The principals among ``resources`` that called IAM, whose newest call is the newest first."""
        kind = principals.kind_of(self.manager)
        read_only, failed = self.data.get("read-only", False), self.data.get("failed", True)
        calls = Calls(kind, resources, self.manager.config.account_id, read_only, failed)
        if resources:
            for record in self.history():
                calls.add(record)
        for record, problem in calls.unreadable:
            log.warning(f"nobody can tell who made the call {record.get('eventID')}: {problem}")
        for name, own in calls.of_principals.items():  # the history's order: the newest call first
            calls.by_name[name][self.annotation] = [summary(record, who) for record, who in own]
        return [calls.by_name[name] for name in calls.of_principals]

    def history(self, **how):
        """The :class:`.History` of the last ``hours``, read as its keywords say."""
        end = datetime.now(timezone.utc)
        start = end - timedelta(hours=self.data.get("hours", 24))
        partition = get_partition(self.manager.config.region)
        if partition not in IAM_REGIONS:
            where = f"policy:{self.manager.ctx.policy.name} filter:{self.type}"
            problem = f"nobody knows which region of the partition {partition} has IAM's events"
            raise PolicyExecutionError(f"{where}: {problem}")
        client = client_of(self.manager, "cloudtrail", lookup_events.CONFIG, IAM_REGIONS[partition])
        return lookup_events.History(client, self.manager.config.account_id, start, end, **how)
