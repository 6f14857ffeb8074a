"""The action put-event in this process: whom it tells of what, and what happens if the bus does not listen."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from c7n.exceptions import PolicyExecutionError, PolicyValidationError
from helpers import case
from told import EVENT, SCHEMA, by_event, decided, listen

from c7n_iamguard.iam import client
from c7n_iamguard.notify import put_event
from sandbox.server import Fault

ARN = "arn:aws:events:us-east-1:111122223333:event-bus/iam-guard"
THROTTLED, UNREACHED = "ThrottlingException", EndpointConnectionError(endpoint_url="https://events")


@pytest.fixture
def told(sandbox, unchanged):
    """``told()``: what came over the bus iam-guard since it was last called."""
    listener = listen(sandbox)
    sandbox.calls.clear()
    return listener


@pytest.fixture
def action(in_process):
    """``action(bus=…)``: the action in a policy of its own."""

    def make(**options):
        return in_process(actions=[{"type": "put-event", **options}]).resource_manager.actions[0]

    return make


def users(count, decision="revoked"):
    """Users about whom something was decided."""
    arn = "arn:aws:iam::111122223333:user/user-"
    made = [{"UserName": f"user-{n}", "UserId": f"AIDA{n}", "Arn": f"{arn}{n}"} for n in range(count)]
    return [decided(user, decision, how="managed") for user in made]


def times(sandbox, operation):
    """The number of calls of an operation."""
    return [call.action for call in sandbox.calls].count(operation)


class Bus:
    """An EventBridge that answers PutEvents as it is told: each answer a list of error codes, or an error."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def describe_event_bus(self, **_):
        return {}

    def put_events(self, Entries):
        self.asked.append([json.loads(entry["Detail"])["principal"]["name"] for entry in Entries])
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        codes = answer or [None] * len(Entries)
        refused = [{"ErrorCode": code, "ErrorMessage": "no"} if code else {"EventId": "e"} for code in codes]
        return {"FailedEntryCount": sum(map(bool, codes)), "Entries": refused}


@pytest.fixture
def bus(monkeypatch):
    """``bus(…)``: an EventBridge of a test's own in place of the sandbox's."""
    monkeypatch.setattr(put_event, "PAUSE", 0)

    def make(*answers):
        made = Bus(*answers)
        monkeypatch.setitem(client._kept, "events", made)
        return made

    return make


def test_each_decision_is_one_event(told, action):
    """Every user about whom something was decided is told, and nobody else."""
    nobody = {"UserName": "vanished", "UserId": "AIDAX", "Arn": "arn:aws:iam::111122223333:user/vanished"}
    passed = decided(nobody, "let-pass", reason="the user does not exist any more")
    records = action().process([nobody, *users(2), passed], case("revoked-create-user"))
    events = told()
    assert [record["UserName"] for record in records] == ["user-0", "user-1"]
    assert [record["event"] for record in records] == [event["id"] for event in events]
    for record, event in zip(records, events, strict=True):
        EVENT.validate({key: event[key] for key in SCHEMA["properties"]})
        assert record["detail-type"] == event["detail-type"] == "IAM access revoked"
        assert event["resources"] == [event["detail"]["principal"]["arn"]]


def test_what_the_policy_and_the_account_say_is_told(sandbox, told, in_process):
    """The runbook of the policy's metadata, whether an action of it observes, and the account's alias."""
    sandbox.client("iam").create_account_alias(AccountAlias="sandbox")
    observing = {"type": "revoke-iam-access", "bulk": True, "observe": True}
    policy = in_process(actions=[observing, "put-event"], metadata={"runbook": "https://wiki.example.com"})
    policy.resource_manager.actions[1].process(users(1, "would-revoke"))
    sandbox.client("iam").delete_account_alias(AccountAlias="sandbox")
    (event,) = told()
    assert event["detail"]["account"] == {"id": "111122223333", "alias": "sandbox"}
    assert event["detail"]["runbook"] == "https://wiki.example.com"
    assert event["detail"]["observed"]


@pytest.mark.parametrize("question", ["iam:ListAccountAliases", "events:DescribeEventBus"])
def test_what_the_action_may_not_ask_stops_nothing(sandbox, told, action, question):
    """Without the right to ask for the account's alias or for the bus, the event is put."""
    sandbox.faults.append(Fault(question, "AccessDenied", 403))
    action().process(users(1))
    assert [event["detail"]["account"]["alias"] for event in told()] == [""]


