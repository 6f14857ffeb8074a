"""What takes back a call to IAM: a table, from CloudTrail's record of the call to a plan. Pure.

A row takes back what its call gave, and only that. The guard leaves all other calls to a person.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html
"""

from dataclasses import dataclass

from c7n_iamguard.aws_names import SERVICE_LINKED_PATH
from c7n_iamguard.contain import manual
from c7n_iamguard.contain.plan import Call, Left, Nothing, Record, Target, Unclear, Undo, camel, compact

#: Calls whose names begin like this change nothing. CloudTrail's own mark counts as well.
READING = ("Get", "List", "Describe", "Generate", "Simulate")


def plan(record, who, quarantine):
    """What to do about a call.

    :param record: CloudTrail's record of it, a JSON object
    :param who: the event's :class:`~c7n_iamguard.event.Caller`
    :param quarantine: the ARN of the managed policy that denies everything
    :returns: a :class:`~c7n_iamguard.contain.plan.Nothing`, ``Undo`` or ``Left``
    """
    call = Record(record, who)
    if record.get("errorCode"):
        return Nothing("the call failed, so that it left nothing")
    if record.get("readOnly") is True or call.event.startswith(READING):
        return Nothing("the call only read, so that it left nothing")
    row = ROWS.get(call.event)
    try:
        return row(call, quarantine) if row else manual.plan(call)
    except Unclear as missing:
        return manual.anything(call, f"the event does not have detail.{missing}")


@dataclass(frozen=True)
class Credential:
    """A kind of credential that can be made inactive.

    :param noun: in words
    :param name: as IAM's operations name it: ``AccessKey`` in ``UpdateAccessKey``
    :param id_parameter: the parameter that names one
    :param element: the part of IAM's answer that describes a new one
    """

    noun: str
    name: str
    id_parameter: str
    element: str

    def made(self, call, quarantine):
        """One that was made or uploaded."""
        return self.inactive(call.user(self.element), call.answered(self.element, camel(self.id_parameter)))

    def reset(self, call, quarantine):
        """One that got a new password."""
        return self.inactive(call.user(self.element), call.asked(self.id_parameter))

    def updated(self, call, quarantine):
        """One that was made active. One that was made inactive is left."""
        undo = self.inactive(call.user(), call.asked(self.id_parameter))
        if call.asked("Status").lower() == "active":
            return undo
        return Left(manual.TAKEN, (undo.reverse.command,), undo.target)

    def inactive(self, user, id_):
        """The plan to make one inactive."""

        def update(status):
            return Call(f"Update{self.name}", {"UserName": user, self.id_parameter: id_, "Status": status})

        target = Target("user", user)
        return Undo(
            f"the {self.noun} is inactive", update("Inactive"), update("Active"), target, "credential"
        )


ACCESS_KEY = Credential("access key", "AccessKey", "AccessKeyId", "accessKey")
SSH_KEY = Credential("SSH key", "SSHPublicKey", "SSHPublicKeyId", "sSHPublicKey")
CERTIFICATE = Credential("signing certificate", "SigningCertificate", "CertificateId", "certificate")
SERVICE_CREDENTIAL = Credential(
    "service-specific credential",
    "ServiceSpecificCredential",
    "ServiceSpecificCredentialId",
    "serviceSpecificCredential",
)


def new_password(call, quarantine):
    """A password for the console that there was not before."""
    return no_password(call.answered("loginProfile", "userName"), "password")


def other_password(call, quarantine):
    """Another password for the console, by which its owner is locked out anyway."""
    return no_password(call.asked("UserName"))


def no_password(user, look="credential"):
    """The plan to take a user's password for the console."""
    again = {"UserName": user, "Password": "NEW-PASSWORD", "PasswordResetRequired": True}
    return Undo(
        "the login profile is deleted",
        Call("DeleteLoginProfile", {"UserName": user}),
        Call("CreateLoginProfile", again),
        Target("user", user),
        look,
    )


