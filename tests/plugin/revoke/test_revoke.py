"""The action revoke-iam-access in this process: its records, and whom it leaves alone."""

import pytest
from helpers import case, revoked

from c7n_iamguard.event import IAMEvent


def test_the_output_has_a_record_per_revocation(in_process, user, tmp_path):
    """The action returns, and so leaves in the output, who was denied IAM, how, and by which event."""
    user("olga")
    policy = in_process(actions=[{"type": "revoke-iam-access", "bulk": True}])
    (action,) = policy.resource_manager.actions
    event = case("revoked-create-user")
    assert action.process([{"UserName": "olga"}], event) == [
        {
            "UserName": "olga",
            "decision": "revoked",
            "how": "managed",
            "rungs": {"managed": "attached"},
            "eventID": "00000000-0000-4000-8000-000000000001",
            "eventName": "CreateUser",
            "eventTime": event["detail"]["eventTime"],
        }
    ]


def test_a_user_who_vanishes_during_a_bulk_run_is_let_pass(in_process, logged):
    """A user who was deleted since the run listed them is one line in the log, no record and no failure."""
    (action,) = in_process(actions=[{"type": "revoke-iam-access", "bulk": True}]).resource_manager.actions
    assert action.process([{"UserName": "long-gone"}]) == []
    lines = [(line["decision"], line["user"], line["reason"]) for line in logged()]
    assert lines == [("let-pass", "long-gone", "the user does not exist any more")]


@pytest.mark.parametrize("gone", [True, False])
def test_nobody_of_that_name_is_denied_for_another_ones_call(in_process, user, sandbox, gone):
    """A filter has found that the caller has another name now, or IAM says so: the mode looks for them by id."""
    (action,) = in_process(actions=[{"type": "revoke-iam-access", "bulk": True}]).resource_manager.actions
    event = IAMEvent(case("revoked-create-user"))
    event.gone = gone
    user("heir")
    assert action.process([{"UserName": "heir" if gone else "nobody"}], event) == []
    assert event.gone
    assert revoked(sandbox, "heir") == []


@pytest.mark.parametrize(
    ("path", "observe", "expected"),
    [
        (
            "/aws-reserved/sso.amazonaws.com/",
            True,
            ("cannot-revoke", "observed: only AWS can change this role"),
        ),
        (
            "/aws-service-role/x.amazonaws.com/",
            True,
            ("cannot-revoke", "observed: only AWS can change this role"),
        ),
        ("/", True, ("would-revoke", None)),
        ("/", False, ("revoked", None)),
    ],
)
def test_what_nobody_could_deny_is_said_while_observing_too(
    sandbox, in_process, logged, path, observe, expected
):
    """A role that only AWS can change: a person has to act, whatever the policy does."""
    made, data = (
        sandbox.create_role("lea", path=path),
        {"type": "revoke-iam-access", "bulk": True, "observe": observe},
    )
    (action,) = in_process(resource="aws.iam-role", actions=[data]).resource_manager.actions
    action.process([made])
    (line,) = logged()
    assert (line["decision"], line.get("reason")) == expected
