"""The ``aws`` commands that the documentation shows, run by botocore: as a function, or as a stand-in on PATH.

It understands what those commands use: options by their kebab-case names, JSON, shorthand, ``file://``,
flags, ``--query``, ``--output``, ``--region``, waiters, ``cloudformation deploy``. All else is an error.
"""

import json
import re
import shlex
import socketserver
import sys
import threading
import traceback
from functools import partial
from pathlib import Path

import jmespath
from botocore import xform_name
from botocore.session import Session

#: The file that ``aws lambda invoke`` writes the function's answer to.
STDOUT = "/dev/stdout"
#: The stand-in prints the first page of an answer, however many items somebody asks for.
ANYWHERE = ("region", "output", "query", "max-items")
#: What the oldest botocore that is supported does not know yet.
NEWER = ("DependsOn",)


def run(line, client_factory):
    """Run one command.

    :param line: the command as text, or as a list of words, with or without ``aws`` in front
    :param client_factory: a function of a service and a region, or None, that returns a client
    :returns: what the command prints
    """
    words = shlex.split(line, comments=True) if isinstance(line, str) else list(line)
    words = words[1:] if words[0] == "aws" else words
    service, operation, *rest = words
    if operation == "wait":
        operation, rest = rest[0], rest[1:]
        options = options_of(rest)
        client = client_factory(service, options.pop("region", [None])[0])
        waiter = client.get_waiter(operation.replace("-", "_"))
        model = client.meta.service_model.operation_model(
            waiter.config.operation if hasattr(waiter, "config") else waiter._operation_method.operation_name
        )
        waiter.wait(**parameters(model.input_shape, options))
        return ""
    options = options_of(rest)
    general = {name: options.pop(name)[0] for name in ANYWHERE if name in options}
    client = client_factory(service, general.get("region"))
    if (service, operation) == ("cloudformation", "deploy"):
        return deploy(client, options)
    method = operation.replace("-", "_")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    answer = getattr(client, method)(**parameters(model.input_shape, options))
    answer.pop("ResponseMetadata", None)
    if STDOUT in rest:
        return answer.pop("Payload").read().decode() + json.dumps(answer, indent=4) + "\n"
    answer = json.loads(json.dumps(answer, default=iso8601))
    if "query" in general:
        answer = jmespath.search(general["query"], answer)
    if not answer:
        return ""
    if general.get("output") == "text":
        return text(answer)
    return json.dumps(answer, indent=4) + "\n"


def options_of(words):
    """Options by their names, each with the list of its values."""
    options, name = {}, None
    for word in (word for word in words if word != STDOUT):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            options[name] = [value] if equals else []
        else:
            options[name].append(word)
    return options


def parameters(shape, options):
    """An operation's parameters, by the names and types of the service's own model."""
    members = {xform_name(name, "-"): name for name in shape.members} if shape else {}
    found = {}
    for option, values in options.items():
        negated = option not in members and option.startswith("no-")
        name = members[option.removeprefix("no-") if negated else option]
        member = shape.members[name]
        if member.type_name == "boolean" and not values:
            found[name] = not negated
        elif member.type_name == "list" and not (len(values) == 1 and values[0].startswith("[")):
            found[name] = [converted(member.member, value) for value in values]
        else:
            (value,) = values
            found[name] = converted(member, value)
    return found


def converted(shape, value):
    """A word of the command line as a value of a shape."""
    if value.startswith("file://"):
        value = Path(value.removeprefix("file://")).read_text()
    kind = shape.type_name
    if kind in ("integer", "long"):
        return int(value)
    if kind == "boolean":
        return {"true": True, "false": False}[value]
    if kind in ("structure", "map", "list"):
        return json.loads(value) if re.match(r"\s*[{\[]", value) else shorthand(shape, value)
    return value


