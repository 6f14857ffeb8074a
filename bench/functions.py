"""The functions that are measured side by side, as a table: one more row is one more function.

Each has an account of its own, so that all of them can have the names and settings that they have in life.
"""

import io
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml
from moto.awslambda.models import lambda_backends

from bench.callers import ADMIN, CaughtUsers, CreatedUsers, Roles, Users
from bench.common import ROOT, command
from c7n_iamguard.aws_names import SINCE_TAG
from sandbox.commands.guard import settings_with
from sandbox.server import document

HERE = Path(__file__).parent
REVOKE, REVOKE_ROLES = "revoke-unintended-iam-access", "revoke-unintended-iam-access-of-roles"
CATCH_UP, CONTAIN = "catch-up-unintended-iam-access", "contain-unintended-iam-calls"
#: The parts of the bench that a function may be in.
STARTS, EVENTS, BURST = "starts", "events", "burst"
#: The runtime whose bytecode custodian makes here, and one whose it does not make. The functions run on the
#: bench's own Python, whatever they name.
OWN = "python{}.{}".format(*sys.version_info)
OTHER = "python3.12" if OWN == "python3.13" else "python3.13"


@dataclass(frozen=True)
class Function:
    """A function that is measured.

    :param name: its name in Lambda
    :param deploy: uploads it, given the sandbox and the account
    :param kind: the callers whom it judges
    :param parts: the parts of the bench that it is in
    """

    name: str
    deploy: Callable
    kind: type = Users
    parts: tuple = (STARTS, EVENTS, BURST)
    account: str = ""

    def prepare(self, box):
        """Deploy it to its account, after all that it needs there."""
        prepare(box, self.account)
        self.kind.prepare(box, self.account)
        self.deploy(box, self.account)

    def uploaded(self, box):
        """moto's own function, with its archive."""
        return lambda_backends[self.account][box.region].get_function(self.name)

    def environment(self, box):
        """One of its execution environments that is alive."""
        wanted = f":{self.account}:function:{self.name}"
        return next(e for e in box.functions.all if e.function_arn.endswith(wanted))


def prepare(box, account):
    """The needs of every function in an account: our stack, and a role that may do anything."""
    box.deploy(account=account)
    add_role(box, account, "bench", {"Service": "lambda.amazonaws.com"})


def add_role(box, account, name, principal):
    """A role that may do anything."""
    iam = box.client("iam", account=account)
    Roles.add(account, name, principal)
    allow = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    iam.put_role_policy(RoleName=name, PolicyName="anything", PolicyDocument=allow)


def policy_text(name, file=None, runtime=OWN, edit=lambda policy: None):
    """A policy file with one policy, for functions of a runtime.

    :param file: the file that it is in; the pack's of that name if left out
    :param edit: changes the policy, a dict
    """
    data = yaml.safe_load((file or ROOT / "policies" / f"{name}.yml").read_text())
    (chosen,) = data["policies"] = [found for found in data["policies"] if found["name"] == name]
    chosen["mode"]["runtime"] = runtime
    edit(chosen)
    return json.dumps(data)


def policy(name, **how):
    """A deployment of one policy with stock ``custodian run``; see :func:`policy_text`."""
    return partial(deploy_policy, policy_text(name, **how))


def deploy_policy(text, box, account):
    key = box.environ(account=account)["AWS_ACCESS_KEY_ID"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.json"
        path.write_text(text)
        settings = settings_with(folder, [ADMIN], observe_roles=False, observe_containment=False)
        arguments = ("--vars-file", settings, path, "-r", box.region)
        command(box, "custodian", "run", *arguments, AWS_ACCESS_KEY_ID=key)


def deploy_twice(text, box, account):
    """Deploy a catch-up as it is a month later: it judges no call from before the first deployment."""
    deploy_policy(text, box, account)
    client = box.client("lambda", account=account)
    arn = client.get_function(FunctionName=f"iam-guard-{CATCH_UP}")["Configuration"]["FunctionArn"]
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 30 * 24 * 3600))
    client.tag_resource(Resource=arn, Tags={SINCE_TAG: moment})
    deploy_policy(text, box, account)


def deploy_module(file, name, box, account):
    """Upload a Python file of this folder, as one does it with boto3. Its function ``run`` is the handler."""
    path = HERE / file
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as into:
        into.write(path, path.name)
    box.client("lambda", account=account).create_function(
        FunctionName=name,
        Runtime=OTHER,
        Role=f"arn:aws:iam::{account}:role/bench",
        Handler=f"{path.stem}.run",
        Code={"ZipFile": archive.getvalue()},
        Timeout=120,
        MemorySize=512,
    )


def tells_nobody(policy):
    """Take the action ``put-event`` out of a policy."""
    policy["actions"].remove("put-event")


CATCH_UP_TEXT = policy_text(CATCH_UP, file=ROOT / "policies" / f"{REVOKE}.yml")
FUNCTIONS = {
    "ours": Function(f"iam-guard-{REVOKE}", policy(REVOKE)),
    "ours, without bytecode": Function(f"iam-guard-{REVOKE}", policy(REVOKE, runtime=OTHER), parts=(STARTS,)),
    "ours, for roles": Function(f"iam-guard-{REVOKE_ROLES}", policy(REVOKE_ROLES), Roles, (STARTS, EVENTS)),
    "ours, without put-event": Function(
        f"iam-guard-{REVOKE}", policy(REVOKE, edit=tells_nobody), parts=(STARTS, EVENTS)
    ),
    "ours, containment": Function(f"iam-guard-{CONTAIN}", policy(CONTAIN), CreatedUsers, (STARTS, EVENTS)),
    "ours, catch-up": Function(
        f"iam-guard-{CATCH_UP}", partial(deploy_twice, CATCH_UP_TEXT), CaughtUsers, (STARTS,)
    ),
    "floor": Function("bench-floor", partial(deploy_module, "floor.py", "bench-floor")),
    "blog post": Function("bench-blogpost", partial(deploy_module, "blogpost.py", "bench-blogpost")),
    "stock": Function("custodian-bench-stock", policy("bench-stock", file=HERE / "stock.yml")),
}
FUNCTIONS = {
    who: replace(function, account=f"{300000000000 + number}")
    for number, (who, function) in enumerate(FUNCTIONS.items())
}


def of(part):
    """The functions that a part of the bench measures, by what the report calls them."""
    return {who: function for who, function in FUNCTIONS.items() if part in function.parts}
