"""Filter ``admin-role``: roles that are meant to use IAM."""

import logging
import re

from c7n.resources.iam import Role
from c7n.utils import type_schema

from c7n_iamguard.admins.judge import AdminCriterion
from c7n_iamguard.aws_names import IDENTITY_CENTER_PATH, OWN_ROLES, STACK_SETS_ROLES
from c7n_iamguard.decisions import log_line
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.iam.client import iam
from c7n_iamguard.iam.principals import ROLE
from c7n_iamguard.settings import (
    ROLE_ARN,
    ROLE_NAME,
    check_keys,
    check_names,
    is_template,
    name_list,
    pinned,
    refuse,
    stop,
)

log = logging.getLogger("c7n_iamguard")

#: A name, an ARN, or a pattern that only names of AWS's own can match.
LISTED = re.compile(rf"{ROLE_NAME.pattern}|{ROLE_ARN.pattern}|AWSReservedSSO_[\w+=,.@*?-]{{1,49}}", re.ASCII)


@Role.filter_registry.register("admin-role")
class AdminRole(AdminCriterion):
    """Roles that are meant to use IAM.

    ``roles`` names them, by exact name or by ARN. Names below ``/aws-reserved/sso.amazonaws.com/``, which only
    AWS can give, may be patterns: ``AWSReservedSSO_AdministratorAccess_*``. ``{admin_roles}`` stands for what
    c7n-org's ``vars`` say of the account, or else for the policy's own ``metadata: {admin-roles: […]}``.

    The guard's own roles and StackSets' execution roles match as well, whatever the list says.

    Deploying a policy pins the roles' ids. A role of a listed name with another id, deleted and made again
    since, neither matches nor fails to match: its events fail until the policy is deployed again.

    If a listed role does not exist, the policy is not deployed, unless ``allow-missing-role: true``.

    :example:

    .. code-block:: yaml

        policies:
          - name: roles-that-should-not-use-iam
            resource: aws.iam-role
            filters:
              - not:
                  - type: admin-role
                    roles: [Terraform, "AWSReservedSSO_AdministratorAccess_*"]

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """

    schema = type_schema("admin-role", **{"roles": {}, "allow-missing-role": {}})
    schema["patternProperties"] = {".": {}}
    permissions = ("iam:GetRole", "iam:ListRoles")

    @property
    def roles(self):
        """What the policy or its variables name."""
        policy, where = self.manager.ctx.policy, f"filter:{self.type} roles"
        return name_list(policy, where, self.data.get("roles", []))

    def validate(self):
        """Check the roles' names, and that there is no other key.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        policy, where = self.manager.ctx.policy, f"filter:{self.type}"
        check_keys(policy, where, set(self.data) - {"type"}, ("roles", "allow-missing-role"))
        mend = (
            "use a name or an ARN; wildcards only in names that begin with AWSReservedSSO_, because whoever may "
            "create roles could take any other name that a pattern matches"
        )
        check_names(policy, f"{where} roles", self.roles, "role", LISTED, "Terraform", mend)
        for role in self.roles:
            arn = ROLE_ARN.fullmatch(role)
            if arn and not is_template(policy) and arn["account"] != policy.options.account_id:
                problem = f"{role!r} is of another account than {policy.options.account_id}"
                refuse(policy, f"{where} roles", problem, "write its name alone")
        self.check_allow("allow-missing-role")

    def pin(self):
        """The ids of the listed roles and of the guard's own, by name, as of now.

        :raises PolicyExecutionError: if a listed role does not exist
        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        pages, found = ROLE.pages(iam(self.manager), "list_{}s", PaginationConfig={"PageSize": 1000}), {}
        every = {role["RoleName"].lower(): role for page in pages for role in page["Roles"]}
        for listed in self.roles:
            if _is_pattern(listed):
                continue
            role = every.get(listed.rsplit("/", 1)[-1].lower())
            if role and (not listed.startswith("arn:") or role["Arn"] == listed):
                found[role["RoleName"]] = role["RoleId"]
            elif not self.value_of("allow-missing-role", False):
                mend = "name the right role under roles, or add allow-missing-role: true to deploy without it"
                stop(self, f"the role {listed!r} does not exist", mend)
        for name, role in every.items():
            if name in OWN_ROLES or STACK_SETS_ROLES.fullmatch(role["RoleName"]):
                found[role["RoleName"]] = role["RoleId"]
        return {"roles": found}

    def process(self, resources, event=None):
        """The roles among ``resources`` that are meant to use IAM.

        :raises PolicyExecutionError: if a role has a listed name and is not the role that was listed
        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        event, ids = IAMEvent.of(event), pinned(self.manager.ctx.policy).get("roles")
        if ids is None:
            if event is not None:
                stop(self, "the function does not know the listed roles' ids", "deploy the policy again")
            ids = self.pin()["roles"]
        return [role for role in resources if self.is_listed(role, ids, event)]

    def is_listed(self, role, ids, event):
        """Whether a role is meant to use IAM.

        Over a whole account, a role of which nobody can tell is logged as ``failed``, and left alone.

        :raises PolicyExecutionError: in an event, if nobody can tell
        """
        name, known = role["RoleName"], self.knows(role, ids)
        if known and event is not None:
            event.meant = f"admin role {name}"
        if known is not None:
            return known
        problem = f"the role {name!r} ({role.get('RoleId')}) is not the one that was listed under this name"
        if event is None:
            policy, account = self.manager.ctx.policy.name, self.manager.config.account_id
            log.error(log_line("failed", None, policy=policy, account=account, role=name, reason=problem))
            return True
        return stop(self, problem, "deploy the policy again if this role is meant, or rename it")

    def knows(self, role, ids):
        """Whether a role is meant to use IAM; None if it has a listed name, and is not the role that was listed.

        :param ids: the ids of the listed roles and of the guard's own, by their names
        """
        if role.get("RoleId") in ids.values() or self.is_reserved(role):
            return True
        named = {listed.rsplit("/", 1)[-1].lower() for listed in self.roles if not _is_pattern(listed)}
        named |= set(OWN_ROLES)
        same = role["RoleName"].lower() in named | {pinned_name.lower() for pinned_name in ids}
        return None if same else False

    def is_reserved(self, role):
        """Whether a role is below AWS's own path and matches one of the patterns."""
        path, name = role.get("Path") or "/", role["RoleName"]
        return path.startswith(IDENTITY_CENTER_PATH) and any(
            re.fullmatch(re.escape(listed).replace(r"\*", ".*").replace(r"\?", "."), name)
            for listed in self.roles
            if _is_pattern(listed)
        )


def _is_pattern(listed):
    return "*" in listed or "?" in listed
