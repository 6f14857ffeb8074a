"""Calls that the guard does not reverse, and what a person can do about each. Pure.

The guard leaves a call to a person if it cannot know what was there before, or whether somebody needs the change.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from c7n_iamguard.contain.plan import Call, ManualSteps, MissingField, Record, Target

IDEMPOTENT = "IAM does not tell whether it was so before the call"
UNKNOWN = "nobody can tell what was there before the call"
TAKEN = "the call took something away, and the guard gives nothing back"
OTHER = "the guard does not take back calls of this name"
FINAL = "AWS does not let anybody take this back"

#: Pairs of calls that reverse each other, with their parameters.
PAIRS: tuple[tuple[str, ...], ...] = (
    ("AttachUserPolicy", "DetachUserPolicy", "UserName", "PolicyArn"),
    ("AttachRolePolicy", "DetachRolePolicy", "RoleName", "PolicyArn"),
    ("AttachGroupPolicy", "DetachGroupPolicy", "GroupName", "PolicyArn"),
    ("AddUserToGroup", "RemoveUserFromGroup", "GroupName", "UserName"),
    ("AddRoleToInstanceProfile", "RemoveRoleFromInstanceProfile", "InstanceProfileName", "RoleName"),
    ("AddClientIDToOpenIDConnectProvider", "RemoveClientIDFromOpenIDConnectProvider",
     "OpenIDConnectProviderArn", "ClientID"),
    ("CreateAccountAlias", "DeleteAccountAlias", "AccountAlias"),
    ("EnableOutboundWebIdentityFederation", "DisableOutboundWebIdentityFederation"),
    ("EnableOrganizationsRootCredentialsManagement", "DisableOrganizationsRootCredentialsManagement"),
    ("EnableOrganizationsRootSessions", "DisableOrganizationsRootSessions"),
)  # fmt: skip
#: Calls, each with the call that reverses it, and its parameters.
ONE_WAY: tuple[tuple[str, ...], ...] = (
    ("CreateGroup", "DeleteGroup", "GroupName"),
    ("CreateInstanceProfile", "DeleteInstanceProfile", "InstanceProfileName"),
    ("UploadServerCertificate", "DeleteServerCertificate", "ServerCertificateName"),
    ("EnableMFADevice", "DeactivateMFADevice", "UserName", "SerialNumber"),
    ("AssociateDelegationRequest", "RejectDelegationRequest", "DelegationRequestId"),
    ("AcceptDelegationRequest", "RejectDelegationRequest", "DelegationRequestId"),
)
#: Calls, each with the call that reverses it, its parameter, and where IAM's answer has that.
ANSWERED: tuple[tuple[str, ...], ...] = (
    ("CreateVirtualMFADevice", "DeleteVirtualMFADevice", "SerialNumber", "virtualMFADevice", "serialNumber"),
    ("CreateServiceLinkedRole", "DeleteServiceLinkedRole", "RoleName", "role", "roleName"),
    ("CreateDelegationRequest", "RejectDelegationRequest", "DelegationRequestId", "delegationRequestId"),
)
BOUNDARY = {"PermissionsBoundary": "ARN-OF-THE-BOUNDARY-BEFORE"}
#: Calls that overwrite something, each with the call that sets it, its parameter, and what a person fills in.
OVERWRITING = (
    ("PutUserPermissionsBoundary", "PutUserPermissionsBoundary", "UserName", BOUNDARY),
    ("DeleteUserPermissionsBoundary", "PutUserPermissionsBoundary", "UserName", BOUNDARY),
    ("PutRolePermissionsBoundary", "PutRolePermissionsBoundary", "RoleName", BOUNDARY),
    ("DeleteRolePermissionsBoundary", "PutRolePermissionsBoundary", "RoleName", BOUNDARY),
    ("UpdateAssumeRolePolicy", "UpdateAssumeRolePolicy", "RoleName",
     {"PolicyDocument": "file://trust-before.json"}),
    ("UpdateSAMLProvider", "UpdateSAMLProvider", "SAMLProviderArn",
     {"SAMLMetadataDocument": "file://metadata-before.xml"}),
)  # fmt: skip
#: The kinds of things with tags, and the parameter that names one.
TAGGED = (
    ("User", "UserName"), ("Role", "RoleName"), ("Policy", "PolicyArn"), ("InstanceProfile", "InstanceProfileName"),
    ("MFADevice", "SerialNumber"), ("OpenIDConnectProvider", "OpenIDConnectProviderArn"),
    ("SAMLProvider", "SAMLProviderArn"), ("ServerCertificate", "ServerCertificateName"),
)  # fmt: skip
#: The names of calls that take something away begin like this.
TAKING = ("Delete", "Detach", "Remove", "Deactivate", "Disable", "Untag", "Reject")
#: The commands that list what there is now, by a part of the call's name, if its record has no parameters.
OVERVIEWS = {
    "SAMLProvider": "list-saml-providers",
    "ServerCertificate": "list-server-certificates",
    "User": "get-account-authorization-details --filter User",
    "Group": "get-account-authorization-details --filter Group",
    "Role": "get-account-authorization-details --filter Role",
    "Policy": "get-account-authorization-details --filter LocalManagedPolicy",
}


def plan(call: Record) -> ManualSteps:
    """The manual steps for a call that the guard does not reverse."""
    return ROWS.get(call.operation, anything)(call)


def anything(call: Record, reason: str | None = None) -> ManualSteps:
    """A call of any name; the command shows its whole record."""
    why = reason or (TAKEN if call.operation.startswith(TAKING) else OTHER)
    return ManualSteps(why, (call.lookup_command,), target_of(call.parameter))


def incomplete(call: Record, field: str) -> ManualSteps:
    """A call whose record lacks a field. CloudTrail leaves out all parameters if they take more than 100 KB."""
    overviews = (f"aws iam {show}" for noun, show in OVERVIEWS.items() if noun in call.operation)
    commands = (*list(overviews)[:1], call.lookup_command)
    return ManualSteps(f"the event does not have detail.{field}", commands, target_of(call.parameter))


def opposite(
    call: Record, operation: str, names: list[str], reason: str = OTHER, more: dict[str, str] | None = None
) -> ManualSteps:
    """A call that another call reverses, with some of its parameters, and with more that a person fills in."""
    given = call.texts(*names)
    command = Call(operation, {**given, **(more or {})}).command
    return ManualSteps(reason, (command,), target_of(given.get))


def answered(call: Record, operation: str, parameter: str, path: list[str]) -> ManualSteps:
    """A call that made something whose name is in IAM's answer."""
    return ManualSteps(OTHER, (Call(operation, {parameter: call.answer(*path)}).command,))


