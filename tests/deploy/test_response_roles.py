"""The roles of ``deploy/access.yml``, and those who may take them."""

import json
import re

import pytest
from moto.iam.models import iam_backends
from rights import DEPLOYER, GUARD, READER, RESPONSE, TELL, template

from sandbox.access import policies
from sandbox.server import DEPLOY

CENTRAL = "111122223333"
CLAIM = "token.actions.githubusercontent.com"


@pytest.fixture(scope="module")
def access(sandbox):
    """``access(account, **parameters)``: the roles that are there with the stack of ``access.yml``."""

    def deploy(account, **parameters):
        sandbox.deploy(DEPLOY / "access.yml", "iam-guard-access", account=account, **parameters)
        roles = sandbox.client("iam", account=account).list_roles()["Roles"]
        return {role["RoleName"] for role in roles}

    return deploy


def trust_of(account, role):
    """A role's trust policy, as a dict."""
    return json.loads(iam_backends[account]["aws"].get_role(role).assume_role_policy_document)


def provider(account):
    return f"arn:aws:iam::{account}:oidc-provider/{CLAIM}"


@pytest.mark.parametrize(
    ("account", "parameters", "roles"),
    [
        ("141414141401", {}, set()),
        ("141414141402", {"CentralAccount": CENTRAL}, {READER, DEPLOYER}),
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
    patterns = "* arn:aws:iam::*:role/a arn:*:iam::141414141407:role/a arn:aws:iam::141414141407:role/*"
    for pattern in (*patterns.split(), "arn:aws:iam::141414141407:root", "141414141407"):
        assert not allowed.fullmatch(pattern), pattern


def test_a_role_trusts_the_central_account_and_ci_only_if_its_own_subject_is_set(access):
    """With a subject for deploying alone, the reader's role trusts the central account and nobody else."""
    account = "141414141406"
    access(account, OidcProviderArn=provider(account), CentralAccount=CENTRAL, OidcSubject="repo:a/b:x")
    trusted = {
        role: [whom for s in trust_of(account, role)["Statement"] for whom in s["Principal"].items()]
        for role in (READER, DEPLOYER)
    }
    central = ("AWS", f"arn:aws:iam::{CENTRAL}:root")
    assert trusted == {READER: [central], DEPLOYER: [central, ("Federated", provider(account))]}


def test_the_account_itself_makes_no_role_that_anybody_could_take(sandbox):
    """The stack of ``account.yml`` makes two roles, which services alone take."""
    sandbox.deploy(account="141414141416")
    roles = sandbox.client("iam", account="141414141416").list_roles()["Roles"]
    trusts = {role["RoleName"]: role["AssumeRolePolicyDocument"]["Statement"] for role in roles}
    services = {name: [statement["Principal"]["Service"] for statement in trusts[name]] for name in trusts}
    assert services == {GUARD: ["lambda.amazonaws.com"], TELL: ["events.amazonaws.com"]}


MAIN, PULL = "repo:example/guard:ref:refs/heads/main", "repo:example/guard:pull_request"


@pytest.fixture(scope="module")
def ci(access):
    """``ci(role, subject, audience)``: whether a CI job may take a role of the account."""
    name = "141414141415"
    access(name, OidcProviderArn=provider(name), OidcSubject=MAIN, OidcPreviewSubject=PULL)

    def may(role, subject, audience="sts.amazonaws.com", by=None):
        claims = {f"{CLAIM}:sub": subject, f"{CLAIM}:aud": audience}
        names, action = {"Federated": {by or provider(name)}}, "sts:AssumeRoleWithWebIdentity"
        return policies.grants(trust_of(name, role), names, action, "*", claims)

    return may


@pytest.mark.parametrize(
    ("role", "claims", "may"),
    [
        (DEPLOYER, (MAIN,), True),
        (DEPLOYER, (PULL,), False),
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/topic",), False),
        (DEPLOYER, ("repo:example/other:ref:refs/heads/main",), False),
        (DEPLOYER, (MAIN, "another audience"), False),
        (DEPLOYER, (MAIN, "sts.amazonaws.com", "arn:another"), False),
        (READER, (PULL,), True),
        (READER, ("repo:example/other:pull_request",), False),
    ],
)
def test_ci_takes_the_role_of_its_own_job_alone(ci, role, claims, may):
    """The main branch may deploy, a pull request may look, and nobody else may do either."""
    assert ci(role, *claims) is may
