"""What takes back each call, without AWS: the table, from CloudTrail's own shapes to commands."""

import json
import re
import shlex
from types import SimpleNamespace

import aws_cli
import pytest
from botocore.session import get_session
from botocore.validate import validate_parameters
from helpers import any_json, case
from hypothesis import given
from hypothesis import strategies as st

from c7n_iamguard.contain import manual, undoable
from c7n_iamguard.contain.plan import ManualSteps, NoChange, Reversal, camel
from c7n_iamguard.event import caller

IAM = get_session().get_service_model("iam")
QUARANTINE = "arn:aws:iam::111122223333:policy/iam-guard-quarantine"
KEY, SSH, CREDENTIAL = "AKIAIOSFODNN7EXAMPLE", "APKAEXAMPLE7EXAMPLE00", "ACCAEXAMPLE7EXAMPLE00"
CERTIFICATE = "C" * 24
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
SAML = "arn:aws:iam::111122223333:saml-provider/idp"
OIDC = "arn:aws:iam::111122223333:oidc-provider/idp.example.com"
DATE = "Feb 22, 2026, 4:11:47\u202fPM"
DOCUMENT = (
    '{\n  "Version": "2012-10-17",\n  "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]\n}'
)
COMPACT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
TRUST = "%7B%22Version%22%3A%222012-10-17%22%7D"


def record(name, parameters=None, elements=None, **more):
    """CloudTrail's record of a successful call of the user bob."""
    found = case("revoked-create-user")["detail"]
    found.pop("errorCode", None)
    return {**found, "eventName": name, "requestParameters": parameters, "responseElements": elements, **more}


def plan(name, parameters=None, elements=None, **more):
    """The plan for a call of the user bob."""
    found = record(name, parameters, elements, **more)
    return undoable.plan(found, caller(found), QUARANTINE)


def key(user, **more):
    return {
        "accessKey": {"accessKeyId": KEY, "status": "Active", "userName": user, "createDate": DATE, **more}
    }


def service_credential(user):
    return {
        "serviceSpecificCredential": {
            "createDate": DATE, "serviceName": "bedrock.amazonaws.com", "serviceSpecificCredentialId": CREDENTIAL,
            "status": "Active", "userName": user,
        }
    }  # fmt: skip


def status(kind, option, id_, user, value):
    return f"aws iam update-{kind} --user-name {user} --{option} {id_} --status {value}"


def statuses(kind, option, id_, user):
    return tuple(status(kind, option, id_, user, value) for value in ("Inactive", "Active"))


ARN = "arn:aws:iam::111122223333"
USER = {
    "user": {
        "userName": "eve",
        "userId": "AIDAEVE",
        "arn": f"{ARN}:user/eve",
        "path": "/",
        "createDate": DATE,
    }
}
ROLE = {
    "role": {
        "roleName": "door", "roleId": "AROADOOR", "arn": f"{ARN}:role/door", "path": "/", "createDate": DATE,
        "assumeRolePolicyDocument": TRUST,
    }
}  # fmt: skip

