"""The AWS clients that everything shares. Pure."""

from concurrent.futures import ThreadPoolExecutor
from threading import current_thread, main_thread
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from c7n_iamguard.iam import client


@pytest.mark.parametrize("count", [0, 1, 7])
def test_several_are_handled_in_threads_and_told_in_their_order(count):
    """Of a single one, such as an event's caller, no thread is started."""
    threads = []

    def twice(number):
        threads.append(current_thread())
        return 2 * number

    element = SimpleNamespace(executor_factory=ThreadPoolExecutor)
    assert client.map_threaded(element, twice, range(count)) == [2 * number for number in range(count)]
    assert (main_thread() in threads) is (count == 1)


@pytest.mark.parametrize(
    ("code", "calls"),
    [("ConcurrentModification", 3), ("EntityTemporarilyUnmodifiable", 3), ("LimitExceeded", 1)],
)
def test_a_conflict_is_tried_three_times_and_nothing_else(monkeypatch, code, calls):
    """botocore tries throttles again by itself, and what IAM refuses stays refused."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    asked, error = [], ClientError({"Error": {"Code": code, "Message": "no"}}, "AttachUserPolicy")

    def call(name):
        asked.append(name)
        raise error

    with pytest.raises(ClientError) as raised:
        client.retry_conflicts(call, "bob")
    assert asked == ["bob"] * calls
    assert client.error_code(raised.value) == code
