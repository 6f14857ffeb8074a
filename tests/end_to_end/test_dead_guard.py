"""The guard dies in one of the ways of docs/health.md: who notices, and that nothing stays missed."""

from datetime import datetime, timedelta, timezone

import pytest
from helpers import (
    FUNCTION,
    POLICIES,
    PROTECT,
    PROTECT_FUNCTION,
    REVOKE,
    backend,
    case,
    event_time,
    groups_of,
    ok,
    revoked,
    stock,
)
from kept import functions as kept_functions
from moto.sqs.models import sqs_backends
from rights import TELL, without

from c7n_iamguard.aws_names import SINCE_TAG
from sandbox.server import Fault

CATCH_UP = "iam-guard-catch-up-unintended-iam-access"
CATCH_UP_GROUP = "iam-guard-catch-up-admin-group"


@pytest.fixture(scope="module")
def guarded(deployed, tmp_path_factory):
    """The account, guarded since three hours, whose alarms somebody is mailed."""
    deployed.deploy(AdminGroups="Admins", AlarmEmail="ops@example.com")
    client = deployed.client("lambda")
    for name in (CATCH_UP, CATCH_UP_GROUP):
        arn = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        client.tag_resource(Resource=arn, Tags={SINCE_TAG: event_time(timedelta(hours=3))})
    files = [POLICIES / f"{name}.yml" for name in (REVOKE, PROTECT)]
    options = ("-s", tmp_path_factory.mktemp("out"), "-r", deployed.region, "-p", "catch-up-*")
    ok(stock("custodian", "run", *options, *files, environ=deployed.environ()))
    return deployed


@pytest.fixture
def account(guarded, fresh, history):
    """The guarded account without history or dead letters; functions and rules are put back after the test."""
    put_back = kept_functions(fresh.account, fresh.region)
    fresh.metrics.points.clear()
    for dead_letters in sqs_backends[fresh.account][fresh.region].queues.values():
        dead_letters._messages.clear()  # what other tests have left there is an alarm, too
    yield fresh
    put_back()


def alarms(sandbox, state="ALARM", **later):
    """The alarms that are in a state from the last minute to the next, as of now or later, without their prefix."""
    minute = datetime.now(timezone.utc).replace(second=0, microsecond=0) + timedelta(**later)
    first = -1 if state == "ALARM" else 0  # a minute ago may be in the hour before, which had no data
    states = [sandbox.alarms(minute + timedelta(minutes=number)) for number in range(first, 3)]
    return {
        name.removeprefix("iam-guard-") for found in states for name, its in found.items() if its == state
    }


def test_what_a_dead_function_misses_is_caught_up(account, user):
    """For an hour nobody judges calls: then all three callers are denied, no admin is, and an alarm goes off."""
    account.client("events").disable_rule(Name=FUNCTION)
    people = [user(f"caller-{number}") for number in range(3)]
    ada = user("ada", groups=["Admins"])
    for one in (*people, ada):
        one.iam.create_user(UserName=f"{one.name}s-helper")
    account.history.pass_by(60)
    before = alarms(account)
    (invocation,) = account.tick(CATCH_UP)
    assert invocation.succeeded, invocation.log
    assert [revoked(account, one.name) for one in people] == [["managed"]] * 3
    assert revoked(account, "ada") == []
    # In this process, other tests may have taken away who is told.
    assert alarms(account) - before - {"untold"} == {"missed-a-call"}
    (again,) = account.tick(CATCH_UP)
    assert again.decisions == []


def test_a_friend_whom_nobody_saw_joining_is_taken_out_and_judged(account, user):
    """protect-admin-group is dead while mallory makes a friend an admin, who makes a user: both end outside."""
    account.client("events").disable_rule(Name=PROTECT_FUNCTION)
    account.client("events").disable_rule(Name=FUNCTION)
    mallory, friend = user("mallory"), user("friend")
    mallory.iam.add_user_to_group(GroupName="Admins", UserName="friend")
    account.history.pass_by(5)
    friend.iam.create_user(UserName="backdoor")
    account.history.pass_by(60)
    (invocation,) = account.tick(CATCH_UP_GROUP)
    assert invocation.succeeded, invocation.log
    assert groups_of(account, "friend") == []
    account.tick(CATCH_UP)
    assert revoked(account, "friend") == ["managed"]
    assert revoked(account, "mallory") == ["managed"]


def test_a_catch_up_that_does_not_run_is_noticed(account):
    """Each has an alarm of its own, silent before the first run, after three hours without one."""
    alarms(account), account.alarms(datetime.now(timezone.utc) + timedelta(days=1))
    before = len(account.mails())
    catch_ups = {CATCH_UP, CATCH_UP_GROUP, f"{CATCH_UP}-of-roles"}
    names = {f"{name.removeprefix('iam-guard-')}-not-run" for name in catch_ups}
    assert alarms(account, "INSUFFICIENT_DATA") == names
    for function in (CATCH_UP, CATCH_UP_GROUP):
        account.tick(function)
    assert alarms(account, "INSUFFICIENT_DATA") == {"catch-up-unintended-iam-access-of-roles-not-run"}
    assert not [mail for mail in account.mails()[before:] if "not-run" in mail.subject]
    assert alarms(account, "INSUFFICIENT_DATA", hours=4) == names
    told = {mail.subject for mail in account.mails()[before:] if "not-run" in mail.subject}
    assert told == {
        f'INSUFFICIENT_DATA: "{function}-not-run" in us-east-1' for function in (CATCH_UP, CATCH_UP_GROUP)
    }


def judged_by_nobody(account):
    """An event that the main function fails on three times."""
    account.faults.append(Fault("iam:ListGroupsForUser", "AccessDenied", 403))
    (invocation,) = account.deliver(case("revoked-create-user"))
    return invocation


def test_a_dead_letter_is_an_alarm_at_once_and_one_more_as_long_as_it_waits(account, queue):
    """The first alarm is over when nothing fails any more; the other one stays until the queue is empty."""
    assert not {"dead-letters", "dead-letters-waiting"} & alarms(account)
    assert judged_by_nobody(account).dead_lettered
    assert {"dead-letters", "dead-letters-waiting"} <= alarms(account)
    assert {"dead-letters", "dead-letters-waiting"} & alarms(account, hours=1) == {"dead-letters-waiting"}


def test_a_dead_letter_that_is_lost_is_an_alarm_all_the_same(account):
    """If the queue is gone, the event is nowhere, and the alarm says that a call was judged by nobody."""
    queues = sqs_backends[account.account][account.region].queues
    gone = queues.pop(FUNCTION)
    try:
        assert not judged_by_nobody(account).dead_lettered
        assert {"dead-letters", "dead-letters-waiting"} & alarms(account) == {"dead-letters"}
    finally:
        queues[FUNCTION] = gone


def test_a_mail_that_cannot_be_sent_is_an_alarm(account, user):
    """Without its role's right the rule mails nobody: the user is denied all the same, and an alarm goes off."""
    user("mallory").iam.create_user(UserName="backdoor")
    with without(backend(account), TELL, "sns:Publish"):
        account.deliver()
    assert revoked(account, "mallory") == ["managed"]
    assert "untold" in alarms(account)
