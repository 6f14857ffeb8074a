"""Somebody fights the guard. Each move of docs/attacks.md, played with the attacker's own credentials.

The functions run from their uploaded zips under AWS's runtime client; what an attacker may do is decided
by the sandbox's authorization. Moves on the admin group are in test_protect_admin_group.py.
"""

import json

import pytest
from botocore.exceptions import ClientError
from helpers import (
    HARMLESS,
    decisions,
    denied,
    deny_arn,
    fill_inline,
    fill_managed,
    moto_policies,
    moto_user,
    outcomes,
    play,
    revoked,
)

# Full quotas


def test_full_policies_of_both_kinds_leave_the_boundary(fresh, attacker):
    """Both quotas full: the permissions boundary takes IAM away, and nothing else."""
    fill_managed(fresh, "mallory")
    fill_inline(fresh, "mallory")
    assert not denied(attacker)
    (decision, *_) = decisions(play(fresh))
    assert decision["how"] == "boundary"
    assert decision["rungs"] == {
        "managed": "LimitExceeded: Cannot exceed quota for PoliciesPerUser: 10",
        "inline": "LimitExceeded: Maximum policy size of 2048 bytes exceeded for user mallory",
        "boundary": "set",
    }
    assert denied(attacker)
    fresh.client("s3", attacker.key).list_buckets()


def boundary(sandbox, name, document):
    """Set a permissions boundary of some document on a user."""
    iam = sandbox.client("iam")
    arn = f"arn:aws:iam::{sandbox.account}:policy/their-boundary"
    if arn in moto_policies(sandbox):
        del moto_policies(sandbox)[arn]
    iam.create_policy(PolicyName="their-boundary", PolicyDocument=json.dumps(document))
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=arn)
    return arn


def test_another_boundary_that_withholds_iam_is_enough(fresh, attacker):
    """Both quotas full, and a boundary that leaves no IAM: it stays, and the record says so."""
    fill_managed(fresh, "mallory")
    fill_inline(fresh, "mallory")
    arn = boundary(
        fresh, "mallory", {**HARMLESS, "Statement": [{**HARMLESS["Statement"][0], "Action": "s3:*"}]}
    )
    fresh.functions.cool()
    with pytest.raises(ClientError, match="AccessDenied"):
        attacker.iam.create_user(UserName="helper")
    (decision,) = decisions(play(fresh))
    assert (decision["how"], decision["rungs"]["boundary"]) == ("boundary", f"kept {arn}")
    assert fresh.client("iam").get_user(UserName="mallory")["User"]["PermissionsBoundary"]


def test_another_boundary_that_lets_iam_through_is_kept_and_the_event_fails_loudly(fresh, attacker):
    """Both quotas full, and a boundary that denies nothing: nothing is loosened, and the event fails."""
    fill_managed(fresh, "mallory")
    fill_inline(fresh, "mallory")
    arn = boundary(fresh, "mallory", HARMLESS)
    fresh.functions.cool()
    attacker.iam.create_user(UserName="helper")
    event = next(e for e in fresh.pending if e["detail"]["eventName"] == "CreateUser")
    fresh.pending.clear()
    (invocation,) = fresh.deliver(event)
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert f"{arn}, version v1, does not deny iam:*" in invocation.log
    kept = fresh.client("iam").get_user(UserName="mallory")["User"]["PermissionsBoundary"]
    assert kept["PermissionsBoundaryArn"] == arn


def test_an_inline_policy_of_the_guards_name_is_overwritten(fresh, attacker):
    """A user who takes the name DenyIAM beforehand gains nothing."""
    fill_managed(fresh, "mallory")
    attacker.iam.put_user_policy(
        UserName="mallory", PolicyName="DenyIAM", PolicyDocument=json.dumps(HARMLESS)
    )
    assert decisions(play(fresh))[0]["how"] == "inline"
    assert denied(attacker)


# The deny policy


@pytest.fixture
def deny_policy(fresh):
    """The ARN of the managed deny policy; after the test, no function remembers what it saw there."""
    yield deny_arn(fresh)
    fresh.functions.cool()


def test_a_tampered_deny_policy_is_not_trusted(fresh, attacker, deny_policy):
    """A new default version that allows everything: the very event that tells of it is answered inline."""
    attacker.iam.create_policy_version(
        PolicyArn=deny_policy, PolicyDocument=json.dumps(HARMLESS), SetAsDefault=True
    )
    (decision, *_) = decisions(play(fresh))
    assert decision["how"] == "inline"
    assert "does not deny iam:*" in decision["rungs"]["managed"]
    assert denied(attacker)


# Stripping the deny


def test_stripping_the_deny_ten_times_brings_it_back_ten_times(fresh, attacker):
    """Ten rounds of detaching, each within the seconds that IAM takes, end with the denial in place."""
    attacker.iam.create_user(UserName="helper")
    play(fresh)
    for _ in range(10):
        assert revoked(fresh, "mallory") == ["managed"]
        # The attacker's call takes the policy off, because IAM has not caught up yet …
        moto_user(fresh, "mallory").managed_policies.pop(deny_arn(fresh))
        # … and it is an IAM call, too: CloudTrail records it, whatever comes of it.
        with pytest.raises(ClientError, match="NoSuchEntity"):
            attacker.iam.detach_user_policy(UserName="mallory", PolicyArn=deny_arn(fresh))
        play(fresh)
    assert denied(attacker)


# Other moves
