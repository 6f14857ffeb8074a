"""The filters admin-group-member and admin-role, in this process."""

from helpers import moto_group

from sandbox.iam import entities as sandbox_iam


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


def test_a_preview_names_roles_that_organizations_usually_need(sandbox, in_process, caplog):
    """Roles of Organizations, Control Tower and the CDK are not trusted by default; the line to add is said."""
    usual = "cdk-hnb659fds-cfn-exec-role-111122223333-us-east-1"
    for name in (usual, "OrganizationAccountAccessRole", "team"):
        sandbox.create_role(name)
    filters = [{"not": [{"type": "admin-role", "roles": ["OrganizationAccountAccessRole"]}]}]
    policy = in_process(resource="aws.iam-role", source="authorization-details", filters=filters)
    assert {usual, "team"} <= {role["RoleName"] for role in policy.resource_manager.resources()}
    assert caplog.text.count("is usual in organizations") == 1
    assert f"if it is, add {usual} to admin_roles in iam-guard.yml" in caplog.text
