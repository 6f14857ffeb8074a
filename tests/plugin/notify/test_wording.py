"""The commands and sentences of a mail: without AWS, and as commands that work."""

import shlex
from argparse import ArgumentParser
from dataclasses import replace

import aws_cli
import pytest
from botocore.session import get_session
from botocore.validate import validate_parameters
from helpers import case
from told import TELLER, by_event, decided, of_person, of_role, told_of

from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam.principals import USER
from c7n_iamguard.notify import detail
from c7n_iamguard.notify.wording import contain_command, restore_command

STORE = "arn:aws:identitystore::999988887777:identitystore/d-9a675246c6"


def started(command):
    """The parameters with which a command starts AWS's runbook, as botocore's model understands them."""
    words = shlex.split(command, comments=True)
    assert words[:3] == ["aws", "ssm", "start-automation-execution"]
    shape = get_session().get_service_model("ssm").operation_model("StartAutomationExecution").input_shape
    options = aws_cli.options_of(words[3:])
    assert options.pop("region") == ["us-east-1"]
    found = aws_cli.parameters(shape, options)
    validate_parameters(found, shape)
    assert found["DocumentName"] == "AWSSupport-ContainIAMPrincipal"
    return found["Parameters"]


KNOWN, FORGED = ({"onBehalfOf": {"userId": "1", "identityStoreArn": arn}} for arn in (STORE, "arn:x\n"))
JANE, UNTOLD = ("Identity Center user", "jane@example.com"), " # in the account of your Identity Center"
#: the caller's event, their type and name in AWS's runbook, and in which account it works
CALLERS = {
    "user": (case("revoked-create-user"), "IAM user", "bob", ""),
    "federated user": (case("revoked-federated-user"), "IAM user", "bob", ""),
    "role": (of_role(path="/team/data/"), "IAM role", "Deployer", ""),
    "person": (of_person(), *JANE, UNTOLD),
    "person of a directory": (of_person(**KNOWN), *JANE, " # in account 999988887777"),
    "person of a forged directory": (of_person(**FORGED), *JANE, UNTOLD),
}


@pytest.mark.parametrize("name", CALLERS)
def test_the_caller_can_be_contained_by_one_command(name):
    """The command starts AWS's runbook for the user, the role, or the person behind it, in their account."""
    event, kind, name, where = CALLERS[name]
    command = told_of(event, "cannot-revoke")["commands"]["contain"]
    assert command.endswith(f"'{where}")
    assert started(command) == {
        "PrincipalType": [kind],
        "PrincipalName": [name],
        "Action": ["Contain"],
        "DryRun": ["false"],
        "BackupS3BucketAccess": ["arn:aws:iam::111122223333:role/iam-guard-response"],
    }


ATTACH = "aws iam attach-user-policy --user-name a --policy-arn arn:x:y"
ADD = "aws iam add-user-to-group --group-name admins --user-name bob"


@pytest.mark.parametrize(
    ("decision", "fields", "restore", "repair"),
    [
        ("contained", {"reverse": [ATTACH]}, ATTACH, ""),
        ("left", {"commands": [ADD, "aws x"]}, "", ADD),
        ("acted", {"groups": ["admins", "owners"]}, f"{ADD} && {ADD.replace('admins', 'owners')}", ""),
        ("would-revoke", {}, "", ""),
        ("cannot-revoke", {}, "", ""),
        ("contained", {}, "", ""),
        ("revoked", {"how": "boundary", "rungs": {"boundary": "kept arn:aws:iam::1:policy/x"}}, "", ""),
        # A document or an address, which a caller may have written, stays in the event and in the log.
        *(
            ("contained", {"reverse": [f"aws iam {command}"]}, "", "")
            for command in (
                "put-user-policy --user-name a --policy-name p --policy-document '{}'",
                "create-open-id-connect-provider --url https://example.com/click-here",
                "create-open-id-connect-provider --url=https://example.com",
                "delete-policy --policy-arn x; rm -r /",
                "delete-policy --policy-arn x\nrm",
            )
        ),
    ],
)
def test_the_mail_gets_the_command_that_reverses_or_repairs(decision, fields, restore, repair):
    """Of what was contained, left or removed; a decision that took nothing has nothing to give back."""
    told = told_of(case("revoked-create-user"), decision, **fields)
    assert (told["commands"]["restore"], told["commands"]["repair"]) == (restore, repair)
    assert told["containment"]["reverse"] == fields.get("reverse", [])


@pytest.mark.parametrize(
    ("target", "said"),
    [("user eve", " (user eve)"), ("user eve, see https://example.com", ""), ("user eve\nCall 555", "")],
)
def test_a_mail_names_a_target_that_is_a_name_and_nothing_else(target, said):
    """A target that is no name of IAM's is a caller's text, and stays in the event and in the log."""
    detail = told_of(case("revoked-create-user"), "left", target=target)
    assert f"did not take back what the call gave{said}: a person has to decide" in detail["text"]
    assert detail["containment"]["target"] == target


