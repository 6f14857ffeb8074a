"""The condition keys of a request, except those of its caller."""

from sandbox.access.resources import entity_of, function_arn
from sandbox.sts.sessions import web_identity_context


def context_of(request):
    """The condition keys of a request, in lower case.

    :param request: a :class:`~sandbox.requests.Request`
    """
    context = {"aws:requestedregion": request.region, **_tags(request.params)}
    extra = {"iam": _iam, "lambda": _lambda, "sns": _sns, "sts": _sts}.get(request.service)
    return context | (extra(request) if extra else {})


def entry_context(entry):
    """The condition keys of one entry of PutEvents."""
    return {
        "events:source": [entry.get("Source", "")],
        "events:detail-type": entry.get("DetailType", ""),
        "events:eventbusinvocation": "false",
    }


def _tags(params):
    tags, keys = params.get("Tags") or (), params.get("TagKeys") or ()
    pairs = tags.items() if isinstance(tags, dict) else [(tag["Key"], tag.get("Value")) for tag in tags]
    context = {f"aws:requesttag/{key.lower()}": value for key, value in pairs}
    keys = [*(key for key, _ in pairs), *keys]
    return context | ({"aws:tagkeys": keys} if keys else {})


def _iam(request):
    params, context = request.params, {}
    if "PolicyArn" in params and request.action.startswith(("Attach", "Detach")):
        context["iam:policyarn"] = params["PolicyArn"]
    if "AWSServiceName" in params:
        context["iam:awsservicename"] = params["AWSServiceName"]
    holder = next((k for k in ("User", "Role") if f"{k}Name" in params and "GroupName" not in params), None)
    entity = holder and entity_of(request, f"{holder.lower()}s", params[f"{holder}Name"])
    boundary = params.get("PermissionsBoundary") or getattr(entity, "permissions_boundary_arn", None)
    if boundary:
        context["iam:permissionsboundary"] = boundary
    if entity:
        tags = entity.tags or ()
        for tag in tags:
            context[f"iam:resourcetag/{tag['Key'].lower()}"] = tag["Value"]
            context[f"aws:resourcetag/{tag['Key'].lower()}"] = tag["Value"]
    return context


def _lambda(request):
    if request.action.endswith("EventSourceMapping") and request.params.get("FunctionName"):
        return {"lambda:functionarn": function_arn(request, request.params["FunctionName"])}
    return {}


def _sns(request):
    keys = {"Protocol": "sns:protocol", "Endpoint": "sns:endpoint"}
    return {key: request.params[name] for name, key in keys.items() if name in request.params}


def _sts(request):
    keys = {
        "ExternalId": "sts:externalid",
        "RoleSessionName": "sts:rolesessionname",
        "SourceIdentity": "sts:sourceidentity",
    }
    context = {key: request.params[name] for name, key in keys.items() if name in request.params}
    if "WebIdentityToken" in request.params:
        context |= web_identity_context(request.params)
    return context
