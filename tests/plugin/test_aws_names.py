"""The guard's names in AWS are those that its stacks make."""

import re

import pytest
from helpers import ROOT

from c7n_iamguard import aws_names

STACKS = "".join(file.read_text() for file in (ROOT / "deploy").glob("*.yml"))
MADE = set(re.findall(r"(?:RoleName|ManagedPolicyName|PolicyName|Name): ([\w-]+)", STACKS))


@pytest.mark.parametrize(
    "name", ["MANAGED_POLICY", "BOUNDARY_POLICY", "QUARANTINE_POLICY", "OWN_ROLES", "BUS"]
)
def test_the_stacks_make_what_the_guard_names(name):
    """Each role, policy and bus that the guard knows by name is in a template."""
    value = getattr(aws_names, name)
    assert {value} <= MADE if isinstance(value, str) else set(value) <= MADE
