"""The sandbox's authorization, held against what AWS documents: conditions, and policies of resources."""

import json

import pytest
from botocore.exceptions import ClientError

from sandbox.access import policies
from sandbox.organizations import organization

ACCOUNT, OTHER = "300000000001", "300000000002"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/guard"


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(**condition):
    return [{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}]}]


@pytest.mark.parametrize(
    ("condition", "context", "allowed"),
    [
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {"aws:principalorgid": "o-1"}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {}, False),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, {}, True),
        ({"StringNotEqualsIfExists": {"aws:SourceAccount": "1"}}, {}, True),
        ({"StringEqualsIfExists": {"aws:SourceAccount": "1"}}, {"aws:sourceaccount": "2"}, False),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, {"aws:principalisawsservice": "true"}, True),
        ({"Null": {"aws:TagKeys": "true"}}, {}, True),
        ({"StringLike": {"aws:PrincipalArn": "*:role/team/*"}}, {"aws:principalarn": ROLE}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:*:iam::*:role/*/guard"}}, {"aws:principalarn": ROLE}, True),
        # Each part of an ARN is compared by itself: a star does not reach over a colon.
        ({"ArnLike": {"aws:PrincipalArn": "arn:*:role/team/guard"}}, {"aws:principalarn": ROLE}, False),
        ({"ForAnyValue:StringEquals": {"aws:CalledVia": "a"}}, {"aws:calledvia": ["b", "a"]}, True),
        ({"ForAnyValue:StringEquals": {"aws:CalledVia": "a"}}, {}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:tagkeys": ["a"]}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}, {}, True),
        ({"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": "Guard"}}, {"aws:tagkeys": ["guarD"]}, True),
        ({"StringEquals": {"aws:RequestTag/team": "a"}}, {"aws:requesttag/team": "a"}, True),
    ],
)
def test_a_condition_holds_as_documented(condition, context, allowed):
    """Each operator says of present, absent and several values what IAM's user guide says."""
    assert policies.allows(allow(**condition), "s3:GetObject", "*", context) is allowed


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ({"ArnEquals": {"aws:PrincipalAccount": "*"}}, "does not fit"),
        ({"ArnEquals": {"iam:PermissionsBoundary": "arn:aws:iam::1:policy/x"}}, "does not fit"),
        ({"StringEquals": {"aws:PrincipalIsAWSService": "true"}}, "does not fit"),
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


ENTRY = {"Source": "guard", "DetailType": "told", "Detail": "{}"}


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


@pytest.mark.parametrize(("name", "allowed"), [("guard", True), ("ann", False), ("bob", False)])
def test_a_stacks_policies_of_bus_and_queue_bind_everybody(account, name, allowed):
    """A caller other than the role that the policies leave out puts no event and sends no message."""
    events = account.client("events", account.keys[name], ACCOUNT)
    sqs = account.client("sqs", account.keys[name], ACCOUNT)
    send = {"QueueUrl": account.queue, "MessageBody": "x"}
    put = {"Entries": [{**ENTRY, "EventBusName": "denied"}]}
    if allowed:
        assert events.put_events(**put)["FailedEntryCount"] == 0
        sqs.send_message(**send)
    else:
        assert refused(events.put_events, **put) == "AccessDeniedException"
        assert refused(sqs.send_message, **send) == "AccessDeniedException"


def test_a_queues_policy_stays_when_another_attribute_changes(account):
    """SetQueueAttributes changes what it names, and no more."""
    operator = account.client("sqs", account=ACCOUNT)
    operator.set_queue_attributes(QueueUrl=account.queue, Attributes={"VisibilityTimeout": "7"})
    ann = account.client("sqs", account.keys["ann"], ACCOUNT)
    assert refused(ann.send_message, QueueUrl=account.queue, MessageBody="x") == "AccessDeniedException"


def test_a_resources_policy_grants_to_whom_it_names(account):
    """In one account, a queue's policy is enough for the user whom it names; naming the account is not."""
    operator = account.client("sqs", account=ACCOUNT)
    url = operator.create_queue(QueueName="granting")["QueueUrl"]
    bob = account.client("sqs", account.keys["bob"], ACCOUNT)
    for principal, granted in ((f"arn:aws:iam::{ACCOUNT}:root", False), (bob_arn(), True)):
        statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sqs:*", "Resource": "*"}
        operator.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})
        if granted:
            bob.send_message(QueueUrl=url, MessageBody="x")
        else:
            code = refused(bob.send_message, QueueUrl=url, MessageBody="x")
            assert code == "AccessDeniedException"


def bob_arn():
    return f"arn:aws:iam::{ACCOUNT}:user/bob"


def test_a_role_of_the_account_that_names_a_user_needs_no_policy_of_theirs(account):
    """A trust policy that names bob lets bob in; one that names the account leaves it to his own policies."""
    bob = account.client("sts", account.keys["bob"], ACCOUNT)
    for name, trust in (("by-name", bob_arn()), ("by-account", ACCOUNT)):
        role = account.create_role(name, trust={"AWS": trust}, account=ACCOUNT)
        if name == "by-name":
            bob.assume_role(RoleArn=role["Arn"], RoleSessionName="test")
        else:
            assert refused(bob.assume_role, RoleArn=role["Arn"], RoleSessionName="test") == "AccessDenied"


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


# Dead-letter queues


def redrive(arn, count=1):
    return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": count})}


@pytest.mark.parametrize(
    ("policy", "moved"),
    [
        (None, True),
        ({"redrivePermission": "allowAll"}, True),
        ({"redrivePermission": "denyAll"}, False),
        (
            {"redrivePermission": "byQueue", "sourceQueueArns": [f"arn:aws:sqs:us-east-1:{ACCOUNT}:evil"]},
            True,
        ),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [f"arn:aws:sqs:us-east-1:{ACCOUNT}:x"]}, False),
    ],
)
def test_a_dead_letter_queue_says_who_may_name_it(account, policy, moved):
    """A queue of the attacker's moves a forged message into another queue, unless that one forbids it."""
    sqs = account.client("sqs", account.keys["ann"], ACCOUNT)
    sent = {"RedriveAllowPolicy": json.dumps(policy)} if policy else {}
    target = sqs.create_queue(QueueName="letters", Attributes=sent)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=target, AttributeNames=["All"])["Attributes"]
    assert json.loads(attributes.get("RedriveAllowPolicy", "null")) == policy
    try:
        if not moved:
            code = refused(sqs.create_queue, QueueName="evil", Attributes=redrive(attributes["QueueArn"]))
            assert code == "InvalidParameterValue"
            return
        source = sqs.create_queue(QueueName="evil", Attributes=redrive(attributes["QueueArn"]))["QueueUrl"]
        sqs.send_message(QueueUrl=source, MessageBody="forged")
        for _ in range(2):
            sqs.receive_message(QueueUrl=source, VisibilityTimeout=0)
        assert sqs.receive_message(QueueUrl=target)["Messages"][0]["Body"] == "forged"
        sqs.delete_queue(QueueUrl=source)
    finally:
        sqs.delete_queue(QueueUrl=target)


@pytest.mark.parametrize(
    "policy",
    [
        {"redrivePermission": "nobody"},
        {"redrivePermission": "byQueue"},
        {"redrivePermission": "denyAll", "sourceQueueArns": ["arn:aws:sqs:us-east-1:1:x"]},
        {"redrivePermission": "byQueue", "sourceQueueArns": ["arn:aws:sqs:us-east-1:1:x"] * 11},
    ],
)
def test_a_redrive_allow_policy_is_checked(account, policy):
    """SQS refuses a permission that it does not know, and sources that do not go with it."""
    sqs = account.client("sqs", account=ACCOUNT)
    sent = {"RedriveAllowPolicy": json.dumps(policy)}
    code = refused(sqs.create_queue, QueueName="wrong", Attributes=sent)
    assert code == "InvalidAttributeValue"


# Functions


@pytest.mark.parametrize(("allow", "seen"), [("lambda:*", True), ("lambda:GetFunction", False)])
def test_tags_of_a_function_need_a_right_of_their_own(account, allow, seen):
    """GetFunction leaves out the tags for whoever may not call ListTags."""
    operator = account.client("lambda", account=ACCOUNT)
    role = account.create_role(f"runs-{seen}", trust={"Service": "lambda.amazonaws.com"}, account=ACCOUNT)
    operator.create_function(
        FunctionName=f"tagged-{seen}", Runtime="python3.13", Handler="x.y", Code={"ZipFile": b"x"},
        Role=role["Arn"], Tags={"version": "1"},
    )  # fmt: skip
    keys = account.create_user(f"looks-{seen}", allow=allow, account=ACCOUNT)
    found = account.client("lambda", keys, ACCOUNT).get_function(FunctionName=f"tagged-{seen}")
    assert ("Tags" in found) is seen
