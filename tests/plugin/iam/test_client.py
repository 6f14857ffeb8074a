"""The AWS clients that everything shares."""

import pytest
from botocore.exceptions import ClientError
from c7n.utils import reset_session_cache

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


def test_a_policy_makes_each_client_once_for_a_session(in_process):
    """Another policy, service or session has a client of its own: accounts never share one."""
    one, other = (in_process(name).resource_manager for name in ("one", "other"))
    made = client.client_of(one, "iam")
    assert client.client_of(one, "iam") is made
    assert client.client_of(other, "iam") is not made
    assert client.client_of(one, "events") is not made
    reset_session_cache()
    assert client.client_of(one, "iam") is not made