def test_an_alias_that_iam_would_not_take_is_not_told(told, action, monkeypatch):
    """It goes into mails, where only names of IAM's stand."""
    answer = {"AccountAliases": ["Call 555"]}
    monkeypatch.setattr(put_event, "iam", lambda _: SimpleNamespace(list_account_aliases=lambda: answer))
    action().process(users(1))
    assert [event["detail"]["account"]["alias"] for event in told()] == [""]


def test_a_missing_bus_is_said_before_aws_swallows_the_event(sandbox, told, action):
    """AWS drops events for a bus that does not exist: the action looks for it first, and again at the next try."""
    one, events = action(bus="late"), sandbox.client("events")
    with pytest.raises(
        PolicyExecutionError, match="the event bus late of 2 decisions: there is no event bus"
    ):
        one.process(users(2))
    assert times(sandbox, "PutEvents") == 0
    events.create_event_bus(Name="late")
    assert len(one.process(users(1))) == 1
    events.delete_event_bus(Name="late")


@pytest.mark.parametrize(
    ("answers", "asked", "failed"),
    [
        ([[None, "InvalidArgument", None]], ["0 1 2"], "of 1 decisions: the first error is InvalidArgument: no"),
        ([[None, THROTTLED, "InternalFailure"], [None, THROTTLED]], ["0 1 2", "1 2", "2"], None),
        ([[THROTTLED, None, None], [THROTTLED], [THROTTLED]], ["0 1 2", "0", "0"], THROTTLED),
        ([[THROTTLED, None, None], UNREACHED], ["0 1 2", "0"], "of 1 decisions: the first error is EndpointConn"),
    ],
)  # fmt: skip
def test_what_is_refused_for_the_moment_is_put_again(told, action, bus, answers, asked, failed):
    """The entries that failed alone, up to three times; then, or if it is for good, the run fails with the code."""
    there = bus(*answers)
    with pytest.raises(PolicyExecutionError, match=failed) if failed else nullcontext():
        assert [record["UserName"] for record in action().process(users(3))] == ["user-0", "user-1", "user-2"]
    assert there.asked == [[f"user-{n}" for n in names.split()] for names in asked]


def test_a_request_that_fails_keeps_the_others_from_nothing(told, action, bus):
    """If one request of ten fails as a whole, the next ten are put; the run fails in the end."""
    there = bus(ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutEvents"))
    with pytest.raises(PolicyExecutionError, match="of 10 decisions: the first error is AccessDenied"):
        action().process(users(11))
    assert there.asked[-1] == ["user-10"]


def test_the_bus_is_looked_for_at_most_once_a_minute(sandbox, told, action, monkeypatch):
    """Within a minute the action relies on the bus; after that it looks again."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(put_event, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda _: None))
    one = action()
    for seconds, looked in ((0, 1), (59, 1), (1, 2)):
        clock.now += seconds
        one.process(users(1))
        assert times(sandbox, "DescribeEventBus") == looked


def test_what_could_not_be_told_is_told_the_next_time(told, action, bus):
    """An event that failed is not taken for one that somebody knows of, and one that was taken is."""
    event, there = case("revoked-call-that-failed"), bus(["InvalidArgument"])
    principal, _ = by_event(event, "revoked", how="managed")
    one = action()
    with pytest.raises(PolicyExecutionError):
        one.process([principal], event)
    assert [len(one.process([principal], event)) for _ in range(2)] == [1, 0]
    assert len(there.asked) == 2


NAMED = ("iam-guard", "a.b_c-1", ARN, ARN.replace("arn:aws:", "arn:aws-us-gov:"))


@pytest.mark.parametrize(
    "bus", [*NAMED, "", "a bus", "aws.partner/x/y", ARN.replace("1111", "1"), "{nobody}"]
)
def test_a_bus_is_a_name_or_an_arn(action, bus):
    """Anything else is refused in a sentence, with the key and what to write."""
    problem = r"policy:a-policy action:put-event bus: .*; (write|define)"
    with nullcontext() if bus in NAMED else pytest.raises(PolicyValidationError, match=problem):
        assert action(bus=bus).bus == bus
