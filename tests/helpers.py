"""Shared by the tests: the pack's names, event cases, stock commands, and looks into the sandbox."""

import copy
import io
import json
import os
import subprocess
import zipfile
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import stock_commands
from botocore.exceptions import ClientError
from hypothesis import strategies as st
from pack import (  # noqa: F401  test modules import these from here
    POLICIES,
    ROOT,
    SETTINGS,
    filled,
    function_mode,
    pinned,
    policies_of,
    settings_file,
    shipped,
)

from c7n_iamguard import aws_names
from c7n_iamguard.iam import policy_documents

EVENTS = Path(__file__).parent / "events"
REVOKE = "revoke-unintended-iam-access"
PROTECT = "protect-admin-group"
PREVIEW, LIST, RESTORE = "preview-unintended-iam-access", "list-revoked-iam-access", "restore-iam-access"
CONTAIN = "contain-unintended-iam-calls"  # opt-in: a test that wants it deploys it
FUNCTION = f"iam-guard-{REVOKE}"
PROTECT_FUNCTION = f"iam-guard-{PROTECT}"
#: The filter iam-access-revoked notes the forms of a denial here.
REVOKED = "c7n:IAMAccessRevoked"
RESTORE_TAG = {"Key": "iam-guard", "Value": "restore"}
#: The callers that a fault is for: the guard's functions.
GUARD = "*:assumed-role/iam-guard/*"
#: A policy that allows everything.
HARMLESS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
#: A user as GetUser answers one.
PAT = {
    "UserName": "pat",
    "Path": "/",
    "UserId": "A" * 16,
    "Arn": "arn:aws:iam::111122223333:user/pat",
    "CreateDate": "2026-01-01",
}


# Policies and commands


def functions():
    """The policy files whose policies are deployed as functions, but for those that are opt-in."""
    files = sorted(POLICIES.glob("*.yml"))
    return [
        file
        for file in files
        if file.stem != CONTAIN and any("mode" in policy for policy in policies_of(file))
    ]


def stock(command, *arguments, environ, cwd=ROOT, settings=SETTINGS):
    """Run a stock command of this environment: ``custodian`` or ``c7n-org``.

    :param settings: the settings file of ``custodian run`` and ``custodian report``
    """
    if command == "custodian" and arguments[0] in ("run", "report") and settings:
        arguments = (arguments[0], "--vars-file", settings, *arguments[1:])
    words = [stock_commands.path(command), *map(str, arguments)]
    return subprocess.run(words, env=environ, cwd=cwd, capture_output=True, text=True)


def policy(data, environ, monkeypatch, **options):
    """A c7n policy in this process, bound to the sandbox."""
    # c7n and moto are imported here and below, because the sandbox is to be imported before them.
    from c7n.config import Config
    from c7n.policy import PolicyCollection
    from c7n.resources import aws, load_resources
    from c7n.utils import reset_session_cache

    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    reset_session_cache()
    monkeypatch.setattr(aws, "_profile_session", None)  # c7n keeps the first one, and its account
    load_resources(("aws.iam-user",))
    options = {"output_dir": "/dev/null", "region": environ["AWS_REGION"], **options}
    config = aws.AWS().initialize(Config.empty(**options))
    (found,) = PolicyCollection.from_data({"policies": [data]}, config)
    found.validate()
    return found


def ours(registry):
    """The elements that the plugin has registered there, by name."""
    return {name: cls for name, cls in registry.items() if cls.__module__.startswith("c7n_iamguard")}


# Events


def event_time(age=timedelta()):
    """The time of a call that was made this long ago, as CloudTrail writes it."""
    return (datetime.now(timezone.utc) - age).strftime("%Y-%m-%dT%H:%M:%SZ")


def case(name, policy=REVOKE):
    """The event of one case file, as if the call had just been made."""
    event = json.loads((EVENTS / policy / f"{name}.json").read_text())
    return made(event, timedelta())


def made(event, age):
    """The event, as if its call had been made this long ago."""
    event["detail"]["eventTime"] = event_time(age)
    return event


def old(event):
    """The event, as if it were redriven from the dead-letter queue a day after the call."""
    return made(event, timedelta(days=1))


