"""The sandbox's IAM, held against what AWS documents: quotas, protected roles, ids, pages, sessions."""

import base64
import json

import pytest
from botocore.exceptions import ClientError

from sandbox.access.principals import principal_of

ACCOUNT = "300000000003"
SSO = "/aws-reserved/sso.amazonaws.com/"
PREFIX = f"arn:aws:iam::{ACCOUNT}"
DOCUMENT = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)


@pytest.fixture(scope="module")
def iam(sandbox):
    return sandbox.client("iam", account=ACCOUNT)


def refused(call, **params):
    """The code and the HTTP status that a call is refused with."""
    with pytest.raises(ClientError) as error:
        call(**params)
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def holder(sandbox, iam, kind, name):
    """A user, role or group of a name, and the parameters that name it."""
    if kind == "Group":
        iam.create_group(GroupName=name)
    else:
        make = sandbox.create_role if kind == "Role" else sandbox.create_user
        make(name, account=ACCOUNT)
    return {f"{kind}Name": name}


@pytest.mark.parametrize(("kind", "characters"), [("User", 2048), ("Group", 5120), ("Role", 10240)])
def test_quotas_of_policies(sandbox, iam, kind, characters):
    """Ten managed policies, and so many inline characters without white space, fit; one more does not."""
    who = holder(sandbox, iam, kind, f"full-{kind}")
    attach = getattr(iam, f"attach_{kind.lower()}_policy")
    arns = [
        iam.create_policy(PolicyName=f"{kind}-{number}", PolicyDocument=DOCUMENT)["Policy"]["Arn"]
        for number in range(11)
    ]
    for arn in arns[:10] + arns[:1]:
        attach(**who, PolicyArn=arn)
    assert refused(attach, **who, PolicyArn=arns[10]) == ("LimitExceeded", 409)
    put = getattr(iam, f"put_{kind.lower()}_policy")
    statement = {"Sid": "", "Effect": "Allow", "Action": "*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    rest = characters - len(text.replace(" ", ""))
    for added, fits in ((1, False), (0, True)):
        document = text.replace('""', f'"{"x" * (rest + added)}"')
        if kind != "Group":
            getattr(iam, f"delete_{kind.lower()}_policy")(**who, PolicyName="access") if added else None
        if fits:
            put(**who, PolicyName="filler", PolicyDocument=document)
        else:
            assert refused(put, **who, PolicyName="filler", PolicyDocument=document)[0] == "LimitExceeded"


@pytest.mark.parametrize("kind", ["User", "Role"])
def test_a_permissions_boundary_limits(sandbox, iam, kind):
    """A boundary takes away what it does not allow, and gives it back when it goes."""
    who = holder(sandbox, iam, kind, f"bound-{kind}")
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = iam.create_policy(PolicyName=f"bound-{kind}", PolicyDocument=document)["Policy"]["Arn"]
    put, delete = (getattr(iam, f"{verb}_{kind.lower()}_permissions_boundary") for verb in ("put", "delete"))
    assert refused(delete, **who)[0] == "NoSuchEntity"
    assert refused(put, **who, PermissionsBoundary=f"{arn}x")[0] == "NoSuchEntity"
    keys = (
        sandbox.session(f"{PREFIX}:role/bound-Role")
        if kind == "Role"
        else iam.create_access_key(**who)["AccessKey"]
    )
    own = sandbox.client("iam", keys, ACCOUNT)
    own.list_users()
    put(**who, PermissionsBoundary=arn)
    found = getattr(iam, f"get_{kind.lower()}")(**who)[kind]["PermissionsBoundary"]
    assert found["PermissionsBoundaryArn"] == arn
    assert refused(own.list_users) == ("AccessDenied", 403)
    delete(**who)
    own.list_users()


@pytest.mark.parametrize(
    ("path", "name"),
    [(SSO, "AWSReservedSSO_Admin_0a"), ("/aws-service-role/x.amazonaws.com/", "AWSServiceRoleForX")],
)
def test_a_role_of_aws_cannot_be_changed(sandbox, iam, path, name):
    """Every change of it is refused as UnmodifiableEntity, found under any spelling; reading works."""
    sandbox.create_role(name, path=path, account=ACCOUNT)
    role, policy = {"RoleName": name.upper()}, f"{PREFIX}:policy/x"
    document = {"PolicyName": "x", "PolicyDocument": DOCUMENT}
    for call, params in (
        (iam.attach_role_policy, {"PolicyArn": policy}),
        (iam.detach_role_policy, {"PolicyArn": policy}),
        (iam.put_role_policy, document),
        (iam.delete_role_policy, {"PolicyName": "x"}),
        (iam.put_role_permissions_boundary, {"PermissionsBoundary": policy}),
        (iam.delete_role_permissions_boundary, {}),
        (iam.update_assume_role_policy, {"PolicyDocument": DOCUMENT}),
        (iam.delete_role, {}),
        (iam.tag_role, {"Tags": [{"Key": "a", "Value": "b"}]}),
    ):
        assert refused(call, **role, **params) == ("UnmodifiableEntity", 400)
    assert iam.get_role(**role)["Role"]["RoleName"] == name
    sandbox.client("s3", sandbox.session(f"{PREFIX}:role{path}{name}"), ACCOUNT).list_buckets()


def test_names_are_unique_without_regard_to_case(sandbox, iam):
    """A name that differs in case alone is taken; users and roles are found by any spelling."""
    sandbox.create_user("Casey", account=ACCOUNT)
    sandbox.create_role("Casey", account=ACCOUNT)
    iam.create_group(GroupName="Casey")
    role = {"RoleName": "CASEY", "AssumeRolePolicyDocument": DOCUMENT}
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
    iam.update_group(GroupName="first", NewGroupName="second")
    iam.update_group(GroupName="second", NewPath="/moved/")
    iam.update_user(UserName="gil", NewUserName="gill", NewPath="/moved/")
    (group,) = iam.list_groups_for_user(UserName="gill")["Groups"]
    assert (group["GroupId"], group["GroupName"], group["Path"]) == (before, "second", "/moved/")
    assert iam.list_group_policies(GroupName="second")["PolicyNames"] == ["x"]
    assert iam.list_user_tags(UserName="gill")["Tags"] == [{"Key": "a", "Value": "b"}]
    for name in ("gill", "nobody"):
        if name == "gill":
            iam.remove_user_from_group(GroupName="second", UserName=name)
            iam.remove_user_from_group(GroupName="second", UserName=name)  # is no member any longer: fine
        else:
            asked = {"GroupName": "second", "UserName": name}
            assert refused(iam.remove_user_from_group, **asked)[0] == "NoSuchEntity"
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
    iam.create_user(UserName="pat")
    for name in names:
        iam.create_user(UserName=name)
        iam.create_group(GroupName=name, Path="/pages/")
        iam.add_user_to_group(GroupName=names[0], UserName=name)
    for name in names:
        iam.add_user_to_group(GroupName=name, UserName="pat")
    for call, asked, key in (
        (iam.get_group, {"GroupName": names[0]}, "Users"),
        (iam.list_groups_for_user, {"UserName": "pat"}, "Groups"),
        (iam.list_groups, {"PathPrefix": "/pages/"}, "Groups"),
    ):
        first = call(**asked, MaxItems=2)
        rest = call(**asked, MaxItems=2, Marker=first["Marker"])
        assert (len(first[key]), first["IsTruncated"], rest["IsTruncated"]) == (2, True, False)
        assert len(rest[key]) == (2 if key == "Users" else 1)


def test_the_whole_account_has_all_that_iam_tells_of_roles_and_groups(sandbox, iam):
    """GetAccountAuthorizationDetails has ids, paths, trust, policies, boundary, tags, instance profiles."""
    tags = [{"Key": "team", "Value": "x"}]
    arn = iam.create_policy(PolicyName="detail", PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    trust = {"Service": "ec2.amazonaws.com"}
    made = sandbox.create_role(
        "detail", path="/p/", trust=trust, account=ACCOUNT, Tags=tags, PermissionsBoundary=arn
    )
    iam.attach_role_policy(RoleName="detail", PolicyArn=arn)
    iam.create_instance_profile(InstanceProfileName="detail")
    iam.add_role_to_instance_profile(InstanceProfileName="detail", RoleName="detail")
    iam.create_group(GroupName="detail", Path="/g/")
    iam.attach_group_policy(GroupName="detail", PolicyArn=arn)
    found = iam.get_account_authorization_details(Filter=["Role", "Group"])
    role = next(r for r in found["RoleDetailList"] if r["RoleName"] == "detail")
    assert (role["RoleId"], role["Path"], role["Arn"]) == (made["RoleId"], "/p/", f"{PREFIX}:role/p/detail")
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == trust
    assert role["RolePolicyList"][0]["PolicyDocument"]["Statement"][0]["Action"] == "*"
    assert role["AttachedManagedPolicies"] == [{"PolicyName": "detail", "PolicyArn": arn}]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    assert role["Tags"] == tags
    assert role["InstanceProfileList"][0]["Roles"][0]["RoleId"] == made["RoleId"]
    assert role["RoleLastUsed"] == {}
    group = next(g for g in found["GroupDetailList"] if g["GroupName"] == "detail")
    assert group["GroupId"].startswith("AGPA")
    assert group["Arn"] == f"{PREFIX}:group/g/detail"
    assert group["AttachedManagedPolicies"] == role["AttachedManagedPolicies"]
    assert not found["UserDetailList"]


# Sessions


def identity(keys):
    return principal_of(keys["AccessKeyId"], "us-east-1").identity()


def test_a_roles_session_looks_as_in_cloudtrail(sandbox):
    """userIdentity of a session names the role by id and path, who issued it, and the second factor."""
    role = sandbox.create_role("seen", path="/p/", account=ACCOUNT)
    sts = sandbox.client("sts", sandbox.create_user("sue", account=ACCOUNT), ACCOUNT)
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "work", "SourceIdentity": "sue"}
    keys = sts.assume_role(**asked)["Credentials"]
    found = identity(keys)
    created = found["sessionContext"]["attributes"].pop("creationDate")
    assert created.endswith("Z")
    assert found == {
        "type": "AssumedRole",
        "principalId": f"{role['RoleId']}:work",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/seen/work",
        "accountId": ACCOUNT,
        "accessKeyId": keys["AccessKeyId"],
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": role["RoleId"],
                "arn": f"{PREFIX}:role/p/seen",
                "accountId": ACCOUNT,
                "userName": "seen",
            },
            "attributes": {"mfaAuthenticated": "false"},
            "sourceIdentity": "sue",
        },
    }
    caller = sandbox.client("sts", keys, ACCOUNT).get_caller_identity()
    assert caller["UserId"] == found["principalId"]


