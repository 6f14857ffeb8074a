"""The table of calls that are taken back, without AWS: from CloudTrail's own shapes to commands."""

import re

import pytest
from helpers import any_json
from hypothesis import given
from hypothesis import strategies as st
from plans import (
    ADMINISTRATOR,
    CREDENTIAL,
    DOCUMENT,
    KEY,
    OIDC,
    QUARANTINE,
    SAML,
    SSH,
    check_command,
    plan,
    record,
    status,
)

from c7n_iamguard.contain import manual, undoable
from c7n_iamguard.contain.plan import ManualSteps, NoChange, Reversal
from c7n_iamguard.event import Caller, caller

CERTIFICATE = "C" * 24
COMPACT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
USER = {"user": {"userName": "eve", "userId": "AIDAEVE", "path": "/"}}
ROLE = {"role": {"roleName": "door", "roleId": "AROADOOR", "path": "/"}}


def answer(element, id_, user):
    """IAM's answer to a call that made a credential."""
    return {element: {f"{element}Id": id_, "userName": user}}


def statuses(kind, id_, user):
    """The commands that make a credential inactive and active."""
    option = f"{kind.removeprefix('signing-')}-id"
    return tuple(status(kind, option, id_, user, value) for value in ("Inactive", "Active"))


#: A call, its parameters, IAM's answer, what takes it back, and what reverses that.
ROWS = [
    ("CreateAccessKey", {"userName": "ada"}, answer("accessKey", KEY, "ada"), *statuses("access-key", KEY, "ada")),
    # For oneself, CloudTrail has no parameters at all.
    ("CreateAccessKey", None, answer("accessKey", KEY, "bob"), *statuses("access-key", KEY, "bob")),
    ("UpdateAccessKey", {"userName": "ada", "accessKeyId": KEY, "status": "Active"}, None,
     *statuses("access-key", KEY, "ada")),
    ("UpdateAccessKey", {"accessKeyId": KEY, "status": "active"}, None, *statuses("access-key", KEY, "bob")),
    ("CreateServiceSpecificCredential", {"userName": "ada"}, answer("serviceSpecificCredential", CREDENTIAL, "ada"),
     *statuses("service-specific-credential", CREDENTIAL, "ada")),
    ("ResetServiceSpecificCredential", {"serviceSpecificCredentialId": CREDENTIAL},
     answer("serviceSpecificCredential", CREDENTIAL, "ada"),
     *statuses("service-specific-credential", CREDENTIAL, "ada")),
    ("UpdateServiceSpecificCredential", {"serviceSpecificCredentialId": CREDENTIAL, "status": "Active"}, None,
     *statuses("service-specific-credential", CREDENTIAL, "bob")),
    ("UploadSSHPublicKey", {"userName": "ada"}, answer("sSHPublicKey", SSH, "ada"),
     *statuses("ssh-public-key", SSH, "ada")),
    ("UpdateSSHPublicKey", {"userName": "ada", "sSHPublicKeyId": SSH, "status": "Active"}, None,
     *statuses("ssh-public-key", SSH, "ada")),
    ("UploadSigningCertificate", {"certificateBody": "-----BEGIN"}, answer("certificate", CERTIFICATE, "bob"),
     *statuses("signing-certificate", CERTIFICATE, "bob")),
    ("UpdateSigningCertificate", {"certificateId": CERTIFICATE, "status": "Active"}, None,
     *statuses("signing-certificate", CERTIFICATE, "bob")),
    ("CreateLoginProfile", {"userName": "ada", "passwordResetRequired": False},
     {"loginProfile": {"userName": "ada"}},
     "aws iam delete-login-profile --user-name ada",
     "aws iam create-login-profile --user-name ada --password NEW-PASSWORD --password-reset-required"),
    ("UpdateLoginProfile", {"userName": "ada"}, None, "aws iam delete-login-profile --user-name ada",
     "aws iam create-login-profile --user-name ada --password NEW-PASSWORD --password-reset-required"),
    ("CreateUser", {"userName": "eve"}, USER,
     f"aws iam attach-user-policy --user-name eve --policy-arn {QUARANTINE}",
     f"aws iam detach-user-policy --user-name eve --policy-arn {QUARANTINE}"),
    ("CreateRole", {"roleName": "door", "assumeRolePolicyDocument": DOCUMENT}, ROLE,
     f"aws iam attach-role-policy --role-name door --policy-arn {QUARANTINE}",
     f"aws iam detach-role-policy --role-name door --policy-arn {QUARANTINE}"),
    ("AcquireRole", {"templateArn": "arn:aws:iam::aws:role-template/x"}, ROLE,
     f"aws iam attach-role-policy --role-name door --policy-arn {QUARANTINE}",
     f"aws iam detach-role-policy --role-name door --policy-arn {QUARANTINE}"),
    *(
        (f"Put{noun}Policy", {f"{noun.lower()}Name": "x", "policyName": "p", "policyDocument": DOCUMENT}, None,
         f"aws iam delete-{noun.lower()}-policy --{noun.lower()}-name x --policy-name p",
         f"aws iam put-{noun.lower()}-policy --{noun.lower()}-name x --policy-name p --policy-document '{COMPACT}'")
        for noun in ("User", "Group", "Role")
    ),
    ("AttachUserPolicy", {"userName": "Bob", "policyArn": ADMINISTRATOR}, None,
     f"aws iam detach-user-policy --user-name Bob --policy-arn {ADMINISTRATOR}",
     f"aws iam attach-user-policy --user-name Bob --policy-arn {ADMINISTRATOR}"),
    ("AddUserToGroup", {"userName": "bob", "groupName": "admins"}, None,
     "aws iam remove-user-from-group --group-name admins --user-name bob",
     "aws iam add-user-to-group --group-name admins --user-name bob"),
    # Its document may be too long for a record; IAM's answer names it.
    ("CreateSAMLProvider", {"omitted": True}, {"sAMLProviderArn": SAML},
     f"aws iam delete-saml-provider --saml-provider-arn {SAML}",
     "aws iam create-saml-provider --name idp --saml-metadata-document file://metadata.xml"),
    ("CreateOpenIDConnectProvider",
     {"url": "https://idp.example.com", "clientIDList": ["sts.amazonaws.com"], "thumbprintList": ["9" * 40]},
     {"openIDConnectProviderArn": OIDC},
     f"aws iam delete-open-id-connect-provider --open-id-connect-provider-arn {OIDC}",
     "aws iam create-open-id-connect-provider --url https://idp.example.com --client-id-list "
     f"'[\"sts.amazonaws.com\"]' --thumbprint-list '[\"{'9' * 40}\"]'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "elements", "did", "reverse"), ROWS)
def test_a_call_is_taken_back_by_its_opposite(name, parameters, elements, did, reverse):
    """Each row, in CloudTrail's own shapes: what takes the call back, and the command that reverses it."""
    found = plan(name, parameters, elements)
    assert (found.call.command, found.redo.command) == (did, reverse)
    check_command(did)
    check_command(reverse)


def test_every_row_of_the_table_is_tried():
    """No row is without a case."""
    assert {row[0] for row in ROWS} == set(undoable.ROWS)


def test_a_call_that_failed_or_only_read_gave_nothing():
    """Whatever it is called; a denied one has no parameters at all."""
    for row in ROWS:
        assert isinstance(plan(*row[:3], errorCode="NoSuchEntityException"), NoChange)
        assert isinstance(plan(row[0], errorCode="AccessDenied"), NoChange)
    for name in ("GetUser", "ListUsers", "GenerateCredentialReport", "SimulateCustomPolicy"):
        assert isinstance(plan(name, {"userName": "ada"}), NoChange)
    assert isinstance(plan("FetchSomething", readOnly=True), NoChange)


@pytest.mark.parametrize("name", undoable.ROWS)
def test_an_event_that_lacks_what_is_needed_is_left(name):
    """Without parameters and answer, as when CloudTrail cuts them, nothing is guessed."""
    found = plan(name)
    assert isinstance(found, ManualSteps)
    assert found.reason.startswith("the event does not have detail.")


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/aws-service-role/x.amazonaws.com/", ManualSteps),
        ("/x/aws-service-role/", Reversal),
        ("/aws-service-roles/", Reversal),
    ],
)
def test_a_service_linked_role_alone_is_not_quarantined(path, verdict):
    """Only AWS can change one, and make one; anybody may choose a path that looks like its own."""
    elements = {"role": {**ROLE["role"], "path": path}}
    assert isinstance(plan("CreateRole", {"roleName": "door"}, elements), verdict)


@pytest.mark.parametrize(("kind", "verdict"), [("user", Reversal), ("role", ManualSteps)])
def test_a_caller_is_a_user_of_the_name_in_any_case(kind, verdict):
    """Bob and bob are one user, so that the call is on himself; a role of this name is somebody else."""
    found = record("AttachUserPolicy", {"userName": "bob", "policyArn": ADMINISTRATOR})
    assert isinstance(undoable.plan(found, Caller("", None, kind, "Bob"), QUARANTINE), verdict)


PROBES = ["requestParameters", "responseElements", "errorCode", "readOnly", "awsRegion", "eventID"]


@given(
    st.sampled_from([*undoable.ROWS, *manual.ROWS, "CreateSkeletonKey"]),
    st.dictionaries(st.sampled_from(PROBES), any_json),
)
def test_no_record_breaks_the_table(name, parts):
    """Any record gives a plan, and its commands are texts."""
    found = record(name) | parts
    found = undoable.plan(found, caller(found), QUARANTINE)
    if isinstance(found, ManualSteps):
        assert all(re.match(r"aws (iam|cloudtrail) ", command) for command in found.commands)
