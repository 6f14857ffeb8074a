"""Repeat a log's call in the sandbox, so that the containment has something to reverse."""

from contextlib import suppress

from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from moto.core.utils import utcnow

from sandbox.cloudtrail import fields
from sandbox.iam.entities import add_policy_of_aws
from sandbox.server import document

#: Secrets do not stand in records, and some calls want one.
SECRET = "Sandbox-0-secret"  # noqa: S105
TRUSTS_NOBODY = document()
#: Nobody knows what a policy of the log's account said.
SOME_POLICY = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})


def carry_out(sandbox, backend, event, who):
    """Make a call again, with whatever it names made beforehand, and put its new answer into the event.

    The event stays as it was if the call failed, then or now.
    """
    detail = event["detail"]
    operation = fields.operation_of("iam", detail["eventName"])
    if detail.get("errorCode") or operation is None or operation.input_shape is None:
        return event
    shape = operation.input_shape
    given = detail.get("requestParameters") or {}
    params = {name: given[key] for name in shape.members if (key := name[0].lower() + name[1:]) in given}
    if who.kind == "user" and "UserName" in shape.members:
        params.setdefault("UserName", who.name)
    for name, member in shape.members.items():
        if name in shape.required_members or fields.is_secret(member):
            params.setdefault(name, SECRET)
    make_named(sandbox, backend, params, detail)
    if detail["eventName"] in ("CreateUser", "CreateRole"):
        return event
    with suppress(ClientError, ParamValidationError):
        getattr(sandbox.client("iam"), xform_name(operation.name))(**params)
        detail = {**detail, "responseElements": sandbox.pending[-1]["detail"]["responseElements"]}
    return {**event, "detail": detail}


def make_named(sandbox, backend, params, detail):
    """Make what a call names and what is not there. A user or role that it creates gets the id of the record."""
    answer = detail.get("responseElements") or {}
    name, role, group, arn = (params.get(key) for key in ("UserName", "RoleName", "GroupName", "PolicyArn"))
    if name:
        users = {user.name.lower(): user for user in backend.users.values()}
        user = users.get(name.lower()) or backend.create_user(
            sandbox.region, name, path=params.get("Path") or "/"
        )
        if unique_id := (answer.get("user") or {}).get("userId"):
            user.id, user.create_date = unique_id, utcnow()  # a caller of later calls is there from the start
    if role:
        roles = {one.name.lower(): one for one in backend.roles.values()}
        path = params.get("Path") or "/"
        made = roles.get(role.lower()) or backend.create_role(role, TRUSTS_NOBODY, path, None, "", [], None)
        if unique_id := (answer.get("role") or {}).get("roleId"):
            backend.roles[unique_id] = backend.roles.pop(made.id)
            made.id, made.create_date = unique_id, utcnow()
    if group and detail["eventName"] != "CreateGroup":
        with suppress(ClientError):
            sandbox.client("iam").create_group(GroupName=group)
    if arn and arn not in backend.managed_policies:
        account, path = arn.split(":")[4], arn.split(":policy/")[-1]
        if account == "aws":
            add_policy_of_aws(backend, path.rpartition("/")[2])
        else:
            folder, _, policy_name = path.rpartition("/")
            backend.create_policy("", f"/{folder}/" if folder else "/", SOME_POLICY, policy_name, {})
