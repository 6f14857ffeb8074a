"""The plan for a call to IAM, from CloudTrail's record of it. Pure.

A row of the table reverses what its call gave, and only that. The guard leaves all other calls to a person.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from c7n_iamguard.aws_names import SERVICE_LINKED_PATH
from c7n_iamguard.contain import manual
from c7n_iamguard.contain.plan import (
    Call,
    Check,
    ManualSteps,
    MissingField,
    NoChange,
    Record,
    Reversal,
    Target,
)
from c7n_iamguard.contain.preconditions import Preconditions
from c7n_iamguard.event import Caller

#: The names of calls that change nothing begin like this.
READING = ("Get", "List", "Describe", "Generate", "Simulate")


def plan(record: dict[str, Any], who: Caller, quarantine: str) -> NoChange | Reversal | ManualSteps:
    """The plan for a call; ``quarantine`` is the ARN of the managed policy that denies everything."""
    call = Record(record, who, quarantine)
    if record.get("errorCode"):
        return NoChange("the call failed, so that it left nothing")
    if record.get("readOnly") is True or call.operation.startswith(READING):
        return NoChange("the call only read, so that it left nothing")
    try:
        return ROWS.get(call.operation, manual.plan)(call)
    except MissingField as field:
        return manual.incomplete(call, str(field))


@dataclass(frozen=True)
class Credential:
    """A kind of credential that can be made inactive."""

    noun: str  #: in words
    name: str  #: as IAM's operations name it: ``AccessKey`` in ``UpdateAccessKey``
    element: str  #: as IAM's answers and parameters name it: ``AccessKey`` in ``AccessKeyId``

    @property
    def id_parameter(self) -> str:
        """The parameter that names one."""
        return f"{self.element}Id"

    def new(self, call: Record) -> Reversal:
        """A new one."""
        return self.inactive(call.user(self.element), call.answer(self.element, self.id_parameter))

    def reset(self, call: Record) -> Reversal:
        """One that got a new password."""
        return self.inactive(call.user(self.element), call.text(self.id_parameter))

    def updated(self, call: Record) -> Reversal | ManualSteps:
        """One that the call made active. If the call made it inactive, a person decides."""
        reversal = self.inactive(call.user(), call.text(self.id_parameter))
        if call.text("Status").lower() == "active":
            return reversal
        return ManualSteps(manual.TAKEN, (reversal.redo.command,), reversal.target)

    def inactive(self, user: str, id_: str) -> Reversal:
        """The reversal that makes one inactive."""
        inactive, active = (
            Call(f"Update{self.name}", {"UserName": user, self.id_parameter: id_, "Status": status})
            for status in ("Inactive", "Active")
        )
        return Reversal(f"the {self.noun} is inactive", inactive, active, Target("user", user))


ACCESS_KEY = Credential("access key", "AccessKey", "AccessKey")
SSH_KEY = Credential("SSH key", "SSHPublicKey", "SSHPublicKey")
CERTIFICATE = Credential("signing certificate", "SigningCertificate", "Certificate")
SERVICE_CREDENTIAL = Credential(
    "service-specific credential", "ServiceSpecificCredential", "ServiceSpecificCredential"
)


def password(user: str, check: Check | None = None) -> Reversal:
    """A password for the console."""
    delete = Call("DeleteLoginProfile", {"UserName": user})
    again = {"UserName": user, "Password": "NEW-PASSWORD", "PasswordResetRequired": True}
    redo = Call("CreateLoginProfile", again)
    return Reversal("the login profile is deleted", delete, redo, Target("user", user), check)


def new_principal(call: Record, noun: str) -> Reversal | ManualSteps:
    """A new user or role. It is not deleted, because something may need it."""
    kind = noun.lower()
    name, id_ = call.answer(kind, f"{kind}Name"), call.answer(kind, f"{kind}Id")
    if call.answer(kind, "path").startswith(SERVICE_LINKED_PATH):
        return manual.anything(call)
    parameters = {f"{noun}Name": name, "PolicyArn": call.quarantine}
    return Reversal(
        f"the new {kind} is quarantined",
        Call(f"Attach{noun}Policy", parameters),
        Call(f"Detach{noun}Policy", parameters),
        Target(kind, name, id_),
        Preconditions.new_principal,
    )


def inline_policy(call: Record, noun: str) -> Reversal:
    """A new inline policy, or one that the call has overwritten."""
    names = call.texts(f"{noun}Name", "PolicyName")
    delete, target = Call(f"Delete{noun}Policy", names), Target(noun.lower(), names[f"{noun}Name"])
    redo = Call(f"Put{noun}Policy", {**names, "PolicyDocument": compact(call.text("PolicyDocument"))})
    return Reversal("the inline policy is deleted", delete, redo, target, Preconditions.inline_policy)


def compact(document: str) -> str:
    """A policy document without needless white space; other text as it is."""
    with suppress(ValueError):
        return json.dumps(json.loads(document), separators=(",", ":"), ensure_ascii=False)
    return document


def own_gain(
    call: Record, containment: str, undo: str, names: tuple[str, str], check: Check
) -> Reversal | ManualSteps:
    """A gift to a user. The guard takes off only what callers give themselves."""
    parameters = call.texts(*names)
    if not call.who.is_principal("user", parameters["UserName"], None):
        return manual.plan(call)
    target = Target("user", parameters["UserName"])
    return Reversal(containment, Call(undo, parameters), Call(call.operation, parameters), target, check)


def saml_provider(call: Record) -> Reversal:
    """A new SAML provider. Its document may be too long for a record, which then has no parameters."""
    arn = call.answer("sAMLProviderArn")
    again = {"Name": arn.rpartition("/")[2], "SAMLMetadataDocument": "file://metadata.xml"}
    delete, redo = Call("DeleteSAMLProvider", {"SAMLProviderArn": arn}), Call("CreateSAMLProvider", again)
    return Reversal("the SAML provider is deleted", delete, redo, check=Preconditions.new_provider)


def oidc_provider(call: Record) -> Reversal:
    """A new OpenID Connect provider."""
    arn, again = call.answer("openIDConnectProviderArn"), call.texts("Url")
    for name in ("ClientIDList", "ThumbprintList"):
        values = call.parameter(name)
        if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
            again[name] = values
    delete = Call("DeleteOpenIDConnectProvider", {"OpenIDConnectProviderArn": arn})
    redo = Call("CreateOpenIDConnectProvider", again)
    return Reversal("the OpenID Connect provider is deleted", delete, redo, check=Preconditions.new_provider)


#: By the name of the call.
ROWS: dict[str, Callable[[Record], Reversal | ManualSteps]] = {
    "CreateAccessKey": ACCESS_KEY.new,
    "UpdateAccessKey": ACCESS_KEY.updated,
    "UploadSSHPublicKey": SSH_KEY.new,
    "UpdateSSHPublicKey": SSH_KEY.updated,
    "UploadSigningCertificate": CERTIFICATE.new,
    "UpdateSigningCertificate": CERTIFICATE.updated,
    "CreateServiceSpecificCredential": SERVICE_CREDENTIAL.new,
    "ResetServiceSpecificCredential": SERVICE_CREDENTIAL.reset,
    "UpdateServiceSpecificCredential": SERVICE_CREDENTIAL.updated,
    "CreateLoginProfile": lambda call: password(call.answer("loginProfile", "userName"), Preconditions.password),
    "UpdateLoginProfile": lambda call: password(call.text("UserName")),  # which locks the owner out anyway
    "CreateUser": partial(new_principal, noun="User"),
    "CreateRole": partial(new_principal, noun="Role"),
    "AcquireRole": partial(new_principal, noun="Role"),
    "PutUserPolicy": partial(inline_policy, noun="User"),
    "PutGroupPolicy": partial(inline_policy, noun="Group"),
    "PutRolePolicy": partial(inline_policy, noun="Role"),
    "AttachUserPolicy": partial(
        own_gain, containment="the policy is detached from the caller", undo="DetachUserPolicy",
        names=("UserName", "PolicyArn"), check=Preconditions.attachment,
    ),
    "AddUserToGroup": partial(
        own_gain, containment="the caller is out of the group", undo="RemoveUserFromGroup",
        names=("GroupName", "UserName"), check=Preconditions.membership,
    ),
    "CreateSAMLProvider": saml_provider,
    "CreateOpenIDConnectProvider": oidc_provider,
}  # fmt: skip
