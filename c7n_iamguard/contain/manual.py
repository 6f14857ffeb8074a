"""Calls that the guard leaves as they are, and what a person would do about each. Pure.

The guard leaves a call if it cannot know what was there before, or whether somebody needs what the call gave.
"""

from functools import partial

from c7n_iamguard.contain.plan import Call, Left, Target, Unclear

IDEMPOTENT = "IAM does not tell whether it was so before the call"
UNKNOWN = "nobody can tell what was there before the call"
TAKEN = "the call took something away, and the guard gives nothing back"
OTHER = "the guard does not take back calls of this name"
FINAL = "AWS does not let anybody take this back"

#: Calls that an opposite call with the same parameters takes back, in both directions.
PAIRS = (
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
#: Calls that an opposite call takes back, and not the other way round.
ONE_WAY = (
    ("CreateGroup", "DeleteGroup", "GroupName"),
    ("CreateInstanceProfile", "DeleteInstanceProfile", "InstanceProfileName"),
    ("UploadServerCertificate", "DeleteServerCertificate", "ServerCertificateName"),
    ("EnableMFADevice", "DeactivateMFADevice", "UserName", "SerialNumber"),
    ("AssociateDelegationRequest", "RejectDelegationRequest", "DelegationRequestId"),
    ("AcceptDelegationRequest", "RejectDelegationRequest", "DelegationRequestId"),
)
#: What IAM's answer names, instead of the call: the opposite call, its parameter, and where the answer has it.
ANSWERED = (
    ("CreateVirtualMFADevice", "DeleteVirtualMFADevice", "SerialNumber", "virtualMFADevice", "serialNumber"),
    ("CreateServiceLinkedRole", "DeleteServiceLinkedRole", "RoleName", "role", "roleName"),
    ("CreateDelegationRequest", "RejectDelegationRequest", "DelegationRequestId", "delegationRequestId"),
)
#: What carries tags, and the parameter that names one.
TAGGED = (
    ("User", "UserName"),
    ("Role", "RoleName"),
    ("Policy", "PolicyArn"),
    ("InstanceProfile", "InstanceProfileName"),
    ("MFADevice", "SerialNumber"),
    ("OpenIDConnectProvider", "OpenIDConnectProviderArn"),
    ("SAMLProvider", "SAMLProviderArn"),
    ("ServerCertificate", "ServerCertificateName"),
)
#: Calls whose names begin like this take something away.
TAKING = ("Delete", "Detach", "Remove", "Deactivate", "Disable", "Untag", "Reject")


def plan(call):
    """What is left of a call that the guard does not take back.

    :param call: its :class:`~c7n_iamguard.contain.plan.Record`
    :raises Unclear: if the event lacks what the commands need
    """
    return ROWS.get(call.event, anything)(call)


def anything(call, reason=None):
    """A call of whatever name; the command shows its whole record."""
    reason = reason or (TAKEN if call.event.startswith(TAKING) else OTHER)
    return Left(reason, (call.look_it_up(),), target_of(call))


def opposite(call, operation, names, reason=OTHER):
    """A call that another call takes back."""
    undo = Call(operation, call.named(*names))
    return Left(reason, (undo.command,), target_of(call))


def answered(call, operation, name, path):
    """A call that made something whose name is in IAM's answer."""
    return Left(OTHER, (Call(operation, {name: call.answered(*path)}).command,))


def target_of(call):
    """The user or role that a call is about; None if it is about neither."""
    for kind, name in (("user", "UserName"), ("role", "RoleName")):
        found = call.parameter(name)
        if isinstance(found, str) and found:
            return Target(kind, found)
    return None


def untag(call, noun, name):
    """A call that set tags."""
    tags = call.parameter("Tags")
    keys = [tag.get("key") for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    if not keys or not all(isinstance(key, str) and key for key in keys):
        raise Unclear("requestParameters.tags")
    undo = Call(f"Untag{noun}", {**call.named(name), "TagKeys": keys})
    return Left(UNKNOWN, (undo.command,), target_of(call))


def boundary(call, noun):
    """A permissions boundary that was set or taken off."""
    parameters = {**call.named(f"{noun}Name"), "PermissionsBoundary": "ARN-OF-THE-BOUNDARY-BEFORE"}
    return Left(UNKNOWN, (Call(f"Put{noun}PermissionsBoundary", parameters).command,), target_of(call))


def trust(call):
    """A change of a role's trust policy. A person repairs it, because nobody knows the earlier one."""
    parameters = {**call.named("RoleName"), "PolicyDocument": "file://trust-before.json"}
    return Left(UNKNOWN, (Call("UpdateAssumeRolePolicy", parameters).command,), target_of(call))


def saml(call):
    """The metadata of a SAML provider, which say whose signatures count."""
    parameters = {**call.named("SAMLProviderArn"), "SAMLMetadataDocument": "file://metadata-before.xml"}
    return Left(UNKNOWN, (Call("UpdateSAMLProvider", parameters).command,))


def new_policy(call):
    """A managed policy that nobody carried when it was made."""
    arn = call.answered("policy", "arn")
    return Left(OTHER, (Call("DeletePolicy", {"PolicyArn": arn}).command,), policy=arn)


def new_version(call):
    """A version of a managed policy, which counts if it is the default."""
    arn, version = call.asked("PolicyArn"), call.answered("policyVersion", "versionId")
    delete = Call("DeletePolicyVersion", {"PolicyArn": arn, "VersionId": version}).command
    if call.parameter("SetAsDefault") is not True:
        return Left(
            "the version is not the default one, so that it does not count yet", (delete,), policy=arn
        )
    return Left(UNKNOWN, (*version_before(arn), delete), policy=arn)


def default_version(call):
    """Another default version of a managed policy."""
    arn = call.asked("PolicyArn")
    return Left(UNKNOWN, version_before(arn), policy=arn)


def version_before(arn):
    """The commands that bring an earlier version of a managed policy back."""
    default = {"PolicyArn": arn, "VersionId": "VERSION-BEFORE"}
    versions = Call("ListPolicyVersions", {"PolicyArn": arn})
    return Call("SetDefaultPolicyVersion", default).command, versions.command


def mfa_off(call):
    """A user without one of their MFA devices. Only they can enable it again."""
    listing = Call("ListMFADevices", call.named("UserName"))
    return Left(TAKEN, (listing.command,), Target("user", call.user()))


def renamed(call):
    """A user of another name or path."""
    if call.parameter("NewUserName") is None:
        return anything(call)
    old, new = call.asked("UserName"), call.asked("NewUserName")
    undo = Call("UpdateUser", {"UserName": new, "NewUserName": old})
    return Left(OTHER, (undo.command,), Target("user", new))


def final(call):
    """A delegation that has been handed over."""
    return Left(FINAL, (call.look_it_up(),))


#: By the name of the call: a function of its :class:`~c7n_iamguard.contain.plan.Record` that returns what is left.
ROWS = {
    **{one: partial(opposite, operation=other, names=names, reason=IDEMPOTENT) for one, other, *names in PAIRS},
    **{other: partial(opposite, operation=one, names=names, reason=TAKEN) for one, other, *names in PAIRS},
    **{one: partial(opposite, operation=other, names=names) for one, other, *names in ONE_WAY},
    **{one: partial(answered, operation=other, name=name, path=path) for one, other, name, *path in ANSWERED},
    **{f"Tag{noun}": partial(untag, noun=noun, name=name) for noun, name in TAGGED},
    **{f"{do}{noun}PermissionsBoundary": partial(boundary, noun=noun)
       for do in ("Put", "Delete") for noun in ("User", "Role")},
    "UpdateAssumeRolePolicy": trust,
    "UpdateSAMLProvider": saml,
    "CreatePolicy": new_policy,
    "CreatePolicyVersion": new_version,
    "SetDefaultPolicyVersion": default_version,
    "DeactivateMFADevice": mfa_off,
    "UpdateUser": renamed,
    "SendDelegationToken": final,
}  # fmt: skip
