"""The sandbox's EventBridge, held against what AWS documents: buses, targets, what they let in, faults."""

import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from sandbox.events import inputs
from sandbox.organizations import organization
from sandbox.server import Fault, document

ACCOUNT, CENTRAL = "300000000005", "300000000006"
ENTRY = {"Source": "guard", "DetailType": "Told", "EventBusName": "told", "Detail": '{"who": "ann"}'}
BUS = f"arn:aws:events:us-east-1:{CENTRAL}:event-bus/central"


@pytest.fixture(scope="module")
def central(sandbox):
    """A security account's bus for the organization, with a queue that gets everything."""
    events, sqs = (sandbox.client(name, account=CENTRAL) for name in ("events", "sqs"))
    events.create_event_bus(Name="central")
    statement = {
        "Sid": "organization", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": BUS,
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": organization.ID, "events:source": "guard"}},
    }  # fmt: skip
    events.put_permission(EventBusName="central", Policy=document(statement))
    arn = f"arn:aws:sqs:us-east-1:{CENTRAL}:central"
    service = {"Service": "events.amazonaws.com"}
    allow = {"Effect": "Allow", "Principal": service, "Action": "*", "Resource": "*"}
    url = sqs.create_queue(QueueName="central", Attributes={"Policy": document(allow)})["QueueUrl"]
    events.put_rule(Name="all", EventBusName="central", EventPattern='{"source": [{"exists": true}]}')
    events.put_targets(Rule="all", EventBusName="central", Targets=[{"Id": "queue", "Arn": arn}])
    return lambda: received(sqs, url)


@pytest.fixture
def account(sandbox, central):
    """An account whose bus mails, queues and forwards; everything is empty."""
    sandbox.deploy("tests/stacks/buses.yml", "told", ACCOUNT, Central=BUS)
    events, sqs = (sandbox.client(name, account=ACCOUNT) for name in ("events", "sqs"))
    url = sqs.get_queue_url(QueueName="told")["QueueUrl"]
    central(), received(sqs, url)
    before = len(sandbox.mails("told"))
    failed = sandbox.metrics.total("AWS/Events", "FailedInvocations", ACCOUNT)
    yield SimpleNamespace(
        events=events,
        queue=lambda: received(sqs, url),
        mails=lambda: sandbox.mails("told")[before:],
        failed=lambda: sandbox.metrics.total("AWS/Events", "FailedInvocations", ACCOUNT) - failed,
    )
    sandbox.faults.clear()
    sandbox.outsiders.clear()
    sandbox.client("cloudformation", account=ACCOUNT).delete_stack(StackName="told")


def received(sqs, url):
    """All messages of a queue, which is empty afterwards."""
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in found]


def test_an_event_runs_the_rules_of_its_bus(account, central):
    """A stack's rule mails what its template makes, queues the event, and hands it to the other account's bus."""
    answer = account.events.put_events(Entries=[ENTRY, {**ENTRY, "Source": "else"}])
    assert answer["FailedEntryCount"] == 0
    (mail,) = account.mails()
    assert (mail.to, mail.subject) == ("sue@example.com", "AWS Notification Message")
    assert mail.text == f'"ann of {ACCOUNT}"\n"says \\"no\\""'
    (event,) = account.queue()
    assert event["id"] == answer["Entries"][0]["EventId"]
    assert (event["account"], event["detail-type"], event["detail"]) == (ACCOUNT, "Told", {"who": "ann"})
    assert central() == [event]
    assert account.failed() == 0


def test_a_bus_of_the_organization_takes_nothing_from_outside(sandbox, account, central):
    """From an account outside of the organization, nothing is forwarded, and the rule counts a failure."""
    sandbox.outsiders.add(ACCOUNT)
    account.events.put_events(Entries=[ENTRY])
    assert central() == []
    assert (len(account.queue()), account.failed()) == (1, 1)


