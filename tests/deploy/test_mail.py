"""The mails of ``account.yml`` and ``central.yml``: who may write one, what it says, what brings one."""

import json
import re

import pytest
from helpers import case
from moto.iam.models import iam_backends
from rights import CENTRAL, CONTAIN, FORWARD, GUARD, TELL, documents, inline, of_type, resources
from told import SCHEMA, told_of

from sandbox.access import authorization, contexts, principals
from sandbox.cloudtrail import records
from sandbox.cloudwatch.alarms import Alarm
from sandbox.events import inputs
from sandbox.organizations import organization
from sandbox.server import DEPLOY
from sandbox.sts import sessions

ACCOUNT, OTHER, MEMBER = "191919191906", "999999999999", "191919191907"
BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/iam-guard-central"
RUNBOOK = "https://wiki.example.com/iam-guard"
#: The rules that mail, as (bus, rule), by the role that each publishes as; and the topics that they publish to.
RULES = {TELL: ("iam-guard", "iam-guard-tell"), CENTRAL: ("iam-guard-central", "iam-guard-central")}
TOPICS = {TELL: "iam-guard-notices", CENTRAL: "iam-guard-central"}
MAILS = pytest.mark.parametrize("role", RULES)


@pytest.fixture(scope="module")
def sandbox(sandbox):
    """The sandbox with an account that has both stacks that mail, and a member without a mail address."""
    given = {"OrganizationId": organization.ID, "NotifyEmail": "security@example.com"}
    sandbox.deploy(account=ACCOUNT)
    sandbox.deploy(DEPLOY / "central.yml", "central", ACCOUNT, **given)
    sandbox.deploy(account=MEMBER, CentralBus=BUS, Runbook=RUNBOOK)
    sandbox.create_role("publisher", account=ACCOUNT)
    return sandbox


def rule_of(sandbox, role, account=ACCOUNT):
    """A rule that mails: its pattern, and what makes a mail of an event."""
    (bus, rule), events = RULES[role], sandbox.client("events", account=account)
    targets = events.list_targets_by_rule(EventBusName=bus, Rule=rule)["Targets"]
    (target,) = [target for target in targets if target["Id"] == "mail"]
    return events.describe_rule(EventBusName=bus, Name=rule)["EventPattern"], target["InputTransformer"]


def mail(sandbox, role, event, account=ACCOUNT):
    """The lines of the mail that EventBridge makes of an event."""
    target = {"InputTransformer": rule_of(sandbox, role, account)[1]}
    return inputs.input_of(target, event).splitlines()


@pytest.fixture
def told():
    """An event of the guard's, whose call has a user agent and parameters that a caller could have written."""
    event = case("revoked-create-user")
    event["detail"] |= {"userAgent": "Call +1 900 EVIL", "requestParameters": {"userName": "Call-900-EVIL"}}
    return {
        "detail-type": "IAM access revoked",
        "source": "iam-guard",
        "account": ACCOUNT,
        "detail": told_of(event) | {"account": {"id": OTHER, "alias": "production"}},
    }


# Who may write one


def session(role):
    return sessions.begin(f"arn:aws:iam::{ACCOUNT}:role/{role}", "x", "us-east-1")


def service(name, arn):
    """An AWS service that does something for a resource of the account."""
    arn = f"arn:aws:{name}:us-east-1:{ACCOUNT}:{arn}"
    return principals.service(f"{name}.amazonaws.com", ACCOUNT, "aws", arn)


def may_publish(caller, topic):
    return authorization.authorized(caller, "sns:Publish", f"arn:aws:sns:us-east-1:{ACCOUNT}:{topic}", {})


@pytest.mark.parametrize(
    ("bus", "role"), [("iam-guard", GUARD), ("iam-guard", CONTAIN), ("iam-guard-central", FORWARD)]
)
def test_nobody_but_the_guards_roles_puts_events_on_its_bus(sandbox, bus, role):
    """A role with every right in the account tells nobody anything: the functions' and the forwarding role do."""
    if role != GUARD:  # whose stack is there
        sandbox.create_role(role, account=ACCOUNT)
    put = "events:PutEvents", f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/{bus}"
    context = contexts.entry_context({"Source": "iam-guard"})
    assert authorization.authorized(session(role), *put, context)
    assert not authorization.authorized(session("publisher"), *put, context)


@MAILS
def test_nobody_but_the_rules_own_role_writes_a_mail(sandbox, role):
    """A topic takes the role of its rule, and neither a role with every right nor EventBridge itself."""
    assert may_publish(session(role), TOPICS[role])
    assert not may_publish(session("publisher"), TOPICS[role])
    assert not may_publish(service("events", f"rule/{'/'.join(RULES[role])}"), TOPICS[role])


