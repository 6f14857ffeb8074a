"""The sandbox's functions, alarms and metric filters, held against what AWS documents."""

import io
import zipfile

import pytest

from sandbox.cloudwatch import alarms, log_filters

ACCOUNT = "300000000010"
CODE = """
import time
def run(event, context):
    print("begun", flush=True)
    time.sleep(5)
"""


@pytest.fixture(scope="module")
def functions(sandbox):
    """A client of Lambda, in an account with a function that takes too long."""
    packed, client = io.BytesIO(), sandbox.client("lambda", account=ACCOUNT)
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("work.py", CODE)
    sandbox.client("sqs", account=ACCOUNT).create_queue(QueueName="work")
    client.create_function(
        FunctionName="work", Runtime="python3.13", Handler="work.run", Code={"ZipFile": packed.getvalue()},
        Role=sandbox.create_role("work", trust={"Service": "lambda.amazonaws.com"}, account=ACCOUNT)["Arn"],
        Timeout=1, DeadLetterConfig={"TargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:work"},
    )  # fmt: skip
    return client


def test_an_attempt_that_takes_too_long_leaves_a_log_stream(sandbox, functions):
    """The log group has a stream with what function and Lambda say."""
    assert sandbox.functions.attempt("work", {}, ACCOUNT).outcome == "timed out"
    logs, group = sandbox.client("logs", account=ACCOUNT), "/aws/lambda/work"
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    found = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    printed, ended, report = [event["message"] for event in found]
    assert printed == "begun"
    assert ended.endswith(" Task timed out after 1.00 seconds")
    assert report.startswith("REPORT Duration: ")


def test_a_function_without_concurrency_is_throttled(sandbox, functions):
    """Reserved concurrency of 0: nothing runs, and the event goes to the dead-letter queue at once."""
    functions.put_function_concurrency(FunctionName="work", ReservedConcurrentExecutions=0)
    invocation = sandbox.functions.invoke("work", {}, ACCOUNT)
    assert [attempt.outcome for attempt in invocation.attempts] == ["throttled"]
    assert invocation.dead_lettered
    assert sandbox.metrics.total("AWS/Lambda", "AsyncEventsDropped", ACCOUNT) == 1


PROPERTIES = {"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0.0, "EvaluationPeriods": 3}


@pytest.mark.parametrize(
    ("values", "more", "state"),
    [
        ([1, 1, 1], {}, "ALARM"),
        ([1, 0, 1], {}, "OK"),
        ([None, None, None], {}, "INSUFFICIENT_DATA"),
        ([None, None, None], {"TreatMissingData": "breaching"}, "ALARM"),
        ([None, None, 1], {"TreatMissingData": "notBreaching"}, "OK"),
        ([None, None, 1], {"TreatMissingData": "breaching"}, "ALARM"),
        ([None, None, 1], {}, "ALARM"),
    ],
)
def test_missing_data_is_treated_as_the_alarm_says(values, more, state):
    """All periods have to breach, with those that are missing counted as TreatMissingData says."""
    assert alarms.Alarm("", "", "", {**PROPERTIES, **more}).state_of(values) == state


@pytest.mark.parametrize(("expression", "sum_"), [("a + b", 3), ("a + none", 1), ("none + none", None)])
def test_metric_math(expression, sum_):
    """A part without data counts as zero, and an expression has none if none of its parts has."""
    assert alarms.added(expression, {"a": 1, "b": 2, "none": None}) == sum_


@pytest.mark.parametrize(
    ("pattern", "line", "matched"),
    [
        ("error", "[ERROR] x", False),
        ('"Task timed out"', "x Task timed out after", True),
        ("one two", "two one", True),
        ("one two", "one", False),
        ('?one ?"t w"', "t w", True),
        (r'"\"decision\": \"revoked\""', '[INFO] {"decision": "revoked"}', True),
    ],
)
def test_a_filter_pattern_matches_as_documented(pattern, line, matched):
    """Terms match log lines as CloudWatch Logs says."""
    assert log_filters.matches(pattern, line) is matched


@pytest.mark.parametrize("pattern", ["one -two", "?one two", '{ $.decision = "failed" }', "%one%", ""])
def test_a_filter_pattern_of_another_kind_is_refused(pattern):
    """What the sandbox does not know never passes for a pattern that matches nothing."""
    with pytest.raises(ValueError, match="does not know the filter pattern"):
        log_filters.matches(pattern, "one")
