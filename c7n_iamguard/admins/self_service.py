"""Self-service: the calls that users may make about themselves, if the settings list them. Pure.

A call is self-service only if its record proves whom it is about. So these are left out:

- calls that name something else than a user: a serial number for DeleteVirtualMFADevice may be anybody's
- calls about oneself that may take off a denial, or change who somebody is for the guard: TagUser and UntagUser
  (``iam-guard``), UpdateUser, DeleteUser, groups, policies and boundaries
- reads: they never count

IAM itself refuses a key, certificate or device that is not the named user's.

Source: the pages of the calls in https://docs.aws.amazon.com/IAM/latest/APIReference/
"""

from collections.abc import Collection, Mapping
from typing import Any

from c7n_iamguard.event import EVENT_SOURCE, Caller, str_or_none

#: How the target of a call is known.
NO_TARGET = "it has none, and does nothing to others"
NAMED = "userName is the caller's"
OPTIONAL = "userName is the caller's, or left out"

#: The calls that may be listed, and how the target of each is known.
CALLS = (
    dict.fromkeys(("ChangePassword", "CreateVirtualMFADevice"), NO_TARGET)
    | dict.fromkeys((
        "UpdateLoginProfile", "EnableMFADevice", "ResyncMFADevice", "UploadSSHPublicKey", "UpdateSSHPublicKey",
        "DeleteSSHPublicKey", "CreateServiceSpecificCredential",
    ), NAMED)
    | dict.fromkeys((
        "CreateLoginProfile", "DeleteLoginProfile", "DeactivateMFADevice", "CreateAccessKey", "UpdateAccessKey",
        "DeleteAccessKey", "ResetServiceSpecificCredential", "UpdateServiceSpecificCredential",
        "DeleteServiceSpecificCredential", "UploadSigningCertificate", "UpdateSigningCertificate",
        "DeleteSigningCertificate",
    ), OPTIONAL)
)  # fmt: skip


def about_themselves(record: Mapping[str, Any], who: Caller, calls: Collection[str]) -> bool:
    """Whether a call is one of the listed ones and is provably about its caller, a user. In doubt it says no.

    :param record: the call's CloudTrail record; names in it are those of the moment of the call
    :param who: the caller in the same record
    :param calls: the names that the settings list
    """
    call = str_or_none(record, "eventName") or ""
    target = CALLS.get(call) if call in calls else None
    if not target or who.kind != "user" or record.get("eventSource") != EVENT_SOURCE:
        return False
    if target == NO_TARGET:
        return True
    parameters = record.get("requestParameters")
    if isinstance(parameters, dict) and "userName" in parameters:
        return _is_name_of(who, str_or_none(parameters, "userName"))
    if target == NAMED:
        return False
    if parameters is None:  # denied, or CreateAccessKey without any parameter, whose response names the user
        return _is_name_of(who, str_or_none(record, "responseElements", "accessKey", "userName"))
    # IAM takes the caller from a key of theirs. With temporary credentials, some calls require a userName.
    # CloudTrail replaces parameters that are too large by "omitted", so that a userName would not be shown.
    key_id = str_or_none(record, "userIdentity", "accessKeyId") or ""
    return isinstance(parameters, dict) and "omitted" not in parameters and key_id.startswith("AKIA")


def _is_name_of(who: Caller, name: str | None) -> bool:
    """Whether a name is the caller's, in any case. IAM's names are ASCII, where no other letter is a K or an S."""
    return bool(name and who.name and name.isascii() and name.lower() == who.name.lower())


def described(name: object) -> str:
    """A name that may not be listed, for a message: quoted, with a close match if there is one."""
    from difflib import get_close_matches  # settings that are right do not need it

    if isinstance(name, str) and name.startswith(("Get", "List")):
        return f"{name!r} (reads never count)"
    listed = {call.lower(): call for call in CALLS}
    close = get_close_matches(name.lower(), listed, 1, 0.87) if isinstance(name, str) else []
    return f"{name!r} (did you mean {listed[close[0]]}?)" if close else repr(name)
