"""The sandbox itself: moto behind a WSGI server on the loopback address, with what moto lacks added."""

import json
import os
import re
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from urllib.parse import unquote, urlparse

import boto3
import moto.iam.models
from botocore.config import Config
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import JsonRESTError
from moto.core.responses import BaseResponse
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.utilities.utils import get_partition
from waitress import wasyncore
from waitress.server import create_server

from sandbox import authorization, cloudtrail, functions, iam, principals, stacks
from sandbox.functions import Functions

HOST = "127.0.0.1"
ACCOUNT = "111122223333"
REGION = "us-east-1"
DEPLOY = Path(__file__).parent.parent / "deploy"


@dataclass
class Call:
    """An API call that reached the sandbox, and what came of it."""

    caller: str
    service: str
    action: str
    params: dict
    error: str | None = None


@dataclass
class Fault:
    """What is done to matching calls instead of, or before, answering them.

    :param action: which calls, as a shell pattern over ``service:Operation``
    :param caller: whose calls, as a shell pattern over the caller's ARN
    :param code: the error's code; None to answer as usual
    :param status: the error's HTTP status
    :param times: how many calls are hit; None for all
    :param skip: how many matching calls pass unharmed before
    :param delay: seconds that every hit call waits
    """

    action: str
    code: str | None = None
    status: int = 400
    times: int | None = None
    skip: int = 0
    delay: float = 0
    caller: str = "*"
    message: str = "injected by the sandbox"
    share: float = 1.0
    hits: int = field(default=0, init=False)
    seen: int = field(default=0, init=False)


