"""The sandbox's schedules, metrics and alarms, held against what AWS documents."""

import io
import json
import time
import zipfile
from datetime import datetime, timedelta, timezone

import pytest

from sandbox.cloudwatch import alarms, log_filters

ACCOUNT = "300000000010"
RULE = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/work"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:work"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:work"
CODE = """
import json, time
def run(event, context):
    print(json.dumps({"decision": event.get("decision", "let-pass")}), flush=True)
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("fail"):
        raise ValueError("no")
    return event
"""


def archive():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("work.py", CODE)
    return packed.getvalue()


@pytest.fixture
def work(sandbox):
    """A function of a schedule, with a stack of alarms; all of it is gone after the test."""
    client = {name: sandbox.client(name, account=ACCOUNT) for name in ("lambda", "events", "iam", "sqs")}
    stacks = sandbox.client("cloudformation", account=ACCOUNT)
    sandbox.create_role("work", trust={"Service": "lambda.amazonaws.com"}, account=ACCOUNT)
    sandbox.deploy("tests/stacks/alarms.yml", "alarms", ACCOUNT)
    client["lambda"].create_function(
        FunctionName="work", Runtime="python3.13", Handler="work.run", Code={"ZipFile": archive()},
        Role=f"arn:aws:iam::{ACCOUNT}:role/work", Timeout=1, DeadLetterConfig={"TargetArn": QUEUE},
    )  # fmt: skip
    client["events"].put_rule(Name="work", ScheduleExpression="rate(1 hour)")
    client["events"].put_targets(Rule="work", Targets=[{"Id": "work", "Arn": FUNCTION}])
    client["lambda"].add_permission(
        FunctionName="work", StatementId="rule", Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com", SourceArn=RULE,
    )  # fmt: skip
    sandbox.metrics.points.clear()
    yield client
    sandbox.functions.cool()
    client["events"].remove_targets(Rule="work", Ids=["work"])
    client["events"].delete_rule(Name="work")
    client["lambda"].delete_function(FunctionName="work")
    stacks.delete_stack(StackName="alarms")
    client["iam"].delete_role_policy(RoleName="work", PolicyName="access")
    client["iam"].delete_role(RoleName="work")


def counted(sandbox, **wanted):
    """The sums of metrics, by their names."""
    spaces = {"FailedInvocations": "AWS/Events"}
    return {
        name: sandbox.metrics.total(spaces.get(name, "AWS/Lambda"), name, ACCOUNT) for name in wanted
    } == wanted


def test_a_tick_is_the_scheduled_event_of_eventbridge(sandbox, work):
    """The function gets the scheduled event, which names the rule; its invocation is counted."""
    (invocation,) = sandbox.tick("work", ACCOUNT)
    event = invocation.event
    assert datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")
    told = {"detail-type": "Scheduled Event", "source": "aws.events", "account": ACCOUNT, "resources": [RULE]}
    assert told.items() <= event.items()
    assert invocation.succeeded
    assert counted(sandbox, Invocations=1, Errors=0, FailedInvocations=0)


@pytest.mark.parametrize("failed", [0, 1])
def test_a_tick_that_cannot_come_through(sandbox, work, failed):
    """A disabled rule does nothing; a missing permission is a failed invocation."""
    if failed:
        work["lambda"].remove_permission(FunctionName="work", StatementId="rule")
    else:
        work["events"].disable_rule(Name="work")
    assert sandbox.tick("work", ACCOUNT) == []
    assert counted(sandbox, Invocations=0, FailedInvocations=failed)


def test_a_schedule_gets_no_other_events(sandbox, work):
    """A rule that has a schedule alone matches no event."""
    detail = {"eventName": "CreateUser"}
    event = {"account": ACCOUNT, "region": "us-east-1", "source": "aws.iam", "detail": detail}
    assert sandbox.deliver(event) == []


def test_errors_are_tried_three_times_and_counted(sandbox, work):
    """Three attempts are three errors; the event is a dead letter, or an error of its own if it cannot be."""
    invocation = sandbox.functions.invoke("work", {"fail": True}, ACCOUNT)
    assert invocation.dead_lettered
    assert counted(sandbox, Invocations=3, Errors=3, AsyncEventsDropped=1, DeadLetterErrors=0)
    work["sqs"].set_queue_attributes(
        QueueUrl=work["sqs"].get_queue_url(QueueName="work")["QueueUrl"],
        Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}]})},
    )  # fmt: skip
    assert not sandbox.functions.invoke("work", {"fail": True}, ACCOUNT).dead_lettered
    assert counted(sandbox, Errors=6, AsyncEventsDropped=2, DeadLetterErrors=1)


