"""The source ``authorization-details``: a whole account, or an event's user."""

from collections import Counter

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from helpers import PAT, REVOKED, deny_arn, deny_user, policy

from c7n_iamguard import aws_names
from c7n_iamguard.iam import client
from sandbox.iam import entities as sandbox_iam

DETAILS = "GetAccountAuthorizationDetails"
ADMINS = {"type": "admin-group-member", "groups": ["Admins"]}


def operations(sandbox):
    """The number of calls of each operation, without those that any command makes."""
    return Counter(call.action for call in sandbox.calls if call.action != "GetCallerIdentity")


def test_a_user_of_the_source_is_what_stock_filters_expect(fresh, user, source, in_process):
    """Every user is as GetUser tells, with a list of tags, and groups, policies and boundary besides."""
    user("tia", groups=["Admins"], tags=[{"Key": "team", "Value": "data"}], path="/team/")
    deny_user(fresh, "tia", "managed", "inline", "boundary")
    users = {u["UserName"]: u for u in source().resource_manager.resources()}
    for stock_user in in_process(source="describe").resource_manager.resources():
        ours = users.pop(stock_user["UserName"])
        assert {key: ours.get(key) for key in stock_user} == stock_user
        if stock_user["UserName"] == "tia":
            tia = ours
    assert users == {}
    assert tia["GroupList"] == ["Admins"]
    assert [p["PolicyName"] for p in tia["AttachedManagedPolicies"]] == ["DenyIAMAccess"]
    assert tia["UserPolicyList"][1]["PolicyDocument"]["Statement"][0]["Action"] == ["iam:*", "sts:*"]
    assert tia["PermissionsBoundary"]["PermissionsBoundaryArn"] == deny_arn(fresh, aws_names.BOUNDARY_POLICY)


def test_lists_that_an_answer_leaves_out_are_empty(source, monkeypatch):
    """A user of whom IAM tells no tags, groups or policies has none, and is no match of either filter."""
    nobody = {"type": "admin-group-member", "groups": []}
    policy = source(filters=[nobody, "iam-access-revoked"])
    iam = client.iam(policy.resource_manager)
    with Stubber(iam) as stub:
        page = {"UserDetailList": [PAT], "GroupDetailList": [], "IsTruncated": False}
        stub.add_response("get_account_authorization_details", page)
        monkeypatch.setattr(client, "_kept", {"iam": iam})
        (pat,) = policy.resource_manager.source.resources({})
        lists = ("GroupList", "AttachedManagedPolicies", "UserPolicyList", "Tags")
        assert [pat[key] for key in lists] == [[], [], [], []]
        assert [item.process([pat]) for item in policy.resource_manager.filters] == [[], []]


def test_all_pages_are_read_and_nobody_is_asked_about(fresh, user, source, monkeypatch):
    """Users on later pages count, for each filter; beside the pages, one call asks what the deny policy says."""
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 3)
    for number in range(8):
        user(f"page-{number}", groups=["Admins"] if number % 2 else [])
        deny_user(fresh, f"page-{number}", *["managed"] * (number > 4))
    policy = source(filters=[ADMINS, "iam-access-revoked"])
    fresh.calls.clear()
    assert {one["UserName"] for one in policy.resource_manager.resources()} == {"page-5", "page-7"}
    assert operations(fresh) == {DETAILS: 4, "GetPolicyVersion": 1}


def test_an_error_between_pages_fails_the_run(source, monkeypatch):
    """If a later page never comes, the run fails with IAM's error, and the users of the first are not found."""
    policy = source(filters=[{"not": [ADMINS]}])
    iam = client.iam(policy.resource_manager)
    monkeypatch.setattr(client, "_kept", {"iam": iam})
    with Stubber(iam) as stub:
        page = {"UserDetailList": [PAT], "GroupDetailList": [], "IsTruncated": True, "Marker": "2"}
        stub.add_response("get_account_authorization_details", page)
        stub.add_client_error("get_account_authorization_details", "Throttling")
        with pytest.raises(ClientError, match="Throttling"):
            policy.resource_manager.resources()


def test_membership_is_of_now_and_never_from_custodians_cache(fresh, user, monkeypatch, tmp_path):
    """A second run within the 15 minutes of Custodian's cache sees who has become an admin since."""
    user("nia")
    data = {"name": "of-now", "resource": "aws.iam-user", "source": "authorization-details"}
    data["filters"] = [{"UserName": "nia"}, {"not": [ADMINS]}]
    for expected in (["nia"], []):
        fresh.calls.clear()
        cached = {"cache": str(tmp_path / "cache"), "cache_period": 15}
        found = policy(data, fresh.environ(), monkeypatch, **cached).resource_manager.resources()
        assert [one["UserName"] for one in found] == expected
        assert operations(fresh)[DETAILS] == 1
        fresh.client("iam").add_user_to_group(GroupName="Admins", UserName="nia")


def test_an_events_user_is_read_by_name(fresh, user, source):
    """Asked for one user by name, the source reads that user alone, and the filters ask for the rest."""
    user("evi", groups=["Admins"])
    deny_user(fresh, "evi", "inline")
    policy = source(filters=[ADMINS, "iam-access-revoked"])
    fresh.calls.clear()
    found = policy.resource_manager.source.get_resources(["evi", "nobody"])
    found = policy.resource_manager.filter_resources(found)
    assert [(u["UserName"], u[REVOKED]) for u in found] == [("evi", ["inline"])]
    assert operations(fresh)[DETAILS] == 0
    assert operations(fresh)["ListGroupsForUser"] == 1


def test_groups_that_aws_config_tells_of_are_not_trusted(fresh, user, in_process):
    """Groups in a user from another source are of some time ago; IAM is asked."""
    user("kay")
    policy = in_process(source="config", filters=[ADMINS, "iam-access-revoked"])
    of_config = {
        "UserName": "kay",
        "GroupList": ["Admins"],
        "AttachedManagedPolicies": [],
        "UserPolicyList": [],
    }
    assert policy.resource_manager.filters[0].process([of_config]) == []
    deny_user(fresh, "kay", "managed")
    (kay,) = policy.resource_manager.filters[1].process([of_config])
    assert kay[REVOKED] == ["managed"]
