"""The filter iam-access-revoked in this process: it finds those who carry a denial that denies."""

import json

import pytest
from botocore.exceptions import ClientError
from helpers import HARMLESS, REVOKED, deny_arn, deny_user

from c7n_iamguard.iam import policy_documents
from sandbox.server import Fault

THEIR_OWN = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]}
FORMS = [(), ("managed",), ("inline",), ("boundary",), ("managed", "inline", "boundary")]


def test_the_filter_finds_the_same_with_any_source(fresh, user, in_process, source):
    """Each form of the deny, alone and together, is found alike with the stock source and with ours."""
    for number, forms in enumerate(FORMS):
        user(f"form-{number}")
        deny_user(fresh, f"form-{number}", *forms)
    expected = {f"form-{number}": list(forms) for number, forms in enumerate(FORMS) if forms}
    for policy in (source(filters=["iam-access-revoked"]), in_process(filters=["iam-access-revoked"])):
        found = policy.resource_manager.filter_resources(policy.resource_manager.source.resources({}))
        assert {u["UserName"]: u[REVOKED] for u in found} == expected


@pytest.mark.parametrize("document", [json.dumps(THEIR_OWN), policy_documents.deny_document(["honeycode:x"])])
def test_somebody_elses_policies_are_no_deny_of_the_guards(fresh, user, source, document):
    """Neither an inline policy of the guard's name that is not its own or denies no IAM, nor another boundary."""
    user("ora")
    iam = fresh.client("iam")
    iam.put_user_policy(UserName="ora", PolicyName="DenyIAM", PolicyDocument=document)
    iam.put_user_policy(UserName="ora", PolicyName="another", PolicyDocument=policy_documents.deny_document())
    iam.put_user_permissions_boundary(UserName="ora", PermissionsBoundary=deny_arn(fresh))
    assert source(filters=[{"UserName": "ora"}, "iam-access-revoked"]).resource_manager.resources() == []


@pytest.mark.parametrize("operation", ["ListAttachedUserPolicies", "GetUserPolicy", "GetUser"])
def test_an_error_of_iam_never_counts_as_not_revoked(fresh, user, in_process, operation):
    """AccessDenied to any of the filter's own questions ends the run with that error."""
    user("err")
    policy = in_process(filters=["iam-access-revoked"])
    fresh.faults.append(Fault(f"iam:{operation}", "AccessDenied", 403))
    with pytest.raises(ClientError, match="AccessDenied"):
        policy.resource_manager.filters[0].process([{"UserName": "err"}])


@pytest.mark.parametrize("operation", [None, "ListAttachedUserPolicies"])
def test_a_user_who_is_gone_is_not_listed(fresh, user, in_process, operation):
    """A user who is deleted before or while the filter asks is no match and no error."""
    if operation:
        user("gil")
        fresh.faults.append(Fault(f"iam:{operation}", "NoSuchEntity", 404))
    policy = in_process(filters=["iam-access-revoked"])
    assert policy.resource_manager.filters[0].process([{"UserName": "gil"}]) == []


@pytest.mark.parametrize(
    ("form", "name"), [("managed", "DenyIAMAccess"), ("boundary", "DenyIAMAccessBoundary")]
)
def test_a_form_counts_only_while_it_denies(fresh, user, in_process, form, name):
    """Somebody has rewritten the policy: who carries it is not revoked by it, and by the inline policy still."""
    user("ira")
    deny_user(fresh, "ira", "inline", form)
    arn = deny_arn(fresh, name)
    fresh.client("iam").create_policy_version(
        PolicyArn=arn, PolicyDocument=json.dumps(HARMLESS), SetAsDefault=True
    )
    (criterion,) = in_process(filters=["iam-access-revoked"]).resource_manager.filters
    assert [found[REVOKED] for found in criterion.process([{"UserName": "ira"}])] == [["inline"]]
