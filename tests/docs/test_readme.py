"""README and docs are true: every name that they show exists. Their commands are run by test_pages.py."""

import re
from pathlib import Path

import pytest
import yaml
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
