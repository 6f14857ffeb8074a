"""IAM ignores the case of names, lets callers leave out their own, and protects the roles of AWS.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-names
"""

from moto.core.utils import get_service_model
from moto.iam import exceptions

from sandbox.access.resources import IAM_NAMES, entity_of
from sandbox.iam.entities import PROTECTED_PATHS

#: The parameters that give somebody a name: what they are for, and the calls that take them for that.
NEW_NAMES = (
    ("UserName", "users", ("CreateUser",)),
    ("GroupName", "groups", ("CreateGroup",)),
    ("RoleName", "roles", ("CreateRole",)),
    ("NewUserName", "users", ("UpdateUser",)),
    ("NewGroupName", "groups", ("UpdateGroup",)),
)
CREATING = ("CreateUser", "CreateGroup", "CreateRole")


def prepare(request, params):
    """Put IAM's own names in place of those that a call uses, before moto looks for them.

    :param request: a :class:`~sandbox.requests.Request`, which keeps what the caller wrote
    :param params: the parameters that moto will read
    :raises ServiceException: where a name is taken already, or a role cannot be changed
    """
    for key, holder, calls in NEW_NAMES:
        if request.action in calls and (taken := entity_of(request, holder, params.get(key))):
            was = request.action.startswith("Update") and params[key.removeprefix("New")]
            if not was or taken is not entity_of(request, holder, was):
                kind = holder.removesuffix("s").capitalize()
                raise exceptions.EntityAlreadyExists(f"{kind} with name {params[key]} already exists.")
    if request.action in (*CREATING, "CreateServiceLinkedRole"):
        return
    speak_of_oneself(request, params)
    for key, _, holder in IAM_NAMES:
        if holder not in ("users", "roles"):
            continue
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
