"""The guard's names in AWS are those that its stacks make."""

import re

from helpers import ROOT

from c7n_iamguard import aws_names

STACKS = "".join(file.read_text() for file in (ROOT / "deploy").glob("*.yml"))
MADE = set(re.findall(r"(?:RoleName|ManagedPolicyName|PolicyName|Name): ([\w-]+)", STACKS))


def test_the_stacks_make_what_the_guard_names():
    """Each role, policy and bus that the guard knows by name is in a template."""
    policies = {aws_names.MANAGED_POLICY, aws_names.BOUNDARY_POLICY, aws_names.QUARANTINE_POLICY}
    assert {*policies, *aws_names.OWN_ROLES, aws_names.BUS} <= MADE
