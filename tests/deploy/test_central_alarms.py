"""Alarms of all accounts reach the mails of the security account, and nobody can forge one."""

import pytest
from rights import of_type

from sandbox.cloudwatch.alarms import Alarm
from sandbox.organizations import organization
from sandbox.server import DEPLOY

SECURITY, MEMBER = "383838383831", "383838383832"
BUS = f"arn:aws:events:us-east-1:{SECURITY}:event-bus/iam-guard-central"
TOPIC = "iam-guard-central"


@pytest.fixture(scope="module")
def sandbox(sandbox):
    """A security account with one mail address, and a member with none of its own."""
    given = {"OrganizationId": organization.ID, "NotifyEmail": "security@example.com"}
    sandbox.deploy(DEPLOY / "central.yml", "iam-guard-central", account=SECURITY, **given)
    sandbox.deploy(account=MEMBER, CentralBus=BUS)
    return sandbox


@pytest.fixture
def change(sandbox):
    """``change(name, state)``: an alarm of the member comes to a state; the mails of the security account."""

    def come_to(name, state, **more):
        before = len(sandbox.mails(TOPIC))
        alarm = Alarm(MEMBER, "us-east-1", name, {"AlarmDescription": "Call 1-900-EVIL"}, state)
        event = alarm.change("OK")
        sandbox.eventbridge.run(event | more, MEMBER, "us-east-1")
        return [mail.text for mail in sandbox.mails(TOPIC)[before:]]

    return come_to


def test_an_alarm_of_an_account_is_mailed_by_the_security_account(sandbox):
    """An alarm that goes off in an account without any address brings one mail that names alarm and account."""
    for alarm in sandbox.alarms(account=MEMBER):
        assert alarm.startswith("iam-guard-")
    before = len(sandbox.mails())
    dropped = {"FunctionName": "iam-guard-protect-admin-group"}
    sandbox.metrics.count(MEMBER, "us-east-1", "AWS/Lambda", "AsyncEventsDropped", **dropped)
    assert sandbox.alarms(account=MEMBER)["iam-guard-dead-letters"] == "ALARM"
    (mail,) = sandbox.mails()[before:]
    assert mail.to == "security@example.com"
    first, second = mail.text.splitlines()
    assert first.startswith(f'"Alarm iam-guard-dead-letters: ALARM in account {MEMBER}, at 20')
    assert second.endswith(
        'aws cloudwatch describe-alarms --region us-east-1 --alarm-names iam-guard-dead-letters"'
    )


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
        ("iam-guard-untold", "ALARM", {"account": SECURITY}),
        ("iam-guard-untold", "ALARM", {"replay-name": "old"}),
        ("iam-guard-untold", "ALARM", {"source": "my.app"}),
    ],
)
def test_what_is_no_alarm_of_the_guards_in_this_account_brings_no_mail(change, name, state, more):
    """Neither an alarm that is over, one of somebody else's, a sentence in a name, a replay, nor another source."""
    assert change(name, state, **more) == []


@pytest.mark.parametrize("bus", ["default", BUS])
def test_nobody_can_put_an_alarms_event(sandbox, bus):
    """EventBridge refuses the source aws.cloudwatch, even from the role that forwards, in an account taken over."""
    forward = sandbox.session(f"arn:aws:iam::{MEMBER}:role/iam-guard-forward") if bus == BUS else None
    entry = {"Source": "aws.cloudwatch", "DetailType": "CloudWatch Alarm State Change", "Detail": "{}"}
    events = sandbox.client("events", forward, MEMBER)
    (answer,) = events.put_events(Entries=[entry | {"EventBusName": bus}])["Entries"]
    assert answer["ErrorCode"] == "NotAuthorizedForSourceException"


def test_no_rule_on_the_default_bus_is_one_that_the_deployer_or_the_switch_can_reach():
    """A stop disables the functions' rules, iam-guard-…, and the alarms go on."""
    rules = [rule for rule in of_type("account.yml", "AWS::Events::Rule") if "EventBusName" not in rule]
    assert rules
    assert not [rule["Name"] for rule in rules if rule["Name"].startswith("iam-guard-")]
