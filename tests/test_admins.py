"""Who is meant to use IAM: the filter admin-group-member."""

import pytest

from sandbox.server import Fault


def test_groups_on_a_later_page_count(in_process, user, monkeypatch):
    """An admin group on the second page of ListGroupsForUser makes an admin."""
    from botocore.stub import Stubber

    from c7n_iamguard import client as clients

    policy = in_process(filters=["admin-group-member"])
    iam = clients.iam(policy.resource_manager)

    def group(name):
        return {
            "GroupName": name,
            "Path": "/",
            "GroupId": "A" * 16,
            "Arn": "a" * 20,
            "CreateDate": "2026-01-01",
        }

    with Stubber(iam) as stub:
        page = {"Groups": [group("developers")], "IsTruncated": True, "Marker": "next"}
        stub.add_response("list_groups_for_user", page, {"UserName": "pat"})
        page = {"Groups": [group("ADMINS")], "IsTruncated": False}
        stub.add_response("list_groups_for_user", page, {"UserName": "pat", "Marker": "next"})
        monkeypatch.setattr(clients, "_kept", iam)
        assert policy.resource_manager.filters[0].process([{"UserName": "pat"}], event={})
        stub.assert_no_pending_responses()


def test_an_error_of_iam_never_counts_as_no_groups(in_process, user, sandbox):
    """AccessDenied while asking for groups ends the run with that error."""
    user("eve")
    policy = in_process(filters=[{"not": ["admin-group-member"]}])
    sandbox.faults.append(Fault("iam:ListGroupsForUser", "AccessDenied", 403))
    with pytest.raises(Exception, match="AccessDenied"):
        policy.resource_manager.filters[0].process([{"UserName": "eve"}], event={})
    sandbox.faults.clear()


def test_a_user_who_is_gone_is_no_match_and_no_error(in_process, sandbox):
    """The filter passes over a user who no longer exists."""
    policy = in_process(filters=["admin-group-member"])
    assert policy.resource_manager.filters[0].process([{"UserName": "long-gone"}], event={}) == []
