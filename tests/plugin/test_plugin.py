"""What the plugin adds, held to the rules that c7n holds its own filters and actions to."""

import ast
import functools
import inspect
import pkgutil
import re

import boto3
import pytest
import yaml
from c7n import schema
from c7n.config import Config
from c7n.exceptions import PolicyValidationError
from c7n.policy import Policy, execution
from c7n.query import QueryResourceManager, sources
from c7n.resources import load_resources
from c7n.resources.iam import Role, User
from helpers import POLICIES, ROOT, ours, policies_of, shipped, stock

from c7n_iamguard.iam.deciding_action import observes

load_resources(("aws.iam-user", "aws.iam-role"))
SCHEMA = schema.generate()


FILTERS = {**ours(Role.filter_registry), **ours(User.filter_registry)}
ADDED = {**FILTERS, **ours(Role.action_registry), **ours(User.action_registry)}
DOCUMENTED = {**ADDED, **ours(sources)}
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


def test_unknown_types_and_keys_are_refused():
    """The name in the registry is the only type that the schema takes, and it takes no keys of others."""
    for name, element in ADDED.items():
        assert element.schema["properties"]["type"]["enum"] == [name]
        assert element.schema["additionalProperties"] is False, name


def examples(name):
    """The policies that an element's docstring shows."""
    text = inspect.cleandoc(DOCUMENTED[name].__doc__)
    found = re.findall(r"code-block:: yaml\n\n((?:[ ]+\S.*\n?)+)", text)
    assert found
    return [policy for example in found for policy in yaml.safe_load(example)["policies"]]


def problems(policy):
    """What ``custodian validate`` has against a policy, as a text; an empty one where that is nothing."""
    errors = schema.validate({"policies": [policy]}, SCHEMA)
    if errors:
        return str(errors)
    options = Config.empty(dryrun=True, account_id="111122223333", region="us-east-1")
    try:
        Policy(policy, options).validate()
    except PolicyValidationError as error:
        return str(error)
    return ""


@functools.cache
def operations(service):
    """The names of a service's operations, by AWS's own model."""
    return boto3.Session().client(service, region_name="us-east-1").meta.service_model.operation_names


def elements(policy):
    """The filters and actions of a policy."""
    manager = Policy(policy, Config.empty(account_id="111122223333", region="us-east-1")).resource_manager
    return [*manager.iter_filters(), *manager.actions]


@pytest.mark.parametrize("name", ADDED)
def test_permissions_are_real(name):
    """Every permission that an element of a docstring's example declares names an operation of its service."""
    found = [element for policy in examples(name) for element in elements(policy) if element.type == name]
    declared = [permission for element in found for permission in element.get_permissions()]
    assert declared
    for permission in declared:
        service, operation = permission.split(":")
        assert operation in operations(service)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_docstrings_examples_are_valid_policies(name):
    """Every example in a docstring passes custodian's own validation; the source of the facts stands below."""
    assert [problems(policy) for policy in examples(name)] == [""]
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
        policy = Policy(data, Config.empty(account_id="111122223333", region="us-east-1"))
        kind = {"aws.iam-user": "users", "aws.iam-role": "roles"}[data["resource"]]
        assert observes(policy.resource_manager) == (kind in observed), policy.name


@pytest.mark.parametrize("file", sorted(POLICIES.glob("*.yml")), ids=lambda file: file.stem)
def test_a_policy_file_holds_what_its_name_says(file):
    """A file's first policy has the file's name, if need be with its kind; each has the metadata of all."""
    policies = policies_of(file)
    assert policies[0]["name"].removesuffix("-users") == file.stem
    for policy in policies:
        assert {"title", "severity", "reference", "runbook"} <= set(policy["metadata"])


@pytest.mark.parametrize(
    "name",
    [
        "c7n.handler:init_config",
        "c7n.resources.aws:AWS.get_resource_types",
        "dateutil.zoneinfo:get_zonefile_instance",
        "c7n.policy:LambdaMode.policy_lambda",
        "c7n.cwe:CloudWatchEvents.get_ids",
    ],
)
def test_the_parts_of_c7n_that_are_no_public_interface_are_there(name):
    """This c7n has each part that the plugin uses beyond c7n's public interface; a missing one is named."""
    assert pkgutil.resolve_name(name)


def test_c7ns_cache_of_a_manager_can_be_replaced():
    """``manager._cache`` is what c7n reads resources from; authorization-details switches it off."""
    source = inspect.getsource(QueryResourceManager)
    assert "self._cache" in source, "this c7n keeps its cache elsewhere: users would be read from it"
