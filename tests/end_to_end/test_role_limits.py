"""What the functions' roles may not do, whatever an event makes their functions want."""

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
def may(sandbox):
    """``may(role, action, resource, context)``: whether a role's own policies let it do something."""
    account = HOME.split(":")[4]
    sandbox.deploy(account=account)
    sandbox.deploy(DEPLOY / "contain.yml", "iam-guard-contain", account=account)

    def decide(role, action, resource, context):
        policies = iam_backends[account]["aws"].get_role(role).policies.values()
        return allows(policies, f"iam:{action}", HOME + resource, context) is True

    return decide


@pytest.mark.parametrize(
    ("action", "resource", "context", "expected"),
    [
        ("AttachRolePolicy", "role/app", DENIAL, True),
        ("AttachRolePolicy", "role/app", ADMINISTRATOR, False),
        ("AttachRolePolicy", "role/iam-guard", DENIAL, False),
        ("AttachRolePolicy", "role/iam-guard-response", DENIAL, False),
        ("AttachRolePolicy", "role/stacksets-exec-1234", DENIAL, False),
        ("PutRolePermissionsBoundary", "role/app", OTHER_BOUNDARY, False),
        ("PutRolePermissionsBoundary", "role/iam-guard-deployer", BOUNDARY, False),
        ("PutRolePolicy", "role/app", {}, False),
        ("AttachUserPolicy", "user/bob", ADMINISTRATOR, False),
        ("DetachUserPolicy", "user/bob", DENIAL, False),
        ("DeleteUserPolicy", "user/bob", {}, False),
        ("DeleteUserPermissionsBoundary", "user/bob", {}, False),
        ("AddUserToGroup", "group/admins", {}, False),
    ],
)  # fmt: skip
def test_the_functions_role_denies_and_nothing_else(may, action, resource, context, expected):
    """It attaches the denial alone, on roles, too, but never on those that guard, deploy and restore."""
    assert may(GUARD, action, resource, context) is expected


@pytest.mark.parametrize(
    ("action", "resource", "context", "expected"),
    [
        ("UpdateAccessKey", "user/bob", {}, True),
        ("AttachUserPolicy", "user/bob", QUARANTINE, True),
        # What denies stays, and the guard's own roles are left alone.
        ("DetachUserPolicy", "user/bob", DENIAL, False),
        ("DetachUserPolicy", "user/bob", QUARANTINE, False),
        ("DetachUserPolicy", "user/bob", COMPROMISED, False),
        ("DeleteRolePolicy", "role/iam-guard", {}, False),
        ("DeleteRolePolicy", "role/stacksets-exec-1234", {}, False),
        ("AttachRolePolicy", "role/iam-guard-response", QUARANTINE, False),
        ("DeleteSAMLProvider", "saml-provider/AWSSSO_1234_DO_NOT_DELETE", {}, False),
        # Nothing is granted.
        ("AttachUserPolicy", "user/bob", ADMINISTRATOR, False),
        ("AttachRolePolicy", "role/new", ADMINISTRATOR, False),
        ("AttachGroupPolicy", "group/devs", QUARANTINE, False),
        ("DetachRolePolicy", "role/new", QUARANTINE, False),
    ],
)
def test_the_containments_role_takes_away_and_never_grants(may, action, resource, context, expected):
    """It takes back what a call gave, spares what denies and the guard's own roles, and grants nothing."""
    assert may(CONTAIN, action, resource, context) is expected


def test_the_containments_role_has_no_right_that_grants():
    """Beside setting a credential's status, its writes delete, detach, remove, or attach the quarantine."""
    status = {
        "UpdateAccessKey",
        "UpdateServiceSpecificCredential",
        "UpdateSSHPublicKey",
        "UpdateSigningCertificate",
    }
    attach = {"AttachUserPolicy", "AttachRolePolicy"}
    for action in allowed(CONTAIN, inline(resources("contain.yml")["Role"])):
        service, name = action.split(":")
        reads_or_takes = name.startswith(("Get", "List", "Delete", "Detach", "Remove"))
        assert service != "iam" or reads_or_takes or name in status | attach, action
