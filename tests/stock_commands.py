"""``custodian``, ``c7n-org``, ``python`` and functions, each forked from a process that has loaded what they load.

Loading c7n and moto takes most of a command's time. So a server loads both once for a test run. Executables of
these names, to stand in front of PATH, send it their arguments, environment, folder and files. From there on a
command runs as ever: it loads the plugin, and in its place the sandbox, by itself. The wheel's tests run the
scripts that pip has installed.

A second server stands for Lambda's runtime, and has loaded boto3 and nothing else. A function's own sources come
from the uploaded zip. The functions share the bytecode of equal sources.
"""

import _imp
import contextlib
import fcntl
import gc
import hashlib
import importlib
import json
import marshal
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib import _bootstrap_external as imports
from pathlib import Path

import boto3

#: The environment variable that tells each process of a test run where the executables are.
FOLDER = "IAM_GUARD_COMMANDS"
COMMANDS = {"custodian": "c7n.cli:main", "c7n-org": "c7n_org.cli:cli", "python": None, "python3": None}
SHARED = Path(__file__).parent.parent / "sandbox" / "shared.py"
PRELOADED = [
    *("c7n.cli", "c7n.commands", "c7n.policy", "c7n.resources.aws", "c7n_org.cli", "flask_cors", "waitress.server"),
    *("moto.moto_server.werkzeug_app", "moto.cloudformation.models", "moto.cloudformation.responses"),
    *(f"moto.{name}.{part}" for name in ("awslambda", "events", "iam", "organizations", "sns", "sqs", "sts", "logs")
      for part in ("models", "responses")),
]  # fmt: skip
#: The services whose descriptions are read once.
SERVICES = (
    "iam",
    "lambda",
    "events",
    "sts",
    "cloudtrail",
    "organizations",
    "cloudformation",
    "logs",
    "sqs",
    "s3",
)
#: The runtime client itself reads its address when it is imported.
LIBRARIES = ("boto3", "botocore.httpsession")
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({folder!r} + ("/functions" if "awslambdaric" in sys.argv else "/commands"))
    socket.send_fds(server, [b"x"], [0, 1, 2])
    server.sendall(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    process = int(server.recv(10))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(process, number))
    sys.exit(int(server.recv(4)))
"""


def path(command):
    """The executable of a command."""
    return Path(os.environ[FOLDER], command)


def start():
    """Begin to serve commands, until the answer's ``stdin`` is closed."""
    from sandbox.lambda_.environments import runtime_files  # which the servers do not load

    folder = tempfile.TemporaryDirectory(prefix="commands-")
    os.environ[FOLDER] = folder.name
    for command in COMMANDS:
        text = CLIENT.format(python=sys.executable, folder=folder.name)
        path(command).write_text(text)
        path(command).chmod(0o755)
    environ = os.environ | {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    layer = Path(folder.name, "layer")
    layer.mkdir()
    Path(folder.name, "bytecode").mkdir()
    for source in runtime_files():
        (layer / source.name).symlink_to(source)
    environs = {"commands": environ, "functions": environ | {"PYTHONPATH": str(layer)}}
    servers = []
    for name, environ in environs.items():
        command = [sys.executable, *["-S"] * (name == "functions"), __file__, folder.name, name]
        servers.append(subprocess.Popen(command, env=environ, stdin=subprocess.PIPE))
        while not Path(folder.name, name).exists():
            time.sleep(0.01)

    def stop():
        for server in servers:
            server.communicate()
        folder.cleanup()

    return stop


def load_commands():
    """Load what most commands load."""
    for name in PRELOADED:
        importlib.import_module(name)
    runpy.run_path(str(SHARED))["put_in_place"]()
    for service in SERVICES:
        boto3.client(service, "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106


def load_functions():
    """Load what Lambda's runtime brings along."""
    for name in LIBRARIES:
        importlib.import_module(name)


def serve(path, load):
    """Fork a process for each command; returns in such a process alone, with the command's words."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(100)
    load()
    gc.freeze()
    ended, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector, waiting = selectors.DefaultSelector(), {}
    for file in (sys.stdin, listening, ended):
        selector.register(file, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                sys.exit()
            if key.fileobj is listening:
                client, _ = listening.accept()
                if not (process := os.fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    selector.close()
                    return become(client)
                client.sendall(b"%10d" % process)
                waiting[process] = client
            if key.fileobj is ended:
                ended.recv(100)
                while waiting:
                    process, status = os.waitpid(-1, os.WNOHANG)
                    if not process:
                        break
                    with waiting.pop(process) as client, contextlib.suppress(BrokenPipeError):
                        client.sendall(b"%d" % (os.waitstatus_to_exitcode(status) % 256))


def become(client):
    """Take on what a client has sent: its files, folder and environment; returns its words."""
    os.setsid()
    _, files, _, _ = socket.recv_fds(client, 1, 3)
    words, folder, environ = json.loads(b"".join(iter(lambda: client.recv(65536), b"")))
    # If the client is killed, SIGIO ends the command, with what it has started.
    fcntl.fcntl(client, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(client.detach(), fcntl.F_SETFL, os.O_ASYNC)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(folder)
    return words


def run(words):
    """Do what the executable of a command does, or Python with a file, a module or a text."""
    command, *rest = words
    name, python, sys.executable = Path(command).name, sys.executable, str(Path(command).with_name("python"))
    sys.argv = words
    settings = {name for name in os.environ if name.startswith("PYTHON")}
    if settings - {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"} or rest[0] in ("-c", "-S"):
        script = [str(Path(python).with_name(name))] if COMMANDS[name] else []
        os.execv(python, [python, *script, *rest])  # noqa: S606  what it was asked for
    if entry := COMMANDS[name]:
        module, function = entry.split(":")
        sys.path[0] = str(Path(sys.executable).parent)
        sys.exit(getattr(importlib.import_module(module), function)())
    if rest[0] == "-m":
        sys.path[0] = os.getcwd()
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(rest[0]).resolve().parent)
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")


def run_function(words):
    """Lambda's runtime client: its words follow ``python -S -m``."""
    path = [path for path in sys.path[1:] if not path.startswith(folder)]
    sys.path[:] = [os.getcwd(), *os.environ["PYTHONPATH"].split(os.pathsep), *path]
    sys.argv = words[3:]
    imports.SourceFileLoader.get_code = shared_bytecode
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


def shared_bytecode(loader, name):
    """The code of a module, compiled by the first process that has needed a source like it."""
    path = loader.get_filename(name)
    source = loader.get_data(path)
    cached = Path(folder, "bytecode", hashlib.sha256(source).hexdigest())
    if not cached.exists():
        written = cached.with_suffix(f".{os.getpid()}")
        written.write_bytes(marshal.dumps(loader.source_to_code(source, path)))
        written.rename(cached)
    code = marshal.loads(cached.read_bytes())  # noqa: S302  written above
    _imp._fix_co_filename(code, path)  # as Python does with bytecode that was moved
    return code


if __name__ == "__main__":
    folder, name = sys.argv[1:]
    if name == "functions":
        run_function(serve(f"{folder}/{name}", load_functions))
    else:
        run(serve(f"{folder}/{name}", load_commands))
