"""The sandbox's IAM, held against what AWS documents: protected roles, names, ids, pages, sessions."""

import pytest
from botocore.exceptions import ClientError

from sandbox.access.principals import principal_of
from sandbox.server import document

ACCOUNT = "300000000003"
PREFIX = f"arn:aws:iam::{ACCOUNT}"
DOCUMENT = document({"Effect": "Allow", "Action": "*", "Resource": "*"})


@pytest.fixture(scope="module")
def iam(sandbox):
    return sandbox.client("iam", account=ACCOUNT)


def refused(call, **params):
    """The code and the HTTP status that a call is refused with."""
    with pytest.raises(ClientError) as error:
        call(**params)
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_role_of_aws_cannot_be_changed(sandbox, iam):
    """Every change of it is refused as UnmodifiableEntity, found under any spelling; reading works."""
    path, name = "/aws-reserved/sso.amazonaws.com/", "AWSReservedSSO_Admin_0a"
    sandbox.create_role(name, path=path, account=ACCOUNT)
    role, policy = {"RoleName": name.upper()}, f"{PREFIX}:policy/x"
    for call, params in (
        (iam.attach_role_policy, {"PolicyArn": policy}),
        (iam.put_role_policy, {"PolicyName": "x", "PolicyDocument": DOCUMENT}),
        (iam.tag_role, {"Tags": [{"Key": "a", "Value": "b"}]}),
    ):
        assert refused(call, **role, **params) == ("UnmodifiableEntity", 400)
    assert iam.get_role(**role)["Role"]["RoleName"] == name
    sandbox.client("s3", sandbox.session(f"{PREFIX}:role{path}{name}"), ACCOUNT).list_buckets()


def test_a_permissions_boundary_is_a_policy_that_there_is(sandbox, iam):
    """One that is not there cannot be set, and without one there is none to delete."""
    who = {"UserName": "bound"}
    sandbox.create_user("bound", account=ACCOUNT)
    missing = f"{PREFIX}:policy/missing"
    assert refused(iam.put_user_permissions_boundary, **who, PermissionsBoundary=missing)[0] == "NoSuchEntity"
    assert refused(iam.delete_user_permissions_boundary, **who)[0] == "NoSuchEntity"


def test_names_are_unique_without_regard_to_case(sandbox, iam):
    """A name that differs in case alone is taken; users and roles are found by any spelling."""
    sandbox.create_user("Casey", account=ACCOUNT)
    role = {"RoleName": "CASEY", "AssumeRolePolicyDocument": DOCUMENT}
    sandbox.create_role("Casey", account=ACCOUNT)
    iam.create_group(GroupName="Casey")
    assert refused(iam.create_user, UserName="casey") == ("EntityAlreadyExists", 409)
    assert refused(iam.create_role, **role) == ("EntityAlreadyExists", 409)
    assert refused(iam.create_group, GroupName="cASEY") == ("EntityAlreadyExists", 409)
    iam.create_user(UserName="other")
    assert refused(iam.update_user, UserName="other", NewUserName="CASEY")[0] == "EntityAlreadyExists"
    iam.update_user(UserName="CASEY", NewUserName="casey")
    assert iam.get_user(UserName="Casey")["User"]["UserName"] == "casey"
    assert iam.get_role(RoleName="casey")["Role"]["RoleName"] == "Casey"


