"""The deployed Lambda functions, run from their uploaded zip by AWS's own runtime client.

Each execution environment is a process of ``awslambdaric``, which asks a small server here that speaks
the Lambda Runtime API. The process sees the unzipped code, boto3, and nothing else: Python runs without
its site directory. It has the function's environment variables and its role's credentials. Its Python is
the one that runs the sandbox, whatever runtime the function names.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import io
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from moto.awslambda.exceptions import FunctionAlreadyExists
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.awslambda.policy import Policy
from moto.logs.models import logs_backends
from moto.utilities.utils import get_partition

from sandbox import authorization
from sandbox.principals import Principal, service_key

#: What AWS's Python runtimes bring along: boto3, and the client that runs the handler.
RUNTIME = ("boto3", "awslambdaric")
#: Lambda tries an asynchronous event three times.
ATTEMPTS = 3
INIT_SECONDS = 30


def patches():
    """The methods of moto that are replaced while a sandbox runs, as (class, name, replacement)."""
    return [
        (Policy, "add_statement", add_statement),
        (LambdaFunction, "__init__", create_function),
        (LambdaFunction, "update_configuration", update_configuration),
        (LambdaFunction, "get_configuration", get_configuration),
    ]


def add_statement(self, raw, qualifier=None):
    """A second permission of the same statement id is a conflict, as in Lambda."""
    sid = json.loads(raw).get("StatementId")
    if sid in [statement.get("Sid") for statement in self.statements]:
        raise FunctionAlreadyExists(sid)
    return originals["add_statement"](self, raw, qualifier)


def create_function(self, account_id, spec, region, version=1):
    """A function that keeps its dead-letter queue, which moto forgets."""
    originals["__init__"](self, account_id, spec, region, version)
    self.dead_letter_config = spec.get("DeadLetterConfig") or {}


def update_configuration(self, config_updates):
    """An update of a function, its dead-letter queue included."""
    if "DeadLetterConfig" in config_updates:
        self.dead_letter_config = config_updates["DeadLetterConfig"]
    return originals["update_configuration"](self, config_updates)


def get_configuration(self, on_create=False):
    """What GetFunction tells of a function, its dead-letter queue included."""
    configuration = originals["get_configuration"](self, on_create)
    if self.dead_letter_config:
        configuration["DeadLetterConfig"] = self.dead_letter_config
    return configuration


originals = {name: getattr(owner, name) for owner, name, _ in patches()}


@dataclass
class Attempt:
    """One try at one event."""

    outcome: str  # succeeded, failed or timed out
    result: object = None
    error: dict | None = None
    log: str = ""
    seconds: float = 0.0
    cold: bool = False
    init_seconds: float = 0.0


@dataclass
class Invocation:
    """What became of one event in one function: its attempts, and whether it was dead-lettered."""

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
        """The guard's decisions, out of the log, as dicts."""
        lines = re.findall(r'\{"decision": .*\}', self.log)
        return [json.loads(line) for line in lines]


