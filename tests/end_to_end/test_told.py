"""Somebody is told: the deployed functions, from their uploaded zips, and what comes over the bus iam-guard."""

import pytest
from helpers import GUARD, PROTECT, REVOKE, case, guards_calls, ok, outcomes, play, revoked
from told import EVENT, listen

from sandbox.organizations import organization
from sandbox.server import DEPLOY, Fault

CENTRAL = "300000000009"


@pytest.fixture
def told(fresh):
    """``told()``: what came over the bus iam-guard since it was last called. The functions start anew."""
    fresh.functions.cool()  # they remember for 15 minutes whom somebody was told of
    return listen(fresh)


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


def test_the_command_to_restore_restores(fresh, told, shell, user):
    """The command in the event that is to give IAM back does so."""
    user("olga").iam.create_user(UserName="helper")
    fresh.deliver()
    assert revoked(fresh, "olga") == ["managed"]
    (event,) = told()
    done = shell(event["detail"]["commands"]["restore"])
    assert done.returncode == 0, done.stderr
    assert revoked(fresh, "olga") == []


# Faults


def fault(code, status=400, **how):
    """A fault of PutEvents that the guard's functions meet."""
    return Fault("events:PutEvents", code, status, caller=GUARD, **how)


@pytest.mark.parametrize(
    ("met", "code"),
    [
        (fault("AccessDeniedException"), "AccessDeniedException"),
        (fault("NotAuthorizedForSourceException", 200), "NotAuthorizedForSourceException"),
    ],
    ids=["refused", "entry refused"],
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