def test_ids_survive_a_new_name_and_path_and_not_a_new_beginning(sandbox, iam):
    """Renaming and moving keep a group's id, members and policies, and a user's tags; remaking does not."""
    sandbox.create_user("gil", account=ACCOUNT, tags=[{"Key": "a", "Value": "b"}])
    before = iam.create_group(GroupName="first")["Group"]["GroupId"]
    assert before.startswith("AGPA")
    iam.add_user_to_group(GroupName="first", UserName="gil")
    iam.put_group_policy(GroupName="first", PolicyName="x", PolicyDocument=DOCUMENT)
    iam.update_group(GroupName="first", NewGroupName="second", NewPath="/moved/")
    iam.update_user(UserName="gil", NewUserName="gill", NewPath="/moved/")
    (group,) = iam.list_groups_for_user(UserName="gill")["Groups"]
    assert (group["GroupId"], group["GroupName"], group["Path"]) == (before, "second", "/moved/")
    assert iam.list_group_policies(GroupName="second")["PolicyNames"] == ["x"]
    assert iam.list_user_tags(UserName="gill")["Tags"] == [{"Key": "a", "Value": "b"}]
    member = {"GroupName": "second", "UserName": "gill"}
    for _ in range(2):
        iam.remove_user_from_group(**member)  # fine if they are no member any longer
    nobody = {"GroupName": "second", "UserName": "nobody"}
    assert refused(iam.remove_user_from_group, **nobody)[0] == "NoSuchEntity"
    iam.delete_group_policy(GroupName="second", PolicyName="x")
    iam.delete_group(GroupName="second")
    assert iam.create_group(GroupName="second")["Group"]["GroupId"] != before
    old = sandbox.create_role("again", account=ACCOUNT)
    keys = sandbox.session(old["Arn"])
    iam.delete_role_policy(RoleName="again", PolicyName="access")
    iam.delete_role(RoleName="again")
    assert sandbox.create_role("again", account=ACCOUNT)["RoleId"] != old["RoleId"]
    # A session of the role that is gone is none of the role that has its name now.
    assert refused(sandbox.client("s3", keys, ACCOUNT).list_buckets)[0] == "AccessDenied"


def test_groups_and_members_come_by_pages(sandbox, iam):
    """GetGroup, ListGroupsForUser and ListGroups hand out as many as asked for, and a marker for the rest."""
    names = [f"page-{number}" for number in range(3)]
    for name in names:
        iam.create_user(UserName=name)
        iam.create_group(GroupName=name, Path="/pages/")
        iam.add_user_to_group(GroupName=names[0], UserName=name)
        iam.add_user_to_group(GroupName=name, UserName=names[0])
    for call, asked, key in (
        (iam.get_group, {"GroupName": names[0]}, "Users"),
        (iam.list_groups_for_user, {"UserName": names[0]}, "Groups"),
        (iam.list_groups, {"PathPrefix": "/pages/"}, "Groups"),
    ):
        first = call(**asked, MaxItems=2)
        rest = call(**asked, MaxItems=2, Marker=first["Marker"])
        assert (len(first[key]), len(rest[key]), rest["IsTruncated"]) == (2, 1, False)


def test_a_service_control_policy_does_not_bind_service_linked_roles(sandbox):
    """An SCP that denies everything binds users and roles of the account, and no service-linked role."""
    linked = sandbox.create_role("Linked", path="/aws-service-role/x.amazonaws.com/", account=ACCOUNT)
    plain = sandbox.create_role("plain", account=ACCOUNT)
    sandbox.scps.append(DOCUMENT.replace("Allow", "Deny"))
    try:
        sandbox.client("iam", sandbox.session(linked["Arn"]), ACCOUNT).list_users()
        other = sandbox.client("iam", sandbox.session(plain["Arn"]), ACCOUNT)
        assert refused(other.list_users)[0] == "AccessDenied"
    finally:
        sandbox.scps.clear()


def test_a_session_outlives_its_users_name_and_not_its_user(sandbox, iam):
    """Temporary credentials go on under a user's new name; when the user is gone, they may do nothing."""
    key = sandbox.create_user("short", account=ACCOUNT)
    keys = sandbox.client("sts", key, ACCOUNT).get_session_token()["Credentials"]
    iam.update_user(UserName="short", NewUserName="longer")
    s3 = sandbox.client("s3", keys, ACCOUNT)
    s3.list_buckets()
    assert principal_of(keys["AccessKeyId"], "us-east-1").identity()["userName"] == "longer"
    iam.delete_access_key(UserName="longer", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="longer", PolicyName="access")
    iam.delete_user(UserName="longer")
    assert refused(s3.list_buckets)[0] == "AccessDenied"
