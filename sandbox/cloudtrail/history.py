"""CloudTrail's event history: LookupEvents, over the records of all IAM calls and those that a test adds.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

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
TIME = "%Y-%m-%dT%H:%M:%SZ"


class History(list):
    """The records of all accounts of a sandbox, which are found in the one region that has IAM's."""

    def find(self, account, region, params):
        """The records that are asked for, newest first, as (time, number, record)."""
        if region != IAM_REGION.get(get_partition(region)):
            return []
        start, end = (f"{params[key]:{TIME}}" if key in params else None for key in ("StartTime", "EndTime"))
        if start and end and start > end:
            raise JsonRESTError("InvalidTimeRangeException", "The start time is after the end time.")
        wanted = params.get("LookupAttributes") or []
        if len(wanted) > 1:
            raise JsonRESTError("InvalidLookupAttributesException", "Only one attribute can be looked up.")
        found = [
            (record["eventTime"], number, record)
            for number, record in enumerate(list(self))
            if record.get("recipientAccountId") == account
            and (start or "") <= record["eventTime"] <= (end or "9")
            and all(attributes(record)[one["AttributeKey"]] == one["AttributeValue"] for one in wanted)
        ]
        return sorted(found, key=lambda item: item[:2], reverse=True)


@replaces(CloudTrailResponse)
def lookup_events(self):
    """Answer LookupEvents: a page of the events that are asked for, newest first."""
    request, history = request_of(self), running.sandbox.history
    page, rest = page_of(history.find(request.account, request.region, request.params), request.params)
    answer = {"Events": [entry(record) for _, _, record in page]}
    if rest:
        answer["NextToken"] = json.dumps(page[-1][:2])
    return json.dumps(answer)


def page_of(found, params):
    """The page that is asked for, and what comes after it. A token says after which event it begins."""
    size = params.get("MaxResults") or PAGE_EVENTS
    if not 1 <= size <= PAGE_EVENTS:
        raise JsonRESTError("InvalidMaxResultsException", f"MaxResults is between 1 and {PAGE_EVENTS}.")
    if "NextToken" in params:
        found = [item for item in found if item[:2] < tuple(json.loads(params["NextToken"]))]
    return found[:size], found[size:]


def entry(record):
    at = datetime.strptime(record["eventTime"], TIME).replace(tzinfo=timezone.utc)
    return {
        **{key: value for key, value in attributes(record).items() if value},
        "EventTime": at.timestamp(),
        "CloudTrailEvent": json.dumps(record),
    }


def attributes(record):
    return {
        "AccessKeyId": record["userIdentity"].get("accessKeyId"),
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "EventSource": record["eventSource"],
        "ReadOnly": str(bool(record.get("readOnly"))).lower(),
        "Username": username(record),
    }


def username(record):
    """A user's name, a session's name, ``root``; None for services."""
    identity = record["userIdentity"]
    if identity.get("type") == "Root":
        return "root"
    if identity.get("type") in ("AssumedRole", "FederatedUser"):
        return identity.get("arn", "").rpartition("/")[2] or None
    return identity.get("userName")
