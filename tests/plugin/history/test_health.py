"""The health report: what keeps a function of the guard from being invoked shows in it."""

import json
import time

import pytest
from helpers import FUNCTION, function_names, stock
from kept import functions as kept_functions

NAME, OF_FUNCTION = "list-iam-guard-functions", {"FunctionName": FUNCTION}


@pytest.fixture
def report(fresh, tmp_path):
    """``report()``: what stock custodian finds about the main function, by the shipped policy."""
    put_back = kept_functions(fresh.account, fresh.region)

    def run():
        done = stock(
            "custodian", "run", "-s", tmp_path, "-r", fresh.region, "--cache-period", "0",
            f"policies/{NAME}.yml", environ=fresh.environ(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = {f["FunctionName"]: f for f in json.loads((tmp_path / NAME / "resources.json").read_text())}
        assert set(found) == set(function_names(fresh, fresh.account))
        return found[FUNCTION]["c7n:IAMGuardHealth"]

    yield run
    put_back()


def test_a_healthy_function_has_no_problem(report, fresh):
    """Rule, target and permission are in place, and the last run is what the log says."""
    found = report()
    assert (found["rule"], found["target"], found["permission"]) == ("ENABLED", True, True)
    assert found["problem"] == "none"
    logs, group = fresh.client("logs"), f"/aws/lambda/{FUNCTION}"
    logs.create_log_stream(logGroupName=group, logStreamName="health")
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=group, logStreamName="health", logEvents=[{"timestamp": now, "message": "{}"}]
    )
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
