"""The pack as the tests take it: its policies, filled in by its settings."""

import copy
import functools
import json
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
POLICIES = ROOT / "policies"
#: The shipped settings: the group admins and Identity Center's administrators are meant to use IAM.
SETTINGS = ROOT / "iam-guard.yml"


def commands_of(page):
    """The commands that a page of the documentation shows, in its order."""
    lines = [line.strip() for line in (ROOT / page).read_text().splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def policies_of(file):
    """The policies of a file, as they are written."""
    return copy.deepcopy(read(file))["policies"]


@functools.cache
def read(file):
    """The content of a YAML file of the pack."""
    return yaml.safe_load(file.read_text())


def shipped(name, **settings):
    """The pack's own policy of a name, filled in by ``iam-guard.yml`` and by other settings."""
    policies = [policy for file in POLICIES.glob("*.yml") for policy in read(file)["policies"]]
    return filled(next(policy for policy in policies if policy["name"] == name), read(SETTINGS) | settings)


def filled(data, values):
    """A policy, or a part of it, with its placeholders filled in as c7n does it."""
    if isinstance(data, dict):
        return {key: filled(value, values) for key, value in data.items()}
    if isinstance(data, list):
        return [filled(value, values) for value in data]
    return values.get(data[1:-1], data) if isinstance(data, str) and data[:1] == "{" else data


def settings_file(folder, **changes):
    """A copy of ``iam-guard.yml`` in a folder, with other values."""
    file = Path(folder) / "iam-guard.yml"
    file.write_text(yaml.safe_dump(yaml.safe_load(SETTINGS.read_text()) | changes))
    return file


def function_mode(policy):
    """The mode of a policy, with all that it leaves out."""
    from c7n_iamguard.function.defaults import BY_TYPE, COMMON, merged

    mode = policy["mode"]
    return merged(merged(COMMON, BY_TYPE[mode["type"]]), mode)


def pinned(data, **pins):
    """A policy as its function has it, which knows by id what a deployment would have found out."""
    from c7n_iamguard.settings import PINS

    pins = {"groups": {}, "roles": {}, "exempt": {}, "self_service": {}, "off": {}} | pins
    variables = {PINS: json.dumps(pins)}
    return {**data, "mode": {**data["mode"], "environment": {"Variables": variables}}}
