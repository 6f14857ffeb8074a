"""A request's way through the sandbox: who calls, may they, does a fault hit it, and what is noted of it."""

import json
import re
import time
from dataclasses import dataclass
from urllib.parse import unquote

from moto.core.exceptions import JsonRESTError

from sandbox import authorization, cloudtrail, principals
from sandbox.faults import error_response


@dataclass
class Call:
    """An API call that reached the sandbox, and what came of it."""

    caller: str
    service: str
    action: str
    params: dict
    error: str | None = None


@dataclass
class FrozenPrincipal:
    """Who called, as of the moment before the call was carried out."""

    arn: str
    partition: str
    details: dict

    def identity(self):
        return self.details


def authorizer(sandbox):
    def authenticate_and_authorize(self, iam_request_cls, resource="*"):
        principal = principals.principal_of(self.get_access_key(), self.region)
        if principal is None:
            refuse(iam_request_cls, "_raise_invalid_access_key", self, "InvalidId")
        service = service_of(self)
        action, params = self._get_action(), flat(self)
        if resource in ("*", None) or service != "s3":
            resource = authorization.resource_of(
                service, action, params, self.current_account, principal.partition, self.region
            )
        context = context_of(service, action, params, principal, self.region)
        named = f"{service}:{action}"
        allowed = authorization.authorized(principal, named, resource, context, sandbox.scps)
        if named == "sts:AssumeRole":
            allowed = allowed and principals.may_assume(principal, params["RoleArn"], context)
        if service == "lambda" and "Role" in params and allowed:
            named, context = "iam:PassRole", {"iam:passedtoservice": "lambda.amazonaws.com"}
            allowed = authorization.authorized(principal, named, params["Role"], context, sandbox.scps)
        if not allowed:
            refuse(iam_request_cls, "_raise_access_denied", self, principal, named)

    return authenticate_and_authorize


def recorder(sandbox, original):
    def call_action(self):
        service, action, params = service_of(self), self._get_action(), flat(self)
        principal = principals.principal_of(self.get_access_key(), self.region)
        if principal is None:
            return original(self)
        identity_before = principal.arn  # a call may rename or delete its own caller
        details = principal.identity()
        time.sleep(sandbox.call_delay)
        fault = sandbox.fault_for(f"{service}:{action}", identity_before)
        if fault and fault.delay:
            time.sleep(fault.delay)
        refused = fault and fault.code
        response = error_response(service, fault) if refused else original(self)
        error = cloudtrail.error_in(int(response[0]), response[2])
        frozen = FrozenPrincipal(identity_before, principal.partition, details)
        sandbox.record(frozen, service, action, params, self.current_account, self.region, error)
        return response

    return call_action


def service_of(response):
    """The service as IAM's actions name it."""
    return {"awslambda": "lambda", "resourcegroupstaggingapi": "tag"}.get(
        response.service_name, response.service_name
    )


def speaks_json(response):
    """Whether a request's protocol is one of JSON."""
    return bool(response.headers.get("X-Amz-Target")) or service_of(response) == "lambda"


def flat(response):
    """A request's parameters as a dict of plain values, whatever its protocol."""
    if response.body and speaks_json(response):
        try:
            params = json.loads(response.body)
        except ValueError:
            params = {}
        params = params if isinstance(params, dict) else {}
    else:
        params = {k: v[0] for k, v in response.querystring.items() if isinstance(v, list)}
        params = {k: v for k, v in params.items() if k not in ("Action", "Version")}
    if service_of(response) == "lambda" and "/functions/" in response.path:
        params["FunctionName"] = response.path.split("/functions/")[1].split("/")[0]
    if service_of(response) == "lambda" and "/tags/" in response.path:
        params["Resource"] = unquote(response.path.split("/tags/")[1])
    params.pop("ZipFile", None)
    if isinstance(params.get("Code"), dict):
        params["Code"] = "…"
    return params


def context_of(service, action, params, principal, region):
    """The condition keys of a request."""
    context = {}
    if service == "iam":
        if "PolicyArn" in params and action.startswith(("Attach", "Detach")):
            context["iam:policyarn"] = params["PolicyArn"]
        if "PermissionsBoundary" in params:
            context["iam:permissionsboundary"] = params["PermissionsBoundary"]
        elif "UserName" in params:
            user = principal.backend.users.get(params["UserName"])
            boundary = getattr(user, "permissions_boundary_arn", None)
            if boundary:
                context["iam:permissionsboundary"] = boundary
    keys = [v for k, v in params.items() if re.fullmatch(r"(Tags\.member\.\d+\.Key|TagKeys\.member\.\d+)", k)]
    if keys:
        context["aws:tagkeys"] = keys
    if service == "lambda" and action.endswith("EventSourceMapping") and "FunctionName" in params:
        arn = authorization.resource_of("lambda", "", params, principal.account, principal.partition, region)
        context["lambda:functionarn"] = arn
    if "ExternalId" in params:
        context["sts:externalid"] = params["ExternalId"]
    return context


def refuse(request_class, how, response, *details):
    """Raise the error that moto raises, in the way of the service that was called."""
    request = request_class.__new__(request_class)
    request._service = service_of(response)
    request._data = response.data if isinstance(response.data, dict) else {}
    if how == "_raise_access_denied":
        principal, action = details
        if speaks_json(response):
            error = JsonRESTError(
                "AccessDeniedException", f"User: {principal.arn} is not authorized to perform: {action}"
            )
            error.code = 403
            raise error
        request._access_key, request._action = principal, action
        request._raise_access_denied()
    request._raise_invalid_access_key(*details)