def shorthand(shape, value):
    """``Key=value,Other=1,2`` as a structure."""
    parts = {}
    for word in value.split(","):
        key, equals, rest = word.partition("=")
        if equals:
            name, parts[key] = key, [rest]
        else:
            parts[name].append(key)
    found = {}
    for name, values in parts.items():
        if name in NEWER and name not in shape.members:
            continue
        member = shape.members[name] if shape.type_name == "structure" else shape.value
        if member.type_name == "list":
            found[name] = [converted(member.member, item) for item in values]
        else:
            found[name] = converted(member, ",".join(values))
    return found


def deploy(client, options):
    """``aws cloudformation deploy``: create the stack or update it, and wait."""
    (stack,), (template,) = options.pop("stack-name"), options.pop("template-file")
    overrides = [word.partition("=") for word in options.pop("parameter-overrides", [])]
    arguments = {
        "StackName": stack,
        "TemplateBody": Path(template).read_text(),
        "Capabilities": options.pop("capabilities", []),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, _, value in overrides],
    }
    if options:
        raise ValueError(f"unknown options: {', '.join(options)}")
    stacks = {found["StackName"]: found.get("Parameters", []) for found in client.describe_stacks()["Stacks"]}
    given = [one["ParameterKey"] for one in arguments["Parameters"]]
    kept = [one["ParameterKey"] for one in stacks.get(stack, []) if one["ParameterKey"] not in given]
    arguments["Parameters"] += [{"ParameterKey": key, "UsePreviousValue": True} for key in kept]
    kind = "UPDATE" if stack in stacks else "CREATE"
    client.create_change_set(**arguments, ChangeSetName="aws-cli", ChangeSetType=kind)
    client.execute_change_set(StackName=stack, ChangeSetName="aws-cli")
    return f"Successfully created/updated stack - {stack}\n"


def iso8601(value):
    """The AWS CLI's form of a value that JSON does not have: it queries and prints times as texts."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def text(answer):
    """``--output text``: tabs between the items of a list, a line for each list in it."""
    if not isinstance(answer, list):
        return f"{answer}\n"
    if any(isinstance(item, list) for item in answer):
        return "".join("\t".join(map(str, row)) + "\n" for row in answer)
    return "\t".join(map(str, answer)) + "\n"


#: The command itself. It has the process that made it run what it was given.
COMMAND = """#!{python} -SEs
import json, os, socket, sys
words = ["file://" + os.path.abspath(word[7:]) if word.startswith("file://") else word for word in sys.argv[1:]]
if "--template-file" in words:
    at = words.index("--template-file") + 1
    words[at] = os.path.abspath(words[at])
environ = {{name: value for name, value in os.environ.items() if name.startswith("AWS_")}}
with socket.create_connection({address!r}) as server:
    server.sendall(json.dumps([words, environ]).encode())
    server.shutdown(socket.SHUT_WR)
    status, printed = json.load(server.makefile())
(sys.stderr if status else sys.stdout).write(printed)
sys.exit(status)
"""


def stand_in(folder):
    """Put an executable ``aws`` into a folder, to stand in front of PATH.

    Python with botocore takes a quarter of a second to start, so the commands run in threads of this process.
    """
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = Path(folder) / "aws"
    command.write_text(COMMAND.format(python=sys.executable, address=server.server_address))
    command.chmod(0o755)
    return command


class Answer(socketserver.StreamRequestHandler):
    """The answer of one command: its exit status and its output, on stderr if it has failed."""

    def handle(self):
        words, environ = json.load(self.rfile)
        try:
            status, printed = 0, run(words, partial(client_of, environ))
        except Exception:
            status, printed = 1, traceback.format_exc()
        self.wfile.write(json.dumps([status, printed]).encode())


def client_of(environ, service, region):
    """A client such as a process with these environment variables has: keys win over a profile."""
    session = Session()
    if "AWS_ACCESS_KEY_ID" not in environ:
        session.set_config_variable("config_file", environ["AWS_CONFIG_FILE"])
        session.set_config_variable("profile", environ["AWS_PROFILE"])
    return session.create_client(
        service,
        region_name=region or environ.get("AWS_REGION") or environ["AWS_DEFAULT_REGION"],
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=environ.get("AWS_SESSION_TOKEN"),
    )