def edit(event, path, value):
    """The event with one part replaced, or removed if the value is ``...``; ``path`` is dotted."""
    *parents, last = path.split(".")
    place = event
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return event


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
#: The parts of an event that say who called, where and when.
PARTS = [
    "source",
    "account",
    "detail",
    *(f"detail.{key}" for key in ("userIdentity", "eventSource", "recipientAccountId", "eventTime")),
    *(f"detail.userIdentity.{key}" for key in ("type", "arn", "accountId", "userName", "principalId")),
]


# The guard's deeds


def outcomes(invocation):
    """The outcomes of an invocation's attempts, in words."""
    words = [attempt.outcome for attempt in invocation.attempts]
    return " ".join(words + ["dead-lettered"] * invocation.dead_lettered)


def decisions(invocations, policy=REVOKE):
    """The decisions of one policy in any of the invocations."""
    return [d for i in invocations for d in i.decisions if d["policy"] == policy]


def verdict_of(invocations, policy=REVOKE):
    """The verdict of a policy's function on one event: the word that case files start with."""
    invocations = [i for i in invocations if i.function == f"iam-guard-{policy}"]
    if not invocations:
        return "not-delivered"
    (invocation,) = invocations
    assert invocation.succeeded, invocation.log
    (decision,) = invocation.decisions
    return decision["decision"]


def guards_calls(sandbox):
    """The API calls that the guard's functions made, in their order."""
    return [call.action for call in sandbox.calls if ":assumed-role/iam-guard/" in call.caller]


def play(sandbox, order=None):
    """Deliver all that has happened, and what comes of it, until nothing is left."""
    played = []
    while sandbox.pending:
        events, sandbox.pending = sandbox.pending, []
        if order:
            events = order(events)
        for event in events:
            played += sandbox.deliver(event)
    return played


def denied(person):
    """Whether a user's next IAM call is refused."""
    try:
        person.iam.create_user(UserName=f"{person.name}-next")
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    person.iam.delete_user(UserName=f"{person.name}-next")
    return False


def warm_up(sandbox):
    """Start the main function, if it is not running."""
    sandbox.deliver(case("let-pass-admin"))


# IAM's contents


def backend(sandbox):
    """moto's own IAM backend of the sandbox's account."""
    from moto.iam.models import iam_backends

    return iam_backends[sandbox.account]["aws"]


def moto_user(sandbox, name):
    """moto's own user object, to look at or to bend in ways that no API offers."""
    return backend(sandbox).users[name]


def moto_group(sandbox, name):
    """moto's own group object."""
    return next(group for group in backend(sandbox).groups.values() if group.name == name)


def deny_arn(sandbox, name=aws_names.MANAGED_POLICY):
    """The ARN of one of the guard's managed policies."""
    return f"arn:aws:iam::{sandbox.account}:policy/{name}"


def groups_of(sandbox, name):
    """The names of a user's groups, as IAM tells them."""
    groups = sandbox.client("iam").list_groups_for_user(UserName=name)["Groups"]
    return [group["GroupName"] for group in groups]


def revoked(sandbox, name):
    """In which forms a user carries the guard's deny, as IAM tells it."""
    iam = sandbox.client("iam")
    attached = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    inline = iam.list_user_policies(UserName=name)["PolicyNames"]
    managed = ["managed"] if any(p["PolicyName"] == aws_names.MANAGED_POLICY for p in attached) else []
    return managed + (["inline"] if aws_names.INLINE_POLICY in inline else [])


def state(sandbox, name):
    """All that a user is and has, in its order."""
    iam, user = sandbox.client("iam"), moto_user(sandbox, name)
    return copy.deepcopy(
        {
            "user": iam.get_user(UserName=name)["User"],
            "managed": list(user.managed_policies),
            "inline": list(user.policies.items()),
            "groups": groups_of(sandbox, name),
            "tags": iam.list_user_tags(UserName=name)["Tags"],
            "keys": iam.list_access_keys(UserName=name)["AccessKeyMetadata"],
        }
    )