#: A call, its parameters, IAM's answer, what takes it back, and what reverses that.
ROWS = [
    ("CreateAccessKey", {"userName": "ada"}, key("ada"), *statuses("access-key", "access-key-id", KEY, "ada")),
    # For oneself, CloudTrail has no parameters at all.
    ("CreateAccessKey", None, key("bob"), *statuses("access-key", "access-key-id", KEY, "bob")),
    ("UpdateAccessKey", {"userName": "ada", "accessKeyId": KEY, "status": "Active"}, None,
     *statuses("access-key", "access-key-id", KEY, "ada")),
    ("UpdateAccessKey", {"accessKeyId": KEY, "status": "active"}, None,
     *statuses("access-key", "access-key-id", KEY, "bob")),
    ("CreateServiceSpecificCredential", {"userName": "ada", "serviceName": "bedrock.amazonaws.com"},
     service_credential("ada"),
     *statuses("service-specific-credential", "service-specific-credential-id", CREDENTIAL, "ada")),
    ("ResetServiceSpecificCredential", {"serviceSpecificCredentialId": CREDENTIAL}, service_credential("ada"),
     *statuses("service-specific-credential", "service-specific-credential-id", CREDENTIAL, "ada")),
    ("UpdateServiceSpecificCredential", {"serviceSpecificCredentialId": CREDENTIAL, "status": "Active"}, None,
     *statuses("service-specific-credential", "service-specific-credential-id", CREDENTIAL, "bob")),
    ("UploadSSHPublicKey", {"userName": "ada", "sSHPublicKeyBody": "ssh-rsa AAAA"},
     {"sSHPublicKey": {"sSHPublicKeyId": SSH, "status": "Active", "userName": "ada", "fingerprint": "00",
                       "sSHPublicKeyBody": "ssh-rsa AAAA", "uploadDate": DATE}},
     *statuses("ssh-public-key", "ssh-public-key-id", SSH, "ada")),
    ("UpdateSSHPublicKey", {"userName": "ada", "sSHPublicKeyId": SSH, "status": "Active"}, None,
     *statuses("ssh-public-key", "ssh-public-key-id", SSH, "ada")),
    ("UploadSigningCertificate", {"certificateBody": "-----BEGIN"},
     {"certificate": {"certificateId": CERTIFICATE, "userName": "bob", "status": "Active", "certificateBody": "",
                      "uploadDate": DATE}},
     *statuses("signing-certificate", "certificate-id", CERTIFICATE, "bob")),
    ("UpdateSigningCertificate", {"certificateId": CERTIFICATE, "status": "Active"}, None,
     *statuses("signing-certificate", "certificate-id", CERTIFICATE, "bob")),
    ("CreateLoginProfile", {"userName": "ada", "passwordResetRequired": False},
     {"loginProfile": {"userName": "ada", "createDate": DATE, "passwordResetRequired": False}},
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
    ("CreateSAMLProvider", {"name": "idp", "sAMLMetadataDocument": "<?xml>"}, {"sAMLProviderArn": SAML},
     f"aws iam delete-saml-provider --saml-provider-arn {SAML}",
     "aws iam create-saml-provider --name idp --saml-metadata-document file://metadata.xml"),
    ("CreateOpenIDConnectProvider",
     {"url": "https://idp.example.com", "clientIDList": ["sts.amazonaws.com"], "thumbprintList": ["9" * 40]},
     {"openIDConnectProviderArn": OIDC},
     f"aws iam delete-open-id-connect-provider --open-id-connect-provider-arn {OIDC}",
     "aws iam create-open-id-connect-provider --url https://idp.example.com --client-id-list "
     f"'[\"sts.amazonaws.com\"]' --thumbprint-list '[\"{'9' * 40}\"]'"),
]  # fmt: skip

#: A call that is left, its parameters, IAM's answer, and the commands for a person.
POLICY = "arn:aws:iam::111122223333:policy/team"
LEFT = [
    ("AttachUserPolicy", {"userName": "eve", "policyArn": ADMINISTRATOR}, None,
     [f"aws iam detach-user-policy --user-name eve --policy-arn {ADMINISTRATOR}"]),
    ("AddUserToGroup", {"userName": "eve", "groupName": "admins"}, None,
     ["aws iam remove-user-from-group --group-name admins --user-name eve"]),
    ("AttachRolePolicy", {"roleName": "app", "policyArn": ADMINISTRATOR}, None,
     [f"aws iam detach-role-policy --role-name app --policy-arn {ADMINISTRATOR}"]),
    ("AttachGroupPolicy", {"groupName": "devs", "policyArn": ADMINISTRATOR}, None,
     [f"aws iam detach-group-policy --group-name devs --policy-arn {ADMINISTRATOR}"]),
    ("AddRoleToInstanceProfile", {"instanceProfileName": "web", "roleName": "app"}, None,
     ["aws iam remove-role-from-instance-profile --instance-profile-name web --role-name app"]),
    ("AddClientIDToOpenIDConnectProvider", {"openIDConnectProviderArn": OIDC, "clientID": "evil"}, None,
     ["aws iam remove-client-id-from-open-id-connect-provider "
      f"--open-id-connect-provider-arn {OIDC} --client-id evil"]),
    ("UpdateAssumeRolePolicy", {"roleName": "app", "policyDocument": DOCUMENT}, None,
     ["aws iam update-assume-role-policy --role-name app --policy-document file://trust-before.json"]),
    ("DeleteUserPermissionsBoundary", {"userName": "bob"}, None,
     ["aws iam put-user-permissions-boundary --user-name bob --permissions-boundary ARN-OF-THE-BOUNDARY-BEFORE"]),
    ("PutRolePermissionsBoundary", {"roleName": "app", "permissionsBoundary": ADMINISTRATOR}, None,
     ["aws iam put-role-permissions-boundary --role-name app --permissions-boundary ARN-OF-THE-BOUNDARY-BEFORE"]),
    ("UpdateSAMLProvider", {"sAMLProviderArn": SAML, "sAMLMetadataDocument": "<?xml>"}, {"sAMLProviderArn": SAML},
     [f"aws iam update-saml-provider --saml-provider-arn {SAML} "
      "--saml-metadata-document file://metadata-before.xml"]),
    ("CreatePolicyVersion", {"policyArn": POLICY, "policyDocument": DOCUMENT, "setAsDefault": True},
     {"policyVersion": {"versionId": "v2", "isDefaultVersion": True, "createDate": DATE}},
     [f"aws iam set-default-policy-version --policy-arn {POLICY} --version-id VERSION-BEFORE",
      f"aws iam list-policy-versions --policy-arn {POLICY}",
      f"aws iam delete-policy-version --policy-arn {POLICY} --version-id v2"]),
    ("CreatePolicyVersion", {"policyArn": POLICY, "policyDocument": DOCUMENT},
     {"policyVersion": {"versionId": "v2", "isDefaultVersion": False, "createDate": DATE}},
     [f"aws iam delete-policy-version --policy-arn {POLICY} --version-id v2"]),
    ("SetDefaultPolicyVersion", {"policyArn": POLICY, "versionId": "v3"}, None,
     [f"aws iam set-default-policy-version --policy-arn {POLICY} --version-id VERSION-BEFORE",
      f"aws iam list-policy-versions --policy-arn {POLICY}"]),
    ("CreatePolicy", {"policyName": "team", "policyDocument": DOCUMENT}, {"policy": {"arn": POLICY}},
     [f"aws iam delete-policy --policy-arn {POLICY}"]),
    ("EnableMFADevice", {"userName": "bob", "serialNumber": "arn:aws:iam::111122223333:mfa/bob"}, None,
     ["aws iam deactivate-mfa-device --user-name bob --serial-number arn:aws:iam::111122223333:mfa/bob"]),
    ("DeactivateMFADevice", {"serialNumber": "arn:aws:iam::111122223333:mfa/bob"}, None,
     ["aws iam list-mfa-devices --user-name bob"]),
    ("AcceptDelegationRequest", {"delegationRequestId": "dr-0123456789abcdef"}, None,
     ["aws iam reject-delegation-request --delegation-request-id dr-0123456789abcdef"]),
    ("CreateDelegationRequest", {"description": "x"}, {"delegationRequestId": "dr-0123456789abcdef"},
     ["aws iam reject-delegation-request --delegation-request-id dr-0123456789abcdef"]),
    ("EnableOutboundWebIdentityFederation", None, {"issuerIdentifier": "https://x"},
     ["aws iam disable-outbound-web-identity-federation"]),
    ("UpdateAccessKey", {"userName": "ada", "accessKeyId": KEY, "status": "Inactive"}, None,
     [status("access-key", "access-key-id", KEY, "ada", "Active")]),
    ("DetachUserPolicy", {"userName": "eve", "policyArn": ADMINISTRATOR}, None,
     [f"aws iam attach-user-policy --user-name eve --policy-arn {ADMINISTRATOR}"]),
    ("UpdateUser", {"userName": "ada", "newUserName": "-x"}, None,
     ["aws iam update-user --user-name=-x --new-user-name ada"]),
    ("TagRole", {"roleName": "app", "tags": [{"key": "team", "value": "a"}, {"key": "-x", "value": ""}]}, None,
     ["""aws iam untag-role --role-name app --tag-keys '["team", "-x"]'"""]),
    ("CreateServiceLinkedRole", {"aWSServiceName": "x.amazonaws.com"},
     {"role": {"roleName": "AWSServiceRoleForX", "roleId": "AROAX", "path": "/aws-service-role/x.amazonaws.com/"}},
     ["aws iam delete-service-linked-role --role-name AWSServiceRoleForX"]),
    ("CreateVirtualMFADevice", {"virtualMFADeviceName": "x"},
     {"virtualMFADevice": {"serialNumber": "arn:aws:iam::111122223333:mfa/x"}},
     ["aws iam delete-virtual-mfa-device --serial-number arn:aws:iam::111122223333:mfa/x"]),
]  # fmt: skip


def made_of(shape, name=""):
    """A value of a shape of IAM's model, as CloudTrail might write it."""
    if shape.type_name == "structure":
        return {camel(key): made_of(member, key) for key, member in shape.members.items()}
    if shape.type_name == "list":
        return [made_of(shape.member, name)]
    if shape.type_name == "map":
        return {}
    values = {"boolean": True, "integer": 1, "timestamp": DATE}
    known = {"Status": "Active", "Path": "/", "ThumbprintList": "9" * 40}
    if name in known:
        return known[name]
    return values.get(shape.type_name, POLICY if name.endswith("Arn") else f"{name}-0123456789abcdef")


def check_command(command):
    """Fail unless the AWS CLI would take a command as it stands."""
    words = shlex.split(command)
    service, operation, *rest = words[1:]
    options = {k: v for k, v in aws_cli.options_of(rest).items() if k not in ("region",)}
    client = get_session().create_client(service, region_name="us-east-1")
    shape = IAM if service == "iam" else client.meta.service_model
    model = shape.operation_model(client.meta.method_to_api_mapping[operation.replace("-", "_")])
    plain = {k: ["x" * 1000 if v.startswith("file://") else v for v in vs] for k, vs in options.items()}
    found = aws_cli.parameters(model.input_shape, plain)
    if model.input_shape:
        validate_parameters(found, model.input_shape)


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


@pytest.mark.parametrize(("name", "parameters", "elements", "commands"), LEFT)
def test_a_call_is_left_with_the_commands_for_a_person(name, parameters, elements, commands):
    """The guard leaves what it cannot take back safely, and the first command repairs it."""
    found = plan(name, parameters, elements)
    assert isinstance(found, ManualSteps)
    assert list(found.commands) == commands


@pytest.mark.parametrize("name", [n for n in IAM.operation_names if not n.startswith(undoable.READING)])
def test_every_call_that_writes_has_a_plan(name):
    """Each operation of IAM that is no read is taken back or left, with commands that the AWS CLI takes."""
    model = IAM.operation_model(name)
    parameters = made_of(model.input_shape) if model.input_shape else None
    elements = made_of(model.output_shape) if model.output_shape else None
    found = plan(name, parameters, elements)
    commands = [found.call.command, found.redo.command] if isinstance(found, Reversal) else found.commands
    assert commands
    for command in commands:
        check_command(command)


def test_an_operation_that_is_new_tomorrow_is_left():
    """The command shows its whole record."""
    found = plan("CreateSkeletonKey", {"userName": "ada"}, awsRegion="us-east-1", eventID="e-1")
    assert found.commands == (
        "aws cloudtrail lookup-events --region us-east-1 --lookup-attributes "
        "AttributeKey=EventId,AttributeValue=e-1",
    )
    assert (
        plan("CreateSkeletonKey", awsRegion="x; rm", eventID="'; rm")
        .commands[0]
        .endswith("events --lookup-attributes 'AttributeKey=EventId,AttributeValue='\"'\"'; rm'")
    )


@pytest.mark.parametrize(("name", "parameters", "elements"), [row[:3] for row in ROWS])
def test_a_call_that_failed_gave_nothing(name, parameters, elements):
    """A call that failed leaves nothing to take back; a denied one has no parameters at all."""
    assert isinstance(plan(name, parameters, elements, errorCode="NoSuchEntityException"), NoChange)
    assert isinstance(plan(name, errorCode="AccessDenied"), NoChange)


@pytest.mark.parametrize("name", ["GetUser", "ListUsers", "GenerateCredentialReport", "SimulateCustomPolicy"])
def test_a_read_gives_nothing(name):
    """Reads leave nothing, whatever they are called."""
    assert isinstance(plan(name, {"userName": "ada"}), NoChange)
    assert isinstance(plan("FetchSomething", readOnly=True), NoChange)


@pytest.mark.parametrize(("name", "parameters", "elements"), [row[:3] for row in ROWS])
def test_an_event_that_lacks_what_is_needed_is_left(name, parameters, elements):
    """Without parameters and answer, as when CloudTrail cuts them, nothing is guessed."""
    found = plan(name)
    assert isinstance(found, ManualSteps)
    assert found.reason.startswith("the event does not have detail.")
    if elements and parameters:
        assert isinstance(plan(name, parameters), Reversal | ManualSteps)


@pytest.mark.parametrize("parameters", [None, {"omitted": True}])
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("PutUserPolicy", "get-account-authorization-details --filter User"),
        ("PutGroupPolicy", "get-account-authorization-details --filter Group"),
        ("UpdateAssumeRolePolicy", "get-account-authorization-details --filter Role"),
        ("CreatePolicyVersion", "get-account-authorization-details --filter LocalManagedPolicy"),
        ("UpdateSAMLProvider", "list-saml-providers"),
        ("UploadServerCertificate", "list-server-certificates"),
    ],
)
def test_a_call_that_was_padded_is_left_with_what_is_there_now(name, parameters, command):
    """CloudTrail leaves out parameters of more than 100 KB, so its record cannot say what the call was about."""
    show, look_up = plan(name, parameters).commands
    assert show == f"aws iam {command}"
    assert look_up.startswith("aws cloudtrail lookup-events ")
    check_command(show)


