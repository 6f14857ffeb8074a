"""README and docs are true: every name and command that they show exists, in the form that it is shown in."""

import functools
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
from botocore.validate import ParamValidator
from c7n.resources import load_resources
from c7n.resources.awslambda import AWSLambda
from c7n.resources.iam import Role, User
from helpers import POLICIES, REVOKE, ROOT, ours, policies_of, policy, shipped

load_resources(("aws.iam-user", "aws.iam-role", "aws.lambda"))
PAGES = {
    file.relative_to(ROOT): file.read_text() for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
}
DOCS = "\n".join(PAGES[page] for page in sorted(PAGES))
ATTACKS = (ROOT / "docs/attacks.md").read_text()
REFERENCE = (ROOT / "docs/reference.md").read_text()
COMMANDS = [line.strip().removeprefix("$ ") for line in DOCS.splitlines() if line.strip().startswith("$ ")]


def commands(program):
    return [command for command in COMMANDS if command.startswith(f"{program} ")]


@pytest.mark.parametrize("command", commands("aws"), ids=lambda command: " ".join(command.split()[1:3]))
def test_an_aws_command_has_the_options_of_its_operation(command):
    """Each ``aws`` command of README names an operation and parameters of AWS's own model."""
    service, operation, *words = shlex.split(command, comments=True)[1:]
    client = boto3.client(service, region_name="us-east-1", config=Config(signature_version=UNSIGNED))
    if operation == "wait":
        assert words.pop(0).replace("-", "_") in client.waiter_names
        operation = "describe-stacks"
    options = aws_cli.options_of(words)
    for option in ("region", "query", "output"):  # the command line's own
        options.pop(option, None)
    if (service, operation) == ("cloudformation", "deploy"):
        template = (ROOT / options["template-file"][0]).read_text()
        given = [override.split("=")[0] for override in options.get("parameter-overrides", ())]
        assert all(f"\n  {name}:\n" in template for name in given)
        return
    if "template-body" in options:
        assert Path(ROOT / options.pop("template-body")[0].removeprefix("file://")).exists()
    name = client.meta.method_to_api_mapping[operation.replace("-", "_")]
    arguments = aws_cli.parameters(client.meta.service_model.operation_model(name).input_shape, options)
    shape = client.meta.service_model.operation_model(name).input_shape
    assert not shape or not ParamValidator().validate(arguments, shape).has_errors()


@functools.cache
def help_of(program, verb):
    """What a stock command says of its options."""
    command = [Path(sys.executable).parent / program, verb, "--help"]
    return subprocess.run(command, capture_output=True, text=True).stdout


@pytest.mark.parametrize("command", commands("custodian") + commands("c7n-org"))
def test_a_stock_command_has_options_and_files_that_exist(command):
    """Each ``custodian`` and ``c7n-org`` command of README names files and options that there are."""
    first = command.split("2>&1")[0].split(" -- ")[0]
    program, verb, *words = shlex.split(first)
    for word in words:
        if word.startswith("-"):
            assert re.search(rf"(^|\s){re.escape(word)}\b", help_of(program, verb)), word
        elif word.startswith("policies/"):
            assert list(ROOT.glob(word)), word


def test_every_make_target_that_the_pages_show_exists():
    """Each ``make`` command of README, docs and CONTRIBUTING is a target of the Makefile."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    shown = set(re.findall(r"(?:`|^\$ )make (\w+)", DOCS + (ROOT / "CONTRIBUTING.md").read_text(), re.M))
    assert {"demo", "test", "lint", "bench", "help", "sandbox"} <= shown <= targets


def test_every_test_that_the_attack_table_names_exists():
    """Each test that docs/attacks.md names exists, in the file that it names if it names one."""
    rows = [line for line in ATTACKS.splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(rows) > 15
    for row in rows:
        for name in re.findall(r"`([\w.]+::)?(test_\w+)`", row):
            files = (ROOT / "tests").rglob(name[0].removesuffix("::") or "test_*.py")
            assert any(f"def {name[1]}(" in file.read_text() for file in files), name


def test_the_reference_names_all_that_the_plugin_adds_with_all_of_its_keys():
    """Each filter and action has a row with the keys of its schema, and the kinds that it is for."""
    found = {}
    for kind in (User, Role, AWSLambda):
        for registry in (kind.filter_registry, kind.action_registry):
            for name, element in ours(registry).items():
                keys = [f"`{key}`" for key in element.schema["properties"] if key != "type"]
                found.setdefault(name, (keys, []))[1].append(kind.resource_type.enum_spec[1])
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*?\|.*?) \|", REFERENCE, re.M))
    nouns = {"Users": "iam-user", "Roles": "iam-role", "Functions": "lambda"}
    for name, (keys, kinds) in found.items():
        kind, _, told = rows[name].partition(" |")
        assert told.strip() == ", ".join(keys), name
        assert kind == ", ".join(nouns[one] for one in kinds), name


def test_the_reference_names_every_policy():
    """Every policy of the pack stands in the reference, and every file that a page names exists."""
    for file in POLICIES.glob("*.yml"):
        for name in (each["name"] for each in policies_of(file)):
            assert f"`{name}`" in REFERENCE, name
    for path in re.findall(r"\b(?:policies|deploy|bench|docs)/[\w.-]+\.(?:yml|json|md)", DOCS):
        assert (ROOT / path).exists() or path == "docs/logs.json", path


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_is_short_and_its_links_lead_somewhere(page):
    """README has at most 150 lines, a page 250; each link's file and heading exist."""
    text = PAGES[page]
    assert len(text.splitlines()) <= (150 if page.name == "README.md" else 250)
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (ROOT / page.parent / path).resolve() if path else ROOT / page
        assert file.exists(), target
        if anchor:
            headings = [re.sub(r"[^\w -]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
                        for line in file.read_text().splitlines() if line.startswith("#")]  # fmt: skip
            assert anchor in headings, target


def test_the_exemptions_in_the_docs_are_settings(monkeypatch, sandbox):
    """The YAML of docs/operate.md's exemptions is what the shipped policies take."""
    block, *_ = re.findall(r"```yaml\n(exempt:.*?)```", PAGES[Path("docs/operate.md")], re.S)
    policy(shipped(REVOKE, **yaml.safe_load(block)), sandbox.environ(), monkeypatch)
