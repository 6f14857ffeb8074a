"""The sandbox's CloudTrail records of IAM calls, held against the shapes that AWS writes."""

import json
import re
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from sandbox.server import document

ACCOUNT = "300000000004"
DOCUMENT = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
SAML = "<EntityDescriptor>" + "x" * 1000 + "</EntityDescriptor>"
#: What stands in a record for something that is new each time.
NEW = {
    "DATE": r"[A-Z][a-z]{2} \d+, \d{4}, \d+:\d\d:\d\d\u202f[AP]M",
    "USER": r"AIDA[A-Z0-9]{17}",
    "ROLE": r"AROA[A-Z0-9]{17}",
    "CREDENTIAL": r"ACCA[A-Z0-9]{16}",
    "ANY": r".+",
}


ARN = f"arn:aws:iam::{ACCOUNT}"
UEVE = {"userName": "eve"}
TAGS = [{"Key": "Team", "Value": "x"}]

#: A call, its parameters, and what requestParameters and responseElements are to be.
CALLS = {
    "CreateUser": (
        {"UserName": "new", "Path": "/p/", "Tags": TAGS},
        {"userName": "new", "path": "/p/", "tags": [{"key": "Team", "value": "x"}]},
        {"user": {"path": "/p/", "userName": "new", "userId": "USER", "arn": f"{ARN}:user/p/new",
                  "createDate": "DATE", "tags": [{"key": "Team", "value": "x"}]}},
    ),
    "CreateLoginProfile": (
        {"UserName": "eve", "Password": "a-secret", "PasswordResetRequired": True},
        {"userName": "eve", "passwordResetRequired": True},
        {"loginProfile": {"userName": "eve", "createDate": "DATE", "passwordResetRequired": False}},
    ),
    "UpdateLoginProfile": ({"UserName": "eve", "Password": "another"}, UEVE, None),
    "CreateServiceSpecificCredential": (
        {"UserName": "eve", "ServiceName": "codecommit.amazonaws.com"},
        {"userName": "eve", "serviceName": "codecommit.amazonaws.com"},
        {"serviceSpecificCredential": {
            "createDate": "DATE", "serviceName": "codecommit.amazonaws.com", "status": "Active",
            "serviceUserName": f"eve-at-{ACCOUNT}", "serviceSpecificCredentialId": "CREDENTIAL",
            "userName": "eve"}},
    ),
    "CreateSAMLProvider": (
        {"Name": "new", "SAMLMetadataDocument": SAML}, {"name": "new", "sAMLMetadataDocument": SAML},
        {"sAMLProviderArn": f"{ARN}:saml-provider/new"},
    ),
    "PutUserPolicy": (
        {"UserName": "eve", "PolicyName": "p", "PolicyDocument": DOCUMENT},
        {"userName": "eve", "policyName": "p", "policyDocument": DOCUMENT}, None,
    ),
    "GetUser": ({"UserName": "EVE"}, {"userName": "EVE"}, None),
}  # fmt: skip


@pytest.fixture(scope="module")
def eve(sandbox):
    """A user who may do anything in IAM."""
    key = sandbox.create_user("eve", account=ACCOUNT)
    return sandbox.client("iam", key, ACCOUNT)


def recorded(sandbox, call, **params):
    """The record of a call, whether it succeeds or not."""
    sandbox.pending.clear()
    with suppress(ClientError):
        call(**params)
    return sandbox.pending.pop()["detail"]


def looks_like(found, wanted):
    """Whether an element is as it should be, with the new ids and dates in their places."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and found.keys() == wanted.keys() and all(
            looks_like(found[name], wanted[name]) for name in wanted
        )  # fmt: skip
    if isinstance(wanted, str) and wanted in NEW:
        return re.fullmatch(NEW[wanted], found) is not None
    return found == wanted


@pytest.mark.parametrize("action", CALLS)
def test_a_record_has_the_parameters_and_the_answer_of_its_call(sandbox, eve, action):
    """requestParameters and responseElements have CloudTrail's names, and no secret."""
    params, request, response = CALLS[action]
    method = next(name for name, api in eve.meta.method_to_api_mapping.items() if api == action)
    detail = recorded(sandbox, getattr(eve, method), **params)
    assert "errorCode" not in detail
    assert detail["requestParameters"] == request
    assert looks_like(detail["responseElements"], response), detail["responseElements"]
    assert detail["readOnly"] == action.startswith(("List", "Get"))
    json.dumps(detail)


def test_documents_are_encoded_in_answers_and_plain_in_parameters(sandbox, eve):
    """A role's trust is JSON text where it was sent, and URL-encoded where IAM answers with it."""
    detail = recorded(
        sandbox, eve.create_role, RoleName="new", AssumeRolePolicyDocument=DOCUMENT, MaxSessionDuration=3600
    )
    assert detail["requestParameters"]["assumeRolePolicyDocument"] == DOCUMENT
    assert detail["requestParameters"]["maxSessionDuration"] == 3600
    role = detail["responseElements"]["role"]
    assert role["assumeRolePolicyDocument"].startswith("%7B%22Version%22")
    assert looks_like(role["roleId"], "ROLE")
    assert role["arn"] == f"{ARN}:role/new"


def test_what_was_denied_tells_neither_parameters_nor_answer(sandbox):
    """A call that IAM denies has null elements; one that fails for another reason keeps its parameters."""
    ivy = sandbox.client("iam", sandbox.create_user("ivy", allow="s3:*", account=ACCOUNT), ACCOUNT)
    detail = recorded(sandbox, ivy.create_user, UserName="x")
    assert detail["errorCode"] == "AccessDenied"
    assert (detail["requestParameters"], detail["responseElements"]) == (None, None)
    operator = sandbox.client("iam", account=ACCOUNT)
    detail = recorded(sandbox, operator.delete_user, UserName="nobody")
    assert detail["errorCode"] == "NoSuchEntityException"
    assert (detail["requestParameters"], detail["responseElements"]) == ({"userName": "nobody"}, None)


def test_who_speaks_of_oneself_names_nobody(sandbox, eve):
    """CreateAccessKey without a name is the caller's own: no parameters, and the caller in the answer."""
    key = sandbox.create_user("own", account=ACCOUNT)
    own = sandbox.client("iam", key, ACCOUNT)
    detail = recorded(sandbox, own.create_access_key)
    assert detail["requestParameters"] is None
    made = detail["responseElements"]["accessKey"]
    assert made["userName"] == "own"


def test_a_service_specific_credential_has_its_life(sandbox, eve):
    """It is made, told without its password, deactivated and deleted."""
    who = {"UserName": "eve"}
    made = eve.create_service_specific_credential(**who, ServiceName="codecommit.amazonaws.com")
    unique_id = made["ServiceSpecificCredential"]["ServiceSpecificCredentialId"]
    one = {**who, "ServiceSpecificCredentialId": unique_id}
    eve.update_service_specific_credential(**one, Status="Inactive")
    listed = eve.list_service_specific_credentials(**who)["ServiceSpecificCredentials"]
    (told,) = [found for found in listed if found["ServiceSpecificCredentialId"] == unique_id]
    assert (told["Status"], "ServicePassword" in told) == ("Inactive", False)
    eve.delete_service_specific_credential(**one)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        eve.delete_service_specific_credential(**one)