def test_a_saml_provider_of_a_padded_call_is_deleted():
    """Its document may be too long for a record; IAM's answer names it."""
    found = plan("CreateSAMLProvider", {"omitted": True}, {"sAMLProviderArn": SAML})
    assert found.call.command == f"aws iam delete-saml-provider --saml-provider-arn {SAML}"


def test_a_role_that_names_no_user_is_about_nobody():
    """Only users can leave out the name of the user."""
    found = record("UpdateAccessKey", {"accessKeyId": KEY, "status": "Active"})
    arn = "arn:aws:sts::111122223333:assumed-role/app/s"
    identity = {"type": "AssumedRole", "principalId": "AROAX:s", "arn": arn, "accountId": "111122223333"}
    who = caller({**found, "userIdentity": identity})
    reason = undoable.plan(found, who, QUARANTINE).reason
    assert reason == "the event does not have detail.requestParameters.userName"


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
    assert isinstance(undoable.plan(found, SimpleNamespace(kind=kind, name="Bob"), QUARANTINE), verdict)


def test_a_document_in_a_command_cannot_leave_its_quotes():
    """The shell gets the caller's document as one word, whatever is in it."""
    evil = json.dumps({"Version": "2012-10-17", "Statement": [], "Id": "'; rm -r /; '$(id)`id`\n"})
    found = plan("PutUserPolicy", {"userName": "eve", "policyName": "p", "policyDocument": evil})
    words = shlex.split(found.redo.command)
    assert json.loads(words[-1]) == json.loads(evil)
    assert len(words) == 9


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
