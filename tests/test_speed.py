"""What makes the speed, without a clock: calls, connections, and what is imported when."""

import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
import yaml
from helpers import FUNCTION, REVOKE, case, guards_calls, shipped, stock

PROBE = """
import json, sys
import c7n_iamguard.handler as handler
at_start = set(sys.modules)
event = json.loads(sys.argv[1])
class context: invoked_function_arn = sys.argv[2]
handler.run(event, context)
print(json.dumps({"start": sorted(at_start), "event": sorted(set(sys.modules) - at_start)}))
"""


@pytest.fixture(scope="module")
def modules(deployed, tmp_path_factory):
    """What the deployed code imports while it starts, and what at the first event; as two lists of names."""
    from moto.awslambda.models import lambda_backends

    function = lambda_backends[deployed.account][deployed.region].get_function(FUNCTION)
    task = tmp_path_factory.mktemp("task")
    zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(task)
    role = deployed.functions.credentials(function.role, deployed.account, deployed.region)
    environ = deployed.environ(role) | function.environment_vars
    environ["PYTHONPATH"] = os.pathsep.join([str(task), str(deployed.functions.runtime())])
    arguments = [json.dumps(case("revoked-create-user")), function.function_arn]
    run = subprocess.run(
        [sys.executable, "-S", "-c", PROBE, *arguments], env=environ, cwd=task, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_what_the_function_needs_is_imported_while_it_starts(modules):
    """The plugin and c7n's IAM resources are there before the first event."""
    assert {"c7n_iamguard.plugin", "c7n.resources.iam", "c7n.policy"} <= set(modules["start"])
    ours = [name for name in modules["event"] if name.split(".")[0] in ("c7n", "c7n_iamguard", "boto3")]
    assert ours == []


@pytest.mark.parametrize(
    "name",
    [
        "jsonschema",
        "yaml",
        "c7n_org",
        "c7n.schema",
        "c7n.commands",
        "c7n.mu",
        "c7n.resources.ec2",
        "unittest",
        "asyncio",
    ],
)
def test_what_the_function_does_not_need_is_never_imported(modules, name):
    """Validation, provisioning, the command line and other services' resources stay out of the function."""
    imported = {*modules["start"], *modules["event"]}
    assert not [module for module in imported if module == name or module.startswith(f"{name}.")]


def test_many_events_share_one_connection(fresh):
    """Twenty events in a row, of admins and others, open no new connection and cost their calls alone."""
    fresh.functions.cool()  # so that the look at the deny policy, once a minute, is not due meanwhile
    fresh.deliver(case("let-pass-admin"))
    fresh.calls.clear()
    connections = len(fresh.connections)
    for _ in range(10):
        fresh.deliver(case("let-pass-admin"))
        fresh.deliver(case("revoked-create-user"))
    assert len(fresh.connections) == connections
    assert guards_calls(fresh) == ["ListGroupsForUser", "ListGroupsForUser", "AttachUserPolicy"] * 10


def test_an_action_of_all_resources_still_works(deployed, tmp_path):
    """A policy whose action c7n loads with other services' resources starts, too: the function loads them."""
    policy = shipped(REVOKE)
    policy["name"] = "with-a-state-machine"
    policy["actions"] += [{"type": "invoke-sfn", "state-machine": "evidence"}]
    (tmp_path / "policy.yml").write_text(yaml.safe_dump({"policies": [policy]}))
    run = stock(
        "custodian",
        "run",
        "-s",
        tmp_path,
        "-r",
        deployed.region,
        tmp_path / "policy.yml",
        environ=deployed.environ(),
    )
    assert run.returncode == 0, run.stderr
    attempt = deployed.functions.attempt("iam-guard-with-a-state-machine", case("let-pass-admin"))
    deployed.client("events").remove_targets(
        Rule="iam-guard-with-a-state-machine", Ids=["iam-guard-with-a-state-machine"]
    )
    assert attempt.outcome == "succeeded", attempt.log
