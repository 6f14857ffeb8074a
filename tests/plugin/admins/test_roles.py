"""The roles that are meant to use IAM, by id."""

import pytest

from c7n_iamguard.admins import roles

EXECUTION = "AWSCloudFormationStackSetExecutionRole"


@pytest.mark.parametrize(
    ("name", "path", "listed", "expected"),
    [
        ("Terraform", "/", "terraform", True),
        ("Terraform", "/teams/", "Terraform", True),
        ("Terraform", "/teams/", "arn:aws:iam::{}:role/teams/Terraform", True),
        ("Terraform", "/", "arn:aws:iam::{}:role/teams/Terraform", False),
        ("Terraform", "/", "pipeline", False),
        ("AWSReservedSSO_A_0123456789abcdef", "/", "AWSReservedSSO_A_*", False),
        (EXECUTION, "/", "pipeline", True),
        (EXECUTION, "/x/", "pipeline", False),
        ("IAM-GUARD-HELPER", "/", "pipeline", False),
    ],
)
def test_a_role_is_pinned_by_its_name_or_by_its_whole_arn(sandbox, in_process, name, path, listed, expected):
    """Listed roles in any case of the name, an ARN with its path; own roles and StackSets' without any path."""
    made, listed = sandbox.create_role(name, path=path), listed.format(sandbox.account)
    data = {"type": "admin-role", "roles": [listed]}
    (criterion,) = in_process(resource="aws.iam-role", filters=[data]).resource_manager.filters
    pins = roles.pin(criterion, [listed])
    assert pins.pop(name, None) == (made["RoleId"] if expected else None)
    assert "iam-guard" in pins
