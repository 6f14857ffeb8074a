"""The deployed Lambda functions: asynchronous invocations, retries, dead letters, event source mappings."""

import base64
import io
import itertools
import json
import re
import shutil
import tempfile
import threading
import uuid
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from botocore.exceptions import ClientError
from moto.awslambda.exceptions import InvalidParameterValueException
from moto.awslambda.models import lambda_backends
from moto.awslambda.responses import LambdaResponse

from sandbox import running
from sandbox.access.principals import service_key
from sandbox.lambda_.environments import Attempt, Environment, runtime_files
from sandbox.lambda_.functions import write_log
from sandbox.replacements import replaces

#: Lambda tries an asynchronous event three times.
ATTEMPTS = 3
#: So much of a log an invocation answers with, if it is asked for.
TAIL_BYTES = 4096


@dataclass
class Invocation:
    """The outcome of one event in one function: its attempts, and whether it was dead-lettered.

    The outcome of an attempt is ``succeeded``, ``failed``, ``timed out`` or ``throttled``.
    """

    function: str
    event: object
    attempts: list = field(default_factory=list)
    dead_lettered: bool = False

    @property
    def succeeded(self):
        return self.attempts[-1].outcome == "succeeded"

    @property
    def log(self):
        return "".join(attempt.log for attempt in self.attempts)

    @property
    def decisions(self):
        lines = re.findall(r'\{"decision": .*\}', self.log)
        return [json.loads(line) for line in lines]


class Functions:
    """All functions of a sandbox, with the execution environments that are alive."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.idle = {}
        self.all = []
        self.lock = threading.Lock()
        self.code = {}

    @cached_property
    def folder(self):
        """The folder of all code, made when the first function starts."""
        return Path(tempfile.mkdtemp(prefix="sandbox-functions-"))

    def invoke(self, name, event, account=None, region=None):
        """Invoke a function as EventBridge does: three attempts, then the dead-letter queue.

        A function without any concurrency is not tried: Lambda hands its events to the queue at once.
        """
        account, region = account or self.sandbox.account, region or self.sandbox.region
        invocation = Invocation(name, event)
        for _ in range(ATTEMPTS):
            invocation.attempts.append(self.attempt(name, event, account, region))
            if invocation.succeeded:
                return invocation
            if invocation.attempts[-1].outcome == "throttled":
                break
        self.sandbox.metrics.of_function(account, region, name, "AsyncEventsDropped")
        try:
            invocation.dead_lettered = self.dead_letter(name, event, invocation, account, region)
        except ClientError:
            self.sandbox.metrics.of_function(account, region, name, "DeadLetterErrors")
        return invocation

    def attempt(self, name, event, account=None, region=None):
        """Run a function on one event, once, in a warm environment if there is one."""
        account, region = account or self.sandbox.account, region or self.sandbox.region
        function = lambda_backends[account][region].get_function(name)
        if function.reserved_concurrency is not None and int(function.reserved_concurrency) == 0:
            self.sandbox.metrics.of_function(account, region, name, "Throttles")
            return Attempt("throttled")
        key = (account, region, name, function.code_sha_256, json.dumps(function.environment_vars))
        with self.lock:
            alive = self.idle.setdefault(key, [])
            environment = alive.pop() if alive else None
        cold = environment is None
        if cold:
            environment = Environment(self, function, account, region)
            with self.lock:
                self.all.append(environment)
        attempt = environment.run(event, function.timeout)
        attempt.cold = cold
        self.sandbox.metrics.of_function(account, region, name, "Invocations")
        if attempt.outcome != "succeeded":
            self.sandbox.metrics.of_function(account, region, name, "Errors")
        write_log(function, account, region, attempt)
        self.sandbox.metrics.of_log(account, region, f"/aws/lambda/{name}", attempt.log)
        if environment.alive:
            with self.lock:
                self.idle[key].append(environment)
        return attempt

    def cool(self):
        """End all execution environments, so that the next event finds its function cold."""
        with self.lock:
            environments, self.all, self.idle = self.all, [], {}
        for environment in environments:
            environment.close()

    def close(self):
        self.cool()
        shutil.rmtree(self.folder, ignore_errors=True)

    def credentials(self, role_arn, account, region, name="lambda"):
        """A session of the function's role, as Lambda takes one: it has the function's name."""
        keys = {"AccessKeyId": service_key(account), "SecretAccessKey": "sandbox"}
        sts = self.sandbox.client("sts", keys, account, region)
        return sts.assume_role(RoleArn=role_arn, RoleSessionName=name)["Credentials"]

    def dead_letter(self, name, event, invocation, account, region):
        """Send an event to the function's dead-letter queue, with the role's own rights, as Lambda does."""
        function = lambda_backends[account][region].get_function(name)
        target = function.dead_letter_config.get("TargetArn")
        if not target:
            return False
        sqs, url = self.queue(function, target, account, region)
        error = invocation.attempts[-1].error or {}
        texts = {
            "RequestID": str(uuid.uuid4()),
            "ErrorCode": "200",
            "ErrorMessage": str(error.get("errorMessage", invocation.attempts[-1].outcome))[:1024] or "-",
        }
        attributes = {k: {"DataType": "String", "StringValue": v} for k, v in texts.items()}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event), MessageAttributes=attributes)
        return True

    def queue(self, function, arn, account, region):
        """A client that has the rights of a function, and the address of a queue."""
        credentials = self.credentials(function.role, account, region, function.function_name)
        name = arn.split(":")[-1]
        return self.sandbox.client(
            "sqs", credentials, account, region
        ), f"{self.sandbox.endpoint}/{account}/{name}"

    def poll(self, account=None, region=None):
        """Play the event source mappings: hand the messages of their queues to their functions, in their roles.

        A message is deleted when its function succeeds, and comes back when it fails.
        """
        account, region = account or self.sandbox.account, region or self.sandbox.region
        backend, invocations = lambda_backends[account][region], []
        for mapping in backend.list_event_source_mappings(None, None):
            function = backend.get_function(mapping.function_arn.split(":")[6])
            arn = mapping.event_source_arn
            sqs, url = self.queue(function, arn, account, region)
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages"):
                (message,) = messages
                record = {"eventSource": "aws:sqs", "eventSourceARN": arn, "body": message["Body"]}
                event = {"Records": [record]}
                attempt = self.attempt(function.function_name, event, account, region)
                invocations.append(Invocation(function.function_name, event, [attempt]))
                if attempt.outcome == "succeeded":
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return invocations

    def unpacked(self, function):
        """The folder of a function's code. It is unpacked once for all environments, which only read it."""
        with self.lock:
            if function.code_sha_256 not in self.code:
                folder = self.code[function.code_sha_256] = Path(tempfile.mkdtemp(dir=self.folder))
                unpack(function.code_bytes, folder, self.folder)
            return self.code[function.code_sha_256]

    def runtime(self):
        """The folder that stands for the runtime's own libraries: links to boto3's and the client's."""
        with self.lock:
            layer = self.folder / "runtime"
            if not layer.exists():
                layer.mkdir()
                for source in runtime_files():
                    (layer / source.name).symlink_to(source)
            return layer