class Functions:
    """All functions of a sandbox, with the execution environments that are alive."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.idle = {}
        self.all = []
        self.lock = threading.Lock()
        self.layer = None

    def invoke(self, name, event, account=None, region=None):
        """Invoke a function as EventBridge does: three attempts, then the dead-letter queue."""
        account, region = account or self.sandbox.account, region or self.sandbox.region
        invocation = Invocation(name, event)
        for _ in range(ATTEMPTS):
            invocation.attempts.append(self.attempt(name, event, account, region))
            if invocation.succeeded:
                return invocation
        invocation.dead_lettered = self.dead_letter(name, event, invocation, account, region)
        return invocation

    def attempt(self, name, event, account=None, region=None):
        """Run a function on one event, once, in a warm environment if there is one."""
        account, region = account or self.sandbox.account, region or self.sandbox.region
        function = lambda_backends[account][region].get_function(name)
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
        if not may_log(function, account, region):
            attempt.log = ""
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
        if self.layer:
            shutil.rmtree(self.layer, ignore_errors=True)

    def credentials(self, role_arn, account, region):
        """A session of the function's role, as Lambda takes one."""
        keys = {"AccessKeyId": service_key(account), "SecretAccessKey": "sandbox"}
        sts = self.sandbox.client("sts", keys, account, region)
        return sts.assume_role(RoleArn=role_arn, RoleSessionName="lambda")["Credentials"]

    def dead_letter(self, name, event, invocation, account, region):
        """Send an event to the function's dead-letter queue, with the role's own rights, as Lambda does."""
        function = lambda_backends[account][region].get_function(name)
        target = function.dead_letter_config.get("TargetArn")
        if not target:
            return False
        credentials = self.credentials(function.role, account, region)
        sqs = self.sandbox.client("sqs", credentials, account=account, region=region)
        url = f"{self.sandbox.endpoint}/{account}/{target.split(':')[-1]}"
        error = invocation.attempts[-1].error or {}
        texts = {
            "RequestID": str(uuid.uuid4()),
            "ErrorCode": "200",
            "ErrorMessage": str(error.get("errorMessage", invocation.attempts[-1].outcome))[:1024] or "-",
        }
        attributes = {k: {"DataType": "String", "StringValue": v} for k, v in texts.items()}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event), MessageAttributes=attributes)
        return True

    def poll(self, account=None, region=None):
        """Play the event source mappings: hand the messages of their queues to their functions.

        A message is deleted when its function succeeds, and comes back when it fails. The function's role
        does the receiving and deleting, as in Lambda.

        :returns: an Invocation of one attempt per message
        """
        account, region = account or self.sandbox.account, region or self.sandbox.region
        backend, invocations = lambda_backends[account][region], []
        for mapping in backend.list_event_source_mappings(None, None):
            function = backend.get_function(mapping.function_arn.split(":")[6])
            sqs = self.sandbox.client(
                "sqs", self.credentials(function.role, account, region), account, region
            )
            url = f"{self.sandbox.endpoint}/{account}/{mapping.event_source_arn.split(':')[-1]}"
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages"):
                for message in messages:
                    arn = mapping.event_source_arn
                    record = {"eventSource": "aws:sqs", "eventSourceARN": arn, "body": message["Body"]}
                    event = {"Records": [record]}
                    attempt = self.attempt(function.function_name, event, account, region)
                    invocations.append(Invocation(function.function_name, event, [attempt]))
                    if attempt.outcome == "succeeded":
                        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return invocations

    def runtime(self):
        """The folder that stands for the runtime's own libraries: links to boto3's and the client's."""
        with self.lock:
            if self.layer is None:
                self.layer = Path(tempfile.mkdtemp(prefix="sandbox-runtime-"))
                for source in runtime_files():
                    (self.layer / source.name).symlink_to(source)
            return self.layer


