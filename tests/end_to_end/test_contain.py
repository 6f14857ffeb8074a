"""Containing unintended calls, by the deployed functions: what each call gave is gone, and nothing else is."""

import json
from datetime import timedelta

import pytest
from contained import ACCOUNT, QUARANTINE, TRUST, once
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


# Reversals


def test_a_new_user_and_a_new_role_are_quarantined_and_not_deleted(contained):
    """They may do nothing, whatever they get. The decision and the bus have the command that lifts it."""
    mallory = contained.person()
    eve, role = f"eve-{mallory.name}", f"door-{mallory.name}"
    _, decision = once(contained, mallory, "create_user", UserName=eve)
    assert contained.quarantined("user", eve)
    lift = f"aws iam detach-user-policy --user-name {eve} --policy-arn {QUARANTINE}"
    assert decision["reverse"] == [lift]
    (put,) = [call for call in contained.sandbox.calls if call.action == "PutEvents"]
    (entry,) = put.params["Entries"]
    detail = json.loads(entry["Detail"])
    DETAIL.validate(detail)
    assert (entry["DetailType"], detail["commands"]["restore"]) == ("Unintended IAM call contained", lift)
    _, decision = once(contained, mallory, "create_role", RoleName=role, AssumeRolePolicyDocument=TRUST)
    assert contained.quarantined("role", role)
    assert decision["target"] == f"role {role}"


def test_undoing_takes_three_calls_at_most(contained):
    """Beside the two calls that judge a user; roles are judged without a call."""
    mallory, role = contained.person(), contained.role()
    for caller, judging in ((mallory, ["ListGroupsForUser", "GetGroup"]), (role, [])):
        for number in range(2):  # the first one may find that the quarantine is to be looked at again
            once(contained, caller, "create_user", UserName=f"x{number}-{caller.name}")
        assert contained.calls == [*judging, "GetUser", "ListGroupsForUser", "AttachUserPolicy"]


# Calls that are left


def test_a_changed_trust_is_left_with_a_repair_and_a_containment(contained):
    """The first command repairs the trust, the second contains the role by AWS's runbook."""
    mallory, role = contained.person(), contained.role()
    _, decision = once(
        contained, mallory, "update_assume_role_policy", RoleName=role.name, PolicyDocument=TRUST
    )
    repair, contain = decision["commands"]
    assert repair.startswith(f"aws iam update-assume-role-policy --role-name {role.name} ")
    assert f"'PrincipalType=IAM role,PrincipalName={role.name},Action=Contain,DryRun=false," in contain


def test_an_old_event_is_reported_and_not_acted_on(contained):
    """Somebody may have put things right since; the command is what the guard would have done."""
    mallory, admin = contained.person(), contained.person(name="admin", groups=["admins"])
    key = mallory.iam.create_access_key(UserName=admin.name)["AccessKey"]
    (event,) = contained.events()
    decision = contained.contain(made(event, timedelta(minutes=16)))
    assert decision["decision"] == "left"
    assert decision["reason"].startswith("the call is older than 15 minutes")
    assert decision["commands"][0].endswith("--status Inactive")
    assert contained.status(admin.name, key) == "Active"


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
