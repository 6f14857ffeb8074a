"""Who is meant to use IAM: the filter admin-group-member."""

import pytest
from botocore.exceptions import ClientError
from helpers import moto_group

from sandbox.iam import entities as sandbox_iam
from sandbox.server import Fault


def test_groups_on_later_pages_count(fresh, user, in_process, monkeypatch):
    """The admin group is found on any page, of all groups and of a user's own."""
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 1)
    for name in ("developers", "chefs"):
        fresh.client("iam").create_group(GroupName=name)
    user("pat", groups=["developers", "chefs"])
    data = {"type": "admin-group-member", "groups": [moto_group(fresh, "chefs").id]}
    (criterion,) = in_process(filters=[data]).resource_manager.filters
    assert criterion.process([{"UserName": "pat"}])
    pages = [call.action for call in fresh.calls]
    assert (pages.count("ListGroups"), pages.count("ListGroupsForUser")) == (3, 2)


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