@MAILS
def test_the_mails_role_publishes_and_does_nothing_else(sandbox, role):
    """Its one right is to publish to its topic, and its rule alone may take it."""
    (document,) = documents(iam_backends[ACCOUNT]["aws"].get_role(role))
    (statement,) = document["Statement"]
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:{TOPICS[role]}"
    assert statement == {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}
    for name in (*RULES.values(), ("pager",), ("iam-guard", "pager")):
        caller, arn = service("events", f"rule/{'/'.join(name)}"), f"arn:aws:iam::{ACCOUNT}:role/{role}"
        assert authorization.authorized(caller, "sts:AssumeRole", arn, {}) == (name == RULES[role])


def test_the_alarms_topic_takes_the_guards_alarms_alone(sandbox):
    """CloudWatch publishes for an alarm whose name is the guard's, and for no other; no role does."""
    assert may_publish(service("cloudwatch", "alarm:iam-guard-untold"), "iam-guard-alarms")
    assert not may_publish(service("cloudwatch", "alarm:mine"), "iam-guard-alarms")
    assert not may_publish(session("publisher"), "iam-guard-alarms")


@pytest.mark.parametrize("name", ["account.yml", "central.yml"])
def test_a_key_of_ones_own_is_the_mails_roles_to_use(name):
    """With KmsKeyArn, the role that publishes may use that key through SNS."""
    (_, key) = inline(resources(name)["TellRole"])["Statement"]
    assert (set(key["Action"]), key["Resource"]) == ({"kms:Decrypt", "kms:GenerateDataKey"}, "!Ref KmsKeyArn")
    assert key["Condition"] == {"StringLike": {"kms:ViaService": "!Sub sns.${AWS::Region}.amazonaws.com*"}}


# What it says


def test_the_mail_says_who_did_what_and_where(sandbox, told):
    """A mail begins with its title, and has what a person wants at once; AWS leaves each line in its quotes."""
    first, *lines = mail(sandbox, TELL, told)
    assert first == f'"IAM access revoked: IAM user bob in account {ACCOUNT}"'
    detail, call = told["detail"], told["detail"]["call"]
    what = f"{call['eventName']}, by the IAM user bob, at {call['eventTime']} from {call['sourceIPAddress']}"
    for said in (what, detail["principal"]["id"], call["eventID"]):
        assert any(said in line for line in lines), said
    assert all(re.fullmatch(r'"[^"\\]+"', line) for line in lines)


def test_the_mail_leads_to_the_runbook_or_says_the_steps(sandbox, told):
    """With the address of a runbook the last line is that; without one, the last lines are three steps."""
    assert mail(sandbox, TELL, told, MEMBER)[3:] == [f'"What to do now: {RUNBOOK}"']
    steps = mail(sandbox, TELL, told)[3:]
    assert [line[:3] for line in steps[:3]] == ['"1.', '"2.', '"3.']
    assert "docs/" not in " ".join(steps)


@MAILS
def test_the_mail_asks_for_what_an_event_has(sandbox, role):
    """Behind each placeholder is a path, and each path leads to a key that every event has."""
    _, transformer = rule_of(sandbox, role)
    assert set(re.findall(r"<(\w+)>", transformer["InputTemplate"])) == set(transformer["InputPathsMap"])
    for path in transformer["InputPathsMap"].values():
        shape = SCHEMA
        for key in path.removeprefix("$.").split("."):
            assert key in shape["required"], path
            shape = shape["properties"][key]
            shape = SCHEMA["$defs"][shape["$ref"].rsplit("/", 1)[1]] if "$ref" in shape else shape


@MAILS
def test_the_mail_carries_no_text_that_the_caller_chose(sandbox, role, told):
    """User agent, request parameters and commands stay out, and the account is that of the envelope."""
    text = " ".join(mail(sandbox, role, told))
    assert not [word for word in ("EVIL", OTHER, "aws iam", "custodian") if word in text]


# Which events bring one


@MAILS
def test_the_rule_takes_what_the_guard_says_and_no_replay(sandbox, role, told):
    """The rule matches an event of the guard's, but neither another source's nor one from an archive."""
    pattern, _ = rule_of(sandbox, role)
    assert records.matches(pattern, told)
    assert not records.matches(pattern, {**told, "source": "my.app"})
    assert not records.matches(pattern, {**told, "replay-name": "old"})


def test_an_accounts_own_rule_takes_no_event_of_another_account(sandbox, told):
    """Whoever lets another account put events on the bus gets nobody mailed."""
    assert not records.matches(rule_of(sandbox, TELL)[0], {**told, "account": OTHER})
    assert records.matches(rule_of(sandbox, CENTRAL)[0], {**told, "account": OTHER})


def test_the_central_mail_takes_every_title(sandbox):
    """Each title that an event can have is one of those that the central rule takes."""
    pattern = json.loads(rule_of(sandbox, CENTRAL)[0])
    assert set(pattern["detail-type"]) == set(SCHEMA["properties"]["detail-type"]["enum"])


