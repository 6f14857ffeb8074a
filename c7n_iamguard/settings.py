"""The checks of an operator's settings. An error names the policy, the key and the fix.

The shipped policies hold placeholders such as ``{admin_groups}``. c7n fills them in from ``iam-guard.yml`` before a
policy runs. ``custodian validate`` sees the placeholders themselves, so only a run refuses them.
"""

import re

from c7n.exceptions import PolicyValidationError
from c7n.filters import Filter
from c7n.utils import get_partition

from c7n_iamguard import aws_names
from c7n_iamguard.errors import Refusal

#: A function's environment variable with who is meant to use IAM, by id, as JSON. The next deployment reads it.
PINS = "IAM_GUARD"

PLACEHOLDER = re.compile(r"\{\w+\}", re.ASCII)
#: The settings of ``iam-guard.yml`` by the options that take them.
SETTINGS = {
    "groups": "admin_groups", "roles": "admin_roles", "exempt": "exempt", "self-service": "self_service",
    "observe-people": "observe_people",
}  # fmt: skip

POLICY_NAME = re.compile(r"(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,128}", re.ASCII)
POLICY_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):policy/(?P<name>(?:[!-.0-~]+/)*[\w+=,.@-]{1,128})", re.ASCII
)


def where_is(element, key):
    """The element, its key and the setting that fills it in, for messages."""
    place = f"{'filter' if isinstance(element, Filter) else 'action'}:{element.type} {key}"
    return f"{place} ({SETTINGS[key]} in iam-guard.yml)" if key in SETTINGS else place


def setting(element, key, default=None):
    """An option's value when the policy runs: no placeholder, and a list of one for a text if it is a list."""
    value = element.data.get(key, default)
    unfilled = next(filter(is_placeholder, value if isinstance(value, list) else [value]), None)
    if unfilled:
        raise Refusal(
            f"policy:{element.manager.ctx.policy.name} {where_is(element, key)}: nothing has filled in {unfilled}; "
            "run custodian run --vars-file iam-guard.yml …, or c7n-org with an accounts file that "
            "deploy/accounts.py has written"
        )
    return [value] if isinstance(default, list) and isinstance(value, str) else value


def is_placeholder(value):
    """Whether a value waits for a setting."""
    return isinstance(value, str) and bool(PLACEHOLDER.fullmatch(value))


def refuse(policy, where, problem, fix):
    """Refuse a setting; ``where`` is the element and key, such as ``filter:admin-group-member groups``."""
    raise PolicyValidationError(f"policy:{policy.name} {where}: {problem}; {fix}")


def refuse_account(element, problem, fix):
    """Refuse an account in which a policy would deny IAM to people who are meant to use it."""
    policy, account = element.manager.ctx.policy.name, element.manager.config.account_id
    raise Refusal(f"policy:{policy} {element.type}: {problem} in account {account}; {fix}")


def is_template(policy):
    """Whether c7n only validates the file, without knowing the account or any variable."""
    return policy.options.account_id in (None, "na")


def is_unfinished(policy, value):
    """Whether a text has variables that c7n fills in before the policy runs, such as ``{account_id}``."""
    return "{" in value and is_template(policy)


def check_execution_mode(policy):
    """Refuse a mode whose function would not know the plugin."""
    if policy.execution_mode not in ("pull", "cloudtrail", "periodic"):
        problem = f"the function of a policy in mode {policy.execution_mode} would not know the plugin"
        refuse(policy, "mode.type", problem, "use cloudtrail or periodic")


def check_boolean(policy, where, value):
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool) and not is_placeholder(value):
        refuse(policy, where, f"{value!r} is neither true nor false", "write true or false, without quotes")


class PolicyOption:
    """The option ``policy`` of a filter or action: which managed policy denies IAM. A mixin."""

    @property
    def managed_policy(self):
        """The managed policy that denies IAM, by name or ARN."""
        return self.data.get("policy", aws_names.MANAGED_POLICY)

    @property
    def policy_arn(self):
        """The ARN of the managed policy that denies IAM."""
        return self.arn_of(self.managed_policy)

    @property
    def boundary_arn(self):
        """The ARN of the permissions boundary that denies IAM."""
        return self.arn_of(aws_names.BOUNDARY_POLICY)

    def arn_of(self, policy):
        """The ARN of a managed policy of the account that is given by its ARN, or by its path and name."""
        config = self.manager.config
        own = f"arn:{get_partition(config.region)}:iam::{config.account_id}:policy/{policy}"
        return policy if policy.startswith("arn:") else own

    def check_policy_option(self):
        """Refuse what is neither a managed policy's name nor the ARN of one in the account."""
        policy, where, value = self.manager.ctx.policy, where_is(self, "policy"), self.managed_policy
        if not isinstance(value, str):
            refuse(policy, where, f"{value!r} is no text", "give the policy's name or ARN")
        if is_unfinished(policy, value):
            return
        arn = POLICY_ARN.fullmatch(value)
        if not arn and (value.startswith("arn:") or not POLICY_NAME.fullmatch(value)):
            fix = "write DenyIAMAccess, or arn:aws:iam::111122223333:policy/DenyIAMAccess"
            refuse(policy, where, f"{value!r} is neither a policy's name nor its ARN", fix)
        if arn and not is_template(policy) and arn["account"] != policy.options.account_id:
            problem = f"{value!r} is of another account than {policy.options.account_id}"
            refuse(policy, where, problem, "write its name alone")
