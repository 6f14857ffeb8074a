"""Filters on ``iam-user``."""

from c7n.exceptions import PolicyExecutionError
from c7n.filters import Filter
from c7n.resources.iam import User
from c7n.utils import type_schema

from c7n_iamguard import deny
from c7n_iamguard.client import each, iam
from c7n_iamguard.event import caller, detail, granted_groups, notes
from c7n_iamguard.settings import PolicyOption, admin_group, check_boolean, check_group_names, check_keys
from c7n_iamguard.source import came_along, is_fresh, same_user, user_by_id, user_by_name


@User.filter_registry.register("admin-group-member")
class AdminGroupMember(Filter):
    """Users who are in one of the admin groups.

    ``groups`` names the groups, ``admins`` if it is left out; names match without regard to case, as in
    IAM. ``{admin_group}`` among them stands for what c7n-org's ``vars`` say of the account, a name or a
    list, and for the policy's own ``metadata: {admin-group: …}`` where they say nothing.

    An error of IAM ends the run with that error: it never counts as "in no group". A user who no
    longer exists is no match.

    A policy whose admin group does not exist, or has no members, is neither deployed nor run over an
    account: it would take everybody for no admin. ``allow-missing-group: true`` says that this is meant,
    as in an account whose people all come in through roles.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-outside-the-admin-group
            resource: aws.iam-user
            filters:
              - not:
                  - type: admin-group-member
                    groups: [admins]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupsForUser.html
    """

    # c7n reports a schema error inside of a "not" block as a page of alternatives. So the schema lets wrong
    # values and keys pass here, and validate() refuses them in one sentence.
    schema = type_schema("admin-group-member", **{"groups": {}, "allow-missing-group": {}})
    schema["patternProperties"] = {".": {}}
    permissions = ("iam:ListGroupsForUser", "iam:GetGroup", "iam:ListGroups")
    annotation = "c7n:AdminGroups"

    @property
    def groups(self):
        """The admin groups' names; ``{admin_group}`` is what c7n-org's vars or the policy's metadata say."""
        groups = self.data.get("groups", ["admins"])
        if not isinstance(groups, list):
            return groups
        policy, where = self.manager.ctx.policy, f"filter:{self.type} groups"
        flat = [name for item in groups for name in (item if isinstance(item, list) else [item])]
        return [admin_group(policy, where, name) for name in flat]

    @property
    def admin_groups(self):
        """The admin groups' names in lower case, as IAM compares them."""
        return {name.lower() for name in self.groups}

    def validate(self):
        """Check the group names, and that there is no other key.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        policy, where = self.manager.ctx.policy, f"filter:{self.type}"
        check_keys(policy, where, set(self.data) - {"type"}, ("groups", "allow-missing-group"))
        check_group_names(policy, f"{where} groups", self.groups)
        allow = self.data.get("allow-missing-group", False)
        check_boolean(policy, f"{where} allow-missing-group", allow)

    def check_admins(self):
        """Make sure that somebody in the account is an admin by this filter, unless none is meant to be.

        :raises PolicyExecutionError: where a group does not exist, or none of them has a member
        :raises botocore.exceptions.ClientError: whatever else IAM answers
        """
        if self.data.get("allow-missing-group"):
            return
        client = iam(self.manager)
        members = 0
        for name in self.groups:
            group = self.find_group(client, name)
            if group is None:
                self.refuse_to_run(f"the admin group {name!r} does not exist")
            members += len(group["Users"])
        if not members:
            named = ", ".join(map(repr, self.groups))
            self.refuse_to_run(f"no user is a member of the admin group {named}")

    def refuse_to_run(self, problem):
        """Raise the error for an account in which the policy would take everybody for no admin."""
        raise PolicyExecutionError(
            f"policy:{self.manager.ctx.policy.name} filter:{self.type}: {problem} in account "
            f"{self.manager.config.account_id}, so that every user there would be revoked; name the right "
            "group under groups, or add allow-missing-group: true if nobody there is meant to be an admin"
        )

    @staticmethod
    def find_group(client, name):
        """GetGroup's answer for a group's name in any case; None where there is no such group."""
        try:
            return client.get_group(GroupName=name)
        except client.exceptions.NoSuchEntityException:
            pages = client.get_paginator("list_groups").paginate()
            names = [group["GroupName"] for page in pages for group in page["Groups"]]
            same = [known for known in names if known.lower() == name.lower() and known != name]
            return client.get_group(GroupName=same[0]) if same else None

    def process(self, resources, event=None):
        """The users among ``resources`` who are in an admin group.

        :raises PolicyExecutionError: outside an event, where nobody in the account is an admin
        :raises botocore.exceptions.ClientError: whatever IAM answers, but that a user does not exist
        """
        if event is None:
            self.check_admins()
        client = iam(self.manager)
        admin_groups = self.admin_groups - set(notes(event).get("granted", ()))

        if all(came_along(self.manager, user) for user in resources):
            memberships = [user["GroupList"] for user in resources]
        else:
            names = [user["UserName"] for user in resources]
            memberships = each(self, lambda name: self.groups_of(client, name), names)

        members = []
        for user, groups in zip(resources, memberships, strict=True):
            if groups is None:
                notes(event)["gone"] = True
                continue
            found = [name for name in groups if name.lower() in admin_groups]
            if found:
                notes(event)["admin-groups"] = user[self.annotation] = found
                members.append(user)
        return members

    @staticmethod
    def groups_of(client, user_name):
        """The names of all groups that a user is in; None where there is no such user."""
        pages = client.get_paginator("list_groups_for_user").paginate(UserName=user_name)
        try:
            return [group["GroupName"] for page in pages for group in page["Groups"]]
        except client.exceptions.NoSuchEntityException:
            return None


@User.filter_registry.register("unintended-admin-group-member")
class UnintendedAdminGroupMember(AdminGroupMember):
    """Users whom an AddUserToGroup event made a member of an admin group, by a caller who is no admin.

    The user is the one who was added, the caller the one who added them; they may be one. A caller is an
    admin who is in one of ``groups``, not counting a group that the very call made them a member of.
    Both are found under another name, too; an added user who is not found fails the event.

    :example:

    .. code-block:: yaml

        policies:
          - name: members-of-the-admin-group-by-somebody-else
            resource: aws.iam-user
            filters:
              - type: unintended-admin-group-member
                groups: [admins]

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddUserToGroup.html
    """

    schema = type_schema("unintended-admin-group-member", **{"groups": {}, "allow-missing-group": {}})
    schema["patternProperties"] = {".": {}}
    permissions = (*AdminGroupMember.permissions, "iam:GetUser", "iam:ListUsers")

    def process(self, resources, event=None):
        """The users among ``resources`` who were added; none outside of an event.

        :raises MalformedEvent: where the event does not say who called
        :raises PolicyExecutionError: where it cannot be told who was added, or by whom
        :raises botocore.exceptions.ClientError: whatever IAM answers, but that a user does not exist
        """
        if event is None:
            return []
        record = detail(event)
        parameters = record.get("requestParameters")
        group = parameters.get("groupName") if isinstance(parameters, dict) else None
        granted = isinstance(group, str) and group.lower() in self.admin_groups
        if record.get("eventName") != "AddUserToGroup" or record.get("errorCode") or not granted:
            return []
        who, client = caller(event), iam(self.manager)
        groups = self.groups_of_caller(client, event, who) if who.is_user else []
        lawful = self.admin_groups - granted_groups(event, who)
        found = [name for name in groups if name.lower() in lawful]
        notes(event)["admin-groups"] = found
        return [] if found else [self.present(client, user, who) for user in resources]

    def groups_of_caller(self, client, event, who):
        """The groups of an event's caller, under whatever name they have now; none of one who is gone.

        :raises PolicyExecutionError: where the caller of an old event is gone: not knowing is not "no"
        """
        user = {"UserName": who.name} if is_fresh(event) else same_user(client, who)
        groups = self.groups_of(client, user["UserName"]) if user else None
        if groups is None and who.id:
            user = user_by_id(client, who.id)
            groups = self.groups_of(client, user["UserName"]) if user else None
        if groups is None and not is_fresh(event):
            raise PolicyExecutionError(
                f"{who.name}, who added somebody to the admin group, is gone, and nobody can tell whether "
                "they were an admin: look at the group"
            )
        return groups or []

    def present(self, client, user, who):
        """The added user under the name that they have now.

        :raises PolicyExecutionError: where there is none: set-groups would take that for done
        """
        found = user_by_name(client, user["UserName"])
        themself = who.is_user and user["UserName"].lower() == who.name.lower()
        if themself and who.id and (found is None or found["UserId"] != who.id):
            found = user_by_id(client, who.id)  # whoever has the name now was not added
        if found is None:
            raise PolicyExecutionError(
                f"{user['UserName']}, who was added to the admin group, is gone or renamed: look at the group"
            )
        return found


@User.filter_registry.register("iam-access-revoked")
class IAMAccessRevoked(PolicyOption, Filter):
    """Users who carry the guard's deny, in any of its forms.

    The forms found are in ``c7n:IAMAccessRevoked``:

    - ``managed``: the managed policy ``policy``, a name or an ARN, ``DenyIAMAccess`` if it is left out;
    - ``inline``: the inline policy ``DenyIAM``, with a document that ``revoke-iam-access`` writes;
    - ``boundary``: the permissions boundary ``DenyIAMAccessBoundary``.

    A boundary of somebody else's that was enough for a revocation is not among them. An error of IAM ends
    the run with that error. A user who no longer exists is no match.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-who-are-denied-iam
            resource: aws.iam-user
            source: authorization-details
            filters:
              - iam-access-revoked

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_UserDetail.html
    """

    schema = type_schema("iam-access-revoked", policy={"type": "string"})
    permissions = ("iam:ListAttachedUserPolicies", "iam:GetUserPolicy", "iam:GetUser")
    annotation = "c7n:IAMAccessRevoked"

    def validate(self):
        """Check the policy's name.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        self.check_policy_option("filter")

    def process(self, resources, event=None):
        """The users among ``resources`` who carry the deny.

        :raises botocore.exceptions.ClientError: whatever IAM answers, but that a user does not exist
        """
        client = iam(self.manager)

        def carried(user):
            state = user if came_along(self.manager, user) else self.state_of(client, user["UserName"])
            return state and self.forms_in(state)

        revoked = []
        for user, forms in zip(resources, each(self, carried, resources), strict=True):
            if forms is None:
                notes(event)["gone"] = True
            elif forms:
                user[self.annotation] = forms
                revoked.append(user)
        return revoked

    def forms_in(self, state):
        """The forms of the guard's deny in a user as the source ``authorization-details`` gives them."""
        boundary = state.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        inline = {policy["PolicyName"]: policy["PolicyDocument"] for policy in state["UserPolicyList"]}
        forms = {
            "managed": self.policy_arn in [p["PolicyArn"] for p in state["AttachedManagedPolicies"]],
            "inline": deny.is_own_document(inline.get(deny.INLINE_POLICY)),
            "boundary": boundary == self.boundary_arn,
        }
        return [form for form, is_there in forms.items() if is_there]

    @staticmethod
    def state_of(client, name):
        """What a user carries of what :meth:`forms_in` looks at; None where there is no such user."""
        user = user_by_name(client, name)
        if user is None:
            return None
        pages = client.get_paginator("list_attached_user_policies").paginate(UserName=name)
        try:
            attached = [policy for page in pages for policy in page["AttachedPolicies"]]
        except client.exceptions.NoSuchEntityException:
            return None
        try:
            inline = [client.get_user_policy(UserName=name, PolicyName=deny.INLINE_POLICY)]
        except client.exceptions.NoSuchEntityException:
            inline = []
        return {**user, "AttachedManagedPolicies": attached, "UserPolicyList": inline}
