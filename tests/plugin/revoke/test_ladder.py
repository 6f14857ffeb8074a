"""The action revoke-iam-access in this process: each rung of the ladder, its retries and its errors."""

import json

import pytest
from c7n.exceptions import PolicyExecutionError
from helpers import moto_user, revoked, state

from c7n_iamguard import aws_names
from sandbox.server import Fault

FULL = [
    Fault(f"iam:{operation}", "LimitExceeded", 409) for operation in ("AttachUserPolicy", "PutUserPolicy")
]


@pytest.fixture
def revoke(sandbox, in_process, user):
    """``revoke("name", *faults, deny=…)``: deny a new user IAM, as a bulk run does, while IAM has faults."""

    def run(name, *faults, **options):
        user(name)
        sandbox.faults[:] = faults
        data = {"type": "revoke-iam-access", "bulk": True, **options}
        (action,) = in_process(actions=[data]).resource_manager.actions
        return action.process([{"UserName": name}])

    return run


def test_what_is_to_be_denied_reaches_the_inline_policy(sandbox, revoke):
    """A managed policy that denies less than ``deny`` is not used, and the inline policy denies all of it."""
    (record,) = revoke("dora", deny=["iam:*", "sts:AssumeRole"])
    assert record["how"] == "inline"
    assert "does not deny iam:*, sts:AssumeRole" in record["rungs"]["managed"]
    document = json.loads(moto_user(sandbox, "dora").policies[aws_names.INLINE_POLICY])
    assert [statement["Action"] for statement in document["Statement"]] == [["iam:*", "sts:AssumeRole"]]


CONFLICTS = {
    "AttachUserPolicy": ([], "managed"),
    "PutUserPolicy": (FULL[:1], "inline"),
    "GetUser": (FULL, "boundary"),
    "PutUserPermissionsBoundary": (FULL, "boundary"),
}


@pytest.mark.parametrize("operation", CONFLICTS)
def test_a_conflict_is_tried_again_on_the_same_rung(revoke, monkeypatch, operation):
    """Somebody else changes the user at the same time: the call is repeated, and its rung holds."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    full, how = CONFLICTS[operation]
    conflict = Fault(f"iam:{operation}", "ConcurrentModification", 409, times=1)
    (record,) = revoke("cora", conflict, *full)
    assert record["how"] == how
    assert conflict.hits == 1


def test_a_boundary_that_cannot_be_attached_is_the_end_of_the_ladder(sandbox, revoke):
    """If IAM does not take the boundary either, the run fails, and says what came of every rung."""
    refusal = Fault("iam:PutUserPermissionsBoundary", "PolicyNotAttachable")
    with pytest.raises(
        PolicyExecutionError, match=r"no rung of the ladder holds for nora: .*PolicyNotAttach"
    ):
        revoke("nora", *FULL, refusal)
    sandbox.faults.clear()
    assert revoked(sandbox, "nora") == []
    assert "PermissionsBoundary" not in state(sandbox, "nora")["user"]
