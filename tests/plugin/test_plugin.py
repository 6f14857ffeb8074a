"""The plugin's filters, actions and source, held to the rules that c7n holds its own filters and actions to."""

import ast
import inspect
import re

import pytest
import yaml
from botocore.session import get_session
from c7n.config import Config
from c7n.policy import Policy, execution
from c7n.query import sources
from c7n.resources import load_resources
from c7n.resources.iam import Role, User
from helpers import POLICIES, ROOT, ours, policies_of, shipped, stock
from variants import assert_validated

from c7n_iamguard.iam.deciding_action import observes

load_resources(("aws.iam-user", "aws.iam-role"))
OF_BOTH = (Role.filter_registry, User.filter_registry, Role.action_registry, User.action_registry)
ADDED = {name: element for registry in OF_BOTH for name, element in ours(registry).items()}
DOCUMENTED = {**ADDED, **ours(sources)}
OPTIONS, SESSION = Config.empty(account_id="111122223333", region="us-east-1"), get_session()
OFFLINE = {"PATH": "/usr/bin:/bin", "AWS_CONFIG_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}


def test_the_plugin_adds_what_it_says():
    """The names that users see are registered for users, for roles or for both, and no others."""
    both = {"iam-access-revoked", "iam-calls", "unintended-iam-calls"}
    of_users = {"admin-group-member", "unintended-admin-group-member", "unlawful-admin-group-member"}
    assert set(ours(User.filter_registry)) == both | of_users
    assert set(ours(Role.filter_registry)) == both | {"admin-role"}
    both = {"put-event", "restore-iam-access", "revoke-iam-access", "undo-iam-call"}
    assert set(ours(User.action_registry)) == both | {"remove-from-admin-group"}
    assert set(ours(Role.action_registry)) == both
    assert set(ours(execution)) == {"cloudtrail", "periodic"}
    assert set(ours(sources)) == {"authorization-details"}


def examples(name):
    """The policies that an element's docstring shows."""
    text = inspect.cleandoc(DOCUMENTED[name].__doc__)
    found = re.findall(r"code-block:: yaml\n\n((?:[ ]+\S.*\n?)+)", text)
    assert found
    return [policy for example in found for policy in yaml.safe_load(example)["policies"]]


@pytest.mark.parametrize("name", ADDED)
def test_permissions_are_real(name):
    """Every permission that an element of a docstring's example declares names an operation of its service."""
    managers = [Policy(policy, OPTIONS).resource_manager for policy in examples(name)]
    elements = [element for manager in managers for element in (*manager.iter_filters(), *manager.actions)]
    declared = [p for element in elements if element.type == name for p in element.get_permissions()]
    assert declared
    for permission in declared:
        service, operation = permission.split(":")
        assert operation in SESSION.get_service_model(service).operation_names


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_docstrings_examples_are_valid_policies(tmp_path, caplog, name):
    """Every example in a docstring passes custodian's own validation; the source of the facts stands below."""
    for policy in examples(name):
        assert_validated(tmp_path, caplog, policy)
    assert "Source: https://docs.aws.amazon.com/" in DOCUMENTED[name].__doc__


def test_every_public_name_is_documented():
    """Every public class, function and method of the package has a docstring of its own."""
    for file in (ROOT / "c7n_iamguard").rglob("*.py"):
        tree = ast.parse(file.read_text())
        inner = [node for found in tree.body if isinstance(found, ast.ClassDef) for node in found.body]
        for node in (tree, *tree.body, *inner):
            name = getattr(node, "name", "_")  # find_spec is importlib's
            if isinstance(node, ast.Module) or not name.startswith(("_", "find_spec")):
                assert ast.get_docstring(node), f"{file}: {name}"


def test_custodian_validates_the_pack_offline():
    """``custodian validate`` accepts every policy without credentials, region or network."""
    run = stock("custodian", "validate", *POLICIES.glob("*.yml"), environ=OFFLINE)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("observed", [("users",), ("roles",)])
def test_the_settings_say_which_policies_observe(observed):
    """Each policy that has a function observes or acts by the setting of its callers' kind."""
    values = {f"observe_{kind}": kind in observed for kind in ("users", "roles")}
    policies = [policy for file in POLICIES.glob("*.yml") for policy in policies_of(file) if "mode" in policy]
    assert len(policies) == 8
    for data in (shipped(policy["name"], observe_containment=False, **values) for policy in policies):
        policy = Policy(data, OPTIONS)
        kind = {"aws.iam-user": "users", "aws.iam-role": "roles"}[data["resource"]]
        assert observes(policy.resource_manager) == (kind in observed), policy.name


@pytest.mark.parametrize("file", sorted(POLICIES.glob("*.yml")), ids=lambda file: file.stem)
def test_a_policy_file_holds_what_its_name_says(file):
    """A file's first policy has the file's name, if need be with its kind; each has the metadata of all."""
    policies = policies_of(file)
    assert policies[0]["name"].removesuffix("-users") == file.stem
    for policy in policies:
        assert {"title", "severity", "reference", "runbook"} <= set(policy["metadata"])
