"""People of Identity Center are denied IAM by an SCP: from their call to the denial and back, over an organization.

Stacks, queue, buses and the central function are the templates' own, and the function runs from its own code.
"""

import json
import threading

import boto3
import pytest
from botocore.exceptions import ClientError
from helpers import POLICIES, ok, settings_file, stock
from moto.iam.models import iam_backends
from moto.sqs.models import sqs_backends
from people_world import CENTRAL, EMPTY, FIRST, FUNCTION, MANAGEMENT, QUEUE, ROLE, SECOND, index
from told import EVENT

from sandbox.access import authorization, principals
from sandbox.server import Fault

ROLES = "revoke-unintended-iam-access-of-roles"
WRITER = "*:assumed-role/iam-guard-people/*"


# The way from a call to the denial


@pytest.fixture(scope="module")
def deployed(people, tmp_path_factory):
    """The function of an account's roles acts, on people, too."""
    folder = tmp_path_factory.mktemp("roles")
    people.sandbox.client("iam", account=FIRST).create_group(GroupName="admins")
    people.sandbox.create_user("admin", groups=["admins"], account=FIRST)
    acting = settings_file(folder, observe_roles=False, observe_people=False)
    options = ("-s", folder, "-p", ROLES, POLICIES / f"{ROLES}.yml")
    environ = people.sandbox.environ(account=FIRST)
    ok(stock("custodian", "run", *options, environ=environ, settings=acting))
    people.sandbox.pending.clear()
    return people


def test_a_person_who_calls_iam_loses_it_in_that_account(deployed, world, shell, ada, bob):
    """One call, and they are denied IAM there. They keep S3; others keep IAM, and so do they elsewhere.

    The account's mail says who and what, and that of the security account how to find it out.
    """
    sandbox, elsewhere = world.sandbox, world.person("ada@example.com", SECOND)
    ada.client("iam").create_user(UserName="backdoor")
    sandbox.deliver()
    first, call, *_ = world.mails("iam-guard-notices")[-1].splitlines()
    assert first == f'"IAM access cannot be revoked: IAM role {ROLE} in account {FIRST}"'
    assert call.startswith('"Call: CreateUser, by ')
    first, _, look, *_ = world.mails()[-1].splitlines()
    assert first.startswith(f'"IAM access cannot be revoked in account {FIRST}, at 20')
    command = look.removesuffix('"').partition(": ")[2]
    assert {ada.name, "CreateUser"} <= set(ok(shell(command, sandbox.environ(account=FIRST))).split('"'))
    (done,) = world.poll()
    assert done.decisions[0]["how"] == "scp"
    assert not ada.may_use_iam()
    assert ada.may("s3", "list_buckets")
    assert bob.may_use_iam()
    assert elsewhere.may_use_iam()
    assert not world.person("ada@example.com").may_use_iam(), "a new session of the same person"


def test_a_person_is_observed_until_the_settings_say_otherwise(world, ada):
    """If the account's guard says that it observes people, nobody does what it could not do."""
    world.put(world.event(ada, observed=True))
    assert (world.poll(), world.denied) == ([], {})


# The central account


def test_what_was_done_is_told(world, ada):
    """The central bus gets an event of the schema's shape, and the person's account and name are in the mail."""
    told = world.listen()
    world.forward(ada)
    (event,) = [one for one in told() if one["account"] == CENTRAL]
    EVENT.validate(event)
    detail = event["detail"]
    assert (event["detail-type"], detail["decision"], detail["how"]) == (
        "IAM access revoked",
        "revoked",
        "scp",
    )
    assert (detail["account"]["id"], detail["call"]["sessionName"]) == (FIRST, ada.name)
    first, call, scp, *_ = world.mails()[-1].splitlines()
    assert first == f'"IAM access revoked: ada@example.com, with the IAM role {ROLE} in account {FIRST}"'
    assert detail["call"]["eventName"] in call
    assert f"{ada.id}: attached to {world.root}" in scp


def test_twice_is_once(world, ada):
    """An event that comes again denies nobody else, and says that the person was denied before."""
    world.forward(ada)
    before = world.policy.content
    (again,) = world.forward(ada)
    assert again.decisions[0]["reason"].endswith("; was denied before")
    assert world.policy.content == before


