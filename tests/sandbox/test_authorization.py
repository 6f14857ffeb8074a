"""The sandbox's authorization, held against what AWS documents: conditions, and policies of resources."""

import pytest
from botocore.exceptions import ClientError

from sandbox.access import policies
from sandbox.organizations import organization
from sandbox.server import document

ACCOUNT, OTHER = "300000000001", "300000000002"
ROLE, BOB = f"arn:aws:iam::{ACCOUNT}:role/team/guard", f"arn:aws:iam::{ACCOUNT}:user/bob"


def allow(**condition):
    return [{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}]}]


@pytest.mark.parametrize(
    ("condition", "context", "allowed"),
    [
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {"aws:principalorgid": "o-1"}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {}, False),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, {}, True),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, {"aws:principalisawsservice": "true"}, True),
        ({"Null": {"aws:TagKeys": "true"}}, {}, True),
        ({"StringLike": {"aws:PrincipalArn": "*:role/team/*"}}, {"aws:principalarn": ROLE}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:*:iam::*:role/*/guard"}}, {"aws:principalarn": ROLE}, True),
        # Each part of an ARN is compared by itself: a star does not reach over a colon.
        ({"ArnLike": {"aws:PrincipalArn": "arn:*:role/team/guard"}}, {"aws:principalarn": ROLE}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}, {"aws:tagkeys": ["b", "a"]}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}, {}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:tagkeys": ["a"]}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}, {}, True),
        ({"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": "Guard"}}, {"aws:tagkeys": ["guarD"]}, True),
    ],
)
def test_a_condition_holds_as_documented(condition, context, allowed):
    """Each operator says of present, absent and several values what IAM's user guide says."""
    assert policies.allows(allow(**condition), "s3:GetObject", "*", context) is allowed


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ({"ArnEquals": {"aws:PrincipalAccount": "*"}}, "does not fit"),
        ({"Bool": {"aws:PrincipalArn": "true"}}, "does not fit"),
        ({"StringEquals": {"aws:Nonsense": "x"}}, "does not know"),
        ({"NumericEquals": {"aws:PrincipalAccount": "1"}}, "does not know"),
    ],
)
def test_an_operator_that_does_not_fit_its_key_is_refused(condition, complaint):
    """A policy that compares a key in a way that its type does not have never passes unnoticed."""
    with pytest.raises(ValueError, match=complaint):
        policies.allows(allow(**condition), "s3:GetObject", "*", {})


def refused(call, **params):
    """The code of the error that a call is answered with."""
    with pytest.raises(ClientError) as error:
        call(**params)
    return error.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def account(sandbox):
    """An account with a role and two users; and a bus and a queue that deny all but the role."""
    sandbox.create_role("guard", path="/team/", account=ACCOUNT)
    sandbox.keys = {
        name: sandbox.create_user(name, account=ACCOUNT, allow=allow)
        for name, allow in (("ann", "*"), ("bob", "iam:*"))
    }
    sandbox.keys["guard"] = sandbox.session(ROLE)
    sandbox.deploy("tests/stacks/denied.yml", "denied", ACCOUNT, Role=ROLE)
    sandbox.queue = sandbox.client("sqs", account=ACCOUNT).get_queue_url(QueueName="denied")["QueueUrl"]
    return sandbox


def test_a_stacks_policies_of_bus_and_queue_bind_everybody(account):
    """Who is not the role that they leave out puts no event and no message, also if other attributes change."""
    send = {"QueueUrl": account.queue, "MessageBody": "x"}
    put = {"Entries": [{"Source": "guard", "DetailType": "told", "Detail": "{}", "EventBusName": "denied"}]}
    events, sqs = (account.client(name, account.keys["guard"], ACCOUNT) for name in ("events", "sqs"))
    assert events.put_events(**put)["FailedEntryCount"] == 0
    sqs.send_message(**send)
    operator = account.client("sqs", account=ACCOUNT)
    operator.set_queue_attributes(QueueUrl=account.queue, Attributes={"VisibilityTimeout": "7"})
    events, sqs = (account.client(name, account.keys["ann"], ACCOUNT) for name in ("events", "sqs"))
    assert refused(events.put_events, **put) == "AccessDeniedException"
    assert refused(sqs.send_message, **send) == "AccessDeniedException"


def test_a_resources_policy_grants_to_whom_it_names(account):
    """In one account, a queue's policy is enough for the user whom it names; naming the account is not."""
    operator = account.client("sqs", account=ACCOUNT)
    url = operator.create_queue(QueueName="granting")["QueueUrl"]
    bob = account.client("sqs", account.keys["bob"], ACCOUNT)

    def grant(principal):
        statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sqs:*", "Resource": "*"}
        operator.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})

    grant(f"arn:aws:iam::{ACCOUNT}:root")
    assert refused(bob.send_message, QueueUrl=url, MessageBody="x") == "AccessDeniedException"
    grant(BOB)
    bob.send_message(QueueUrl=url, MessageBody="x")


def test_a_role_of_the_account_that_names_a_user_needs_no_policy_of_theirs(account):
    """A trust policy that names bob lets bob in; one that names the account leaves it to his own policies."""
    bob = account.client("sts", account.keys["bob"], ACCOUNT)
    by_name, by_account = (
        account.create_role(name, trust={"AWS": trust}, account=ACCOUNT)["Arn"]
        for name, trust in (("by-name", BOB), ("by-account", ACCOUNT))
    )
    bob.assume_role(RoleArn=by_name, RoleSessionName="test")
    assert refused(bob.assume_role, RoleArn=by_account, RoleSessionName="test") == "AccessDenied"


def test_another_account_needs_both_policies(account):
    """Across accounts, role and identity policy both have to allow; condition keys tell the organization."""
    statement = {
        "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": organization.ID}},
    }  # fmt: skip
    role = account.create_role("shared", account=ACCOUNT)
    account.client("iam", account=ACCOUNT).update_assume_role_policy(
        RoleName="shared", PolicyDocument=document(statement)
    )
    keys = {n: account.create_user(n, allow=a, account=OTHER) for n, a in (("may", "sts:*"), ("not", "s3:*"))}
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "test"}
    account.client("sts", keys["may"], OTHER).assume_role(**asked)
    assert refused(account.client("sts", keys["not"], OTHER).assume_role, **asked) == "AccessDenied"
    account.outsiders.add(OTHER)
    try:
        assert refused(account.client("sts", keys["may"], OTHER).assume_role, **asked) == "AccessDenied"
    finally:
        account.outsiders.clear()


def test_tags_of_a_function_need_a_right_of_their_own(account):
    """GetFunction leaves out the tags for whoever may not call ListTags."""
    role = account.create_role("runs", trust={"Service": "lambda.amazonaws.com"}, account=ACCOUNT)
    account.client("lambda", account=ACCOUNT).create_function(
        FunctionName="tagged", Runtime="python3.13", Handler="x.y", Code={"ZipFile": b"x"}, Role=role["Arn"],
        Tags={"version": "1"},
    )  # fmt: skip
    for name, allow, seen in (("sees", "lambda:*", True), ("looks", "lambda:GetFunction", False)):
        keys = account.create_user(name, allow=allow, account=ACCOUNT)
        found = account.client("lambda", keys, ACCOUNT).get_function(FunctionName="tagged")
        assert ("Tags" in found) is seen
