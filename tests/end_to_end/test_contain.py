"""Containing unintended calls, by the deployed functions: what each call gave is gone, and nothing else is."""

import json
from datetime import timedelta

import pytest
from contained import ACCOUNT, ADMINISTRATOR, ANYTHING, DENIAL, QUARANTINE, SAML, TRUST, document, once
from helpers import CONTAIN, EVENTS, case, made, verdict_of
from told import DETAIL

CASES = sorted(EVENTS.glob(f"{CONTAIN}*/*.json"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: f"{file.parent.name}: {file.stem}")
def test_a_case_ends_as_its_file_name_says(contained, file):
    """Each event, with the account's own people in it, ends with the verdict of its file's name."""
    mallory, worker, users = contained.person().name, contained.role().name, contained.backend.users
    text = json.dumps(made(case(file.stem, file.parent.name), timedelta(seconds=11)))
    for name, known in (("bob", mallory), ("alice", "ada")):
        text = text.replace(f"AIDA{name.upper():X<17}", users[known].id).replace(name, known)
    text = text.replace("AROAEXAMPLE", contained.backend.get_role(worker).id).replace("deployment", worker)
    invocations = contained.sandbox.deliver(json.loads(text.replace("111122223333", ACCOUNT)))
    assert file.stem.startswith(verdict_of(invocations, file.parent.name))


# What is taken back


def test_a_new_user_and_a_new_role_are_quarantined_and_not_deleted(contained):
    """They may do nothing, whatever they get, and the command of the decision lifts it."""
    mallory = contained.person()
    _, decision = once(contained, mallory, "create_user", UserName=f"eve-{mallory.name}")
    assert contained.quarantined("user", f"eve-{mallory.name}")
    assert decision["reverse"] == [
        f"aws iam detach-user-policy --user-name eve-{mallory.name} --policy-arn {QUARANTINE}"
    ]
    role = f"door-{mallory.name}"
    _, decision = once(contained, mallory, "create_role", RoleName=role, AssumeRolePolicyDocument=TRUST)
    assert contained.quarantined("role", role)
    assert decision["target"] == f"role {role}"


def test_undoing_takes_three_calls_at_most(contained, admin):
    """Beside the two calls that judge a user; roles are judged without a call."""
    mallory, role = contained.person(), contained.role()
    contained.sandbox.functions.cool()  # they look at the quarantine once a minute, and when they start
    calls = [
        ("create_user", {"UserName": f"x-{mallory.name}"}),
        ("create_role", {"RoleName": f"x-{mallory.name}", "AssumeRolePolicyDocument": TRUST}),
        ("put_role_policy", {"RoleName": role.name, "PolicyName": "p", "PolicyDocument": ANYTHING}),
        ("create_saml_provider", {"Name": f"x-{mallory.name}", "SAMLMetadataDocument": SAML}),
        ("attach_role_policy", {"RoleName": role.name, "PolicyArn": ADMINISTRATOR}),
        ("create_access_key", {"UserName": admin.name}),
    ]
    for operation, parameters in calls:
        once(contained, mallory, operation, **parameters)
        assert contained.calls[:2] == ["ListGroupsForUser", "GetGroup"]
        assert len(contained.calls[2:]) <= 3, (operation, contained.calls)
    once(contained, role, "create_user", UserName=f"y-{mallory.name}")
    assert contained.calls == ["GetUser", "ListGroupsForUser", "AttachUserPolicy"]


def test_what_was_done_is_told_with_the_command_that_reverses_it(contained):
    """The event on the guard's bus has the whole containment, and fits the schema."""
    sandbox, mallory = contained.sandbox, contained.person()
    once(contained, mallory, "create_user", UserName=f"eve-{mallory.name}")
    (put,) = [call for call in sandbox.calls if call.action == "PutEvents"]
    (entry,) = put.params["Entries"]
    detail = json.loads(entry["Detail"])
    DETAIL.validate(detail)
    assert entry["DetailType"] == "Unintended IAM call contained"
    assert detail["commands"]["restore"] == detail["containment"]["reverse"][0]
    assert detail["containment"]["did"] == [detail["commands"]["restore"].replace("detach", "attach")]


# What is left


def test_a_changed_trust_is_left_with_a_repair_and_a_containment(contained):
    """The first command repairs the trust, the second contains the role by AWS's runbook."""
    mallory, role = contained.person(), contained.role()
    _, decision = once(
        contained, mallory, "update_assume_role_policy", RoleName=role.name, PolicyDocument=TRUST
    )
    repair, contain = decision["commands"]
    assert repair.startswith(f"aws iam update-assume-role-policy --role-name {role.name} ")
    assert f"'PrincipalType=IAM role,PrincipalName={role.name},Action=Contain,DryRun=false," in contain
    (put,) = [call for call in contained.sandbox.calls if call.action == "PutEvents"]
    detail = json.loads(put.params["Entries"][0]["Detail"])
    DETAIL.validate(detail)
    assert (detail["commands"]["repair"], detail["commands"]["containTarget"]) == (repair, contain)
    assert detail["containment"]["commands"] == decision["commands"]
    assert f"did not take back what the call gave (role {role.name})" in detail["text"]


def test_a_denial_that_is_put_on_a_group_is_left_with_one_command(contained):
    """The command deletes it; no runbook contains a group, and none is quarantined."""
    group = contained.group()
    parameters = {"GroupName": group, "PolicyName": "p", "PolicyDocument": document(DENIAL)}
    _, decision = once(contained, contained.person(), "put_group_policy", **parameters)
    assert decision["decision"] == "left"
    assert decision["commands"] == [f"aws iam delete-group-policy --group-name {group} --policy-name p"]


def test_an_old_event_is_reported_and_not_acted_on(contained, admin):
    """Somebody may have put things right since; the command is what the guard would have done."""
    mallory = contained.person()
    key = mallory.iam.create_access_key(UserName=admin.name)["AccessKey"]
    (event,) = contained.events()
    decision = contained.contain(made(event, timedelta(minutes=16)))
    assert decision["decision"] == "left"
    assert decision["reason"].startswith("the call is older than 15 minutes")
    assert decision["commands"][0].endswith("--status Inactive")
    assert contained.status(admin.name, key) == "Active"
    contained.iam.delete_access_key(UserName=admin.name, AccessKeyId=key["AccessKeyId"])


def test_the_guards_own_roles_are_left_alone(contained):
    """The guard leaves what a call puts on them, even if it is only what was there before."""
    mallory = contained.person()
    before = contained.backend.get_role("iam-guard").policies["iam-guard"]
    text = before if isinstance(before, str) else json.dumps(before)
    parameters = {"RoleName": "iam-guard", "PolicyName": "iam-guard", "PolicyDocument": text}
    _, decision = once(contained, mallory, "put_role_policy", **parameters)
    assert decision["reason"].startswith("the guard's own roles")
    assert "iam-guard" in contained.backend.get_role("iam-guard").policies
    parameters = {"RoleName": "stacksets-exec-0123", "AssumeRolePolicyDocument": TRUST}
    _, decision = once(contained, mallory, "create_role", **parameters)
    assert decision["decision"] == "left"
    assert not contained.quarantined("role", "stacksets-exec-0123")
