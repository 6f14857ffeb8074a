"""CloudTrail's event history for tests: records of IAM calls, and a client whose LookupEvents returns them."""

import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import boto3
from botocore import UNSIGNED
from botocore.config import Config

ACCOUNT = "111122223333"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=timezone.utc)


def user(name, unique_id=None, account=ACCOUNT, **more):
    """The userIdentity of a user's call."""
    return {
        "type": "IAMUser",
        "principalId": unique_id or f"AIDA{name.upper():X<17}",
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "userName": name,
        **more,
    }


def federated(name):
    """The userIdentity of a call by a session that a user has made with GetFederationToken."""
    return {
        "type": "FederatedUser",
        "principalId": f"{ACCOUNT}:app",
        "arn": f"arn:aws:sts::{ACCOUNT}:federated-user/app",
        "accountId": ACCOUNT,
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {"sessionIssuer": user(name, accessKeyId=None)},
    }


def role(name, session="i-0abc", unique_id=None, account=ACCOUNT, **more):
    """The userIdentity of a call by a session of a role."""
    unique_id = unique_id or f"AROA{name.upper():X<17}"
    issuer = {
        "type": "Role",
        "principalId": unique_id,
        "arn": f"arn:aws:iam::{account}:role/{name}",
        "accountId": account,
        "userName": name,
    }
    return {
        "type": "AssumedRole",
        "principalId": f"{unique_id}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        "accountId": account,
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}},
        **more,
    }


def record(identity, name="CreateUser", number=0, **more):
    """The CloudTrail record of a call; the one of number 1 was made a second before that of number 0."""
    return {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": (NOW - timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.31",
        "requestParameters": {"userName": "backdoor"},
        "responseElements": None,
        "eventID": f"00000000-0000-4000-8000-{number:012}",
        "readOnly": name.startswith(("Get", "List")),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        **more,
    }


def entry(found):
    """An entry of LookupEvents' answer: a record, or a text that is to stand in place of one."""
    if isinstance(found, str):
        return {"EventId": "broken", "EventTime": NOW, "CloudTrailEvent": found}
    made = datetime.strptime(found["eventTime"], "%Y-%m-%dT%H:%M:%S%z")
    return {"EventId": found["eventID"], "EventTime": made, "CloudTrailEvent": json.dumps(found)}


class Trail:
    """A client of CloudTrail that never leaves the process; botocore checks the parameters of each request.

    :param records: the records of the history, newest first; a text is an entry that holds no record
    :param answers: what happens instead of an answer, by the number of the request: an error's code, or an
        exception. ``...`` as number is every other request.
    :param clock: a clock that goes on by ``latency`` seconds with each request
    """

    def __init__(self, records=(), answers=None, clock=None, latency=0):
        self.records, self.answers = records, answers or {}
        self.clock, self.latency = clock, latency
        self.requests, self.times = [], []
        self.client = boto3.client(
            "cloudtrail", region_name="us-east-1", config=Config(signature_version=UNSIGNED)
        )
        self.client.meta.events.register("before-call.cloudtrail.LookupEvents", self.answer)

    def answer(self, params, **_):
        request, number = json.loads(params["body"]), len(self.requests)
        self.requests.append(request)
        if self.clock:
            self.times.append(self.clock.now)
            self.clock.now += self.latency
        fault = self.answers.get(number, self.answers.get(...))
        if isinstance(fault, Exception):
            raise fault
        if fault:
            status = 500 if fault == "InternalFailure" else 400
            error = {"Code": fault, "Message": "injected"}
            metadata = {"HTTPStatusCode": status}
            return SimpleNamespace(status_code=status), {"Error": error, "ResponseMetadata": metadata}
        start = int(request.get("NextToken", 0))
        end = start + request["MaxResults"]
        page = {"Events": [entry(found) for found in self.records[start:end]]}
        if end < len(self.records):
            page["NextToken"] = str(end)
        return SimpleNamespace(status_code=200), page


class Clock:
    """In place of the module ``time``: nobody waits, and the clock goes on when somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 1000.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
