"""The health report: what keeps a function of the guard from being invoked shows in it."""

import time

import pytest
from c7n.resources import load_resources
from helpers import FUNCTION, function_names, policy, shipped
from kept import functions as kept_functions

OF_FUNCTION = {"FunctionName": FUNCTION}


@pytest.fixture
def report(fresh, monkeypatch):
    """``report()``: what the shipped policy finds about the main function, in this process."""
    put_back = kept_functions(fresh.account, fresh.region)
    load_resources(("aws.lambda",))

    def run():
        found = policy(shipped("list-iam-guard-functions"), fresh.environ(), monkeypatch).resource_manager
        health = {each["FunctionName"]: each["c7n:IAMGuardHealth"] for each in found.resources()}
        assert set(health) == set(function_names(fresh, fresh.account))
        return health[FUNCTION]

    yield run
    put_back()


def test_a_healthy_function_has_no_problem(report, fresh):
    """Rule, target and permission are in place, and the last run is what the log says."""
    found = report()
    assert (found["rule"], found["target"], found["permission"]) == ("ENABLED", True, True)
    assert found["problem"] == "none"
    logs, stream = (
        fresh.client("logs"),
        {"logGroupName": f"/aws/lambda/{FUNCTION}", "logStreamName": "health"},
    )
    logs.create_log_stream(**stream)
    now = int(time.time() * 1000)
    logs.put_log_events(**stream, logEvents=[{"timestamp": now, "message": "{}"}])
    assert report()["last-run"].startswith(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now / 1000)))


BREAK = {
    "its rule is disabled": ("events", "disable_rule", {"Name": FUNCTION}),
    "its rule does not have it as target": ("events", "remove_targets", {"Rule": FUNCTION, "Ids": [FUNCTION]}),
    "its rule may not invoke it": ("lambda", "remove_permission", {**OF_FUNCTION, "StatementId": FUNCTION}),
    "its reserved concurrency is 0": (
        "lambda", "put_function_concurrency", {**OF_FUNCTION, "ReservedConcurrentExecutions": 0}
    ),
}  # fmt: skip


@pytest.mark.parametrize("problem", BREAK)
def test_what_keeps_a_function_from_being_invoked_is_said(report, fresh, problem):
    """Each way in which nothing invokes the function any more is a sentence in the report."""
    service, operation, parameters = BREAK[problem]
    getattr(fresh.client(service), operation)(**parameters)
    assert report()["problem"] == problem
