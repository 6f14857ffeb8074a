"""Answer unknown calls with errors in AWS's form, which stock tools understand."""

from types import SimpleNamespace

import flask
from botocore.model import OperationNotFoundError
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Request, Response

from sandbox.faults import Fault, error_response


def answer(request, what):
    """The answer to a call of an operation that the sandbox does not know, in the service's own protocol."""
    code = "InvalidAction" if request.protocol in ("query", "ec2") else "UnknownOperationException"
    return error_response(request, Fault("*", code, message=f"The simulated account does not know {what}"))


def app_of(service):
    """moto's application for a service; one that refuses everything, if moto does not know the service."""
    if service is None:
        return lambda environ, start_response: refusal(Request(environ))(environ, start_response)
    app = create_backend_app(service)
    for problem in (NotFound, OperationNotFoundError):
        app.register_error_handler(problem, lambda error: refusal(flask.request))
    return app


def refusal(request):
    is_query = request.mimetype == "application/x-www-form-urlencoded"
    asked = SimpleNamespace(service="aws", action=None, protocol="query" if is_query else "json")
    what = request.headers.get("X-Amz-Target") or request.form.get("Action") or request.path
    status, headers, body = answer(asked, what)
    return Response(body, status, headers)
