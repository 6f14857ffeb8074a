"""The action revoke-iam-access in this process: its records, and whom it leaves alone."""

import pytest
from helpers import case, revoked

from c7n_iamguard.event import IAMEvent


@pytest.fixture
def action(in_process):
    """``action("aws.iam-role", observe=…)``: the action in a policy of its own."""

    def make(resource="aws.iam-user", **options):
        data = {"type": "revoke-iam-access", "bulk": True, **options}
        return in_process(resource=resource, actions=[data]).resource_manager.actions[0]

    return make


def test_the_output_has_a_record_per_revocation(action, user):
    """The action returns, and so leaves in the output, who was denied IAM, how, and by which event."""
    user("olga")
    event = case("revoked-create-user")
    assert action().process([{"UserName": "olga"}], event) == [
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


def test_a_user_who_vanishes_during_a_bulk_run_is_let_pass(action, logged):
    """A user who was deleted since the run listed them is one line in the log, no record and no failure."""
    assert action().process([{"UserName": "long-gone"}]) == []
    lines = [(line["decision"], line["user"], line["reason"]) for line in logged()]
    assert lines == [("let-pass", "long-gone", "the user does not exist any more")]


@pytest.mark.parametrize("gone", [True, False])
def test_nobody_of_that_name_is_denied_for_another_ones_call(action, user, sandbox, gone):
    """A filter has found that the caller has another name now, or IAM says so: the mode looks for them by id."""
    event = IAMEvent(case("revoked-create-user"))
    event.gone = gone
    user("heir")
    assert action().process([{"UserName": "heir" if gone else "nobody"}], event) == []
    assert event.gone
    assert revoked(sandbox, "heir") == []


ONLY_AWS = ("cannot-revoke", "observed: only AWS can change this role")


@pytest.mark.parametrize(
    ("path", "observe", "expected"),
    [
        ("/aws-reserved/sso.amazonaws.com/", True, ONLY_AWS),
        ("/aws-service-role/x.amazonaws.com/", True, ONLY_AWS),
        ("/", True, ("would-revoke", None)),
        ("/", False, ("revoked", None)),
    ],
)
def test_what_nobody_could_deny_is_said_while_observing_too(sandbox, action, logged, path, observe, expected):
    """A role that only AWS can change: a person has to act, whatever the policy does."""
    made = sandbox.create_role("lea", path=path)
    action("aws.iam-role", observe=observe).process([made])
    (line,) = logged()
    assert (line["decision"], line.get("reason")) == expected
