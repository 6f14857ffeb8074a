"""The AWS clients that everything shares. Pure."""

import pytest
from botocore.exceptions import ClientError

from c7n_iamguard.iam import client


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
