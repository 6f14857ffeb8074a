"""How the sandbox answers a call: it authorizes, injects faults, lets moto answer, and records the call."""

import time
from dataclasses import dataclass

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import JsonRESTError, ServiceException, _RESTError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import get_service_model
from moto.utilities.utils import get_partition

from sandbox import running, unknown
from sandbox.access import authorization, principals
from sandbox.access.contexts import context_of, entry_context
from sandbox.access.resources import resource_of
from sandbox.cloudtrail import records
from sandbox.faults import error_response
from sandbox.iam import names
from sandbox.organizations import scps
from sandbox.replacements import replaces

#: The services whose names in IAM's actions are not moto's.
SERVICES = {"awslambda": "lambda", "resourcegroupstaggingapi": "tag"}
#: The actions that are named otherwise than their operations.
ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}


@dataclass
class Call:
    """An API call that reached the sandbox, and what came of it."""

    caller: str
    service: str
    action: str
    params: dict
    error: str | None = None


@dataclass
class Request:
    """An API call, as moto is about to answer it.

    :param principal: who calls, as of now: a call may rename or delete its own caller
    :param params: the parameters, by the names of the API
    """

    principal: principals.Principal
    service: str
    action: str
    params: dict
    account: str
    region: str
    protocol: str
    scps: tuple = ()

    @property
    def partition(self):
        return get_partition(self.region)


def request_of(response):
    """The :class:`Request` that one of moto's response objects answers; worked out once."""
    if not hasattr(response, "sandbox_request"):
        service = SERVICES.get(response.service_name, response.service_name)
        model = get_service_model(response.boto3_service_name)
        protocol = determine_request_protocol(model, response.normalized_request.content_type)
        action, params = response._get_action(), params_of(response, model, protocol)
        principal = principals.principal_of(response.get_access_key(), response.region)
        response.sandbox_request = Request(
            principal, service, action, params, response.current_account, response.region, protocol
        )
    return response.sandbox_request


def params_of(response, model, protocol):
    """A request's parameters, whatever its protocol, read as the service's own model says."""
    if response.automated_parameter_parsing and type(response.params) is dict:
        return dict(response.params)
    if response.service_name == "s3" or not response._get_action():
        return {}
    request = response.normalized_request
    parser = PROTOCOL_PARSERS[protocol](model.operation_model(response._get_action()), map_type=dict)
    return parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": response.uri_match,
        }
    )


@replaces(ActionAuthenticatorMixin, "_authenticate_and_authorize_action")
def authenticate_and_authorize(self, iam_request_cls, resource="*"):
    """Refuse a caller who is nobody, or may not do what they ask for."""
    request = request_of(self)
    if request.principal is None:
        refuse(iam_request_cls, self)
    request.scps = [*running.sandbox.scps, *scps.scps_of(request.principal.account)]
    if request.service != "s3":
        resource = resource_of(request)
    if action := denied(request, resource or "*"):
        refuse(iam_request_cls, self, action)
    if request.service == "iam":
        prepare(request, self)


def denied(request, resource):
    principal, named = request.principal, f"{request.service}:{request.action}"
    named = ACTIONS.get(named, named)
    context = context_of(request)
    if named == "events:PutEvents":
        entries = [entry_context(entry) for entry in request.params.get("Entries", ())]
        asked = [(named, bus, context | entry) for bus, entry in zip(resource, entries, strict=True)]
    else:
        asked = [(named, resource, context)]
    if request.service == "lambda" and request.params.get("Role"):
        passed = {"iam:passedtoservice": "lambda.amazonaws.com"}
        asked.append(("iam:PassRole", request.params["Role"], passed))
    if named == "events:PutTargets":
        passed = {"iam:passedtoservice": "events.amazonaws.com"}
        roles = [target["RoleArn"] for target in request.params["Targets"] if target.get("RoleArn")]
        asked += [("iam:PassRole", role, passed) for role in roles]
    for action, arn, keys in asked:
        if not authorization.authorized(principal, action, arn, keys, request.scps):
            return action
    return None


def prepare(request, response):
    """Let IAM look at the names in a call, and refuse it as IAM does."""
    try:
        names.prepare(request, response.params)
    except ServiceException as error:
        status, _, body = response.serialized(ActionResult(error))
        refusal = _RESTError(error.code, error.message)
        refusal.code, refusal.description = status, body
        raise refusal from None


@replaces(BaseResponse)
def call_action(self):
    """Answer a call as moto does, with delays, faults and the records of it."""
    request, sandbox = request_of(self), running.sandbox
    if request.principal is None:
        return call_action.original(self)
    caller, identity = request.principal.arn, request.principal.identity()
    time.sleep(sandbox.call_delay)
    fault = sandbox.fault_for(f"{request.service}:{request.action}", caller)
    if fault and fault.delay:
        time.sleep(fault.delay)
    try:
        response = error_response(request, fault) if fault and fault.code else call_action.original(self)
    except NotImplementedError:  # moto's word for an operation that it does not know
        response = unknown.answer(request, f"{request.service}:{request.action}")
    error = records.error_in(int(response[0]), response[2])
    sandbox.record(request, caller, identity, error, response[2])
    return response


def refuse(request_class, response, action=None):
    """Raise moto's error, in the way of the service that was called: nobody calls, or they may not do an action."""
    asked = request_of(response)
    if action and "json" in asked.protocol:
        text = f"User: {asked.principal.arn} is not authorized to perform: {action}"
        error = JsonRESTError("AccessDeniedException", text)
        error.code = 403
        raise error
    request = request_class.__new__(request_class)
    request._service, request._access_key, request._action = asked.service, asked.principal, action
    request._data = response.data if isinstance(response.data, dict) else {}
    if action:
        request._raise_access_denied()
    request._raise_invalid_access_key("InvalidId")
