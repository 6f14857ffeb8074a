"""The action restore-iam-access in this process: it takes off what the guard put on, and nothing else."""

import json

import pytest
from c7n.exceptions import PolicyExecutionError
from helpers import REVOKED, deny_arn, deny_user, moto_user, state, untagged

from c7n_iamguard.iam import policy_documents
from sandbox.iam import entities as sandbox_iam
from sandbox.server import Fault

THEIR_OWN = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]}


def restore(policy, *users):
    """Run the policy's one action on users as they are listed."""
    (action,) = policy.resource_manager.actions
    return action.process([{"UserName": user} if isinstance(user, str) else user for user in users])


def test_another_managed_policy_can_be_the_deny(fresh, user, in_process, monkeypatch):
    """``policy`` names the one that the filter looks for and the action takes off, on whichever page it is."""
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 1)
    iam, option, arn = fresh.client("iam"), "security/NoIAM", deny_arn(fresh, "security/NoIAM")
    iam.create_policy(PolicyName="NoIAM", Path="/security/", PolicyDocument=policy_documents.deny_document())
    user("pol")
    for attached in (deny_arn(fresh), arn):
        iam.attach_user_policy(UserName="pol", PolicyArn=attached)
    policy = in_process(
        filters=[{"UserName": "pol"}, {"type": "iam-access-revoked", "policy": option}],
        actions=[{"type": "restore-iam-access", "policy": option}],
    )
    (pol,) = policy.resource_manager.resources()
    assert pol[REVOKED] == ["managed"]
    assert restore(policy, pol) == [{"UserName": "pol", "restored": ["managed"]}]
    assert state(fresh, "pol")["managed"] == [deny_arn(fresh)]


def test_somebody_elses_policies_stay_and_the_run_fails(fresh, user, in_process, logged):
    """Another inline policy of the guard's name stays, and the failure says so; another boundary stays."""
    user("sam")
    iam = fresh.client("iam")
    deny_user(fresh, "sam", "managed")
    iam.put_user_policy(UserName="sam", PolicyName="DenyIAM", PolicyDocument=json.dumps(THEIR_OWN))
    iam.put_user_permissions_boundary(UserName="sam", PermissionsBoundary=deny_arn(fresh))
    policy = in_process(actions=["restore-iam-access"])
    with pytest.raises(PolicyExecutionError, match="DenyIAM of sam is not the guard's, and still denies IAM"):
        restore(policy, "sam")
    after = state(fresh, "sam")
    assert json.loads(dict(after["inline"])["DenyIAM"]) == THEIR_OWN
    assert after["user"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == deny_arn(fresh)
    (line,) = logged()
    assert (line["decision"], line["restored"]) == ("failed", ["managed"])
    assert after["managed"] == []


def test_restoring_again_changes_nothing(fresh, user, in_process):
    """A second restoration finds nothing to take off, and is no failure."""
    user("rae")
    before = state(fresh, "rae")
    deny_user(fresh, "rae", "managed", "inline", "boundary")
    policy = in_process(actions=["restore-iam-access"])
    (first,) = restore(policy, "rae")
    assert sorted(first["restored"]) == ["boundary", "inline", "managed"]
    assert restore(policy, "rae") == [{"UserName": "rae", "restored": []}]
    assert untagged(state(fresh, "rae")) == untagged(before)


OF_THE_WAY = ["DeleteUserPermissionsBoundary", "DetachUserPolicy", "GetUserPolicy", "DeleteUserPolicy"]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        *((operation, "NoSuchEntity") for operation in OF_THE_WAY),
        ("DetachUserPolicy", "ConcurrentModification"),
    ],
)
def test_what_others_do_meanwhile_is_no_failure(fresh, user, in_process, monkeypatch, operation, code):
    """A form that is gone when the action takes it off is no failure, and a conflict is tried again."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    user("mel")
    deny_user(fresh, "mel", "managed", "inline", "boundary")
    fresh.faults.append(Fault(f"iam:{operation}", code, 409, times=1))
    (record,) = restore(in_process(actions=["restore-iam-access"]), "mel")
    gone = {"inline"} if operation == "GetUserPolicy" else set()
    assert set(record["restored"]) == {"managed", "inline", "boundary"} - gone
    assert fresh.faults[0].hits == 1


def test_a_user_deleted_since_the_listing_is_no_failure(fresh, user, source, logged):
    """A user who is gone is let pass with the reason in the log, and so is the new owner of their name."""
    user("dan"), user("deb")
    for name in ("dan", "deb"):
        deny_user(fresh, name, "managed")
    policy = source(filters=["iam-access-revoked"], actions=["restore-iam-access"])
    listed = policy.resource_manager.resources()
    gone = moto_user(fresh, "dan").managed_policies
    gone.clear(), moto_user(fresh, "dan").policies.clear()
    iam = fresh.client("iam")
    iam.delete_user(UserName="dan")
    moto_user(fresh, "deb").id = "AIDAANOTHEROFTHATNAME"
    assert restore(policy, *listed) == []
    assert state(fresh, "deb")["managed"] == [deny_arn(fresh)]
    assert [line["reason"] for line in logged()] == ["the user does not exist any more"] * 2
