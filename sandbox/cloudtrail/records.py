"""CloudTrail records of the IAM calls that reach the sandbox, and the events that carry them."""

import re
import uuid
from datetime import datetime, timezone

from moto.events.models import EventPattern

from sandbox.cloudtrail import fields

DETAIL_TYPE = "AWS API Call via CloudTrail"
#: What IAM's service authorization reference lists as reads.
READS = ("Get", "List", "Describe", "Simulate", "Generate")
#: What EventBridge takes for read-only, by the name alone: it does not look at ``readOnly``.
UNDELIVERED_READS = ("Get", "List", "Describe")
ALL_MANAGEMENT_EVENTS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"

#: IAM's events reach EventBridge in one region per partition.
IAM_REGION = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
}


def record(identity, service, action, params, account, region, error=None, answer=None):
    """The CloudTrail record of a call.

    :param params: the parameters, by the names of the API
    :param error: (code, message) as the service answered, or None
    :param answer: the body of the answer to a call that succeeded
    """
    reads, denied = action.startswith(READS), error is not None and error[0].startswith("AccessDenied")
    tells = answer is not None and error is None and not reads
    body = {
        "eventVersion": "1.10",
        "userIdentity": identity,
        "eventTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": f"{service}.amazonaws.com",
        "eventName": action,
        "awsRegion": region,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": "sandbox",
        "requestParameters": None if denied else fields.request_parameters(service, action, params),
        "responseElements": fields.response_elements(service, action, answer) if tells else None,
        "requestID": str(uuid.uuid4()),
        "eventID": str(uuid.uuid4()),
        "readOnly": reads,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
    }
    if error:
        code, message = error
        named = code if code == "AccessDenied" or code.endswith("Exception") else f"{code}Exception"
        body |= {"errorCode": named, "errorMessage": message}
    return body


def envelope(detail):
    """The EventBridge event that carries a CloudTrail record."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": DETAIL_TYPE,
        "source": "aws." + detail["eventSource"].split(".")[0],
        "account": detail["recipientAccountId"],
        "time": detail["eventTime"],
        "region": detail["awsRegion"],
        "resources": [],
        "detail": detail,
    }


def error_in(status, body):
    """(code, message) of a query-protocol error response, or None."""
    if status < 400:
        return None
    text = body if isinstance(body, str) else bytes(body).decode()
    code, message = (re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("Code", "Message"))
    return (code[1] if code else "InternalFailure", message[1].strip() if message else "")


def is_read(event):
    """Whether EventBridge takes a CloudTrail event for read-only: by the call's name."""
    detail = event.get("detail")
    name = detail.get("eventName") if isinstance(detail, dict) else None
    return isinstance(name, str) and name.startswith(UNDELIVERED_READS)


def matches(pattern, event):
    """Whether EventBridge's pattern, as JSON text, matches an event."""
    return EventPattern.load(pattern).matches_event(event)
