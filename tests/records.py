"""CloudTrail records for the tests of a replay, and the files that hold them."""

import json

from sandbox.cloudtrail import records

ACCOUNT, OTHER, CHINA = "210987654321", "310987654321", "410987654321"


def user(name, account=ACCOUNT, path="/", partition="aws"):
    arn = f"arn:{partition}:iam::{account}:user{path}{name}"
    principal = f"AIDA{name.upper().replace('-', '')}"
    identity = {"type": "IAMUser", "principalId": principal, "arn": arn, "userName": name}
    return {**identity, "accountId": account}


def federated(name):
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/console"
    context = {"sessionIssuer": {**user(name), "type": "IAMUser"}}
    return {"type": "FederatedUser", "arn": arn, "accountId": ACCOUNT, "sessionContext": context}


def role(name, session="ci", path="/", unique_id="AROADEPLOYER"):
    arn = f"arn:aws:iam::{ACCOUNT}:role{path}{name}"
    issuer = {"type": "Role", "principalId": unique_id, "arn": arn, "userName": name, "accountId": ACCOUNT}
    return {
        "type": "AssumedRole",
        "principalId": f"{unique_id}:{session}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}",
        "accountId": ACCOUNT,
        "sessionContext": {"sessionIssuer": issuer},
    }


ROOT_USER = {"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT}
SERVICE = {"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"}


def record(identity, action="CreateUser", service="iam", account=ACCOUNT, error=None):
    return records.record(identity, service, action, {}, account, "us-east-1", error)


def without(entry, *keys):
    return {key: value for key, value in entry.items() if key not in keys}


def lines(values):
    return "\n".join(map(json.dumps, values)) + "\n"


def written(path, content):
    """A file with this content, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