def test_a_forged_event_of_another_account_brings_no_sentence_and_no_link_into_a_mail(sandbox, told):
    """The central mail has one of the guard's titles, and beside it what AWS writes into the envelope alone."""
    pattern, transformer = rule_of(sandbox, CENTRAL)
    paths = set(transformer["InputPathsMap"].values())
    assert paths == {"$.detail-type", "$.account", "$.region", "$.time"}
    assert not records.matches(pattern, {**told, "detail-type": "Call 1-900-EVIL"})
    time = "2026-11-27T10:00:00Z"
    first, *lines = mail(sandbox, CENTRAL, {**told, "region": "us-east-1", "time": time})
    assert first == f'"IAM access revoked in account {ACCOUNT}, at {time}"'
    assert lines[2:] == mail(sandbox, TELL, told)[3:]


def test_the_security_account_hears_of_its_own_organization_alone():
    """The central bus takes decisions, alarms and root's calls from the organization's forwarding roles."""
    allow, _ = (p["Statement"] for p in of_type("central.yml", "AWS::Events::EventBusPolicy"))
    sources = ["iam-guard", "aws.iam", "aws.cloudwatch"]
    assert allow["Condition"] == {
        "StringEquals": {"aws:PrincipalOrgID": "!Ref OrganizationId"},
        "ForAllValues:StringEquals": {"events:source": sources},  # AWS documents a key of several values
        "Null": {"events:source": "false"},
        "ArnLike": {"aws:PrincipalArn": "!Sub arn:${AWS::Partition}:iam::*:role/iam-guard-forward"},
    }


# Alarms of all accounts, mailed by the security account


@pytest.fixture
def change(sandbox):
    """``change(name, state)``: an alarm of the member comes to a state; the mails of the security account."""

    def come_to(name, state, **more):
        before = len(sandbox.mails(TOPICS[CENTRAL]))
        alarm = Alarm(MEMBER, "us-east-1", name, {"AlarmDescription": "Call 1-900-EVIL"}, state)
        sandbox.eventbridge.run(alarm.change("OK") | more, MEMBER, "us-east-1")
        return [mail.text for mail in sandbox.mails(TOPICS[CENTRAL])[before:]]

    return come_to


def test_an_alarm_of_an_account_is_mailed_by_the_security_account(sandbox):
    """An alarm that goes off in an account without any address brings one mail that names alarm and account."""
    sandbox.alarms(account=MEMBER)  # as of before
    before = len(sandbox.mails())
    dropped = {"FunctionName": "iam-guard-protect-admin-group"}
    sandbox.metrics.count(MEMBER, "us-east-1", "AWS/Lambda", "AsyncEventsDropped", **dropped)
    assert sandbox.alarms(account=MEMBER)["iam-guard-dead-letters"] == "ALARM"
    (mail,) = sandbox.mails()[before:]
    assert mail.to == "security@example.com"
    first, second = mail.text.splitlines()
    assert first.startswith(f'"Alarm iam-guard-dead-letters: ALARM in account {MEMBER}, at 20')
    command = "aws cloudwatch describe-alarms --region us-east-1 --alarm-names iam-guard-dead-letters"
    assert second.endswith(f'{command}"')


def test_a_catch_up_that_has_stopped_is_mailed(change):
    """Its alarm comes to insufficient data. Its description stays out: who has the account can write there."""
    (text,) = change("iam-guard-catch-up-admin-group-not-run", "INSUFFICIENT_DATA")
    assert "EVIL" not in text


@pytest.mark.parametrize(
    ("name", "state", "more"),
    [
        ("iam-guard-untold", "OK", {}),
        ("mine", "ALARM", {}),
        ("iam-guard-call 1-900-EVIL", "ALARM", {}),
        ("iam-guard-https://evil.example.com", "ALARM", {}),
        ("iam-guard-untold", "ALARM", {"account": ACCOUNT}),
        ("iam-guard-untold", "ALARM", {"replay-name": "old"}),
        ("iam-guard-untold", "ALARM", {"source": "my.app"}),
    ],
)
def test_what_is_no_alarm_of_the_guards_in_this_account_brings_no_mail(change, name, state, more):
    """Neither an alarm that is over, one of somebody else's, a sentence in a name, a replay, nor another source."""
    assert change(name, state, **more) == []


def test_no_rule_on_the_default_bus_is_one_that_the_deployer_or_the_switch_can_reach():
    """A stop disables the functions' rules, iam-guard-…, and the alarms go on."""
    rules = [
        rule["Name"] for rule in of_type("account.yml", "AWS::Events::Rule") if "EventBusName" not in rule
    ]
    assert rules
    assert not [name for name in rules if name.startswith("iam-guard-")]