def test_a_chained_role_keeps_the_source_identity(sandbox):
    """The second session names the second role alone, and the source identity of the first."""
    first = sandbox.create_role("first", account=ACCOUNT)
    second = sandbox.create_role("second", account=ACCOUNT)
    keys = sandbox.session(first["Arn"], "one", context={"sourceIdentity": "sue"})
    sts = sandbox.client("sts", keys, ACCOUNT)
    chained = sts.assume_role(RoleArn=second["Arn"], RoleSessionName="two")
    found = identity(chained["Credentials"])
    assert found["sessionContext"]["sessionIssuer"]["userName"] == "second"
    assert found["sessionContext"]["sourceIdentity"] == chained["SourceIdentity"] == "sue"


def token(**claims):
    parts = ({"alg": "none"}, {"iss": "https://token.actions.githubusercontent.com", **claims})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."
    )


def test_a_web_identity_takes_the_role_that_trusts_its_claims(sandbox, iam):
    """A token of GitHub's gives a session that names the provider; another subject gives none."""
    host = "token.actions.githubusercontent.com"
    provider = iam.create_open_id_connect_provider(
        Url=f"https://{host}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
    )["OpenIDConnectProviderArn"]
    role = sandbox.create_role("ci", trust={"Federated": provider}, account=ACCOUNT)
    statement = {
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": provider},
        "Condition": {"StringLike": {f"{host}:sub": "repo:ORG/*", f"{host}:aud": "sts.amazonaws.com"}},
    }  # fmt: skip
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.update_assume_role_policy(RoleName="ci", PolicyDocument=trust)
    sts, asked = sandbox.client("sts", account=ACCOUNT), {"RoleArn": role["Arn"], "RoleSessionName": "GitHub"}

    def assume(subject):
        claims = token(aud="sts.amazonaws.com", sub=subject)
        return sts.assume_role_with_web_identity(**asked, WebIdentityToken=claims)["Credentials"]

    context = identity(assume("repo:ORG/x:ref:main"))["sessionContext"]
    assert context["webIdFederationData"] == {"federatedProvider": provider, "attributes": {}}
    assert refused(assume, subject="repo:EVIL/x")[0] == "AccessDenied"


