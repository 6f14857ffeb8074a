"""Who is meant to use IAM: the filter admin-group-member."""

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from helpers import PAT

from c7n_iamguard.iam import client
from sandbox.server import Fault


def group(name, group_id="AGPA" + "X" * 16):
    """A group as IAM's operations describe one."""
    arn = f"arn:aws:iam::111122223333:group/{name}"
    return {"GroupName": name, "Path": "/", "GroupId": group_id, "Arn": arn, "CreateDate": "2026-01-01"}


@pytest.fixture
def stubbed(in_process, monkeypatch):
    """``stubbed(groups)``: the filter for some admin groups, and the stub of the IAM client that it uses."""
    stubs = []

    def make(*groups):
        policy = in_process(filters=[{"type": "admin-group-member", "groups": list(groups)}])
        iam = client.iam(policy.resource_manager)
        monkeypatch.setitem(client._kept, "iam", iam)
        stubs.append(Stubber(iam))
        stubs[0].activate()
        return policy.resource_manager.filters[0], stubs[0]

    yield make
    stubs[0].assert_no_pending_responses()
    stubs[0].deactivate()


def test_groups_on_a_later_page_count(stubbed):
    """An admin group on the second page of ListGroupsForUser makes an admin, whatever its name is by now."""
    criterion, stub = stubbed("admins")
    stub.add_response("get_group", {"Group": group("admins"), "Users": [PAT]}, {"GroupName": "admins"})
    page = {"Groups": [group("developers", "B" * 16)], "IsTruncated": True, "Marker": "next"}
    stub.add_response("list_groups_for_user", page, {"UserName": "pat"})
    page = {"Groups": [group("ADMINS")], "IsTruncated": False}
    stub.add_response("list_groups_for_user", page, {"UserName": "pat", "Marker": "next"})
    assert criterion.process([{"UserName": "pat"}])


def test_an_admin_group_on_a_later_page_is_found(stubbed):
    """A group whose name has another case is looked for among all groups, page by page."""
    criterion, stub = stubbed("admins")
    stub.add_client_error("get_group", "NoSuchEntity")
    page = {"Groups": [group("developers")], "IsTruncated": True, "Marker": "next"}
    stub.add_response("list_groups", page, {})
    stub.add_response("list_groups", {"Groups": [group("ADMINS")]}, {"Marker": "next"})
    stub.add_response("get_group", {"Group": group("ADMINS"), "Users": [PAT]}, {"GroupName": "ADMINS"})
    pins = criterion.pin()
    assert pins == {"groups": {"admins": group("ADMINS")["GroupId"]}, "roles": {}, "patterns": {}}


def test_an_error_of_iam_never_counts_as_no_groups(in_process, user, fresh):
    """AccessDenied while asking for groups ends the run with that error."""
    user("eve")
    policy = in_process(filters=[{"type": "admin-group-member", "groups": ["Admins"]}])
    fresh.faults.append(Fault("iam:ListGroupsForUser", "AccessDenied", 403))
    with pytest.raises(ClientError, match="AccessDenied"):
        policy.resource_manager.filters[0].process([{"UserName": "eve"}])


def test_a_preview_names_roles_that_organizations_usually_need(sandbox, unchanged, custodian):
    """Roles of Organizations, Control Tower and the CDK are not trusted by default; the line to add is said."""
    usual = "cdk-hnb659fds-cfn-exec-role-111122223333-us-east-1"
    for name in (usual, "OrganizationAccountAccessRole", "team"):
        sandbox.create_role(name)
    filters = [{"not": [{"type": "admin-role", "roles": ["OrganizationAccountAccessRole"]}]}]
    policy = {"name": "preview", "resource": "aws.iam-role", "source": "authorization-details"}
    done = custodian({**policy, "filters": filters})
    assert done.stderr.count("is usual in organizations") == 1
    assert f"if it is, add {usual} to admin_roles in iam-guard.yml" in done.stderr
    assert {usual, "team"} <= set(done.users)
