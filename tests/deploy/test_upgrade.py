"""The upgrade from 0.2.0's three stacks, by the commands of docs/operate.md: nothing is lost."""

import json

import pytest
from helpers import ROOT, ok
from moto.iam.models import iam_backends
from moto.sqs.models import sqs_backends
from rights import GUARD, documents

from sandbox.access import authorization

ACCOUNT = "300000000061"
NAME = "iam-guard-revoke-unintended-iam-access"
PAGE = (ROOT / "docs" / "operate.md").read_text().split("### From 0.2.0")[1].split("## ")[0]
COMMANDS = [line.removeprefix("$ ") for line in PAGE.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def upgraded(sandbox, shell):
    """An account that had 0.2.0 and a dead letter, a log and a rule of its own, after the page's commands."""
    old = ROOT / "tests" / "stacks" / "0.2.0"
    sandbox.deploy(
        old / "account.yml", account=ACCOUNT, AdminGroup="admins", DenyActions="iam:*,sts:AssumeRole"
    )
    for name in ("notify", "alarms"):
        sandbox.deploy(old / f"{name}.yml", f"iam-guard-{name}", account=ACCOUNT)
    sqs, logs = sandbox.client("sqs", account=ACCOUNT), sandbox.client("logs", account=ACCOUNT)
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=NAME)["QueueUrl"], MessageBody="a dead letter")
    logs.create_log_stream(logGroupName=f"/aws/lambda/{NAME}", logStreamName="old")
    rule = {
        "Name": "pager",
        "EventBusName": "iam-guard",
        "EventPattern": json.dumps({"source": ["iam-guard"]}),
    }
    sandbox.client("events", account=ACCOUNT).put_rule(**rule)
    for command in COMMANDS:
        ok(shell(command, sandbox.environ(account=ACCOUNT)))
    return sandbox


def test_an_upgrade_from_0_2_0_loses_no_dead_letter_no_log_and_no_rule(upgraded):
    """The queue has its message, the log its stream, and the bus the rule of the operator beside the guard's."""
    assert [m.body for m in sqs_backends[ACCOUNT]["us-east-1"].queues[NAME].messages] == ["a dead letter"]
    logs = upgraded.client("logs", account=ACCOUNT)
    (stream,) = logs.describe_log_streams(logGroupName=f"/aws/lambda/{NAME}")["logStreams"]
    assert stream["logStreamName"] == "old"
    rules = upgraded.client("events", account=ACCOUNT).list_rules(EventBusName="iam-guard")["Rules"]
    assert {rule["Name"] for rule in rules} == {"pager", "iam-guard-tell"}


def test_an_upgrade_from_0_2_0_ends_in_one_stack_with_its_parameters(upgraded):
    """The old stacks and what they alone had are gone; what was given before counts still."""
    stacks = upgraded.client("cloudformation", account=ACCOUNT).describe_stacks()["Stacks"]
    assert [stack["StackName"] for stack in stacks] == ["iam-guard"]
    assert "iam-guard-catch-up-not-run" not in upgraded.alarms(account=ACCOUNT)
    backend = iam_backends[ACCOUNT]["aws"]
    denied = backend.managed_policies[f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess"]
    (statement,) = json.loads(authorization.default_document(denied))["Statement"]
    assert statement["Action"] == ["iam:*", "sts:AssumeRole"]
    statements = [s for document in documents(backend.get_role(GUARD)) for s in document["Statement"]]
    (remove,) = [s for s in statements if s["Action"] == "iam:RemoveUserFromGroup"]
    assert remove["Resource"] == ["arn:*:iam::*:group/admins"]


def test_an_upgraded_account_mails_again(upgraded):
    """Both topics have the address that the last command names."""
    subscriptions = upgraded.client("sns", account=ACCOUNT).list_subscriptions()["Subscriptions"]
    assert {(s["TopicArn"].rpartition(":")[2], s["Endpoint"]) for s in subscriptions} == {
        ("iam-guard-notices", "security@example.com"),
        ("iam-guard-alarms", "security@example.com"),
    }
