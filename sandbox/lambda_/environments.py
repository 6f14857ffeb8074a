"""The execution environments of functions: AWS's own runtime client, and a Runtime API for it to ask.

Each environment is a process of ``awslambdaric``, which asks a small server here that speaks the Lambda
Runtime API. The process sees the unzipped code, boto3, and nothing else: Python runs without its site
directory. It has the function's environment variables and its role's credentials. Its Python is the one
that runs the sandbox, whatever runtime the function names.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

#: What AWS's Python runtimes bring along: boto3, and the client that runs the handler.
RUNTIME = ("boto3", "awslambdaric")
INIT_SECONDS = 30
PYTHON = sys.executable


@dataclass
class Attempt:
    outcome: str  # succeeded, failed or timed out
    result: object = None
    error: dict | None = None
    log: str = ""
    seconds: float = 0.0
    cold: bool = False
    init_seconds: float = 0.0


class Environment:
    """One execution environment: a process of the runtime client, and its Runtime API."""

    def __init__(self, functions, function, account, region):
        self.events = queue.Queue()
        self.answers = queue.Queue()
        self.function_arn = function.function_arn
        self.task = functions.unpacked(function)
        descriptor, path = tempfile.mkstemp(prefix="sandbox-", suffix=".log")
        os.close(descriptor)
        self.log_path = Path(path)
        self.api = ThreadingHTTPServer(("127.0.0.1", 0), runtime_api(self))
        self.api.daemon_threads = True
        threading.Thread(target=self.api.serve_forever, daemon=True).start()
        environ = functions.sandbox.environ(
            functions.credentials(function.role, account, region, function.function_name), account, region
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
                [PYTHON, "-S", "-m", "awslambdaric", function.handler],
                cwd=self.task,
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the sandbox, which ends its functions itself
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
        start, request = time.perf_counter(), str(uuid.uuid4())
        self.events.put((request, event, timeout))
        try:
            kind, body = self.wait(timeout)
        except queue.Empty:
            outcome = "timed out" if self.alive else "failed"
            ended = self.end(Attempt(outcome, seconds=timeout, init_seconds=self.init_seconds))
            ended.log += last_line(outcome, request, timeout)
            return ended
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
        """The function's log since the last look."""
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
        self.log_path.unlink(missing_ok=True)


def last_line(outcome, request, timeout):
    """Lambda's own line in the log of a function that did not come to its end."""
    if outcome == "timed out":
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        return f"{now}Z {request} Task timed out after {timeout:.2f} seconds\n"
    return f"RequestId: {request} Error: Runtime exited\nRuntime.ExitError\n"


def runtime_api(environment):

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
