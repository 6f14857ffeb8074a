"""The roles that are meant to use IAM: listed by name, ARN or permission set, and pinned by id."""

import re

from c7n_iamguard.aws_names import OWN_ROLES, STACK_SETS_ROLES
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import ROLE

#: Roles that Organizations, Control Tower, Account Factory for Terraform and the CDK make, and that use IAM. Nobody
#: trusts them by default, because whoever may create roles may take such a name.
USUAL = re.compile(
    r"OrganizationAccountAccessRole|AWSControlTowerExecution|AWSAFT(Execution|Service)"
    r"|cdk-\w{1,10}-(cfn-exec|deploy)-role-\d{12}-[a-z0-9-]+",
    re.ASCII,
)


def pin(element, listed):
    """The ids of the listed roles that exist, of the guard's own and of StackSets', by name."""
    wanted = {name_of(role): role for role in listed if not is_pattern(role)}
    ids = {}
    for role in ROLE.everybody(iam(element.manager)):
        name, entry = role["RoleName"], wanted.get(role["RoleName"].lower())
        own = role["Path"] == "/" and (name in OWN_ROLES or STACK_SETS_ROLES.fullmatch(name))
        if own or (entry and (not entry.startswith("arn:") or entry == role["Arn"])):
            ids[name] = role["RoleId"]
    return ids


def name_of(listed):
    """The name in an entry of the list, in lower case."""
    return listed.rsplit("/", 1)[-1].lower()


def is_pattern(listed):
    """Whether an entry of the list is a pattern for the roles of a permission set."""
    return listed.endswith("*")
