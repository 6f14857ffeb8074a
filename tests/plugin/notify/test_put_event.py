"""The action put-event in this process: whom it tells of what, and what happens if the bus does not listen."""

import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from c7n.exceptions import PolicyExecutionError, PolicyValidationError
from helpers import case
from told import DETAIL, by_event, decided, listen, of_role

from c7n_iamguard.iam import client
from c7n_iamguard.notify import put_event
from sandbox.server import Fault

ARN = "arn:aws:events:us-east-1:111122223333:event-bus/iam-guard"


@pytest.fixture
def told(sandbox, unchanged):
    """``told()``: what came over the bus iam-guard since it was last called."""
    listener = listen(sandbox)
    sandbox.calls.clear()
    return listener


@pytest.fixture
def action(in_process):
    """``action(bus=…)``: the action in a policy of its own."""

    def make(resource="aws.iam-user", **options):
        made = in_process(resource=resource, actions=[{"type": "put-event", **options}])
        return made.resource_manager.actions[0]

    return make


def users(count, decision="revoked", **fields):
    """Users about whom something was decided."""
    account = "arn:aws:iam::111122223333:user"
    made = [
        {"UserName": f"user-{n}", "UserId": f"AIDA{n}", "Arn": f"{account}/user-{n}"} for n in range(count)
    ]
    fields = {"how": "managed"} if decision == "revoked" else fields
    return [decided(user, decision, **fields) for user in made]


def puts(sandbox):
    """How many entries each PutEvents call had."""
    return [len(call.params["Entries"]) for call in sandbox.calls if call.action == "PutEvents"]


def looks(sandbox):
    """How often somebody asked whether the bus is there."""
    return sum(call.action == "DescribeEventBus" for call in sandbox.calls)


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


# Telling


def test_each_decision_is_one_event(sandbox, told, action):
    """Every user about whom something was decided is told, and nobody else."""
    nobody = {"UserName": "vanished", "UserId": "AIDAX", "Arn": "arn:aws:iam::111122223333:user/vanished"}
    passed = decided(nobody, "let-pass", reason="the user does not exist any more")
    records = action().process([nobody, *users(2), passed], case("revoked-create-user"))
    events = told()
    assert [record["UserName"] for record in records] == ["user-0", "user-1"]
    assert {record["detail-type"] for record in records} == {"IAM access revoked"}
    assert [record["event"] for record in records] == [event["id"] for event in events]
    assert {event["source"] for event in events} == {"iam-guard"}
    assert {event["detail-type"] for event in events} == {"IAM access revoked"}
    assert [event["resources"] for event in events] == [
        [event["detail"]["principal"]["arn"]] for event in events
    ]
    for event in events:
        DETAIL.validate(event["detail"])


def test_a_role_is_told_like_a_user(told, action):
    """The action works on roles as well."""
    event = of_role()
    principal, _ = by_event(event, "revoked", how="managed")
    records = action(resource="aws.iam-role").process([principal], event)
    assert records[0]["RoleName"] == "Deployer"
    (event,) = told()
    assert event["detail"]["principal"]["type"] == "role"
    assert event["detail"]["call"]["sessionName"] == "ci"


def test_many_decisions_are_put_ten_at_a_time(sandbox, told, action):
    """EventBridge takes ten entries in a request."""
    action().process(users(23))
    assert puts(sandbox) == [10, 10, 3]
    assert len(told()) == 23


def test_nothing_decided_is_no_call(sandbox, told, action):
    """Without a decision, AWS is not called."""
    one = action()
    sandbox.calls.clear()
    assert one.process(users(2, "let-pass")) == []
    assert sandbox.calls == []


def test_a_bus_can_be_named_by_its_arn(told, action, bus):
    """A bus of another account is named by its ARN."""
    there = bus()
    action(bus="arn:aws:events:us-east-1:444455556666:event-bus/central").process(users(1))
    assert there.asked == [["user-0"]]


def test_the_policy_says_whether_it_only_observes(told, in_process):
    """If any action of the policy observes, what is told says so."""
    actions = [{"type": "revoke-iam-access", "bulk": True, "observe": True}, "put-event"]
    policy = in_process(actions=actions)
    policy.resource_manager.actions[1].process(users(1, "would-revoke"))
    assert told()[0]["detail"]["observed"]


def test_the_policys_runbook_and_the_accounts_alias_are_told(sandbox, told, in_process):
    """The runbook comes from the policy's metadata, the alias from IAM."""
    sandbox.client("iam").create_account_alias(AccountAlias="sandbox")
    policy = in_process(actions=["put-event"], metadata={"runbook": "https://wiki.example.com"})
    policy.resource_manager.actions[0].process(users(1))
    sandbox.client("iam").delete_account_alias(AccountAlias="sandbox")
    (event,) = told()
    assert event["detail"]["account"] == {"id": "111122223333", "alias": "sandbox"}
    assert event["detail"]["runbook"] == "https://wiki.example.com"


def test_an_unknown_alias_stops_nothing(sandbox, told, action, few_tries):
    """If IAM does not say the alias, it is empty, and the event is put."""
    sandbox.faults.append(Fault("iam:ListAccountAliases", "AccessDenied", 403))
    action().process(users(1))
    assert told()[0]["detail"]["account"]["alias"] == ""


def test_what_somebody_was_told_is_not_told_again(sandbox, told, action):
    """A further call that failed adds nothing, once the first was told."""
    event, failed = case("revoked-create-user"), case("revoked-call-that-failed")
    principal, _ = by_event(event, "revoked", how="managed")
    one = action()
    assert len(one.process([principal], event)) == 1
    assert one.process([principal], failed) == []
    assert len(told()) == 1