def test_a_function_without_concurrency_is_throttled(sandbox, work):
    """Reserved concurrency of 0: nothing runs, and the event goes to the dead-letter queue at once."""
    work["lambda"].put_function_concurrency(FunctionName="work", ReservedConcurrentExecutions=0)
    (invocation,) = sandbox.tick("work", ACCOUNT)
    assert [attempt.outcome for attempt in invocation.attempts] == ["throttled"]
    assert invocation.dead_lettered
    assert counted(sandbox, Invocations=0, Throttles=1, AsyncEventsDropped=1)


def test_an_attempt_leaves_a_log_stream_if_the_role_may_write_it(sandbox, work):
    """The log group has a stream with what function and Lambda say; without the right, it has none."""
    logs, group = sandbox.client("logs", account=ACCOUNT), "/aws/lambda/work"
    rights = work["iam"].get_role_policy(RoleName="work", PolicyName="access")["PolicyDocument"]
    work["iam"].delete_role_policy(RoleName="work", PolicyName="access")
    sandbox.functions.attempt("work", {}, ACCOUNT)
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    work["iam"].put_role_policy(RoleName="work", PolicyName="access", PolicyDocument=json.dumps(rights))
    assert sandbox.functions.attempt("work", {"decision": "left", "sleep": 5}, ACCOUNT).outcome == "timed out"
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    found = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    assert abs(stream["lastEventTimestamp"] / 1000 - time.time()) < 60
    printed, ended, report = [event["message"] for event in found]
    assert printed == '{"decision": "left"}'
    assert ended.endswith(" Task timed out after 1.00 seconds")
    assert report.startswith("REPORT Duration: ")


def test_an_alarm_goes_off_and_mails_once(sandbox, work):
    """A line that a metric filter counts sets the alarm off, which mails when it changes and not again."""
    before = len(sandbox.mails("alarms"))
    assert sandbox.alarms(account=ACCOUNT)["decided"] == "OK"
    sandbox.functions.attempt("work", {"decision": "let-pass"}, ACCOUNT)
    assert sandbox.alarms(account=ACCOUNT)["decided"] == "OK"
    sandbox.functions.attempt("work", {"decision": "failed"}, ACCOUNT)
    for _ in range(2):
        assert sandbox.alarms(account=ACCOUNT)["decided"] == "ALARM"
    (mail,) = sandbox.mails("alarms")[before:]
    assert mail.subject == 'ALARM: "decided" in us-east-1'
    assert "- Description: A decision failed." in mail.text
    later = datetime.now(timezone.utc) + timedelta(minutes=5)
    assert sandbox.alarms(later, ACCOUNT)["decided"] == "OK"


def test_alarms_on_queues_silence_and_sums(sandbox, work):
    """A message in a queue and two errors set their alarm off; one on silence acts after there were data."""
    now, before = datetime.now(timezone.utc), len(sandbox.mails("alarms"))
    assert sandbox.alarms(now, ACCOUNT)["not-run"] == "INSUFFICIENT_DATA"
    assert sandbox.mails("alarms")[before:] == []
    sandbox.functions.attempt("work", {}, ACCOUNT)
    quiet = {"letters": "OK", "not-run": "OK", "twice": "OK", "decided": "OK"}
    assert sandbox.alarms(now, ACCOUNT) == quiet
    assert sandbox.alarms(now + timedelta(hours=2), ACCOUNT)["not-run"] == "OK"
    assert sandbox.alarms(now + timedelta(hours=4), ACCOUNT)["not-run"] == "INSUFFICIENT_DATA"
    (mail,) = sandbox.mails("alarms")[before:]
    assert mail.subject == 'INSUFFICIENT_DATA: "not-run" in us-east-1'
    sandbox.functions.invoke("work", {"fail": True}, ACCOUNT)
    assert sandbox.alarms(account=ACCOUNT) == {**quiet, "letters": "ALARM", "twice": "ALARM"}


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
