"""What an operator may write, and the error if it is wrong: it names the policy, the key and the fix.

The shipped policies hold placeholders such as ``{admin_groups}``, which c7n fills in from ``iam-guard.yml`` before
a policy runs. ``custodian validate`` sees them as they are, so that a placeholder is refused only by a run.
"""

import json
import re

from c7n.exceptions import PolicyValidationError
from c7n.filters import Filter
from c7n.utils import get_partition

from c7n_iamguard import aws_names
from c7n_iamguard.errors import Refusal

#: The environment variable of a function that holds what its deployment has found out, as JSON. The next deployment
#: reads it back.
PINS = "IAM_GUARD"

PLACEHOLDER = re.compile(r"\{\w+\}", re.ASCII)
#: The settings of ``iam-guard.yml`` by the options that take them.
SETTINGS = {
    "groups": "admin_groups",
    "roles": "admin_roles",
    "exempt": "exempt",
    "self-service": "self_service",
    "observe-people": "observe_people",
}

POLICY_NAME = re.compile(r"(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,128}", re.ASCII)
POLICY_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):policy/(?P<name>(?:[!-.0-~]+/)*[\w+=,.@-]{1,128})", re.ASCII
)


def where_is(element, key):
    """The element, its key and the setting that fills it in, for messages."""
    place = f"{'filter' if isinstance(element, Filter) else 'action'}:{element.type} {key}"
    return f"{place} ({SETTINGS[key]} in iam-guard.yml)" if key in SETTINGS else place


def setting(element, key, default=None):
    """What an element says under a key, when the policy runs. A text stands for a list of one.

    :raises Refusal: if nothing has filled in its placeholder
    """
    value = element.data.get(key, default)
    for each in value if isinstance(value, list) else [value]:
        if is_placeholder(each):
            raise Refusal(
                f"policy:{element.manager.ctx.policy.name} {where_is(element, key)}: nothing has filled in {each}; "
                "run custodian run --vars-file iam-guard.yml …, or c7n-org with an accounts file that "
                "deploy/accounts.py has written"
            )
    return [value] if isinstance(default, list) and isinstance(value, str) else value


def is_placeholder(value):
    """Whether a value waits for a setting."""
    return isinstance(value, str) and bool(PLACEHOLDER.fullmatch(value))


def pins_of(policy):
    """What a deployment has found out for the function: who is meant to use IAM, by id. None outside a function."""
    variables = policy.data.get("mode", {}).get("environment", {}).get("Variables", {})
    return json.loads(variables[PINS]) if PINS in variables else None


def refuse(policy, where, problem, fix):
    """Raise the error for a setting.

    :param policy: c7n's policy
    :param where: the element and key, such as ``filter:admin-group-member groups``
    :raises PolicyValidationError: always
    """
    raise PolicyValidationError(f"policy:{policy.name} {where}: {problem}; {fix}")


def refuse_account(element, problem, fix):
    """Raise the error for an account in which a policy would deny people who are meant to use IAM.

    :param element: c7n's filter or action
    :raises Refusal: always
    """
    manager = element.manager
    raise Refusal(
        f"policy:{manager.ctx.policy.name} {element.type}: {problem} in account "
        f"{manager.config.account_id}; {fix}"
    )


def is_template(policy):
    """Whether c7n only looks at the file: it knows neither the account nor any variable then."""
    return policy.options.account_id in (None, "na")


def is_unfinished(policy, value):
    """Whether a text has variables that c7n fills in before the policy runs, such as ``{account_id}``."""
    return "{" in value and is_template(policy)


def check_execution_mode(policy):
    """Refuse a mode whose function would not know the plugin.

    :raises PolicyValidationError: naming the policy and the modes that there are
    """
    if policy.execution_mode not in ("pull", "cloudtrail", "periodic"):
        problem = f"the function of a policy in mode {policy.execution_mode} would not know the plugin"
        refuse(policy, "mode.type", problem, "use cloudtrail or periodic")


def check_boolean(policy, where, value):
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool) and not is_placeholder(value):
        refuse(policy, where, f"{value!r} is neither true nor false", "write true or false, without quotes")


def check_policy(policy, where, value):
    """Refuse what is neither a managed policy's name nor the ARN of one in the account."""
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


class PolicyOption:
    """The option ``policy`` of a filter or action: which managed policy denies IAM. A mixin."""

    def check_policy_option(self):
        """Refuse a value that names no managed policy of the account.

        :raises PolicyValidationError: naming the policy, the key and the fix
        """
        check_policy(self.manager.ctx.policy, where_is(self, "policy"), self.managed_policy)

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
        """The ARN of a managed policy of the account."""
        config = self.manager.config
        return aws_names.policy_arn(policy, get_partition(config.region), config.account_id)
