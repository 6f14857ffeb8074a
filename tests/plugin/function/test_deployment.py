"""The deployment of a function, and how it runs the actions of its policy. In this process."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from c7n.actions import EventAction
from helpers import REVOKE, event_time, policy, shipped

from c7n_iamguard.errors import Refusal
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.function.deployment import foreseen
from c7n_iamguard.iam import client

CATCH_UP = "catch-up-unintended-iam-access"
OF_ROLES = f"{REVOKE}-of-roles"


@pytest.fixture
def mode(sandbox, unchanged, monkeypatch):
    """``mode(name, **settings)``: the mode of a shipped policy, in the sandbox's account."""

    def make(name=REVOKE, region="us-east-1", **settings):
        data = shipped(name, **settings)
        return policy(data, sandbox.environ(), monkeypatch, region=region).get_execution_mode()

    return make


@pytest.mark.parametrize(
    ("region", "problem"),
    [("eu-west-1", "deploy it with -r us-east-1"), ("us-iso-east-1", "nobody knows which region")],
)
def test_a_function_is_deployed_where_iams_events_are(mode, region, problem):
    """In any other region nothing would invoke it; of an unknown partition nobody knows the region."""
    with pytest.raises(Refusal, match=problem):
        mode(region=region).check_region()
    assert mode().check_region() is None


WITHOUT_OWN = [{"exists": False}, {"anything-but": ["AROA1"]}]


@pytest.mark.parametrize(
    ("name", "roles", "rule"),
    [
        (OF_ROLES, {"iam-guard": "AROA1", "iam-guard-contain": "AROA3"}, WITHOUT_OWN),
        (OF_ROLES, {"Terraform": "AROA2"}, None),
        (f"{CATCH_UP}-of-roles", {"iam-guard": "AROA1"}, None),
    ],
)
def test_the_rule_leaves_out_the_functions_own_role_and_no_session_without_issuer(mode, name, roles, rule):
    """By id. Anybody may have made a role of the guard's that no stack has made; sessions without id are judged."""
    found = mode(name)
    found.leave_out_own_calls(roles)
    identity = found.policy.data["mode"].get("pattern", {}).get("detail", {}).get("userIdentity", {})
    assert identity.get("sessionContext", {}).get("sessionIssuer", {}).get("principalId") == rule


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ({"Configuration": {"Environment": {"Error": {"Message": "no key"}}}}, "kms:Decrypt"),
        ({"Configuration": {}, "TagsError": {"Message": "no tags"}}, "lambda:ListTags"),
        ({"Configuration": {}, "Tags": {"a": "b"}}, None),
    ],
)
def test_a_function_that_lambda_does_not_show_is_not_replaced(mode, monkeypatch, answer, right):
    """Without its tags or variables, the deployment would forget what it knows."""
    monkeypatch.setitem(client._kept, "lambda", SimpleNamespace(get_function=lambda FunctionName: answer))
    if right:
        with pytest.raises(Refusal, match=f"whoever deploys needs {right}"):
            mode().deployed_function()
    else:
        assert mode().deployed_function() == ({"a": "b"}, None)


HOUR, FUTURE = timedelta(hours=1), -timedelta(days=30)


@pytest.mark.parametrize(("of", "setting"), [("", "observe_users"), ("-of-roles", "observe_people")])
@pytest.mark.parametrize(
    ("observing", "age", "was_observing", "stays"),
    [
        (False, HOUR, False, True), (False, HOUR, True, False), (False, FUTURE, False, False), (False, None, False, False),
        (True, HOUR, False, True), (True, HOUR, True, True), (True, FUTURE, True, False),
    ],
)  # fmt: skip
def test_a_catch_up_judges_since_it_acts(mode, observing, age, was_observing, stays, of, setting):
    """A mark stays, but for one in the future; the end of observing users or people starts the judging anew."""
    mark = age and event_time(age) + " observed" * was_observing
    found = mode(CATCH_UP + of, observe_roles=False, **{setting: observing}).judged_since(mark)
    assert found.endswith(" observed") is observing
    assert (found[:20] == (mark or "")[:20]) is stays
    assert stays or event_time(timedelta(minutes=5)) <= found[:20] <= event_time()


@pytest.mark.parametrize("gone", [False, True])
def test_a_failing_action_keeps_the_next_ones_from_nothing(mode, gone):
    """put-event tells of it, and then the run fails; of somebody who has vanished there is nothing to tell."""

    class Failing(EventAction):
        def process(self, resources, event):
            event.gone = gone
            raise ValueError(resources)

    told = []
    manager = (found := mode()).policy.resource_manager
    manager.actions = [Failing(), SimpleNamespace(process=told.append)]
    with pytest.raises(ValueError, match="bob"):
        found.run_actions(["bob"], IAMEvent({}))
    assert told == ([] if gone else [["bob"]])


@pytest.mark.parametrize(
    ("state", "targets", "problem"),
    [("DISABLED", [1], "is disabled"), ("ENABLED", [], "has no target"), ("ENABLED", [1], "")],
)
def test_a_deployment_warns_of_a_dead_rule(mode, monkeypatch, state, targets, problem):
    """Nobody was judged for some time, and somebody has to know."""
    events = SimpleNamespace(
        describe_rule=lambda Name: {"State": state},
        list_targets_by_rule=lambda Rule: {"Targets": targets},
        exceptions=SimpleNamespace(ResourceNotFoundException=KeyError),
    )
    monkeypatch.setitem(client._kept, "events", events)
    warnings = mode().dead_rule()
    assert [f"its rule {problem}, so" in warning for warning in warnings] == [True] * bool(problem)


REFUSALS = {
    "expired": (("ExpiredToken", "The security token is expired."), "Sign in again"),
    "no right": (("AccessDeniedException", "not authorized to perform: lambda:CreateFunction"), "deploy/access.yml"),
    "throttled": (("TooManyRequestsException", "Rate exceeded"), "Run this again"),
    "no role": (("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."), "Deploy deploy/account.yml first"),
    "too large": (("InvalidParameterValueException", "Unzipped size must be smaller"), "does not take the function: Unzipped size"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_aws_refuses_a_deployment_is_said_in_one_sentence_with_the_fix(mode, case):
    """Bad credentials, missing rights and throttles name the call, the reason and what to do."""
    (code, message), fix = REFUSALS[case]
    error = ClientError({"Error": {"Code": code, "Message": message}}, "CreateFunction")
    said = foreseen(mode().policy, error)
    assert message.rstrip(".") in said
    assert fix in said
    assert ("role" in fix or "account.yml" in fix) or "mode.role" not in said


def test_an_error_of_another_kind_is_not_explained_away(mode):
    """An error that nobody foresaw stays AWS's own; missing credentials are foreseen."""
    bug = ClientError({"Error": {"Code": "ServiceException"}}, "CreateFunction")
    assert foreseen(mode().policy, bug) is None
    assert "AWS_PROFILE" in foreseen(mode().policy, NoCredentialsError())