def untagged(state):
    """A user's :func:`state`, without the tag that says when IAM was given back."""

    def others(tags):
        return [tag for tag in tags if tag["Key"] != "iam-guard-restored"]

    user = {**state["user"], "Tags": others(state["user"].get("Tags", []))}
    return {**state, "user": user, "tags": others(state["tags"])}


def deny_user(sandbox, name, *forms):
    """Put the guard's deny on a user."""
    iam = sandbox.client("iam")
    if "managed" in forms:
        iam.attach_user_policy(UserName=name, PolicyArn=deny_arn(sandbox))
    if "inline" in forms:
        document = policy_documents.deny_document(["iam:*", "sts:*"])
        iam.put_user_policy(UserName=name, PolicyName=aws_names.INLINE_POLICY, PolicyDocument=document)
    if "boundary" in forms:
        boundary = deny_arn(sandbox, aws_names.BOUNDARY_POLICY)
        iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=boundary)


def take_off_the_deny(sandbox, name):
    """Let a user be as if they had never been revoked."""
    user = moto_user(sandbox, name)
    user.policies.pop(aws_names.INLINE_POLICY, None)
    user.managed_policies.pop(deny_arn(sandbox), None)


def fill_managed(sandbox, name):
    """Attach managed policies to a user until IAM takes no more."""
    iam = sandbox.client("iam")
    for number in range(10 - len(moto_user(sandbox, name).managed_policies)):
        arn = f"arn:aws:iam::{sandbox.account}:policy/filler-{number}"
        if arn not in backend(sandbox).managed_policies:
            iam.create_policy(PolicyName=f"filler-{number}", PolicyDocument=json.dumps(HARMLESS))
        iam.attach_user_policy(UserName=name, PolicyArn=arn)


def fill_inline(sandbox, name):
    """Put inline policies on a user until not even the shortest denial fits."""
    used = sum(len("".join(text.split())) for text in moto_user(sandbox, name).policies.values())
    statement = {"Sid": "", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    room = 2048 - used - len("".join(json.dumps(document).split()))
    statement["Sid"] = "x" * (room - 20)
    sandbox.client("iam").put_user_policy(
        UserName=name, PolicyName="filler", PolicyDocument=json.dumps(document)
    )


# The function


@contextmanager
def environment(sandbox, **variables):
    """The main function with other environment variables, as long as the block lasts."""
    client, name = sandbox.client("lambda"), {"FunctionName": FUNCTION}
    own = client.get_function_configuration(**name)["Environment"]["Variables"]
    client.update_function_configuration(**name, Environment={"Variables": own | variables})
    try:
        yield
    finally:
        client.update_function_configuration(**name, Environment={"Variables": own})


def unzipped(sandbox, name, folder):
    """The code of a function, as it was uploaded, in a folder.

    :returns: the function's ARN, and the environment variables in which Lambda would run the code there
    """
    from moto.awslambda.models import lambda_backends

    function = lambda_backends[sandbox.account][sandbox.region].get_function(name)
    zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(folder)
    role = sandbox.functions.credentials(function.role, sandbox.account, sandbox.region)
    environ = sandbox.environ(role) | function.environment_vars
    environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(sandbox.functions.runtime())])
    environ["PYTHONDONTWRITEBYTECODE"] = "1"  # /var/task cannot be written
    return SimpleNamespace(arn=function.function_arn, environ=environ)


# Accounts


def ok(done):
    """The output of a command, which has to have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def function_names(sandbox, account, region=None):
    """The names of an account's functions."""
    found = sandbox.client("lambda", account=account, region=region).list_functions()["Functions"]
    return sorted(function["FunctionName"] for function in found)


def attached(sandbox, account, name, region=None):
    """The ARNs of the managed policies that a user of an account carries."""
    iam = sandbox.client("iam", account=account, region=region)
    found = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    return [policy["PolicyArn"] for policy in found]


def call_iam(sandbox, account, key, name, region=None):
    """Let a user of an account call IAM, and their event be delivered."""
    sandbox.pending.clear()
    sandbox.client("iam", key, account, region).create_user(UserName=name)
    return sandbox.deliver(region=region)