# A bus that does not listen


def test_a_missing_bus_is_said_before_aws_swallows_the_event(sandbox, told, action):
    """AWS takes events for a bus that does not exist, and drops them: so the action looks for it first."""
    with pytest.raises(
        PolicyExecutionError,
        match="could not tell the event bus nowhere of 2 decisions: there is no event bus",
    ):
        action(bus="nowhere").process(users(2))
    assert puts(sandbox) == []


def test_a_bus_is_used_as_soon_as_it_is_there(sandbox, told, action):
    """After the bus has been made, the next try goes through."""
    one, events = action(bus="late"), sandbox.client("events")
    with pytest.raises(PolicyExecutionError):
        one.process(users(1))
    events.create_event_bus(Name="late")
    assert len(one.process(users(1))) == 1
    events.delete_event_bus(Name="late")


def test_the_bus_is_looked_for_at_most_once_a_minute(sandbox, told, action, monkeypatch):
    """Within a minute the action relies on the bus; after that it looks again."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(put_event, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda _: None))
    one = action()
    for seconds, looked in ((0, 1), (59, 1), (1, 2)):
        clock.now += seconds
        one.process(users(1))
        assert looks(sandbox) == looked


def test_not_being_told_whether_there_is_a_bus_stops_nothing(sandbox, told, action, few_tries):
    """Without the right to look, the action puts the event."""
    sandbox.faults.append(Fault("events:DescribeEventBus", "AccessDeniedException", 400))
    action().process(users(1))
    assert len(told()) == 1


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "InvalidArgument", "NotAuthorizedForSourceException"]
)
def test_a_refused_entry_fails_the_run_and_names_the_code(told, action, bus, code):
    """An event that EventBridge refuses for good is not put again, and the run fails with its code."""
    there = bus([None, code, None])
    with pytest.raises(PolicyExecutionError, match=f"of 1 decisions: the first error is {code}: no"):
        action().process(users(3))
    assert there.asked == [["user-0", "user-1", "user-2"]]


@pytest.mark.parametrize("code", ["InternalFailure", "ThrottlingException"])
def test_what_is_refused_for_the_moment_is_put_again(told, action, bus, code):
    """Only the entries that failed are put again."""
    there = bus([None, code, code], [None, code])
    records = action().process(users(3))
    assert there.asked == [["user-0", "user-1", "user-2"], ["user-1", "user-2"], ["user-2"]]
    assert [record["UserName"] for record in records] == ["user-0", "user-1", "user-2"]


def test_what_is_refused_three_times_fails_the_run(told, action, bus):
    """After three tries, the run fails, and Lambda tries the event again."""
    there = bus(*[["ThrottlingException"]] * 3)
    with pytest.raises(PolicyExecutionError, match="ThrottlingException"):
        action().process(users(1))
    assert len(there.asked) == 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutEvents"),
            "AccessDenied",
        ),
        (
            EndpointConnectionError(endpoint_url="https://events"),
            "EndpointConnectionError: Could not connect",
        ),
    ],
)
def test_a_request_that_fails_keeps_the_others_from_nothing(told, action, bus, error, said):
    """If one request of ten fails as a whole, the next ten are put; the run fails in the end."""
    there = bus(error)
    with pytest.raises(PolicyExecutionError, match=f"of 10 decisions: the first error is {said}"):
        action().process(users(11))
    assert there.asked[-1] == ["user-10"]


def test_what_was_taken_before_a_request_failed_is_no_failure(told, action, bus):
    """The retry of the two that were throttled fails as a whole: eight are told, and two are not."""
    codes = ["ThrottlingException", *[None] * 8, "ThrottlingException"]
    there = bus(codes, EndpointConnectionError(endpoint_url="https://events"))
    with pytest.raises(
        PolicyExecutionError, match="of 2 decisions: the first error is EndpointConnectionError"
    ):
        action().process(users(10))
    assert there.asked[-1] == ["user-0", "user-9"]


def test_what_could_not_be_told_is_told_the_next_time(told, action, bus):
    """An event that failed is not taken for one that somebody knows of."""
    event, there = case("revoked-call-that-failed"), bus(["InvalidArgument"])
    principal, _ = by_event(event, "revoked", how="managed")
    one = action()
    with pytest.raises(PolicyExecutionError):
        one.process([principal], event)
    one.process([principal], event)
    assert len(there.asked) == 2


# Settings


@pytest.mark.parametrize("bus", ["iam-guard", "a.b_c-1", ARN, ARN.replace("arn:aws:", "arn:aws-us-gov:")])
def test_a_bus_is_a_name_or_an_arn(action, bus):
    """Names and ARNs of event buses are taken."""
    assert action(bus=bus).bus == bus


@pytest.mark.parametrize(
    "bus", ["", "a bus", "aws.partner/x/y", "arn:aws:events:us-east-1:1:event-bus/x", "{nobody}"]
)
def test_anything_else_is_refused_in_a_sentence(action, bus):
    """A value that cannot be a bus is refused, with the key and what to write."""
    with pytest.raises(
        PolicyValidationError, match=r"policy:a-policy action:put-event bus: .*; (write|define)"
    ):
        action(bus=bus)


def test_a_variable_may_name_the_bus(told, custodian):
    """The account and region fill in an ARN, as everywhere in a policy."""
    bus = "arn:aws:events:{region}:{account_id}:event-bus/iam-guard"
    nobody = {"type": "value", "key": "UserName", "value": "nobody"}
    custodian(
        {
            "name": "x",
            "resource": "aws.iam-user",
            "filters": [nobody],
            "actions": [{"type": "put-event", "bus": bus}],
        }
    )
