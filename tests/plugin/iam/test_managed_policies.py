"""Whether a managed policy denies what it should, and for how long that is known. Pure."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from c7n_iamguard.iam import managed_policies
from c7n_iamguard.iam.managed_policies import Distrusted, ManagedPolicies
from c7n_iamguard.iam.policy_documents import denies, deny_document, withholds

ARN = "arn:aws:iam::111122223333:policy/p"
HARMLESS = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


class IAM:
    """An IAM with one managed policy, which counts how often its documents are read."""

    exceptions = SimpleNamespace(NoSuchEntityException=KeyError)

    def __init__(self, default, **documents):
        self.default, self.documents, self.reads = default, documents, 0

    def get_policy(self, PolicyArn):
        return {"Policy": {"DefaultVersionId": self.default}}

    def get_policy_version(self, PolicyArn, VersionId):
        self.reads += 1
        is_default = VersionId == self.default
        return {"PolicyVersion": {"Document": self.documents[VersionId], "IsDefaultVersion": is_default}}


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed."""
    now = SimpleNamespace(seconds=0)
    monkeypatch.setattr(managed_policies, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def trusts(policies, client, actions=("iam:*",), holds=denies):
    try:
        policies.check(client, ARN, actions, holds)
    except Distrusted:
        return False
    return True


def test_a_policy_is_read_again_after_a_minute(clock):
    """Within it the last answer counts, yes or no, for the same actions and the same use alone."""
    client, policies = IAM("v1", v1=deny_document()), ManagedPolicies()
    assert trusts(policies, client)
    client.documents["v1"] = HARMLESS
    clock.seconds = 59
    assert trusts(policies, client)
    assert not trusts(policies, client, ("iam:Get*",))
    assert trusts(policies, client, holds=withholds)
    clock.seconds = 60
    assert not trusts(policies, client)
    client.documents["v1"] = deny_document()
    assert not trusts(policies, client)
    assert client.reads == 4


@pytest.mark.parametrize(
    ("record", "trusted"),
    [
        ({"requestParameters": {"policyArn": ARN}}, False),
        ({"requestParameters": {"policyArn": ARN}, "errorCode": "AccessDenied"}, True),
        ({"requestParameters": {"policyArn": f"{ARN}2"}}, True),
        (None, True),
    ],
)
def test_a_policy_that_a_call_has_changed_is_read_at_once(clock, record, trusted):
    """A call that failed, or is about another policy, has changed nothing."""
    client, policies = IAM("v1", v1=deny_document()), ManagedPolicies()
    assert trusts(policies, client)
    client.documents["v1"] = HARMLESS
    policies.forget_changed(record and SimpleNamespace(record=record))
    assert trusts(policies, client) is trusted


def test_the_default_version_counts():
    """Whatever the other versions say, and whether or not the first one is still there."""
    assert not trusts(ManagedPolicies(), IAM("v2", v1=deny_document(), v2=HARMLESS))
    for documents in ({"v1": HARMLESS}, {}):
        assert (
            managed_policies.document_of(IAM("v2", v2=deny_document(), **documents), ARN) == deny_document()
        )


def test_a_policy_that_cannot_be_read_is_not_trusted():
    """The reason is AWS's."""

    def get_policy(PolicyArn):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetPolicy")

    with pytest.raises(Distrusted, match=r"policy/p cannot be read: .*AccessDenied"):
        ManagedPolicies().check(SimpleNamespace(get_policy=get_policy), ARN, ("iam:*",), denies)


@pytest.mark.parametrize(("arn", "reads"), [("arn:aws:iam::aws:policy/p", 1), (ARN, 2)])
def test_aws_own_policies_are_read_once(arn, reads):
    """Nobody but AWS changes them. Somebody may have put a denial into any other one."""
    client, policies = IAM("v1", v1=deny_document()), ManagedPolicies()
    assert policies.carries_denial(client, arn)
    client.documents["v1"] = HARMLESS
    assert policies.carries_denial(client, arn) is (reads == 1)
    assert client.reads == reads
