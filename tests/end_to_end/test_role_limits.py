"""The limits of the functions' roles, whatever an event makes their functions want."""

import pytest
from moto.iam.models import iam_backends
from rights import CONTAIN, GUARD, allowed, inline, resources

from sandbox.access.authorization import allows
from sandbox.server import DEPLOY

HOME = "arn:aws:iam::131313131314:"
DENIAL = {"iam:policyarn": f"{HOME}policy/DenyIAMAccess"}
BOUNDARY = {"iam:permissionsboundary": f"{HOME}policy/DenyIAMAccessBoundary"}
OTHER_BOUNDARY = {"iam:permissionsboundary": f"{HOME}policy/company"}
QUARANTINE = {"iam:policyarn": f"{HOME}policy/iam-guard-quarantine"}
ADMINISTRATOR = {"iam:policyarn": "arn:aws:iam::aws:policy/AdministratorAccess"}
COMPROMISED = {"iam:policyarn": "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"}


@pytest.fixture(scope="module")
def roles(sandbox):
    """The roles of an account with both stacks."""
    account = HOME.split(":")[4]
    sandbox.deploy(account=account)
    sandbox.deploy(DEPLOY / "contain.yml", "iam-guard-contain", account=account)
    return iam_backends[account]["aws"]


@pytest.mark.parametrize(
    ("role", "action", "resource", "context", "expected"),
    [
        (GUARD, "AttachRolePolicy", "role/app", DENIAL, True),
        (GUARD, "AttachRolePolicy", "role/app", ADMINISTRATOR, False),
        (GUARD, "AttachRolePolicy", "role/iam-guard-response", DENIAL, False),
        (GUARD, "AttachRolePolicy", "role/stacksets-exec-1234", DENIAL, False),
        (GUARD, "PutRolePermissionsBoundary", "role/app", OTHER_BOUNDARY, False),
        (GUARD, "PutRolePermissionsBoundary", "role/iam-guard-deployer", BOUNDARY, False),
        (GUARD, "PutUserPermissionsBoundary", "user/bob", OTHER_BOUNDARY, False),
        (GUARD, "AttachUserPolicy", "user/bob", ADMINISTRATOR, False),
        # What denies stays, and the guard's own roles are left alone.
        (CONTAIN, "DetachUserPolicy", "user/bob", ADMINISTRATOR, True),
        (CONTAIN, "DetachUserPolicy", "user/bob", DENIAL, False),
        (CONTAIN, "DetachUserPolicy", "user/bob", QUARANTINE, False),
        (CONTAIN, "DetachUserPolicy", "user/bob", COMPROMISED, False),
        (CONTAIN, "DeleteRolePolicy", "role/iam-guard", {}, False),
        (CONTAIN, "DeleteRolePolicy", "role/stacksets-exec-1234", {}, False),
        (CONTAIN, "AttachRolePolicy", "role/iam-guard-response", QUARANTINE, False),
        (CONTAIN, "DeleteSAMLProvider", "saml-provider/AWSSSO_1234_DO_NOT_DELETE", {}, False),
        # Nothing is granted.
        (CONTAIN, "AttachUserPolicy", "user/bob", ADMINISTRATOR, False),
        (CONTAIN, "AttachRolePolicy", "role/new", ADMINISTRATOR, False),
    ],
)
def test_a_functions_role_takes_away_and_never_grants(roles, role, action, resource, context, expected):
    """By its rights on IAM, of which test_function_role has the names, nobody gets more than they had."""
    policies = roles.get_role(role).policies.values()
    assert (allows(policies, f"iam:{action}", HOME + resource, context) is True) is expected


def test_the_containments_role_has_no_right_that_grants():
    """Beside setting a credential's status, its writes delete, detach, remove, or attach the quarantine."""
    credentials = ("AccessKey", "ServiceSpecificCredential", "SSHPublicKey", "SigningCertificate")
    others = {"AttachUserPolicy", "AttachRolePolicy", *(f"Update{noun}" for noun in credentials)}
    for action in allowed(CONTAIN, inline(resources("contain.yml")["Role"])):
        service, name = action.split(":")
        reads_or_takes = name.startswith(("Get", "List", "Delete", "Detach", "Remove"))
        assert service != "iam" or reads_or_takes or name in others, action
