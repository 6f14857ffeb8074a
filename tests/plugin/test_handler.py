"""The function's entry point: what it imports and opens, and when. No clock is looked at."""

import json
import subprocess
import sys

import pytest
from helpers import FUNCTION, REVOKE, case, function_mode, shipped, take_off_the_deny, unzipped

PROBE = """
import json, os, sys
import c7n_iamguard.handler as handler
at_start, written = set(sys.modules), []
def look(name, details):
    if name == "open" and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or name == "os.mkdir":
        written.append(str(details[0]))
sys.addaudithook(look)
class context: invoked_function_arn = sys.argv[1]
for event in sys.argv[2:]:
    handler.run(json.loads(event), context)
config = handler.client.iam(next(iter(handler.POLICIES)).resource_manager).meta.config
waits = [config.retries["mode"], config.retries["total_max_attempts"], config.connect_timeout, config.read_timeout]
later = sorted(set(sys.modules) - at_start)
print(json.dumps({"start": sorted(at_start), "event": later, "written": written, "waits": waits}))
"""


def handle(sandbox, folder, *events, function=FUNCTION, actions=()):
    """Run the deployed code, with more actions, on events in a process of its own; what it imported and wrote."""
    code = unzipped(sandbox, function, folder)
    config = json.loads((folder / "config.json").read_text())
    config["policies"][0]["actions"] += actions
    (folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-S", "-c", PROBE, code.arn, *map(json.dumps, events)]
    run = subprocess.run(command, env=code.environ, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1]) | {"said": run.stderr}


@pytest.fixture(scope="module")
def seen(deployed, tmp_path_factory):
    """The deployed code's imports while it starts and at its first events, and what it writes and says."""
    events = [case("revoked-create-user"), case("let-pass-admin")]
    yield handle(deployed, tmp_path_factory.mktemp("task"), *events)
    take_off_the_deny(deployed, "bob")


def test_what_the_function_needs_is_imported_while_it_starts(seen):
    """The policy's action and c7n's IAM resources are there before the first event."""
    assert {"c7n_iamguard.revoke.revoke", "c7n.resources.iam", "c7n.policy"} <= set(seen["start"])
    ours = [name for name in seen["event"] if name.split(".")[0] in ("c7n", "c7n_iamguard", "boto3")]
    assert ours == []


def test_what_the_function_does_not_need_is_never_imported(seen):
    """Validation, provisioning, other services' resources and other policies' actions stay out of the function."""
    unneeded = {
        "jsonschema",
        "yaml",
        "c7n_org",
        "unittest",
        "asyncio",
        "c7n.schema",
        "c7n.commands",
        "c7n.mu",
    }
    unneeded |= {"c7n.resources.ec2", "c7n_iamguard.contain.action", "c7n_iamguard.history.catch_up"}
    assert not (unneeded | {"c7n_iamguard.revoke.restore"}) & {*seen["start"], *seen["event"]}


def test_an_event_writes_nothing_to_the_disk_and_no_warning(seen):
    """No file is opened for writing, no folder made, and c7n warns not even of the tags that it writes itself."""
    assert (seen["written"], seen["said"]) == ([], "")


def test_the_worst_call_to_iam_leaves_time_for_another_one(seen):
    """Two calls that time out in every try, as a revocation may make, end before the function does."""
    mode, tries, connecting, reading = seen["waits"]
    assert mode == "standard"
    backoff = sum(2**n for n in range(tries - 1))  # botocore's standard mode, at its longest
    assert 2 * (tries * (connecting + reading) + backoff) < function_mode(shipped(REVOKE))["timeout"]


def test_a_catch_up_slows_down_before_it_reaches_iams_limits(deployed, tmp_path):
    """It reads whole accounts, and shares the limits with everybody in them."""
    found = handle(deployed, tmp_path, function="iam-guard-catch-up-unintended-iam-access")
    assert found["waits"] == ["adaptive", 10, 2, 60]


def test_an_action_of_all_resources_still_works(deployed, tmp_path):
    """A policy whose action c7n loads with other services' resources starts, too: the function loads them."""
    actions = [{"type": "invoke-sfn", "state-machine": "evidence"}]
    found = handle(deployed, tmp_path, case("let-pass-admin"), actions=actions)
    assert "c7n.resources.ec2" in found["start"]
