"""What an operator wrote, checked: every error names the policy, the key and the mend."""

import re

from c7n.exceptions import PolicyValidationError
from c7n.utils import get_partition

from c7n_iamguard import deny

GROUP_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
POLICY_NAME = re.compile(r"(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,128}", re.ASCII)
POLICY_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):policy/(?P<name>(?:[!-.0-~]+/)*[\w+=,.@-]{1,128})", re.ASCII
)


#: The variable that c7n-org fills in from an account's ``vars``. Where nothing does, c7n leaves it as it is,
#: and the policy's own ``metadata: {admin-group: …}`` counts: one documented place for both.
ADMIN_GROUP = "{admin_group}"


def admin_group(policy, where, value):
    """A group's name as it is meant: the policy's own default for the variable that nothing has filled in.

    :raises PolicyValidationError: where the policy has no default either
    """
    if value != ADMIN_GROUP or is_template(policy):
        return value
    default = (policy.data.get("metadata") or {}).get("admin-group")
    if not isinstance(default, str):
        refuse(
            policy,
            where,
            f"{ADMIN_GROUP} has no value",
            "add metadata: {admin-group: admins}, or define it in vars",
        )
    return default


def refuse(policy, where, problem, mend):
    """Raise the error for a setting.

    :param policy: c7n's policy
    :param where: the element and key, such as ``filter:admin-group-member groups``
    :raises PolicyValidationError: always
    """
    raise PolicyValidationError(f"policy:{policy.name} {where}: {problem}; {mend}")


def check_variables(policy, where, value):
    """Refuse text with a ``{variable}`` that nothing has filled in.

    ``custodian validate`` sees policies before their variables are filled in, and lets them pass.
    """
    if "{" in value and not is_template(policy):
        refuse(
            policy, where, f"the variable in {value!r} has no value", "define it, or write the value itself"
        )


def is_template(policy):
    """Whether c7n looks at the file alone, and knows neither the account nor any variable yet."""
    return policy.options.account_id in (None, "na")


def check_group_names(policy, where, names):
    """Refuse a list of groups that cannot be meant: empty, or with something else than a group's name."""
    if not isinstance(names, list) or not names:
        refuse(policy, where, f"{names!r} is no list of groups", "name at least one, such as [admins]")
    for name in names:
        if not isinstance(name, str):
            refuse(policy, where, f"{name!r} is no group's name", "write it as text, in quotes")
        check_variables(policy, where, name)
        if "{" not in name and not GROUP_NAME.fullmatch(name):
            refuse(
                policy,
                where,
                f"{name!r} is no group's name",
                "use the name alone, without path, ARN or wildcards",
            )


def check_keys(policy, where, data, known):
    """Refuse keys that an element does not have."""
    for key in data:
        if key not in known:
            refuse(policy, f"{where} {key}", "there is no such key", f"use {' or '.join(known)}")


def check_boolean(policy, where, value):
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        refuse(policy, where, f"{value!r} is neither true nor false", "write true or false, without quotes")


def check_policy(policy, where, value):
    """Refuse what is neither a managed policy's name nor the ARN of one in the account."""
    if not isinstance(value, str):
        refuse(policy, where, f"{value!r} is no text", "give the policy's name or ARN")
    check_variables(policy, where, value)
    if "{" in value:
        return
    arn = POLICY_ARN.fullmatch(value)
    if not arn and (value.startswith("arn:") or not POLICY_NAME.fullmatch(value)):
        refuse(
            policy,
            where,
            f"{value!r} is neither a policy's name nor its ARN",
            "write DenyIAMAccess, or arn:aws:iam::111122223333:policy/DenyIAMAccess",
        )
    if arn and not is_template(policy) and arn["account"] != policy.options.account_id:
        refuse(
            policy,
            where,
            f"{value!r} is of another account than {policy.options.account_id}",
            "write its name alone",
        )


class PolicyOption:
    """The option ``policy`` of a filter or action: which managed policy denies IAM. A mixin."""

    def check_policy_option(self, kind):
        """Refuse a value that names no managed policy of the account.

        :param kind: ``filter`` or ``action``
        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        check_policy(self.manager.ctx.policy, f"{kind}:{self.type} policy", self.managed_policy)

    @property
    def managed_policy(self):
        """The managed policy that denies IAM, by name or ARN."""
        return self.data.get("policy", deny.MANAGED_POLICY)

    @property
    def policy_arn(self):
        """The ARN of the managed policy that denies IAM."""
        return self.arn_of(self.managed_policy)

    @property
    def boundary_arn(self):
        """The ARN of the permissions boundary that denies IAM."""
        return self.arn_of(deny.BOUNDARY_POLICY)

    def arn_of(self, policy):
        """The ARN of a managed policy of the account."""
        config = self.manager.config
        return deny.policy_arn(policy, get_partition(config.region), config.account_id)
