"""Reading CloudTrail's event history: paging, AWS's limit, what happens when a part cannot be read."""

from datetime import timedelta
from types import SimpleNamespace

import boto3
import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from trail import ACCOUNT, NOW, Clock, Trail, record, user

from c7n_iamguard.history import lookup_events
from c7n_iamguard.history.lookup_events import History, IncompleteHistory

BOB = user("bob")
THROTTLED = "ThrottlingException"


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(lookup_events, "time", clock)
    return clock


@pytest.fixture
def trail(clock):
    """``trail(records, {2: "ThrottlingException"})``: a history, and the requests that it has seen."""
    return lambda records=(), answers=None, latency=0: Trail(records, answers, clock, latency)


def reading(trail, hours=24, **options):
    return History(trail.client, ACCOUNT, NOW - timedelta(hours=hours), NOW, **options)


def calls(number):
    return [record(BOB, number=n) for n in range(number)]


def test_all_pages_of_one_span_are_read_newest_first(trail):
    """Every record comes out, in CloudTrail's order; all requests select IAM's events alone, 50 within one span."""
    history = trail(calls(120))
    assert list(reading(history, hours=7)) == history.records
    first, *others = history.requests
    iams_events = {"AttributeKey": "EventSource", "AttributeValue": "iam.amazonaws.com"}
    assert (first["LookupAttributes"], first["MaxResults"]) == ([iams_events], 50)
    assert (first["EndTime"] - first["StartTime"], first["EndTime"]) == (7 * 3600, NOW.timestamp())
    assert [request.pop("NextToken") for request in others] == ["50", "100"]
    assert others == [first] * 2


def test_two_requests_a_second_are_made_and_no_more(trail, clock):
    """Requests are half a second apart; if AWS takes longer for an answer, the next one follows at once."""
    history = trail(calls(1000), latency=0.1)
    assert len(list(reading(history))) == 1000
    gaps = [later - earlier for earlier, later in zip(history.times, history.times[1:], strict=False)]
    assert gaps == [pytest.approx(0.5)] * 19
    clock.slept.clear()
    list(reading(trail(calls(500), latency=2)))
    assert clock.slept == []


def test_an_empty_page_is_not_the_end(trail, monkeypatch):
    """AWS may return a page without events and a token for the next one."""
    history = trail()
    answers = iter([{"Events": [], "NextToken": "1"}, {"Events": []}])
    monkeypatch.setattr(history.client, "lookup_events", lambda **_: next(answers))
    read = reading(history, partial=True)
    assert list(read) == read.problems == []
    assert next(answers, None) is None


@pytest.mark.parametrize(
    "fault",
    [
        THROTTLED,
        "InternalFailure",
        ConnectTimeoutError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        EndpointConnectionError(endpoint_url="x"),
    ],
    ids=str,
)
def test_what_goes_away_is_tried_again(trail, fault):
    """After throttles, AWS's own errors and a broken network, the same page is asked for again."""
    history = trail(calls(120), {1: fault, 2: fault, 3: fault})
    assert list(reading(history)) == history.records
    assert [request.get("NextToken") for request in history.requests] == [None, *["50"] * 4, "100"]


def test_a_strict_reading_puts_up_with_throttles_for_five_minutes(trail, clock):
    """While every request is throttled it is tried again; after five minutes the reading fails."""
    read, began = iter(reading(trail(calls(120), {...: THROTTLED, 0: None}))), clock.now
    assert len([next(read) for _ in range(50)]) == 50
    with pytest.raises(IncompleteHistory, match=r"incomplete: CloudTrail's LookupEvents failed: .+injected"):
        next(read)
    assert 280 <= clock.now - began <= 300


@pytest.mark.parametrize("seconds", [45, 600])
def test_a_partial_reading_puts_up_with_throttles_until_its_deadline(trail, clock, seconds):
    """It ends after the time that it was given, or after five minutes, with what it has read."""
    read = reading(trail(calls(120), {...: THROTTLED, 0: None}), partial=True, seconds=seconds)
    began = clock.now
    assert len(list(read)) == 50
    assert min(seconds, 300) - 20 <= clock.now - began <= min(seconds, 300)
    assert [THROTTLED in problem for problem in read.problems] == [True]


def test_a_partial_reading_ends_at_its_deadline(trail):
    """Without any error, too, a reading stops when its time is over, and says so."""
    read = reading(trail(calls(2000)), partial=True, seconds=10)
    assert len(list(read)) == 20 * 50
    assert read.problems == ["the time for reading is over"]


def test_what_does_not_go_away_fails_at_once(trail):
    """An error that another try would meet again ends the reading with CloudTrail's own message, or in part."""
    histories = [trail(calls(120), {1: "AccessDeniedException"}) for _ in range(2)]
    with pytest.raises(IncompleteHistory, match="AccessDeniedException"):
        list(reading(histories[0]))
    read = reading(histories[1], partial=True)
    assert len(list(read)) == 50
    assert len(read.problems) == 1
    assert [len(history.requests) for history in histories] == [2, 2]


@pytest.mark.parametrize("broken", ["{", '"text"'])
def test_an_entry_that_holds_no_record_fails_a_strict_reading(trail, caplog, broken):
    """An entry without a JSON object is named; a partial reading goes on after it, and is incomplete."""
    records = [*calls(3), broken, *calls(2)]
    with pytest.raises(IncompleteHistory, match=r"the entry broken of 2026-11-25 12:00:00.+ cannot be read"):
        list(reading(trail(records)))
    read = reading(trail(records), partial=True)
    assert len(list(read)) == 5
    assert len(read.problems) == 1
    assert "the entry broken of" in caplog.text


def test_records_about_another_account_are_left_out(trail):
    """A record that CloudTrail wrote for another account is none of this account's."""
    own, foreign, unsaid = calls(3)
    foreign["recipientAccountId"] = "444455556666"
    del unsaid["recipientAccountId"]
    assert list(reading(trail([own, foreign, unsaid]))) == [own, unsaid]


def test_botocore_does_not_try_again_by_itself():
    """The client's own retries are off, because they do not know the limit of two requests a second."""
    config, sent = lookup_events.CONFIG.merge(Config(signature_version=UNSIGNED)), []
    client = boto3.client("cloudtrail", "us-east-1", config=config)

    def throttled(request, **_):
        sent.append(request)
        body = SimpleNamespace(stream=lambda: [b'{"__type": "ThrottlingException"}'])
        return AWSResponse(request.url, 400, {}, body)

    client.meta.events.register("before-send.cloudtrail", throttled)
    with pytest.raises(ClientError, match=THROTTLED):
        client.lookup_events()
    assert len(sent) == 1
