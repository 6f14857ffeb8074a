"""The functions on a schedule: the catch-ups, in this process."""

import pytest
from helpers import backend, moto_user, policy, shipped

from c7n_iamguard.history import lookup_events
from sandbox.server import Fault

CATCH_UP = "catch-up-unintended-iam-access"
USERS = [{"not": ["iam-access-revoked"]}, {"type": "unintended-iam-calls", "groups": ["Admins"]}]


@pytest.fixture
def catch_up(history, monkeypatch, tmp_path, attacker, fresh):
    """``catch_up(account)``: the catch-up, on condition that it runs in an account; mallory's call was missed."""
    attacker.iam.create_user(UserName="backdoor")
    history.pass_by()

    def make(account=fresh.account):
        condition = {"type": "value", "key": "account_id", "value": account}
        data = {**shipped(CATCH_UP), "conditions": [condition], "filters": USERS, "actions": []}
        data["mode"] = {**data["mode"], "role": "arn:aws:iam::1:role/x"}
        return policy(data, fresh.environ(), monkeypatch, output_dir=str(tmp_path)).get_execution_mode()

    return make


def test_a_catch_up_keeps_to_the_policys_conditions(catch_up):
    """A policy with conditions that do not hold here acts on nobody."""
    assert [user["UserName"] for user in catch_up().run({})] == ["mallory"]
    assert catch_up("000000000000").run({}) == []


def test_a_run_that_fails_is_a_line_in_the_log_and_an_error(catch_up, fresh, logged):
    """The alarms count the line, and Lambda the error."""
    fresh.faults.append(Fault("iam:GetAccountAuthorizationDetails", "AccessDenied", 403))
    with pytest.raises(Exception, match="AccessDenied"):
        catch_up().run({})
    (line,) = logged()
    assert (line["decision"], line["policy"], line["account"]) == ("failed", CATCH_UP, fresh.account)
    assert line["reason"].startswith("ClientError: ")


@pytest.mark.parametrize("fate", ["renamed", "deleted"])
def test_a_name_that_changes_hands_while_the_history_is_read_betrays_nobody(
    catch_up, fresh, user, monkeypatch, logged, fate
):
    """mallory's name is an admin's by the time of the actions: they get mallory by id, or nobody if she is gone."""
    user("ada", groups=["Admins"])
    iam, answer, told = fresh.client("iam"), lookup_events.History.answer, []

    def swap(self, request):
        if fate == "renamed":
            iam.update_user(UserName="mallory", NewUserName="m2")
        else:
            del backend(fresh).users["mallory"]
        iam.update_user(UserName="ada", NewUserName="mallory")
        return answer(self, request)

    monkeypatch.setattr(lookup_events.History, "answer", swap)
    mode, mallory = catch_up(), moto_user(fresh, "mallory").id
    monkeypatch.setattr(mode, "run_actions", told.extend)
    found = [(each["UserName"], each["UserId"], len(each["c7n:IAMCalls"])) for each in mode.run({})]
    assert found == ([("m2", mallory, 1)] if fate == "renamed" else [])
    assert [each["UserName"] for each in told] == (["m2"] if fate == "renamed" else [])
    assert [line["decision"] for line in logged()] == ([] if fate == "renamed" else ["let-pass"])