def target_of(parameter: Callable[[str], Any]) -> Target | None:
    """The user or role that a call with these parameters is about; None if it is about neither."""
    for kind, key in (("user", "UserName"), ("role", "RoleName")):
        name = parameter(key)
        if isinstance(name, str) and name:
            return Target(kind, name)
    return None


def untag(call: Record, noun: str, name: str) -> ManualSteps:
    """A call that set tags."""
    tags = call.parameter("Tags")
    keys = [tag.get("key") for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    if not keys or not all(isinstance(key, str) and key for key in keys):
        raise MissingField("requestParameters.tags")
    steps = Call(f"Untag{noun}", {**call.texts(name), "TagKeys": keys})
    return ManualSteps(UNKNOWN, (steps.command,), target_of(call.parameter))


def new_policy(call: Record) -> ManualSteps:
    """A new managed policy, which nobody carried yet."""
    arn = call.answer("policy", "arn")
    return ManualSteps(OTHER, (Call("DeletePolicy", {"PolicyArn": arn}).command,), policy=arn)


def new_version(call: Record) -> ManualSteps:
    """A new version of a managed policy, which counts only if it is the default."""
    arn, version = call.text("PolicyArn"), call.answer("policyVersion", "versionId")
    delete = Call("DeletePolicyVersion", {"PolicyArn": arn, "VersionId": version}).command
    if call.parameter("SetAsDefault") is not True:
        reason = "the version is not the default one, so that it does not count yet"
        return ManualSteps(reason, (delete,), policy=arn)
    return ManualSteps(UNKNOWN, (*default_version(call).commands, delete), policy=arn)


def default_version(call: Record) -> ManualSteps:
    """Another default version of a managed policy."""
    arn = call.text("PolicyArn")
    default = Call("SetDefaultPolicyVersion", {"PolicyArn": arn, "VersionId": "VERSION-BEFORE"})
    versions = Call("ListPolicyVersions", {"PolicyArn": arn})
    return ManualSteps(UNKNOWN, (default.command, versions.command), policy=arn)


def renamed(call: Record) -> ManualSteps:
    """A user of another name or path."""
    if call.parameter("NewUserName") is None:
        return anything(call)
    old, new = call.text("UserName"), call.text("NewUserName")
    rename = Call("UpdateUser", {"UserName": new, "NewUserName": old})
    return ManualSteps(OTHER, (rename.command,), Target("user", new))


#: By the name of the call.
ROWS: dict[str, Callable[[Record], ManualSteps]] = {
    **{name: partial(opposite, operation=undo, names=names, reason=IDEMPOTENT) for name, undo, *names in PAIRS},
    **{undo: partial(opposite, operation=name, names=names, reason=TAKEN) for name, undo, *names in PAIRS},
    **{name: partial(opposite, operation=undo, names=names) for name, undo, *names in ONE_WAY},
    **{name: partial(answered, operation=undo, parameter=key, path=path) for name, undo, key, *path in ANSWERED},
    **{f"Tag{noun}": partial(untag, noun=noun, name=name) for noun, name in TAGGED},
    **{name: partial(opposite, operation=put, names=[key], reason=UNKNOWN, more=before)
       for name, put, key, before in OVERWRITING},
    "CreatePolicy": new_policy,
    "CreatePolicyVersion": new_version,
    "SetDefaultPolicyVersion": default_version,
    # Only the user can enable the device again; the command lists those that are left.
    "DeactivateMFADevice": partial(opposite, operation="ListMFADevices", names=["UserName"], reason=TAKEN),
    "UpdateUser": renamed,
    "SendDelegationToken": partial(anything, reason=FINAL),
}  # fmt: skip
