"""What an operator may write, and the error if it is wrong: it names the policy, the key and the mend."""

import re

from c7n.exceptions import PolicyValidationError
from c7n.filters import Filter
from c7n.utils import get_partition

from c7n_iamguard import aws_names
from c7n_iamguard.errors import Refusal

GROUP_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
ROLE_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):role/(?:[!-.0-~]+/)*[\w+=,.@-]{1,64}", re.ASCII
)
POLICY_NAME = re.compile(r"(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,128}", re.ASCII)
POLICY_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):policy/(?P<name>(?:[!-.0-~]+/)*[\w+=,.@-]{1,128})", re.ASCII
)


#: The variables that c7n-org fills in from an account's ``vars``. If nothing fills one in, c7n leaves it as it
#: is, and the key of the policy's own ``metadata`` counts.
VARIABLES = {
    "{admin_group}": "admin-group",
    "{admin_roles}": "admin-roles",
    "{allow_missing_group}": "allow-missing-group",
    "{observe}": "observe",
}


def filled_in(policy, where, value):
    """What a variable stands for; any other value is itself.

    :param policy: c7n's policy
    :param where: the element and key, such as ``filter:admin-group-member groups``
    :raises PolicyValidationError: if neither c7n-org's vars nor the policy's metadata say, or the metadata has
        the key misspelt
    """
    if not isinstance(value, str) or value not in VARIABLES:
        return value
    key = VARIABLES[value]
    metadata = policy.data.get("metadata") or {}
    if metadata.get(key) is None:
        check_spelling(policy, metadata, key)
    if is_template(policy):
        return value
    if metadata.get(key) is None:
        mend = f"add {key} to the policy's metadata, or {value[1:-1]} to the account's vars in c7n-org's file"
        refuse(policy, where, f"{value} has no value", mend)
    return metadata[key]


def check_spelling(policy, metadata, key):
    """Refuse a key of the metadata that is a misspelt form of a key that is not there."""
    from difflib import get_close_matches  # functions have the key

    names = {str(name).lower(): name for name in metadata}
    for found in get_close_matches(key, names, cutoff=0.85):
        refuse(policy, f"metadata {names[found]}", "there is no such key", f"write {key}")


def name_list(policy, where, value):
    """A list of names, with its variables filled in; a variable may stand for several names."""
    if not isinstance(value, list):
        return value
    filled = [filled_in(policy, where, item) for item in value]
    return [name for item in filled for name in (item if isinstance(item, list) else [item])]


def refuse(policy, where, problem, mend):
    """Raise the error for a setting.

    :param policy: c7n's policy
    :param where: the element and key, such as ``filter:admin-group-member groups``
    :raises PolicyValidationError: always
    """
    raise PolicyValidationError(f"policy:{policy.name} {where}: {problem}; {mend}")


def stop(element, problem, mend):
    """Raise the error for an account in which a policy would deny people who are meant to use IAM.

    :param element: c7n's filter or action
    :raises Refusal: always
    """
    manager = element.manager
    raise Refusal(
        f"policy:{manager.ctx.policy.name} filter:{element.type}: {problem} in account "
        f"{manager.config.account_id}; {mend}"
    )


#: A deployed policy keeps the ids of its admins under this key of its ``metadata``.
PINS = "iam-guard"


def pinned(policy):
    """What was pinned when a policy was deployed; empty outside of a function."""
    return (policy.data.get("metadata") or {}).get(PINS, {})


def pin(policy, pins):
    """Keep something in a policy that is about to be deployed."""
    policy.data.setdefault("metadata", {}).setdefault(PINS, {}).update(pins)


def check_variables(policy, where, value):
    """Refuse text with a ``{variable}`` that nothing has filled in.

    ``custodian validate`` sees policies before anything fills them in, so there they pass.
    """
    if "{" in value and not is_template(policy):
        refuse(
            policy, where, f"the variable in {value!r} has no value", "define it, or write the value itself"
        )


def is_template(policy):
    """Whether c7n only looks at the file: it knows neither the account nor any variable then."""
    return policy.options.account_id in (None, "na")


def check_names(policy, where, names, noun, pattern, example, mend):
    """Refuse a list of names that cannot be meant: empty, or with something else than a name.

    :param noun: what is named, such as ``group``
    :param pattern: what a name matches
    :param mend: what to do about a name that does not match
    """
    if not isinstance(names, list) or not names:
        refuse(policy, where, f"{names!r} is no list of {noun}s", f"name at least one, such as [{example}]")
    for name in names:
        if not isinstance(name, str):
            refuse(policy, where, f"{name!r} is no {noun}'s name", "write it as text, in quotes")
        check_variables(policy, where, name)
        if "{" not in name and not pattern.fullmatch(name):
            refuse(policy, where, f"{name!r} is no {noun}'s name", mend)


def check_keys(policy, where, data, known):
    """Refuse keys that an element does not have."""
    for key in data:
        if key not in known:
            refuse(policy, f"{where} {key}", "there is no such key", f"use {' or '.join(known)}")


def check_boolean(policy, where, value):
    """Refuse what is neither true nor false."""
    if is_template(policy) and value in VARIABLES:
        return
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


class GroupsOption:
    """The option ``groups`` of a filter or action: the names of the admin groups. A mixin."""

    @property
    def group_names(self):
        """The admin groups' names, as the policy or its variables give them."""
        return name_list(self.manager.ctx.policy, self.groups_key, self.data.get("groups", ["admins"]))

    @property
    def groups_key(self):
        """The element and key, for messages."""
        return f"{'filter' if isinstance(self, Filter) else 'action'}:{self.type} groups"

    def check_groups(self):
        """Refuse names that are no groups' names.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        mend = "use the name alone, without path, ARN or wildcards"
        policy, where = self.manager.ctx.policy, self.groups_key
        check_names(policy, where, self.group_names, "group", GROUP_NAME, "admins", mend)


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
