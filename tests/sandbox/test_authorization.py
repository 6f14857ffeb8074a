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


def test_a_resources_policy_grants_to_whom_it_names(sandbox):
    """In one account, a queue's policy is enough for the user whom it names; naming the account is not.

    A queue keeps its policy if another attribute changes.
    """
    operator = sandbox.client("sqs", account=ACCOUNT)
    url = operator.create_queue(QueueName="granting")["QueueUrl"]
    bob = sandbox.client("sqs", sandbox.create_user("bob", account=ACCOUNT, allow="iam:*"), ACCOUNT)

    def grant(principal):
        statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sqs:*", "Resource": "*"}
        operator.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})

    grant(f"arn:aws:iam::{ACCOUNT}:root")
    assert refused(bob.send_message, QueueUrl=url, MessageBody="x") == "AccessDeniedException"
    grant(BOB)
    operator.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    bob.send_message(QueueUrl=url, MessageBody="x")


def test_another_account_needs_both_policies(sandbox):
    """Across accounts, role and identity policy both have to allow; condition keys tell the organization."""
    statement = {
        "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": organization.ID}},
    }  # fmt: skip
    role = sandbox.create_role("shared", account=ACCOUNT)
    sandbox.client("iam", account=ACCOUNT).update_assume_role_policy(
        RoleName="shared", PolicyDocument=document(statement)
    )
    keys = {n: sandbox.create_user(n, allow=a, account=OTHER) for n, a in (("may", "sts:*"), ("not", "s3:*"))}
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "test"}
    sandbox.client("sts", keys["may"], OTHER).assume_role(**asked)
    assert refused(sandbox.client("sts", keys["not"], OTHER).assume_role, **asked) == "AccessDenied"
    sandbox.outsiders.add(OTHER)
    try:
        assert refused(sandbox.client("sts", keys["may"], OTHER).assume_role, **asked) == "AccessDenied"
    finally:
        sandbox.outsiders.clear()
