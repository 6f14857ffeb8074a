"""The upgrade from 0.2.0's three stacks, by the commands of docs/operate.md: nothing is lost."""

import json

from helpers import FUNCTION, ROOT, ok
from moto.iam.models import iam_backends
from moto.sqs.models import sqs_backends
from rights import GUARD, documents

from sandbox.access import authorization

ACCOUNT = "300000000061"
PAGE = (ROOT / "docs" / "operate.md").read_text().split("### From 0.2.0")[1].split("## ")[0]
COMMANDS = [line.removeprefix("$ ") for line in PAGE.splitlines() if line.startswith("$ ")]


def test_an_upgrade_from_0_2_0_loses_nothing_and_ends_in_one_stack(sandbox, shell):
    """What there was, also an operator's rule, is there still, what was given counts, and both topics mail."""
    old = ROOT / "tests" / "stacks" / "0.2.0"
    given = {"AdminGroup": "admins", "DenyActions": "iam:*,sts:AssumeRole"}
    sandbox.deploy(old / "account.yml", account=ACCOUNT, **given)
    for name in ("notify", "alarms"):
        sandbox.deploy(old / f"{name}.yml", f"iam-guard-{name}", account=ACCOUNT)
    services = ("sqs", "logs", "events", "cloudformation", "sns")
    sqs, logs, events, stacks, sns = (sandbox.client(name, account=ACCOUNT) for name in services)
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=FUNCTION)["QueueUrl"], MessageBody="a dead letter")
    logs.create_log_stream(logGroupName=f"/aws/lambda/{FUNCTION}", logStreamName="old")
    events.put_rule(Name="pager", EventBusName="iam-guard", EventPattern='{"source": ["iam-guard"]}')
    for command in COMMANDS:
        ok(shell(command, sandbox.environ(account=ACCOUNT)))
    assert [m.body for m in sqs_backends[ACCOUNT]["us-east-1"].queues[FUNCTION].messages] == ["a dead letter"]
    (stream,) = logs.describe_log_streams(logGroupName=f"/aws/lambda/{FUNCTION}")["logStreams"]
    assert stream["logStreamName"] == "old"
    rules = events.list_rules(EventBusName="iam-guard")["Rules"]
    assert {rule["Name"] for rule in rules} == {"pager", "iam-guard-tell"}
    assert [stack["StackName"] for stack in stacks.describe_stacks()["Stacks"]] == ["iam-guard"]
    assert "iam-guard-catch-up-not-run" not in sandbox.alarms(account=ACCOUNT)
    backend = iam_backends[ACCOUNT]["aws"]
    denied = backend.managed_policies[f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess"]
    (statement,) = json.loads(authorization.default_document(denied))["Statement"]
    assert statement["Action"] == ["iam:*", "sts:AssumeRole"]
    statements = [s for document in documents(backend.get_role(GUARD)) for s in document["Statement"]]
    (remove,) = [s for s in statements if s["Action"] == "iam:RemoveUserFromGroup"]
    assert remove["Resource"] == ["arn:*:iam::*:group/admins"]
    mailed = [
        (s["TopicArn"].rpartition(":")[2], s["Endpoint"]) for s in sns.list_subscriptions()["Subscriptions"]
    ]
    assert sorted(mailed) == [(f"iam-guard-{name}", "security@example.com") for name in ("alarms", "notices")]
