"""The alarms of the templates: each reaches somebody, watches what there is, and costs little."""

import json
import re

from helpers import ROOT
from rights import FUNCTIONS, of_type, resources

from c7n_iamguard import decisions

FILES = ("account.yml", "contain.yml", "central.yml", "people.yml")


def everything(kind):
    """The properties of all templates' resources of one type."""
    return [properties for name in FILES for properties in of_type(name, kind)]


ALARMS = everything("AWS::CloudWatch::Alarm")


def metrics(alarm):
    """The metrics that an alarm watches, as (namespace, name, dimensions)."""
    stats = [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", ()) if "MetricStat" in m] or [alarm]
    return [(m["Namespace"], m["MetricName"], m.get("Dimensions", [])) for m in stats]


def test_alarms_are_few():
    """An account has at most twelve alarms; the page on costs counts their metrics, and comes to at most 2 USD."""
    assert len(of_type("account.yml", "AWS::CloudWatch::Alarm")) <= 12
    watched = sum(len(metrics(alarm)) for alarm in of_type("account.yml", "AWS::CloudWatch::Alarm"))
    page = (ROOT / "docs" / "costs.md").read_text()
    assert f"on {watched} metrics | {watched} | 0.10 per alarm metric | {watched / 10:.2f} |" in page
    *lines, total = [float(cost) for cost in re.findall(r"\| \**(\d+\.\d\d)\** \|$", page, re.M)]
    assert round(sum(lines), 2) == total <= 2


def test_an_alarm_reaches_somebody_and_says_what_to_do():
    """Each alarm goes to the topic, and its first sentence says what has happened."""
    who = "One of iam-guard's|A catch-up of iam-guard's|iam-guard|A role that nobody can change"
    for alarm in ALARMS:
        (topic,) = alarm["AlarmActions"]
        assert "Alarms" in topic or topic.endswith(":iam-guard-alarms")
        assert re.match(rf"({who})\b.*?[.:] ", alarm["AlarmDescription"]), alarm["AlarmName"]
        assert len(alarm["AlarmDescription"]) <= 1024


def test_an_alarm_watches_what_there_is():
    """Its metric is of a function, rule or queue of the guard's, or a metric filter's, each of which has one."""
    filters = everything("AWS::Logs::MetricFilter")
    made = {(m["MetricNamespace"], m["MetricName"]) for f in filters for m in f["MetricTransformations"]}
    watched = [metric for alarm in ALARMS for metric in metrics(alarm)]
    assert {metric[:2] for metric in watched if not metric[2]} == made
    found = [item for name in FILES for item in resources(name).items()]
    queues = {f"!GetAtt {id}.QueueName" for id, one in found if one["Type"] == "AWS::SQS::Queue"}
    rules = {rule["Name"] for rule in everything("AWS::Events::Rule")}
    dimensions = {dimension["Value"] for *_, found in watched for dimension in found}
    assert dimensions <= {*FUNCTIONS, *queues, *rules, "iam-guard", "iam-guard-central"}


def test_the_filters_find_the_plugins_own_log_lines():
    """The texts that the filters look for stand in the lines of those decisions, and in no others."""
    texts = {
        json.loads(found["FilterPattern"])
        for found in of_type("account.yml", "AWS::Logs::MetricFilter")
        if found["MetricTransformations"][0]["MetricName"] == "MissedCalls"
    }
    every = ("revoked", "would-revoke", "cannot-revoke", "acted", "let-pass", "incomplete", "failed")
    found = {v for v in every if any(text in decisions.log_line(v, None, user="bob") for text in texts)}
    assert found == {"revoked", "acted"}


def test_nobody_takes_an_alarm_back_by_a_negative_value():
    """A metric that is not AWS's own, so that anybody may put values into it, counts by its maximum."""
    for alarm in ALARMS:
        namespaces = {namespace for namespace, *_ in metrics(alarm)}
        assert namespaces == {"iam-guard"} or all(name.startswith("AWS/") for name in namespaces)
        assert namespaces != {"iam-guard"} or alarm["Statistic"] == "Maximum"


def test_a_catch_up_that_does_not_run_is_an_alarm():
    """Each catch-up has an alarm that acts when there is no data any more, which is nothing new to it at first."""
    found = [alarm for alarm in ALARMS if alarm["AlarmName"].endswith("-not-run")]
    watched = [dimension for alarm in found for *_, dimensions in metrics(alarm) for dimension in dimensions]
    assert {each["Value"] for each in watched} == {name for name in FUNCTIONS if "catch-up" in name}
    for alarm in found:
        assert alarm["TreatMissingData"] == "missing"
        assert alarm["InsufficientDataActions"] == alarm["AlarmActions"]
        assert alarm["Period"] * alarm["EvaluationPeriods"] == 3 * 3600


def test_many_decisions_at_once_are_an_alarm_that_says_how_to_stop():
    """More than twenty within 15 minutes may be a list that lacks somebody: the alarm names the command."""
    (alarm,) = [alarm for alarm in ALARMS if alarm["AlarmName"] == "iam-guard-runaway"]
    limit = {key: alarm[key] for key in ("Statistic", "Period", "EvaluationPeriods", "Threshold")}
    assert limit == {"Statistic": "Sum", "Period": 900, "EvaluationPeriods": 1, "Threshold": 20}
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert "deploy/switch off" in alarm["AlarmDescription"]
    told = {"EventBusName": "iam-guard", "RuleName": "iam-guard-tell"}
    assert {d["Name"]: d["Value"] for d in alarm["Dimensions"]} == told
