"""Somebody fights the guard. Each move of docs/attacks.md, played with the attacker's own credentials.

The functions run from their uploaded zips under AWS's runtime client; what an attacker may do is decided
by the sandbox's authorization. Moves on the admin group are in test_protect_admin_group.py.
"""

import json

import pytest
from botocore.exceptions import ClientError
from contained import document
from helpers import (
    FUNCTION,
    HARMLESS,
    case,
    decisions,
    denied,
    deny_arn,
    edit,
    fill_inline,
    fill_managed,
    moto_user,
    old,
    outcomes,
    play,
    revoked,
    state,
)


@pytest.fixture
def full(fresh, attacker):
    """The attacker, who has no room for another policy of either kind."""
    fill_managed(fresh, "mallory")
    fill_inline(fresh, "mallory")
    return attacker


def test_full_policies_of_both_kinds_leave_the_boundary(fresh, full):
    """Both quotas full: the permissions boundary takes IAM away, and nothing else."""
    assert not denied(full)
    (decision, *_) = decisions(play(fresh))
    assert decision["how"] == "boundary"
    assert decision["rungs"] == {
        "managed": "LimitExceeded: Cannot exceed quota for PoliciesPerUser: 10",
        "inline": "LimitExceeded: Maximum policy size of 2048 bytes exceeded for user mallory",
        "boundary": "set",
    }
    assert denied(full)
    fresh.client("s3", full.key).list_buckets()


def boundary(sandbox, name, action):
    """Give mallory a permissions boundary of their own, which leaves them one action."""
    iam = sandbox.client("iam")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document(action))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="mallory", PermissionsBoundary=arn)
    return arn


def test_another_boundary_that_withholds_iam_is_enough(fresh, full):
    """Both quotas full, and a boundary that leaves no IAM: it stays, and the record says so."""
    arn = boundary(fresh, "withholds", "s3:*")
    assert denied(full)
    (decision,) = decisions(play(fresh))
    assert (decision["how"], decision["rungs"]["boundary"]) == ("boundary", f"kept {arn}")
    assert state(fresh, "mallory")["user"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn


def test_another_boundary_that_lets_iam_through_is_kept_and_the_event_fails_loudly(fresh, full):
    """Both quotas full, and a boundary that denies nothing: nothing is loosened, and the event fails."""
    arn = boundary(fresh, "lets-through", "*")
    full.iam.create_user(UserName="helper")
    (invocation,) = fresh.deliver()
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert f"{arn}, version v1, does not deny iam:*" in invocation.log
    assert state(fresh, "mallory")["user"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn


def test_an_inline_policy_of_the_guards_name_is_overwritten(fresh, attacker):
    """A user who takes the name DenyIAM beforehand gains nothing."""
    fill_managed(fresh, "mallory")
    attacker.iam.put_user_policy(
        UserName="mallory", PolicyName="DenyIAM", PolicyDocument=json.dumps(HARMLESS)
    )
    assert decisions(play(fresh))[0]["how"] == "inline"
    assert denied(attacker)


def test_a_tampered_deny_policy_is_not_trusted(fresh, attacker):
    """A new default version that allows everything is answered inline by the very event that tells of it.

    The event that tells of the repair makes the policy trusted again.
    """
    arn = deny_arn(fresh)
    attacker.iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(HARMLESS), SetAsDefault=True)
    (decision, *_) = decisions(play(fresh))
    assert decision["how"] == "inline"
    assert "does not deny iam:*" in decision["rungs"]["managed"]
    assert denied(attacker)
    fresh.client("iam").set_default_policy_version(PolicyArn=arn, VersionId="v1")
    fresh.deliver(edit(case("revoked-create-user"), "detail.requestParameters", {"policyArn": arn}))
    assert revoked(fresh, "bob") == ["managed"]


def test_stripping_the_deny_brings_it_back_each_time(fresh, attacker):
    """Detaching it within the seconds that IAM takes ends with the denial in place."""
    attacker.iam.create_user(UserName="helper")
    play(fresh)
    for _ in range(2):
        assert revoked(fresh, "mallory") == ["managed"]
        # The attacker's call takes the policy off, because IAM has not caught up yet …
        moto_user(fresh, "mallory").managed_policies.pop(deny_arn(fresh))
        # … and it is an IAM call, too: CloudTrail records it, whatever comes of it.
        with pytest.raises(ClientError, match="NoSuchEntity"):
            attacker.iam.detach_user_policy(UserName="mallory", PolicyArn=deny_arn(fresh))
        play(fresh)
    assert denied(attacker)


def test_nobody_is_revoked_while_the_pinned_group_is_gone(fresh, attacker):
    """The group is deleted, and made again under its name: events fail, and say what to do."""
    attacker.iam.create_user(UserName="helper")
    play(fresh)  # from now on, the function knows how IAM writes the group's name
    iam = fresh.client("iam")
    iam.remove_user_from_group(GroupName="Admins", UserName="alice")
    iam.delete_group(GroupName="Admins")
    iam.create_group(GroupName="Admins")
    iam.add_user_to_group(GroupName="Admins", UserName="alice")
    for name, who in (("let-pass-admin", "alice"), ("revoked-create-user", "bob")):
        invocation = fresh.functions.invoke(FUNCTION, case(name))
        assert outcomes(invocation) == "failed failed failed dead-lettered"
        assert "the admin group 'Admins'" in invocation.log
        assert "put the group right and deploy the policy again" in invocation.log
        assert revoked(fresh, who) == []


def test_a_replayed_event_changes_nothing(fresh):
    """An archive of EventBridge replays an old event: it is let pass, and the log says why."""
    event = case("revoked-create-user") | {"replay-name": "incident-7"}
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert invocation.decisions[0]["reason"] == "replayed from an archive of EventBridge"
    assert revoked(fresh, "bob") == []


def test_an_old_event_that_names_nobody_by_id_fails(fresh):
    """A redriven event without principalId: the user of that name may be somebody else by now."""
    event = edit(old(case("revoked-create-user")), "detail.userIdentity.principalId", ...)
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert invocation.dead_lettered
    assert "does not say by id which user bob was" in invocation.log
    assert revoked(fresh, "bob") == []