def new_principal(call, quarantine, noun):
    """A user or role that was made. It is not deleted, because something may need it."""
    kind = noun.lower()
    name, id_ = call.answered(kind, f"{kind}Name"), call.answered(kind, f"{kind}Id")
    if call.answered(kind, "path").startswith(SERVICE_LINKED_PATH):
        return manual.anything(call)
    parameters = {f"{noun}Name": name, "PolicyArn": quarantine}
    return Undo(
        f"the new {kind} is quarantined",
        Call(f"Attach{noun}Policy", parameters),
        Call(f"Detach{noun}Policy", parameters),
        Target(kind, name),
        "principal",
        {"id": id_},
    )


def inline_policy(call, quarantine, noun):
    """An inline policy that was put. If there was one of this name before, the call has overwritten it."""
    key, kind = f"{noun}Name", noun.lower()
    names, document = call.named(key, "PolicyName"), call.asked("PolicyDocument")
    return Undo(
        "the inline policy is deleted",
        Call(f"Delete{noun}Policy", names),
        Call(f"Put{noun}Policy", {**names, "PolicyDocument": compact(document)}),
        Target(kind, names[key]),
        "inline",
        {"document": document},
    )


def attachment(call, quarantine):
    """A managed policy on a user. Only what callers attach to themselves is taken off."""
    names = call.named("UserName", "PolicyArn")
    if not call.is_caller(names["UserName"]):
        return manual.plan(call)
    return Undo(
        "the policy is detached from the caller",
        Call("DetachUserPolicy", names),
        Call("AttachUserPolicy", names),
        Target("user", names["UserName"]),
        "managed",
    )


def membership(call, quarantine):
    """A member of a group. Only callers who join a group themselves leave it again."""
    names = call.named("GroupName", "UserName")
    if not call.is_caller(names["UserName"]):
        return manual.plan(call)
    return Undo(
        "the caller is out of the group",
        Call("RemoveUserFromGroup", names),
        Call("AddUserToGroup", names),
        Target("user", names["UserName"]),
        "group",
    )


def saml_provider(call, quarantine):
    """A SAML provider that was made. Its document may be too long for an event."""
    arn, name = call.answered("sAMLProviderArn"), call.asked("Name")
    again = {"Name": name, "SAMLMetadataDocument": "file://metadata.xml"}
    return Undo(
        "the SAML provider is deleted",
        Call("DeleteSAMLProvider", {"SAMLProviderArn": arn}),
        Call("CreateSAMLProvider", again),
        look="provider",
    )


def oidc_provider(call, quarantine):
    """An OpenID Connect provider that was made."""
    arn, again = call.answered("openIDConnectProviderArn"), {"Url": call.asked("Url")}
    for name in ("ClientIDList", "ThumbprintList"):
        values = call.parameter(name)
        if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
            again[name] = values
    return Undo(
        "the OpenID Connect provider is deleted",
        Call("DeleteOpenIDConnectProvider", {"OpenIDConnectProviderArn": arn}),
        Call("CreateOpenIDConnectProvider", again),
        look="provider",
    )


def of(noun, row):
    """A row for users, roles or groups."""
    return lambda call, quarantine: row(call, quarantine, noun)


#: By the name of the call: a function of its :class:`Record` and of the quarantine's ARN.
ROWS = {
    "CreateAccessKey": ACCESS_KEY.made,
    "UpdateAccessKey": ACCESS_KEY.updated,
    "UploadSSHPublicKey": SSH_KEY.made,
    "UpdateSSHPublicKey": SSH_KEY.updated,
    "UploadSigningCertificate": CERTIFICATE.made,
    "UpdateSigningCertificate": CERTIFICATE.updated,
    "CreateServiceSpecificCredential": SERVICE_CREDENTIAL.made,
    "ResetServiceSpecificCredential": SERVICE_CREDENTIAL.reset,
    "UpdateServiceSpecificCredential": SERVICE_CREDENTIAL.updated,
    "CreateLoginProfile": new_password,
    "UpdateLoginProfile": other_password,
    "CreateUser": of("User", new_principal),
    "CreateRole": of("Role", new_principal),
    "AcquireRole": of("Role", new_principal),
    "PutUserPolicy": of("User", inline_policy),
    "PutGroupPolicy": of("Group", inline_policy),
    "PutRolePolicy": of("Role", inline_policy),
    "AttachUserPolicy": attachment,
    "AddUserToGroup": membership,
    "CreateSAMLProvider": saml_provider,
    "CreateOpenIDConnectProvider": oidc_provider,
}
