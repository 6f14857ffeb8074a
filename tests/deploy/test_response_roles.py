"""Who may take the roles of ``deploy/access.yml``, and which of them there are."""

import json
import re

import pytest
from botocore.exceptions import ClientError
from moto.iam.models import iam_backends
from rights import DEPLOYER, GUARD, READER, RESPONSE, TELL, template

from sandbox.access import policies
from sandbox.server import DEPLOY

ACCOUNT = "161616161618"
CLAIM = "token.actions.githubusercontent.com"


@pytest.fixture(scope="module")
def access(sandbox):
    """``access(account, **parameters)``: the roles that are there with the stack of ``access.yml``."""

    def deploy(account, **parameters):
        sandbox.deploy(DEPLOY / "access.yml", "iam-guard-access", account=account, **parameters)
        roles = sandbox.client("iam", account=account).list_roles()["Roles"]
        return {role["RoleName"] for role in roles}

    return deploy


def test_roles_are_trusted_by_the_central_account_alone(sandbox, access):
    """Another account cannot take any of the roles, nor can anybody take the functions' role."""
    sandbox.deploy(account=ACCOUNT)
    access(ACCOUNT, CentralAccount=sandbox.account, ResponseRoles=f"arn:aws:iam::{ACCOUNT}:user/ada")
    sts = sandbox.client("sts", account="999999999999")
    for role in (DEPLOYER, READER, RESPONSE, GUARD):
        with pytest.raises(ClientError, match="AccessDenied"):
            sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="test")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{GUARD}"
    with pytest.raises(ClientError, match="AccessDenied"):
        sandbox.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")


def trust_of(account, role):
    """A role's trust policy, as a dict."""
    return json.loads(iam_backends[account]["aws"].get_role(role).assume_role_policy_document)


def provider(account):
    return f"arn:aws:iam::{account}:oidc-provider/{CLAIM}"


@pytest.mark.parametrize(
    ("account", "parameters", "roles"),
    [
        ("141414141401", {}, set()),
        ("141414141402", {"CentralAccount": "111122223333"}, {READER, DEPLOYER}),
        ("141414141403", {"ResponseRoles": "arn:aws:iam::141414141403:role/responder"}, {RESPONSE}),
        ("141414141404", {"OidcSubject": "repo:a/b:ref:refs/heads/main"}, {DEPLOYER}),
        ("141414141405", {"OidcPreviewSubject": "repo:a/b:pull_request"}, {READER}),
    ],
)
def test_there_are_roles_for_those_alone_who_are_named(access, account, parameters, roles):
    """A provider without a subject trusts nobody: a role exists if somebody is named who may take it."""
    assert access(account, OidcProviderArn=provider(account), **parameters) == roles


def test_who_gives_iam_back_is_named_one_by_one(access):
    """The trust has the ARNs of ResponseRoles and nothing else; the parameter takes no pattern of them."""
    named = ["arn:aws:iam::141414141407:user/ada", "arn:aws-cn:iam::141414141408:role/team/on-call"]
    access("141414141407", ResponseRoles=",".join(named))
    assert trust_of("141414141407", RESPONSE)["Statement"] == [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": named}}
    ]
    allowed = re.compile(template("access.yml")["Parameters"]["ResponseRoles"]["AllowedPattern"])
    assert all(allowed.fullmatch(value) for value in (*named, ""))
    for pattern in (
        "*",
        "arn:aws:iam::*:role/on-call",
        "arn:*:iam::141414141407:role/on-call",
        "arn:aws:iam::141414141407:role/*",
        "arn:aws:iam::141414141407:root",
        "141414141407",
    ):
        assert not allowed.fullmatch(pattern), pattern


def test_a_role_trusts_ci_only_if_its_own_subject_is_set(sandbox, access):
    """With a subject for deploying alone, the reader's role trusts the central account and no token."""
    account = "141414141406"
    access(
        account, OidcProviderArn=provider(account), CentralAccount=sandbox.account, OidcSubject="repo:a/b:x"
    )
    trusts = {
        role: [s["Action"] for s in trust_of(account, role)["Statement"]] for role in (READER, DEPLOYER)
    }
    assert trusts == {
        READER: ["sts:AssumeRole"],
        DEPLOYER: ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"],
    }


def test_the_account_itself_makes_the_functions_role_alone(sandbox):
    """The stack of ``account.yml`` makes two roles, neither of which a person or CI could take."""
    sandbox.deploy(account="141414141414")
    roles = sandbox.client("iam", account="141414141414").list_roles()["Roles"]
    assert sorted(role["RoleName"] for role in roles) == [GUARD, TELL]


@pytest.fixture(scope="module")
def ci(access):
    """``ci(role, subject, audience)``: whether a CI job may take a role of the account."""
    name = "141414141415"
    access(
        name,
        OidcProviderArn=provider(name),
        OidcSubject="repo:example/guard:ref:refs/heads/main",
        OidcPreviewSubject="repo:example/guard:pull_request",
    )

    def may(role, subject, audience="sts.amazonaws.com", by=None):
        trust = trust_of(name, role)
        claims = {f"{CLAIM}:{k}": v for k, v in (("sub", subject), ("aud", audience))}
        names = {"Federated": {by or provider(name)}}
        return policies.grants(trust, names, "sts:AssumeRoleWithWebIdentity", "*", claims)

    return may


@pytest.mark.parametrize(
    ("role", "claims", "may"),
    [
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/main",), True),
        (DEPLOYER, ("repo:example/guard:pull_request",), False),
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/topic",), False),
        (DEPLOYER, ("repo:example/other:ref:refs/heads/main",), False),
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/main", "another audience"), False),
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/main", "sts.amazonaws.com", "arn:another"), False),
        (READER, ("repo:example/guard:pull_request",), True),
        (READER, ("repo:example/other:pull_request",), False),
    ],
)
def test_ci_takes_the_role_of_its_own_job_alone(ci, role, claims, may):
    """The main branch may deploy, a pull request may look, and nobody else may do either."""
    assert ci(role, *claims) is may
