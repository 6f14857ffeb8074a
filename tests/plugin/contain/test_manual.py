"""The commands for a person about a call that the guard does not take back, without AWS."""

import pytest
from plans import ADMINISTRATOR, DOCUMENT, IAM, KEY, POLICY, check_command, plan, status

from c7n_iamguard.contain import manual, undoable
from c7n_iamguard.contain.plan import ManualSteps, Reversal, camel

LEFT = [
    ("AttachUserPolicy", {"userName": "eve", "policyArn": ADMINISTRATOR}, None,
     [f"aws iam detach-user-policy --user-name eve --policy-arn {ADMINISTRATOR}"]),
    ("UpdateAssumeRolePolicy", {"roleName": "app", "policyDocument": DOCUMENT}, None,
     ["aws iam update-assume-role-policy --role-name app --policy-document file://trust-before.json"]),
    ("CreatePolicyVersion", {"policyArn": POLICY, "policyDocument": DOCUMENT, "setAsDefault": True},
     {"policyVersion": {"versionId": "v2", "isDefaultVersion": True}},
     [f"aws iam set-default-policy-version --policy-arn {POLICY} --version-id VERSION-BEFORE",
      f"aws iam list-policy-versions --policy-arn {POLICY}",
      f"aws iam delete-policy-version --policy-arn {POLICY} --version-id v2"]),
    ("CreatePolicyVersion", {"policyArn": POLICY, "policyDocument": DOCUMENT},
     {"policyVersion": {"versionId": "v2", "isDefaultVersion": False}},
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
    ("CreateDelegationRequest", {"description": "x"}, {"delegationRequestId": "dr-0123456789abcdef"},
     ["aws iam reject-delegation-request --delegation-request-id dr-0123456789abcdef"]),
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
]  # fmt: skip


def made_of(shape, name=""):
    """A value of a shape of IAM's model, as CloudTrail might write it."""
    if shape.type_name == "structure":
        return {camel(key): made_of(member, key) for key, member in shape.members.items()}
    if shape.type_name == "list":
        return [made_of(shape.member, name)]
    if shape.type_name == "map":
        return {}
    values = {"boolean": True, "integer": 1, "timestamp": "2026-02-22"}
    known = {"Status": "Active", "Path": "/", "ThumbprintList": "9" * 40}
    if name in known:
        return known[name]
    return values.get(shape.type_name, POLICY if name.endswith("Arn") else f"{name}-0123456789abcdef")


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
    """The command shows its whole record, and nothing in the record can leave the command's quotes."""
    look_up, by_id = "aws cloudtrail lookup-events", "--lookup-attributes"
    found = plan("CreateSkeletonKey", {"userName": "ada"}, awsRegion="us-east-1", eventID="e-1")
    assert found.commands == (
        f"{look_up} --region us-east-1 {by_id} AttributeKey=EventId,AttributeValue=e-1",
    )
    found = plan("CreateSkeletonKey", awsRegion="x; rm", eventID="'; rm")
    assert found.commands == (f"{look_up} {by_id} 'AttributeKey=EventId,AttributeValue='\"'\"'; rm'",)


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
def test_a_call_that_was_padded_is_left_with_what_is_there_now(name, command):
    """CloudTrail leaves out parameters of more than 100 KB, so its record cannot say what the call was about."""
    show, look_up = plan(name, {"omitted": True}).commands
    assert show == f"aws iam {command}"
    assert look_up.startswith("aws cloudtrail lookup-events ")
    check_command(show)


def test_a_call_of_any_name_is_left_with_a_reason():
    """Whoever reads it knows whether something was given or taken, and whether anybody can help."""
    names = ("CreateSkeletonKey", "DeleteAlias", "SendDelegationToken")
    reasons = [plan(name, {"userName": "ada"}).reason for name in names]
    assert reasons == [manual.OTHER, manual.TAKEN, manual.FINAL]
