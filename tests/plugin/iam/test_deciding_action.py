"""The common part of the actions that decide, in this process."""

import logging

import pytest
from c7n.exceptions import PolicyExecutionError

from c7n_iamguard.decisions import ANNOTATION


@pytest.fixture
def action(in_process):
    """``action(observe=…)``: an action that decides."""

    def make(**options):
        data = {"type": "revoke-iam-access", "bulk": True, **options}
        return in_process(actions=[data]).resource_manager.actions[0]

    return make


@pytest.mark.parametrize(
    ("says", "observes"),
    [(True, True), (False, False), ([True, False], True), ([False, True], True), ([False, False], False)],
)
def test_an_action_observes_if_one_of_several_settings_says_so(action, says, observes):
    """``observe`` may be a list: the containment never acts on callers whom their own policy observes."""
    assert action(observe=says).observes is observes


def test_everybody_is_tried_before_the_failure_is_raised(action):
    """One who fails does not save the others; the run fails in the end, and None is no record."""
    tried = []

    def attempt(user):
        tried.append(user)
        return {"a": ValueError("no"), "b": None}.get(user, {"UserName": user})

    with pytest.raises(PolicyExecutionError, match=r"policy:a-policy could not deny 1 of 3 users; .*: no"):
        action().try_all(["a", "b", "c"], attempt, "deny")
    assert sorted(tried) == ["a", "b", "c"]
    assert action().try_all(["b", "c"], attempt, "deny") == [{"UserName": "c"}]


@pytest.mark.parametrize(("verdict", "level"), [("failed", logging.ERROR), ("revoked", logging.INFO)])
def test_a_decision_is_on_the_resource_on_the_event_and_in_the_log(action, logged, caplog, verdict, level):
    """The next actions find it, and so do the mode and the operator."""
    user, decide = {"UserName": "bob"}, action().record_decision
    decide(verdict, user, None, how=None)
    assert user[ANNOTATION] == {"decision": verdict}
    event = type("Event", (dict,), {"failed": False, "decided": False})()
    decide(verdict, user, event, how="inline")
    assert user[ANNOTATION] == {"decision": verdict, "how": "inline"}
    assert (event.failed, event.decided) == (verdict == "failed", verdict != "failed")
    assert {record.levelno for record in caplog.records if record.name == "c7n_iamguard"} == {level}
    (_, line) = logged()
    assert (line["decision"], line["user"], line["how"]) == (verdict, "bob", "inline")
