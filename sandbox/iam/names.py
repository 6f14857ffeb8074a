"""IAM ignores the case of names, lets callers leave out their own, and protects the roles of AWS.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-names
"""

from moto.core.utils import get_service_model
from moto.iam import exceptions

from sandbox.access.resources import entity_of
from sandbox.iam.entities import PROTECTED_PATHS

#: The calls that give somebody a name, each with the parameter that has it, and what it is for.
NEW_NAMES = {
    "CreateUser": ("UserName", "users"),
    "CreateGroup": ("GroupName", "groups"),
    "CreateRole": ("RoleName", "roles"),
    "UpdateUser": ("NewUserName", "users"),
    "UpdateGroup": ("NewGroupName", "groups"),
}


def prepare(request, params):
    """Put IAM's own names in place of those that a call uses, before moto looks for them.

    :param request: a :class:`~sandbox.requests.Request`, which keeps what the caller wrote
    :param params: the parameters that moto will read
    :raises ServiceException: where a name is taken already, or a role cannot be changed
    """
    key, holder = NEW_NAMES.get(request.action, (None, None))
    taken = key and entity_of(request, holder, params.get(key))
    creates = request.action in ("CreateUser", "CreateGroup", "CreateRole", "CreateServiceLinkedRole")
    if taken and (creates or taken is not entity_of(request, holder, params[key.removeprefix("New")])):
        kind = holder.removesuffix("s").capitalize()
        raise exceptions.EntityAlreadyExists(f"{kind} with name {params[key]} already exists.")
    if creates:
        return
    speak_of_oneself(request, params)
    for key, holder in (("UserName", "users"), ("RoleName", "roles")):
        found = entity_of(request, holder, params[key]) if key in params else None
        if found:
            params[key] = found.name
            if holder == "roles" and found.path.startswith(PROTECTED_PATHS) and changes_roles(request.action):
                raise Unmodifiable(
                    f"Cannot perform the operation on the protected role '{found.name}'"
                    " - this role is only modifiable by AWS"
                )


def speak_of_oneself(request, params):
    """A user who names nobody means themself; a role cannot, and has to name somebody."""
    members = get_service_model("iam").operation_model(request.action).input_shape
    optional = members and "UserName" in members.members and "UserName" not in members.required_members
    if not optional or "UserName" in params or request.action == "ListServiceSpecificCredentials":
        return
    if request.principal.kind == "IAMUser":
        params["UserName"] = request.principal.name
    elif request.principal.kind == "AssumedRole":
        raise exceptions.ValidationError("Must specify userName when calling with non-User credentials")


class Unmodifiable(exceptions.IAMException):
    """The answer to a change of a role that only AWS can change."""

    code = "UnmodifiableEntity"


def changes_roles(action):
    """Whether a call can fail because a role is one of AWS's, as IAM's own model says. TagRole fails, too."""
    errors = get_service_model("iam").operation_model(action).error_shapes
    return action in ("TagRole", "UntagRole") or any(e.name == "UnmodifiableEntityException" for e in errors)