def test_two_accounts_at_the_same_moment_lose_no_entry(world, ada):
    """However many ask for messages, one entry is written after the other."""
    other = world.person("carol@example.com", SECOND)
    for person in (ada, other):
        world.put(world.event(person), person.account)
    world.sandbox.calls.clear()
    pollers = [threading.Thread(target=world.poll) for _ in range(2)]
    for poller in pollers:
        poller.start()
    for poller in pollers:
        poller.join()
    world.poll()
    assert world.denied == {FIRST: [ada.id], SECOND: [other.id]}
    calls = [call.action for call in world.sandbox.calls if call.service == "organizations"]
    change = ["DescribePolicy", "UpdatePolicy", "DescribePolicy"]
    assert calls == ["ListTargetsForPolicy", "DescribePolicy", *change] * 2


def test_a_full_account_leaves_the_others_alone(world):
    """The sixteenth person of an account is not denied, which is told and sounds the alarm; others still are."""
    crowd = {f"{world.roles[FIRST]['RoleId']}:person{number}": "20261127" for number in range(15)}
    world.policy.content = index().document({FIRST: crowd}, "iam:*")
    sixteenth = world.person("person15")
    world.sandbox.calls.clear()
    (last,) = world.forward(sixteenth)
    assert "AssumeRole" not in {call.action for call in world.sandbox.calls if FUNCTION in call.caller}
    assert (last.decisions[0]["decision"], last.attempts[0].outcome) == ("cannot-revoke", "succeeded")
    assert "15 people of account" in last.decisions[0]["reason"]
    assert world.mails()[-1].startswith('"IAM access cannot be revoked: person15, ')
    assert world.alarms() == ["refused"]
    assert world.poll() == [], "what the function says itself does not come back to it"
    other = world.person("carol@example.com", SECOND)
    world.forward(other)
    assert len(world.denied[FIRST]) == 15
    assert sixteenth.may_use_iam()
    assert not other.may_use_iam()


# Attacks


def test_a_forged_event_of_another_account_denies_nobody_there(world, ada):
    """The account is the envelope's, and the role's id is looked up in it: what the event says does not count."""
    world.put(world.event(ada), SECOND)
    (done,) = world.poll()
    assert done.decisions[0]["account"] == SECOND
    assert "is no role of Identity Center in account" in done.decisions[0]["reason"]
    assert world.denied == {}


def test_a_captured_account_denies_its_own_people_at_most(world):
    """Whatever a forged event says, the denial is of its own account, and of a role of Identity Center."""
    own = world.sandbox.create_role("AWSReservedSSO_Mine_0123456789abcdef", account=SECOND, path="/mine/")
    person = world.person("victim@example.com", SECOND)
    detail = world.event(person)
    forged = {**detail["principal"], "name": own["RoleName"], "id": own["RoleId"]}
    world.put({**detail, "principal": forged}, SECOND)
    world.put(detail, SECOND)
    world.poll()
    assert list(world.denied) == [SECOND]
    assert world.denied[SECOND] == [person.id]
    assert world.person("victim@example.com", FIRST).may_use_iam()


MALFORMED = {
    "an id": {"principal": {"type": "role", "name": ROLE, "id": "AROA*", "arn": ""}},
    "a name": {
        "principal": {"type": "role", "name": "AWSReservedSSO_*", "id": "AROAEXAMPLE123456", "arn": ""}
    },
    "the call": {"call": "x"},
}


@pytest.mark.parametrize("part", MALFORMED)
def test_a_malformed_event_denies_nobody(world, ada, part):
    """Role ids and session names have AWS's own form, or the event is let pass, once, and blocks nobody."""
    world.put(world.event(ada, **MALFORMED[part]))
    (done,) = world.poll()
    assert done.decisions[0]["decision"] == "let-pass"
    assert (world.denied, world.poll()) == ({}, [])


