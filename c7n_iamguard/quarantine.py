"""The quarantine: what it is, who carries it, and whom it never hits."""

from c7n_iamguard import deny, principals, settings, trust
from c7n_iamguard.groups import AdminGroups
from c7n_iamguard.settings import GROUP_NAME, ROLE_NAME, USER_NAME

#: Where a deployed policy keeps the ids of the groups whose members are never quarantined.
PINS = "never-quarantine"
#: What a quarantine denies.
EVERYTHING = ("*",)
PATTERNS = {"groups": GROUP_NAME, "users": USER_NAME, "roles": ROLE_NAME}
#: The option of an action, for its schema.
NEVER_QUARANTINE = {
    "never-quarantine": {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: {"type": "array", "items": {"type": ["string", "array"]}} for key in PATTERNS},
    }
}


class Quarantine:
    """The managed policy ``iam-guard-quarantine`` and the option ``never-quarantine``. A mixin for actions."""

    @property
    def quarantine(self):
        """The ARN of the managed policy that denies everything."""
        return self.arn_of(deny.QUARANTINE_POLICY)

    def check_spared(self):
        """Check the names of those who are never quarantined.

        :raises PolicyValidationError: naming the policy, the key and the mend
        """
        policy = self.manager.ctx.policy
        for key, pattern in PATTERNS.items():
            if names := self.spared_names(key):
                where, noun = f"action:{self.type} never-quarantine.{key}", key.removesuffix("s")
                mend = "use the name alone, without path, ARN or wildcards"
                settings.check_names(policy, where, names, noun, pattern, "break-glass", mend)

    def spared_names(self, key):
        """The names of those whom the policy never quarantines: ``groups``, ``users`` or ``roles``."""
        listed = self.data.get("never-quarantine", {}).get(key, ["admins"] if key == "groups" else [])
        where = f"action:{self.type} never-quarantine.{key}"
        return settings.name_list(self.manager.ctx.policy, where, listed)

    def pin(self):
        """The ids of the groups whose members are never quarantined; a group that does not exist has none."""
        return {PINS: AdminGroups(self, self.spared_names("groups"), may_be_missing=True).pin()["groups"]}

    @property
    def spared(self):
        """Whom never to quarantine: groups by their ids, users and roles by their names in lower case.

        :raises PolicyExecutionError: if the function was deployed without the ids
        """
        pins = settings.pinned(self.manager.ctx.policy).get(PINS)
        if pins is None:
            settings.stop(self, "the function does not know the admin groups' ids", "deploy the policy again")
        names = {key: {name.lower() for name in self.spared_names(key)} for key in ("users", "roles")}
        return {**names, "groups": set(pins.values())}

    def check_quarantine(self, client):
        """Make sure that the quarantine denies everything.

        :raises trust.Distrusted: if it does not
        """
        trust.check(client, self.quarantine, EVERYTHING, deny.denies)

    def is_quarantined(self, client, target):
        """Whether a user or role carries the quarantine, and it denies everything."""
        kind = next((kind for kind in principals.KINDS if kind.name == target.kind), None)
        if kind is None:
            return False
        try:
            pages = kind.pages(client, "list_attached_{}_policies", target.name)
            attached = [policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]]
            if self.quarantine not in attached:
                return False
            self.check_quarantine(client)
        except (client.exceptions.NoSuchEntityException, trust.Distrusted):
            return False
        return True
