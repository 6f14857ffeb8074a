"""CloudTrail's event history: LookupEvents, over the records of all IAM calls and those that a test adds.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

import base64
import binascii
import json
from datetime import datetime, timezone

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import JsonRESTError
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.cloudtrail.records import IAM_REGION
from sandbox.replacements import replaces
from sandbox.requests import request_of

PAGE_EVENTS = 50
#: What IAM's parameters name, as LookupEvents calls it.
RESOURCES = {
    "accessKeyId": "AWS::IAM::AccessKey",
    "groupName": "AWS::IAM::Group",
    "instanceProfileName": "AWS::IAM::InstanceProfile",
    "policyArn": "AWS::IAM::Policy",
    "roleName": "AWS::IAM::Role",
    "userName": "AWS::IAM::User",
}


class History:
    """The event history of all accounts of a sandbox. Records are found in the one region that has IAM's."""

    def __init__(self):
        self.records = []

    def append(self, record):
        """Add a CloudTrail record, as the ``detail`` of an event is one."""
        self.records.append(record)

    def clear(self):
        """Forget all records."""
        self.records.clear()

    def find(self, account, region, params):
        """The records that are asked for, newest first, as (time, number, record)."""
        if region != IAM_REGION.get(get_partition(region)):
            return []
        start, end = moment(params.get("StartTime")), moment(params.get("EndTime"))
        if start and end and start > end:
            raise JsonRESTError("InvalidTimeRangeException", "The start time is after the end time.")
        wanted = params.get("LookupAttributes") or []
        if len(wanted) > 1:
            raise JsonRESTError("InvalidLookupAttributesException", "Only one attribute can be looked up.")
        found = [
            (record["eventTime"], number, record)
            for number, record in enumerate(list(self.records))
            if record.get("recipientAccountId") == account
            and (not start or record["eventTime"] >= start)
            and (not end or record["eventTime"] <= end)
            and all(fits(record, one["AttributeKey"], one["AttributeValue"]) for one in wanted)
        ]
        return sorted(found, key=lambda item: item[:2], reverse=True)


@replaces(CloudTrailResponse)
def lookup_events(self):
    """Answer LookupEvents: a page of the events that are asked for, newest first."""
    request, history = request_of(self), running.sandbox.history
    page, rest = page_of(history.find(request.account, request.region, request.params), request.params)
    answer = {"Events": [entry(record) for _, _, record in page]}
    if rest:
        answer["NextToken"] = token(page[-1], request.params)
    return json.dumps(answer)


def page_of(found, params):
    """The page that is asked for, and what comes after it. A token says after which event it begins."""
    size = params.get("MaxResults") or PAGE_EVENTS
    if not 1 <= size <= PAGE_EVENTS:
        raise JsonRESTError("InvalidMaxResultsException", f"MaxResults is between 1 and {PAGE_EVENTS}.")
    if "NextToken" in params:
        try:
            last, asked = json.loads(base64.b64decode(params["NextToken"]))
        except (ValueError, binascii.Error):
            last, asked = None, None
        if asked != question(params):
            raise JsonRESTError("InvalidNextTokenException", "The token is not one of this question.")
        found = [item for item in found if item[:2] < tuple(last)]
    return found[:size], found[size:]


def token(last, params):
    return base64.b64encode(json.dumps([last[:2], question(params)]).encode()).decode()


def question(params):
    """What has to be the same for all pages."""
    return json.dumps({k: v for k, v in params.items() if k != "NextToken"}, sort_keys=True, default=str)


def moment(value):
    """A time as records write it; None if none is given."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime.fromtimestamp(value, timezone.utc)
    if value.tzinfo is None:
        value = value.replace(tzinfo=timezone.utc)
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def entry(record):
    """What LookupEvents tells of a record."""
    at = datetime.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%S%z")
    return {
        **{key: value for key, value in attributes(record).items() if value},
        "EventTime": at.timestamp(),
        "Resources": [{"ResourceType": kind, "ResourceName": name} for kind, name in resources_of(record)],
        "CloudTrailEvent": json.dumps(record),
    }


def attributes(record):
    """The attributes by which LookupEvents finds a record, but for its resources."""
    return {
        "AccessKeyId": record["userIdentity"].get("accessKeyId"),
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "EventSource": record["eventSource"],
        "ReadOnly": str(bool(record.get("readOnly"))).lower(),
        "Username": username(record),
    }


def fits(record, key, value):
    """Whether a record has what one attribute asks for."""
    if key in ("ResourceType", "ResourceName"):
        return value in [resource[key == "ResourceName"] for resource in resources_of(record)]
    return value == attributes(record).get(key)


def username(record):
    """A user's name, a session's name, ``root``; None for services."""
    identity = record["userIdentity"]
    if identity.get("type") == "Root":
        return "root"
    if identity.get("type") in ("AssumedRole", "FederatedUser"):
        return identity.get("arn", "").rpartition("/")[2] or None
    return identity.get("userName")


def resources_of(record):
    """What a call is about, as (type, name)."""
    params = record.get("requestParameters") or {}
    return [(kind, params[name]) for name, kind in RESOURCES.items() if isinstance(params.get(name), str)]