def test_a_stranger_puts_no_event_on_the_bus(world, ada):
    """Neither another role of a member account, nor the forwarding role of an account outside, may."""
    world.sandbox.create_role("stranger", account=FIRST)
    outside = "300000000505"
    world.sandbox.create_role("iam-guard-forward", account=outside)
    world.sandbox.outsiders.add(outside)
    for account, role in ((FIRST, "stranger"), (outside, "iam-guard-forward")):
        with pytest.raises(ClientError, match="AccessDenied"):
            world.put(world.event(ada), account, role)
    world.sandbox.outsiders.discard(outside)
    assert world.poll() == []


def test_nobody_but_the_rule_and_who_gives_iam_back_writes_to_the_queues(world):
    """No other rule and no role of the central account with every right may, not even to the dead-letter queue."""
    world.sandbox.create_role("stranger", account=CENTRAL)
    session = world.sandbox.session(f"arn:aws:iam::{CENTRAL}:role/stranger")
    sqs = world.sandbox.client("sqs", session, CENTRAL)
    message = {"MessageBody": "x", "MessageGroupId": "x", "MessageDeduplicationId": "x"}
    for name in ("iam-guard-people.fifo", "iam-guard-people-failed.fifo"):
        with pytest.raises(ClientError, match="AccessDenied"):
            sqs.send_message(QueueUrl=QUEUE.replace("iam-guard-people.fifo", name), **message)
        for rule, may in (("iam-guard-people", name == "iam-guard-people.fifo"), ("another", False)):
            arn = f"arn:aws:events:us-east-1:{CENTRAL}:rule/iam-guard-central/{rule}"
            caller = principals.service("events.amazonaws.com", CENTRAL, "aws", arn)
            queue = f"arn:aws:sqs:us-east-1:{CENTRAL}:{name}"
            assert authorization.authorized(caller, "sqs:SendMessage", queue, {}) == may


def test_nobody_else_of_the_organization_writes_the_scp(world):
    """The delegation is for the security account, there for the function's role alone, and for this one SCP."""
    (full,) = [one for one in world.backend.policies if one.name == "FullAWSAccess"]
    world.sandbox.create_role("root-like", account=FIRST)
    world.sandbox.create_role("root-like", account=CENTRAL)
    for account, policy in ((FIRST, world.policy), (CENTRAL, full)):
        session = world.sandbox.session(f"arn:aws:iam::{account}:role/root-like")
        client = world.sandbox.client("organizations", session, account)
        for call, more in (("describe_policy", {}), ("update_policy", {"Content": "{}"})):
            with pytest.raises(ClientError, match="AccessDenied"):
                getattr(client, call)(PolicyId=policy.id, **more)
    assert client.describe_policy(PolicyId=world.policy.id)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.update_policy(PolicyId=world.policy.id, Content=world.policy.content)


def test_an_account_that_does_not_let_us_look_is_told(world, ada):
    """Without iam-guard-people-read nobody is denied, somebody hears of it, and the others do not wait."""
    role = iam_backends[FIRST]["aws"].get_role("iam-guard-people-read")
    trust, role.assume_role_policy_document = role.assume_role_policy_document, '{"Statement": []}'
    (done,) = world.forward(ada)
    role.assume_role_policy_document = trust
    assert "the role iam-guard-people-read of account" in done.decisions[0]["reason"]
    assert (world.denied, world.alarms()) == ({}, ["refused"])


def test_nobody_of_the_management_account_is_said_to_be_denied(world, ada):
    """No SCP acts there, so nothing is written, and somebody hears of it."""
    world.sandbox.create_role("iam-guard-forward", account=MANAGEMENT)
    world.put(world.event(ada), MANAGEMENT)
    (done,) = world.poll()
    assert done.decisions[0]["reason"] == "no SCP acts in the management account"
    assert (world.denied, world.alarms()) == ({}, ["refused"])


def test_nobody_is_said_to_be_denied_by_an_scp_that_does_not_act_on_them(world, ada):
    """Attached to another account alone, the SCP denies nobody here, and somebody hears of it."""
    world.attach(False)
    client = world.sandbox.client("organizations", account=MANAGEMENT)
    client.attach_policy(PolicyId=world.policy.id, TargetId=SECOND)
    carol = world.person("carol@example.com", SECOND)
    world.forward(carol)
    assert not carol.may_use_iam()
    assert f"attached to {SECOND}" in world.mails()[-1]
    world.forward(ada)
    client.detach_policy(PolicyId=world.policy.id, TargetId=SECOND)
    assert world.mails()[-1].startswith('"IAM access cannot be revoked: ada@example.com, ')
    assert (list(world.denied), world.alarms()) == ([SECOND], ["refused"])