@pytest.mark.parametrize(
    ("path", "session", "name"),
    [
        ("/aws-service-role/x.amazonaws.com/", "x", "AWSServiceRoleForX"),
        ("/aws-reserved/sso.amazonaws.com/", "", "AWSReservedSSO_X"),
        ("/", "", "a,DryRun=true"),
    ],
)
def test_there_is_no_command_that_would_contain_somebody_else(path, session, name):
    """Without a principal that the runbook can contain under this name, there is no command."""
    assert contain_command({"type": "role", "name": name}, path, session, "us-east-1", "111122223333") == ""


@pytest.mark.parametrize("name", ["bob", "-x", "a=b", "a,b", "x+y@z.com"])
def test_a_name_stays_a_name_on_the_command_line(name):
    """Any name that IAM allows reaches the command as one value."""
    command = restore_command({"type": "user", "name": name}, {"decision": "revoked"}, "us-east-1")
    first, _, _ = command.partition(" && ")
    parser = ArgumentParser()  # as AWS's command line has it
    parser.add_argument("--user-name")
    parser.add_argument("--tags")
    assert parser.parse_args(shlex.split(first)[3:]).user_name == name


@pytest.mark.parametrize(
    ("decision", "fields", "said"),
    [
        ("revoked", {"how": "managed"}, "denied bob IAM by a managed policy"),
        ("revoked", {"how": "boundary", "rungs": {"boundary": "set"}}, "bob IAM by a permissions boundary"),
        ("revoked", {"rungs": {"boundary": "kept x"}}, "changed nothing: bob has a permissions"),
        ("would-revoke", {}, "only observes, and changed nothing: it would have denied bob IAM"),
        ("would-revoke", {"groups": ["admins"]}, "it would have removed bob from the admin group admins"),
        ("cannot-revoke", {}, "cannot deny bob IAM: only AWS can change this role"),
        ("acted", {"groups": ["admins"]}, "removed bob from the admin group admins"),
        (
            "contained",
            {"containment": "x", "target": "user ada"},
            "took back what the call gave (user ada): x.",
        ),
        ("left", {}, "did not take back what the call gave"),
        ("would-contain", {}, "it would have taken back what the call gave"),
    ],
)
def test_the_sentences_say_what_was_done(decision, fields, said):
    """Each decision is said in words, after who called what."""
    text = told_of(case("revoked-create-user"), decision, **fields)["text"]
    assert text.startswith("The IAM user bob in account 111122223333 (sandbox) called CreateUser at ")
    assert said in text


def test_a_call_that_failed_is_said_to_be_an_attempt():
    """A caller who was refused did not call, but tried to."""
    event = case("revoked-create-user")
    event["detail"] |= {"errorCode": "AccessDenied", "sourceIPAddress": "203.0.113.5"}
    assert " tried to call CreateUser from 203.0.113.5 at " in told_of(event)["text"]


def test_a_member_whom_the_catch_up_removed_did_not_call():
    """The catch-up of the admin group knows who was added, and not by which call: nobody is said to have called."""
    bob = {"UserName": "bob", "UserId": "AIDABOB", "Arn": "arn:aws:iam::111122223333:user/bob"}
    told = detail.describe(decided(bob, "acted", groups=["admins"]), USER, None, replace(TELLER, late=True))
    assert told["text"] == (
        "The IAM user bob in account 111122223333 (sandbox) was added to the admin group by somebody who was no "
        "admin. iam-guard removed bob from the admin group admins; it learned of the call late, from CloudTrail's "
        "event history."
    )


def test_the_person_behind_a_session_without_an_issuer_is_contained():
    """If the event does not have the role's path, the role as IAM knows it tells that it is Identity Center's."""
    event = of_person()
    del event["detail"]["userIdentity"]["sessionContext"]
    principal, kind = by_event(event, "cannot-revoke")
    principal["Path"] = "/aws-reserved/sso.amazonaws.com/"
    command = detail.describe(principal, kind, IAMEvent(event), TELLER)["commands"]["contain"]
    assert started(command)["PrincipalType"] == ["Identity Center user"]


@pytest.mark.parametrize(
    ("observed", "says"),
    [(True, "so a person has to act"), (False, "so it asks the security account to deny the person")],
)
def test_the_text_says_whether_the_security_account_is_asked(observed, says):
    """A person of Identity Center is the security account's to deny, unless the settings observe people."""
    assert says in told_of(of_person(), "cannot-revoke", observed=observed)["text"]
    assert "so a person has to act" in told_of(of_role(), "cannot-revoke", observed=observed)["text"]