class Environment:
    """One execution environment: a process of the runtime client, and its Runtime API."""

    def __init__(self, functions, function, account, region):
        self.events = queue.Queue()
        self.answers = queue.Queue()
        self.function_arn = function.function_arn
        self.task = Path(tempfile.mkdtemp(prefix="sandbox-task-"))
        self.log_path = self.task.with_suffix(".log")
        with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
            archive.extractall(self.task)
        self.api = ThreadingHTTPServer(("127.0.0.1", 0), runtime_api(self))
        self.api.daemon_threads = True
        threading.Thread(target=self.api.serve_forever, daemon=True).start()
        environ = functions.sandbox.environ(
            functions.credentials(function.role, account, region), account, region
        )
        environ |= function.environment_vars
        environ |= {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "LAMBDA_TASK_ROOT": str(self.task),
            "_HANDLER": function.handler,
            "PYTHONPATH": os.pathsep.join((str(self.task), str(functions.runtime()))),
            "PYTHONDONTWRITEBYTECODE": "1",  # /var/task cannot be written
            "TZ": "UTC",
        }
        self.started = time.perf_counter()
        self.ready = threading.Event()
        self.init_seconds = 0.0
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-m", "awslambdaric", function.handler],
                cwd=self.task,
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.read = 0

    @property
    def alive(self):
        return self.process.poll() is None

    def run(self, event, timeout):
        """One event through the handler, within the function's timeout."""
        deadline = time.perf_counter() + INIT_SECONDS
        while not self.ready.wait(0.005):
            if not self.alive or time.perf_counter() > deadline:
                error = self.answers.get()[1] if not self.answers.empty() else {"errorMessage": "init failed"}
                return self.end(Attempt("failed", error=error))
        start = time.perf_counter()
        self.events.put((str(uuid.uuid4()), event, timeout))
        try:
            kind, body = self.wait(timeout)
        except queue.Empty:
            outcome = "timed out" if self.alive else "failed"
            return self.end(Attempt(outcome, seconds=timeout, init_seconds=self.init_seconds))
        seconds = time.perf_counter() - start
        attempt = Attempt("succeeded" if kind == "response" else "failed", seconds=seconds)
        attempt.result, attempt.error = (body, None) if kind == "response" else (None, body)
        attempt.init_seconds, attempt.log = self.init_seconds, self.new_log()
        return attempt

    def end(self, attempt):
        """End the environment after an attempt that it will not recover from."""
        self.process.kill()
        self.process.wait()
        attempt.log = self.new_log()
        self.close()
        return attempt

    def wait(self, timeout):
        end = time.perf_counter() + timeout
        while True:
            try:
                return self.answers.get(timeout=min(0.5, max(0.001, end - time.perf_counter())))
            except queue.Empty:
                if not self.alive or time.perf_counter() >= end:
                    raise

    def new_log(self):
        """What the function has logged since the last look."""
        if not self.log_path.exists():
            return ""
        with open(self.log_path, "rb") as log:
            log.seek(self.read)
            text = log.read()
        self.read += len(text)
        return text.decode(errors="replace")

    def peak_memory(self):
        """The most memory that the process has used so far, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024

    def close(self):
        self.process.kill()
        self.process.wait()
        self.events.put(None)
        self.api.shutdown()
        self.api.server_close()
        shutil.rmtree(self.task, ignore_errors=True)
        self.log_path.unlink(missing_ok=True)


def may_log(function, account, region):
    """Whether a function's role may write its log; Lambda drops the log where not, and says nothing."""
    partition = get_partition(region)
    role = Principal("AssumedRole", account, partition, "", function.role.split("/")[-1], "lambda")
    group, groups = f"/aws/lambda/{function.function_name}", logs_backends[account][region].groups
    arn = f"arn:{partition}:logs:{region}:{account}:log-group:{group}"

    def may(action, resource):
        return authorization.authorized(role, f"logs:{action}", resource, {})

    if group not in groups and may("CreateLogGroup", arn):
        logs_backends[account][region].create_log_group(group, {})
    stream = f"{arn}:log-stream:lambda"
    return group in groups and may("CreateLogStream", stream) and may("PutLogEvents", stream)


def runtime_api(environment):
    """The request handler of one environment's Runtime API."""

    class RuntimeAPI(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):  # …/runtime/invocation/next
            if not environment.ready.is_set():
                environment.init_seconds = time.perf_counter() - environment.started
                environment.ready.set()
            item = environment.events.get()
            if item is None:
                return self.answer(410, b"")
            request_id, event, timeout = item
            headers = {
                "Lambda-Runtime-Aws-Request-Id": request_id,
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": environment.function_arn,
                "Content-Type": "application/json",
            }
            return self.answer(200, json.dumps(event).encode(), headers)

        def do_POST(self):  # …/invocation/ID/response, …/invocation/ID/error, …/init/error
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = "response" if self.path.endswith("/response") else "error"
            environment.answers.put((kind, json.loads(body or b"null")))
            return self.answer(202, b"{}")

        def answer(self, status, body, headers=()):
            self.send_response(status)
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self):
            with contextlib.suppress(ConnectionError):  # the process has been ended
                super().handle()

        def log_message(self, *args):
            pass

    return RuntimeAPI


def runtime_files():
    """The top-level files and folders of what AWS's Python runtime brings along, dependencies included."""
    names, todo = set(), list(RUNTIME)
    while todo:
        name = todo.pop()
        if name in names:
            continue
        names.add(name)
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            continue  # a dependency of other platforms
        required = [r for r in dist.requires or () if "extra" not in r]
        todo += [re.match(r"[\w.-]+", requirement)[0] for requirement in required]
        tops = {file.parts[0] for file in dist.files or ()}
        for top in sorted(tops):
            path = Path(dist.locate_file(top)).resolve()
            if top not in ("..", "__pycache__") and path.exists() and path.suffix != ".pth":
                yield path