# Faults


def test_organizations_that_throttles_loses_nobody(world, ada):
    """Two refusals later the person is denied."""
    fault = Fault("organizations:UpdatePolicy", "ConcurrentModificationException", caller=WRITER, times=2)
    world.sandbox.faults.append(fault)
    (done,) = world.forward(ada)
    assert done.succeeded, done.log
    assert world.denied == {FIRST: [ada.id]}


def test_what_fails_three_times_is_kept_and_told(world, ada, bob):
    """The message ends in the dead-letter queue, its alarm goes off, and the next person is denied."""
    fault = Fault("organizations:UpdatePolicy", "ConcurrentModificationException", caller=WRITER)
    world.sandbox.faults.append(fault)
    world.put(world.event(ada))
    for _ in range(3):
        assert not world.poll()[0].succeeded
        world.later()
    world.sandbox.faults.clear()
    world.forward(bob)
    assert world.alarms() == ["letters"]
    world.attach(False)
    world.look()
    assert world.alarms() == ["letters", "failed"], "an alarm of its own, though the other one stays"
    assert world.denied == {FIRST: [bob.id]}


def test_a_queue_that_nobody_reads_is_told(world, ada):
    """If a message has waited for five minutes, an alarm goes off."""
    world.put(world.event(ada))
    assert world.alarms() == []
    (message,) = sqs_backends[CENTRAL]["us-east-1"].queues["iam-guard-people.fifo"]._messages
    message.sent_timestamp -= 300_000
    assert world.alarms() == ["waiting"]


def test_a_decision_that_could_not_be_told_is_told_later(world, ada):
    """If the bus does not take the event, the person is denied, and the message comes again."""
    world.sandbox.faults.append(Fault("events:PutEvents", "InternalFailure", 500, caller=WRITER))
    (done,) = world.forward(ada)
    assert (done.succeeded, world.denied) == (False, {FIRST: [ada.id]})
    world.sandbox.faults.clear()
    world.later()
    before = len(world.mails())
    assert world.poll()[0].succeeded
    assert len(world.mails()) == before + 1


# By hand


def test_a_change_by_hand_at_the_same_moment_loses_nobody(world, ada, bob, monkeypatch):
    """If somebody writes over the entry right after it was written, it is written again."""
    world.forward(bob)
    without_ada = world.policy.content
    for name, value in (
        world.sandbox.environ(account=MANAGEMENT) | {"IAM_GUARD_SCP": world.policy.id}
    ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    module, calls = index(), []
    read = module.scp

    def scp():
        calls.append(read)
        if len(calls) == 2:  # between the write and the look
            world.policy.content = without_ada
        return read()

    module.scp = scp
    assert module.change(lambda denied: module.add(denied, FIRST, ada.id, "20261127", "iam:*"))
    assert world.denied == {FIRST: [bob.id, ada.id]}


def test_what_somebody_else_wrote_into_the_scp_stays_and_is_told(world, ada):
    """A statement of another kind is neither lost nor passed on: the message fails, and the hourly look, too."""
    other = {"Effect": "Deny", "Action": "ec2:*", "Resource": "*"}
    by_hand = json.dumps({**EMPTY, "Statement": [*EMPTY["Statement"], other]})
    world.policy.content = by_hand
    (done,) = world.forward(ada)
    assert "a statement that iam-guard did not write" in done.log
    assert not world.look().succeeded
    assert (world.policy.content, world.alarms()) == (by_hand, ["failed"])


def test_a_detached_scp_is_noticed_within_an_hour(world, ada):
    """The hourly look fails, with the alarm; the health report of the central account says it, too."""
    assert world.look().succeeded
    world.attach(False)
    done = world.look()
    assert "is attached to nothing" in done.log
    assert world.alarms() == ["failed"]