def unpack(code, folder, libraries):
    """Unpack a function's code. Functions share equal libraries."""
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        files = sorted(archive.infolist(), key=lambda file: file.filename)
        for top, part in itertools.groupby(files, lambda file: file.filename.split("/")[0]):
            part = list(part)
            library = libraries / f"{top}-{hash(tuple((file.filename, file.CRC) for file in part))}"
            if not library.exists():
                archive.extractall(library, part)
            (folder / top).symlink_to(library / top)


@replaces(LambdaResponse, "invoke")
def answer(response):
    """Answer Invoke: a function runs once, and says what it returned and, if it is asked, the end of its log.

    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
    """
    name = response.backend.get_function(unquote(response.path.rsplit("/", 2)[-2])).function_name
    account, region = response.current_account, response.region
    kind = response.headers.get("X-Amz-Invocation-Type", "RequestResponse")
    if kind != "RequestResponse":
        raise InvalidParameterValueException(f"The sandbox knows no invocation of the type {kind}")
    event = json.loads(response.body or "{}")
    attempt = running.sandbox.functions.attempt(name, event, account, region)
    if attempt.outcome == "throttled":
        headers = {"status": "429", "x-amzn-errortype": "TooManyRequestsException"}
        return 429, headers, json.dumps({"message": "Rate Exceeded."})
    headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": "$LATEST"}
    if response.headers.get("X-Amz-Log-Type") == "Tail":
        headers["X-Amz-Log-Result"] = base64.b64encode(attempt.log.encode()[-TAIL_BYTES:]).decode()
    if attempt.outcome == "succeeded":
        return 200, headers, json.dumps(attempt.result)
    error = attempt.error or {"errorMessage": f"Task {attempt.outcome}"}
    return 200, {**headers, "X-Amz-Function-Error": "Unhandled"}, json.dumps(error)