class Sandbox:
    """AWS on the loopback address. Use it as a context manager; only one may run in a process.

    :param account: the 12-digit id of the account that is used where none is named
    :param region: the region that is used where none is named
    """

    def __init__(self, account=ACCOUNT, region=REGION):
        self.account = account
        self.region = region
        self.calls = []
        self.faults = []
        self.scps = []
        self.connections = set()
        self.connection_delay = 0.0
        self.call_delay = 0.0
        self.pending = []
        self.lock = threading.RLock()
        self.functions = Functions(self)
        self.stack = ExitStack()
        self.session = boto3.Session()

    # Life

    def __enter__(self):
        self.stack.enter_context(patch.dict(os.environ))
        os.environ.pop("MOTO_ACCOUNT_ID", None)
        reset()
        self.home = self.stack.enter_context(TemporaryDirectory(prefix="sandbox-home-"))
        for owner, name, replacement in self.patches():
            self.stack.enter_context(patch.object(owner, name, replacement, create=True))
        app = DomainDispatcherApplication(create_backend_app)
        self.server = create_server(
            self.counting(app), host=HOST, port=0, threads=16, asyncore_loop_timeout=1
        )
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self.endpoint = f"http://{HOST}:{self.server.effective_port}"
        return self

    def __exit__(self, *exc):
        self.functions.close()
        self.server.task_dispatcher.shutdown()
        wasyncore.close_all(self.server._map, ignore_all=True)
        self.thread.join(timeout=5)
        self.stack.close()
        reset()

    def counting(self, app):
        """The WSGI application, with every TCP connection that reaches it counted."""

        def counted(environ, start_response):
            channel = environ["waitress.client_disconnected"].__self__
            connection = environ["REMOTE_PORT"], channel.creation_time  # ports come round again
            if connection not in self.connections:
                self.connections.add(connection)
                time.sleep(self.connection_delay)
            return app(environ, start_response)

        return counted

    def patches(self):
        yield from iam.patches()
        yield from functions.patches()
        yield from stacks.patches()
        yield moto.iam.models, "get_account_id_from", self.account_of
        yield ActionAuthenticatorMixin, "_authenticate_and_authorize_action", self.authorizer()
        yield BaseResponse, "call_action", self.recorder(BaseResponse.call_action)
        # Not imported above, because moto reads the user's AWS settings while it imports EC2.
        from moto.cloudformation.parsing import ResourceMap

        yield ResourceMap, "__init__", with_partition(ResourceMap.__init__)

    # Calling it

    def environ(self, credentials=None, account=None, region=None):
        """The environment variables that bind a stock command to the sandbox, and to nothing else.

        :param credentials: what STS or CreateAccessKey answered; the account's operator if left out
        """
        account = account or self.account
        loopback(self.endpoint)
        keys = credentials or {
            "AccessKeyId": principals.operator_key(account),
            "SecretAccessKey": "sandbox",
        }
        kept = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        environ |= {
            "HOME": self.home,  # c7n keeps its cache there
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_DEFAULT_REGION": region or self.region,
            "AWS_REGION": region or self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if "SessionToken" in keys:
            environ["AWS_SESSION_TOKEN"] = keys["SessionToken"]
        return environ

    def client(self, service, credentials=None, account=None, region=None):
        """A boto3 client; the account's operator's, if no credentials are given."""
        environ = self.environ(credentials, account, region)
        return self.session.client(
            service,
            endpoint_url=environ["AWS_ENDPOINT_URL"],
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environ.get("AWS_SESSION_TOKEN"),
            region_name=environ["AWS_REGION"],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def deploy(self, template=DEPLOY / "account.yml", stack="iam-guard", account=None, region=None, **params):
        """Create a CloudFormation stack, or update it if it exists."""
        formation = self.client("cloudformation", account=account, region=region)
        arguments = {
            "StackName": stack,
            "TemplateBody": Path(template).read_text(),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in params.items()],
        }
        known = [s["StackName"] for s in formation.describe_stacks()["Stacks"]]
        (formation.update_stack if stack in known else formation.create_stack)(**arguments)

    def create_user(self, name, allow="*", groups=(), account=None, path="/", region=None, tags=()):
        """An IAM user with an inline policy that allows ``allow``, and an access key.

        :returns: the access key, as CreateAccessKey answers it
        """
        client = self.client("iam", account=account, region=region)
        client.create_user(UserName=name, Path=path, Tags=list(tags))
        statement = {"Effect": "Allow", "Action": allow, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        client.put_user_policy(UserName=name, PolicyName="access", PolicyDocument=document)
        for group in groups:
            client.add_user_to_group(GroupName=group, UserName=name)
        return client.create_access_key(UserName=name)["AccessKey"]

    # Events

    def deliver(self, *events, region=None):
        """Hand events to EventBridge: those given, or the records of the IAM calls made so far.

        :returns: the :class:`~sandbox.functions.Invocation` of every function that a rule invoked
        """
        if not events:
            with self.lock:
                events, self.pending = self.pending, []
        invocations = []
        for event in events:
            account, where = event["account"], region or event["region"]
            for _, function in cloudtrail.targets(event, account, where):
                invocations.append(self.functions.invoke(function, event, account, where))
        return invocations

    def record(self, principal, service, action, params, account, region, error):
        """Note a call, and its CloudTrail record if it is one of IAM's."""
        called = Call(principal.arn, service, action, params, error and error[0])
        with self.lock:
            self.calls.append(called)
            if service == "iam":
                region = cloudtrail.IAM_REGION[principal.partition]
                detail = cloudtrail.record(
                    principal.identity(), service, action, params, account, region, error
                )
                self.pending.append(cloudtrail.envelope(detail))

    # What replaces moto's own

    @staticmethod
    def account_of(key):
        return principals.account_of(key) or moto.iam.models.DEFAULT_ACCOUNT_ID

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

    def fault_for(self, action, caller):
        """The first injected fault that a call is to suffer, counted; None for most calls."""
        with self.lock:
            for fault in self.faults:
                if not authorization.glob(fault.action, action):
                    continue
                if not authorization.glob(fault.caller, caller):
                    continue
                fault.seen += 1
                spent = fault.times is not None and fault.hits >= fault.times
                if fault.seen <= fault.skip or spent or not chance(fault):
                    continue
                fault.hits += 1
                return fault
        return None


@dataclass
class FrozenPrincipal:
    """Who called, as of the moment before the call was carried out."""

    arn: str
    partition: str
    details: dict

    def identity(self):
        return self.details


def with_partition(original):
    """``AWS::Partition`` of a stack is that of its region; moto knows ``aws`` alone."""

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self._parsed_resources["AWS::Partition"] = get_partition(self._region_name)

    return init


def chance(fault):
    """Whether a fault hits this time: evenly spread, so that a run can be repeated."""
    return int(fault.seen * fault.share) > int((fault.seen - 1) * fault.share)


def loopback(url):
    """Refuse any address but this machine's own."""
    if not ip_address(urlparse(url).hostname).is_loopback:
        raise RuntimeError(f"{url} is not the loopback address: the sandbox never calls a real account")
    return url


def reset():
    """Forget everything that moto keeps in this process."""
    moto_api_backend.reset()
    principals.sessions.clear()
    iam.last_used.clear()
    iam.jobs.clear()


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


def error_response(service, fault):
    """The answer to a call that an injected fault hits, in the service's own protocol."""
    if service in ("iam", "sts"):
        body = (
            f'<ErrorResponse xmlns="https://{service}.amazonaws.com/"><Error><Type>Sender</Type>'
            f"<Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
            f"<RequestId>sandbox</RequestId></ErrorResponse>"
        )
        return fault.status, {"status": str(fault.status), "Content-Type": "text/xml"}, body
    body = json.dumps({"__type": fault.code, "message": fault.message})
    return fault.status, {"status": str(fault.status), "x-amzn-errortype": fault.code}, body


__all__ = ["ACCOUNT", "REGION", "Call", "Fault", "Sandbox", "loopback"]
