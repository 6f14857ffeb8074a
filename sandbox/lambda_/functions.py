"""Additions to moto's Lambda: dead-letter queues, conflicts of permissions, the functions' log groups."""

import base64
import json
from datetime import datetime, timezone

from moto.awslambda.exceptions import FunctionAlreadyExists
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.awslambda.policy import Policy
from moto.awslambda.responses import LambdaResponse
from moto.logs.models import logs_backends
from moto.utilities.utils import get_partition

from sandbox.access import authorization
from sandbox.access.principals import Principal
from sandbox.replacements import replaces
from sandbox.requests import request_of


@replaces(Policy)
def add_statement(self, raw, qualifier=None):
    """A second permission of the same statement id is a conflict, as in Lambda."""
    sid = json.loads(raw).get("StatementId")
    if sid in [statement.get("Sid") for statement in self.statements]:
        raise FunctionAlreadyExists(sid)
    return add_statement.original(self, raw, qualifier)


@replaces(LambdaFunction, "__init__")
def create_function(self, account_id, spec, region, version=1):
    create_function.original(self, account_id, spec, region, version)
    self.dead_letter_config = spec.get("DeadLetterConfig") or {}


@replaces(LambdaFunction, "create_from_cloudformation_json")
def create_from_stack(cls, resource_name, cloudformation_json, account_id, region_name, **more):
    function = create_from_stack.original(resource_name, cloudformation_json, account_id, region_name, **more)
    tags = cloudformation_json["Properties"].get("Tags", ())
    lambda_backends[account_id][region_name].tag_resource(
        function.function_arn, {tag["Key"]: tag["Value"] for tag in tags}
    )
    return function


@replaces(LambdaFunction, "update_from_cloudformation_json")
def update_from_stack(cls, original_resource, cloudformation_json, **place):
    """Update a stack's function, and its code, which is text in the template."""
    properties = cloudformation_json["Properties"]
    original_resource.update_configuration(properties)
    code = cls._create_zipfile_from_plaintext_code(properties["Code"]["ZipFile"])
    original_resource.update_function_code({"ZipFile": base64.b64encode(code)})
    return original_resource


@replaces(LambdaFunction)
def update_configuration(self, config_updates):
    if "DeadLetterConfig" in config_updates:
        self.dead_letter_config = config_updates["DeadLetterConfig"]
    return update_configuration.original(self, config_updates)


@replaces(LambdaFunction)
def get_configuration(self, on_create=False):
    configuration = get_configuration.original(self, on_create)
    if self.dead_letter_config:
        configuration["DeadLetterConfig"] = self.dead_letter_config
    return configuration


@replaces(LambdaResponse)
def get_function(self):
    """A function; its tags only for those who may list them.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
    """
    answer, request = json.loads(get_function.original(self)), request_of(self)
    arn = answer["Configuration"]["FunctionArn"]
    if not authorization.authorized(request.principal, "lambda:ListTags", arn, {}, request.scps):
        answer.pop("Tags", None)
    return json.dumps(answer)


def write_log(function, account, region, attempt):
    """Write what a function has printed in one attempt, and Lambda's own line at the end, into its log group.

    If its role may not write there, Lambda drops the log and says nothing.
    """
    name = function.role.split("/")[-1]
    role = Principal("AssumedRole", account, get_partition(region), "", name, "lambda")
    group, logs = f"/aws/lambda/{function.function_name}", logs_backends[account][region]
    arn = f"arn:{role.partition}:logs:{region}:{account}:log-group:{group}"

    def may(action, resource):
        return authorization.authorized(role, f"logs:{action}", resource, {})

    if group not in logs.groups and may("CreateLogGroup", arn):
        logs.create_log_group(group, {})
    stream = f"{arn}:log-stream:lambda"
    if not (group in logs.groups and may("CreateLogStream", stream) and may("PutLogEvents", stream)):
        attempt.log = ""
        return
    now = datetime.now(timezone.utc)
    stream = f"{now:%Y/%m/%d}/[$LATEST]sandbox"
    if stream not in logs.groups[group].streams:
        logs.create_log_stream(group, stream)
    lines = *filter(None, attempt.log.splitlines()), f"REPORT Duration: {attempt.seconds * 1000:.2f} ms"
    events = [{"timestamp": int(now.timestamp() * 1000), "message": line} for line in lines]
    logs.put_log_events(group, stream, events)
