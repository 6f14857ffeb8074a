"""The condition keys of a request, except those of its caller."""

from sandbox.access.resources import entity_of, function_arn


def context_of(request):
    """The condition keys of a :class:`~sandbox.requests.Request`, in lower case."""
    extra = {"iam": _iam, "lambda": _lambda}.get(request.service)
    return _tags(request.params) | (extra(request) if extra else {})


def entry_context(entry):
    return {"events:source": [entry.get("Source", "")]}


def _tags(params):
    tags, keys = params.get("Tags") or (), params.get("TagKeys") or ()
    keys = [*(tags if isinstance(tags, dict) else (tag["Key"] for tag in tags)), *keys]
    return {"aws:tagkeys": keys} if keys else {}


def _iam(request):
    params, context = request.params, {}
    if "PolicyArn" in params and request.action.startswith(("Attach", "Detach")):
        context["iam:policyarn"] = params["PolicyArn"]
    holder = next((k for k in ("User", "Role") if f"{k}Name" in params and "GroupName" not in params), None)
    entity = holder and entity_of(request, f"{holder.lower()}s", params[f"{holder}Name"])
    boundary = params.get("PermissionsBoundary") or getattr(entity, "permissions_boundary_arn", None)
    if boundary:
        context["iam:permissionsboundary"] = boundary
    return context


def _lambda(request):
    if request.action.endswith("EventSourceMapping") and request.params.get("FunctionName"):
        return {"lambda:functionarn": function_arn(request, request.params["FunctionName"])}
    return {}