def test_a_session_of_identity_center_says_for_whom(sandbox):
    """A test makes a session of any role, and what CloudTrail is to say of it."""
    name = "AWSReservedSSO_People_0a"
    role = sandbox.create_role(name, path=SSO, account=ACCOUNT)
    whom = {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::1:identitystore/d-1"}
    found = identity(sandbox.session(role["Arn"], "ann@example.com", also={"onBehalfOf": whom}))
    assert found["onBehalfOf"] == whom
    assert found["sessionContext"]["sessionIssuer"]["arn"] == f"{PREFIX}:role{SSO}{name}"


def test_a_saml_assertion_gives_a_session_of_the_role_that_trusts_its_provider(sandbox, iam):
    """AssumeRoleWithSAML needs no credentials, and a role whose trust names the provider."""
    document = "<EntityDescriptor>" + "x" * 1000 + "</EntityDescriptor>"
    provider = iam.create_saml_provider(Name="people", SAMLMetadataDocument=document)["SAMLProviderArn"]
    role = sandbox.create_role("by-saml", account=ACCOUNT)
    statement = {"Effect": "Allow", "Action": "sts:AssumeRoleWithSAML", "Principal": {"Federated": provider}}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.update_assume_role_policy(RoleName="by-saml", PolicyDocument=trust)
    names = {"Role": f"{role['Arn']},{provider}", "RoleSessionName": "ann@example.com"}
    attributes = "".join(
        f'<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/{name}">'
        f"<saml:AttributeValue>{value}</saml:AttributeValue></saml:Attribute>"
        for name, value in names.items()
    )
    assertion = (
        '<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" '
        'xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"><saml:Assertion><saml:AttributeStatement>'
        f"{attributes}</saml:AttributeStatement></saml:Assertion></samlp:Response>"
    )
    asked = {"RoleArn": role["Arn"], "SAMLAssertion": base64.b64encode(assertion.encode()).decode()}
    sts = sandbox.client("sts", account=ACCOUNT)
    keys = sts.assume_role_with_saml(**asked, PrincipalArn=provider)["Credentials"]
    assert identity(keys)["principalId"] == f"{role['RoleId']}:ann@example.com"
    code, _ = refused(sts.assume_role_with_saml, **asked, PrincipalArn=f"{provider}-else")
    assert code == "AccessDenied"


def test_a_service_control_policy_does_not_bind_service_linked_roles(sandbox):
    """An SCP that denies everything binds users and roles of the account, and no service-linked role."""
    linked = sandbox.create_role("Linked", path="/aws-service-role/x.amazonaws.com/", account=ACCOUNT)
    plain = sandbox.create_role("plain", account=ACCOUNT)
    sandbox.scps.append(DOCUMENT.replace("Allow", "Deny"))
    try:
        sandbox.client("iam", sandbox.session(linked["Arn"]), ACCOUNT).list_users()
        assert (
            refused(sandbox.client("iam", sandbox.session(plain["Arn"]), ACCOUNT).list_users)[0]
            == "AccessDenied"
        )
    finally:
        sandbox.scps.clear()


def test_a_session_outlives_its_users_name_and_not_its_user(sandbox, iam):
    """Temporary credentials go on under a user's new name; when the user is gone, they may do nothing."""
    key = sandbox.create_user("short", account=ACCOUNT)
    keys = sandbox.client("sts", key, ACCOUNT).get_session_token()["Credentials"]
    iam.update_user(UserName="short", NewUserName="longer")
    s3 = sandbox.client("s3", keys, ACCOUNT)
    s3.list_buckets()
    assert identity(keys)["userName"] == "longer"
    iam.delete_access_key(UserName="longer", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="longer", PolicyName="access")
    iam.delete_user(UserName="longer")
    assert refused(s3.list_buckets)[0] == "AccessDenied"
