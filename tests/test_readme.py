"""README and docs are true: every name and command that they show exists, in the form that it is shown in."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import aws_cli
import boto3
import pytest
import yaml
from botocore import UNSIGNED
from botocore.config import Config
from botocore.stub import Stubber
from c7n.resources import load_resources
from c7n.resources.iam import User
from helpers import POLICIES, ROOT, ours

load_resources(("aws.iam-user",))
README = (ROOT / "README.md").read_text()
ATTACKS = (ROOT / "docs/attacks.md").read_text()
COMMANDS = [line.strip().removeprefix("$ ") for line in README.splitlines() if line.strip().startswith("$ ")]


def commands(program):
    return [command for command in COMMANDS if command.startswith(f"{program} ")]


@pytest.mark.parametrize("command", commands("aws"), ids=lambda command: " ".join(command.split()[1:3]))
def test_an_aws_command_has_the_options_of_its_operation(command):
    """Each ``aws`` command of README names an operation and parameters of AWS's own model."""
    words = shlex.split(command, comments=True)[1:]
    service, operation, options = words[0], words[1], aws_cli.options_of(words[2:])
    client = boto3.client(service, region_name="us-east-1", config=Config(signature_version=UNSIGNED))
    options.pop("region", None)
    if (service, operation) == ("cloudformation", "deploy"):
        template = (ROOT / options["template-file"][0]).read_text()
        given = [override.split("=")[0] for override in options["parameter-overrides"]]
        assert all(f"\n  {name}:\n" in template for name in given)
        return
    if "template-body" in options:
        assert Path(ROOT / options.pop("template-body")[0].removeprefix("file://")).exists()
    name = client.meta.method_to_api_mapping[operation.replace("-", "_")]
    arguments = aws_cli.parameters(client.meta.service_model.operation_model(name).input_shape, options)
    with Stubber(client) as stub:
        stub.add_response(operation.replace("-", "_"), {})
        getattr(client, operation.replace("-", "_"))(**arguments)


@pytest.mark.parametrize("command", commands("custodian") + commands("c7n-org"))
def test_a_stock_command_has_options_and_files_that_exist(command):
    """Each ``custodian`` and ``c7n-org`` command of README names files and options that there are."""
    first = command.split("2>&1")[0].split(" -- ")[0]
    program, verb, *words = shlex.split(first)
    help_text = subprocess.run(
        [Path(sys.executable).parent / program, verb, "--help"], capture_output=True, text=True
    ).stdout
    for word in words:
        if word.startswith("-"):
            assert re.search(rf"(^|\s){re.escape(word)}\b", help_text), word
        elif word.startswith("policies/"):
            assert list(ROOT.glob(word)), word


def test_every_make_target_that_readme_shows_exists():
    """``make`` commands of README are targets of the Makefile."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    shown = {command.split()[1] for command in commands("make")}
    assert {"demo", "test", "lint", "bench", "help"} <= shown <= targets


def test_every_test_that_the_attack_table_names_exists():
    """Each test that docs/attacks.md names exists, in the file that it names if it names one."""
    rows = [line for line in ATTACKS.splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(rows) > 15
    for row in rows:
        for name in re.findall(r"`([\w.]+::)?(test_\w+)`", row):
            files = (ROOT / "tests").glob(name[0].removesuffix("::") or "test_*.py")
            assert any(f"def {name[1]}(" in file.read_text() for file in files), name


def test_readme_names_all_that_the_plugin_adds_and_ships():
    """Every filter, action and policy stands in README, and every policy file that it names exists."""
    for name in [
        *ours(User.filter_registry),
        *ours(User.action_registry),
        *(file.stem for file in POLICIES.glob("*.yml")),
    ]:
        assert f"`{name}`" in README, name
    for path in re.findall(r"(?:policies|deploy|bench|docs)/[\w.-]+\.(?:yml|json|md)", README):
        assert (ROOT / path).exists(), path


def test_readmes_exemptions_are_filters():
    """The YAML of README's exemptions is what custodian takes as filters."""
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.S)
    filters = yaml.safe_load(block)["filters"]
    assert [next(iter(item)) for item in filters] == ["type", "not"]