@pytest.mark.parametrize("gone", ["role", "topic policy", "queue policy"])
def test_a_target_that_does_not_let_the_rule_in_gets_nothing(sandbox, account, central, gone):
    """Without its policy, or its role's right, a target gets nothing; the other targets get theirs."""
    if gone == "role":
        sandbox.client("iam", account=ACCOUNT).delete_role_policy(RoleName="forward", PolicyName="forward")
    elif gone == "topic policy":
        sns = sandbox.client("sns", account=ACCOUNT)
        arn = f"arn:aws:sns:us-east-1:{ACCOUNT}:told"
        sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=document())
    else:
        sqs = sandbox.client("sqs", account=ACCOUNT)
        url = sqs.get_queue_url(QueueName="told")["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    account.events.put_events(Entries=[ENTRY])
    left = {"role": (1, 1, 0), "topic policy": (0, 1, 1), "queue policy": (1, 0, 1)}[gone]
    assert (len(account.mails()), len(account.queue()), len(central())) == left
    assert account.failed() == 1


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Source": "aws.iam"}, "NotAuthorizedForSourceException"),
        ({"Detail": "no JSON"}, "MalformedDetail"),
        ({"Source": ""}, "InvalidArgument"),
    ],
)
def test_an_entry_that_eventbridge_does_not_take_fails_alone(account, changed, code):
    """The answer counts it and says why; another entry is taken, and lost if its bus is not there."""
    lost = {**ENTRY, "EventBusName": "nowhere"}
    answer = account.events.put_events(Entries=[{**ENTRY, **changed}, ENTRY, lost])
    assert (answer["FailedEntryCount"], answer["Entries"][0]["ErrorCode"]) == (1, code)
    assert len(account.queue()) == 1


def test_an_injected_partial_failure_of_put_events(sandbox, account):
    """A fault of status 200 is an answer whose entry failed."""
    sandbox.faults.append(Fault("events:PutEvents", "InternalFailure", 200, times=1))
    answer = account.events.put_events(Entries=[ENTRY])
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == "InternalFailure"
    assert account.queue() == []


def test_a_stack_that_changes_keeps_bus_policy_and_subscription(sandbox, account):
    """An update takes away what a condition no longer wants, and leaves the rest as it is."""
    sandbox.deploy("tests/stacks/buses.yml", "told", ACCOUNT, Central="")
    roles = [role["RoleName"] for role in sandbox.client("iam", account=ACCOUNT).list_roles()["Roles"]]
    assert "forward" not in roles
    account.events.put_events(Entries=[ENTRY])
    assert (len(account.mails()), len(account.queue()), account.failed()) == (1, 1, 0)


def test_a_bus_with_a_rule_cannot_be_deleted_and_neither_can_its_stack(sandbox, account):
    """Somebody else's rule is in the way of the bus and of its stack, whose own rules are not."""
    stacks = sandbox.client("cloudformation", account=ACCOUNT)
    account.events.put_rule(Name="pager", EventBusName="told", EventPattern='{"source": ["guard"]}')
    problem = "EventBus can't be deleted since it has rules."
    with pytest.raises(ClientError, match=f"ValidationException.* {problem}"):
        account.events.delete_event_bus(Name="told")
    stacks.delete_stack(StackName="told")
    (stack,) = stacks.describe_stacks()["Stacks"]
    assert (stack["StackStatus"], stack["StackStatusReason"]) == ("DELETE_FAILED", problem)
    assert [r["Name"] for r in account.events.list_rules(EventBusName="told")["Rules"]] == ["pager"]
    account.events.delete_rule(Name="pager", EventBusName="told")
    stacks.delete_stack(StackName="told")
    assert stacks.describe_stacks()["Stacks"] == []


EVENT = {"account": "1", "detail": {"who": 'a "b"', "list": [1]}}


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ('"<who>"', json.dumps('a "b"')),
        ('"one <who>"\n"two <list>"', '"one a "b""\n"two [1]"'),
        ('"<none>!"', json.dumps("!")),
        ("just <who>", None),
        ('{"x": <list>}', None),
    ],
)
def test_a_template_makes_what_aws_makes_of_it(template, made):
    """It is text in quotes line by line; anything else makes the invocation fail."""
    paths = {"who": "$.detail.who", "list": "$.detail.list", "none": "$.detail.none"}
    target = {"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
    if made is None:
        with pytest.raises(inputs.NoInput):
            inputs.input_of(target, EVENT)
    else:
        assert inputs.input_of(target, EVENT) == made


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("iam", "list_organizations_features", {}),
        ("lambda", "get_runtime_management_config", {"FunctionName": "any"}),
        ("accessanalyzer", "list_analyzers", {}),  # a service that moto does not have
    ],
)
def test_a_call_that_the_sandbox_does_not_know_is_answered_in_awss_form(
    sandbox, service, operation, parameters
):
    """Whatever the protocol, an operation or a service that is not simulated ends in an error with a code."""
    client = sandbox.client(service, account=ACCOUNT)
    with pytest.raises(ClientError, match="The simulated account does not know") as caught:
        getattr(client, operation)(**parameters)
    assert caught.value.response["Error"]["Code"] in ("InvalidAction", "UnknownOperationException")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
