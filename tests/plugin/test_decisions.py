"""A decision's line in the log."""

import copy
import json

from helpers import case, edit

from c7n_iamguard.decisions import facts, log_line

BOB = case("revoked-create-user")


def test_facts_of_anything_are_texts_of_bounded_length():
    """A log line holds only text, cut short, whatever the event has there."""
    event = edit(copy.deepcopy(BOB), "detail.eventName", "x" * 5000)
    event["detail"]["eventID"] = {"not": "a text"}
    assert facts(event) == {"eventName": "x" * 256, "eventTime": BOB["detail"]["eventTime"]}
    assert facts(None) == facts([1]) == facts({"detail": 5}) == {}


def test_a_decision_is_one_line_of_json():
    """A line holds what was given and the event's facts, and leaves out what is unknown."""
    bob = case("revoked-create-user")  # of now
    text = log_line("revoked", bob, user="bob\nx", how=None)
    assert "\n" not in text
    found = json.loads(text)
    assert 0 <= found.pop("delay") < 900
    assert found == {
        "decision": "revoked",
        "user": "bob\nx",
        "eventID": "00000000-0000-4000-8000-000000000001",
        "eventName": "CreateUser",
        "eventTime": bob["detail"]["eventTime"],
    }


def test_a_log_line_says_for_whom_a_session_acts():
    """The session, source identity, person and service stand in the line; a record that names nobody has none."""
    event = case("would-revoke-session", "revoke-unintended-iam-access-of-roles")
    identity = event["detail"]["userIdentity"]
    identity |= {"invokedBy": "cloudformation.amazonaws.com", "onBehalfOf": {"userId": "u-1"}}
    identity["sessionContext"]["sourceIdentity"] = "ada"
    expected = {"session": "session", "sourceIdentity": "ada", "onBehalfOf": "u-1"}
    expected["invokedBy"] = "cloudformation.amazonaws.com"
    assert json.loads(log_line("failed", event)).items() >= expected.items()
    del identity["arn"], identity["sessionContext"]
    assert not expected.keys() & json.loads(log_line("failed", event)).keys()
