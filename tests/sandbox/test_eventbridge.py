"""The sandbox's EventBridge, held against what AWS documents: buses that have rules, and what templates make."""

import json

import pytest
from botocore.exceptions import ClientError

from sandbox.events import inputs
from sandbox.server import DEPLOY

ACCOUNT = "300000000005"


def test_a_bus_with_a_rule_cannot_be_deleted_and_neither_can_its_stack(sandbox):
    """Somebody else's rule is in the way of the bus and of its stack, whose own rules are not."""
    events, stacks = (sandbox.client(name, account=ACCOUNT) for name in ("events", "cloudformation"))
    sandbox.deploy(DEPLOY / "central.yml", "told", ACCOUNT, OrganizationId="o-exampleorgid")
    (bus,) = [one["Name"] for one in events.list_event_buses()["EventBuses"] if one["Name"] != "default"]
    events.put_rule(Name="pager", EventBusName=bus, EventPattern='{"source": ["guard"]}')
    problem = "EventBus can't be deleted since it has rules."
    with pytest.raises(ClientError, match=f"ValidationException.* {problem}"):
        events.delete_event_bus(Name=bus)
    stacks.delete_stack(StackName="told")
    (stack,) = stacks.describe_stacks()["Stacks"]
    assert (stack["StackStatus"], stack["StackStatusReason"]) == ("DELETE_FAILED", problem)
    assert [rule["Name"] for rule in events.list_rules(EventBusName=bus)["Rules"]] == ["pager"]
    events.delete_rule(Name="pager", EventBusName=bus)
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
