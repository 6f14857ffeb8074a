"""Users and roles, and everything that differs between the two. Other modules work on "the principal" of a kind."""

from c7n.resources.iam import Role, User

from c7n_iamguard.aws_names import RESERVED_PATHS
from c7n_iamguard.event import Caller
from c7n_iamguard.iam.client import answer_or_none


class Kind:
    """A kind of principal.

    :param noun: as IAM's operations name it: ``User``, ``Role``
    :param manager: c7n's resource manager of this kind
    :param rungs: the ways of denying IAM to one, in the order in which they are tried
    """

    def __init__(self, noun, manager, rungs):
        self.noun, self.manager, self.rungs = noun, manager, rungs
        #: ``user`` or ``role``, for messages and as :attr:`~c7n_iamguard.event.Caller.kind`.
        self.name = noun.lower()
        #: The keys of a resource's name (also IAM's parameter), of its unique id and of its inline policies.
        self.name_key, self.id_key, self.inline = f"{noun}Name", f"{noun}Id", f"{noun}PolicyList"

    def operation(self, client, template):
        """One of IAM's operations, as a function of the principal's name and the other parameters.

        :param template: the client's method with ``{}`` for the kind, such as ``attach_{}_policy``
        """
        method = getattr(client, template.format(self.name))
        return lambda name, **parameters: method(**{self.name_key: name}, **parameters)

    def everybody(self, client):
        """All users or roles of the account, 1,000 a call."""
        pages = client.get_paginator(f"list_{self.name}s").paginate(PaginationConfig={"PageSize": 1000})
        return pages.search(f"{self.noun}s[]")

    def attached_policies(self, client, name):
        """The managed policies that are attached to a principal, each with name and ARN."""
        paginator = client.get_paginator(f"list_attached_{self.name}_policies")
        return [p for page in paginator.paginate(**{self.name_key: name}) for p in page["AttachedPolicies"]]

    def by_name(self, client, name):
        """The principal of a name, as GetUser or GetRole describes it; None if there is none."""
        found = answer_or_none(self.operation(client, "get_{}"), name)
        return found and found[self.noun]

    def by_id(self, client, unique_id):
        """The user of a unique id, which survives renames; None if there is none.

        IAM cannot be asked for an id, so this lists all users. Nobody can rename a role, so a role that its own
        name does not lead to does not exist.
        """
        users = self.everybody(client) if self is USER else ()
        return next((user for user in users if user["UserId"] == unique_id), None)

    def now(self, client, name, unique_id):
        """The principal of a unique id, which may have another name by now; None if it is gone."""
        principal = self.by_name(client, name)
        is_same = principal and principal[self.id_key] == unique_id
        return principal if is_same else self.by_id(client, unique_id)

    def of_caller(self, who):
        """The resource that an event's :class:`~c7n_iamguard.event.Caller` is, made without a call to IAM."""
        principal = {self.name_key: who.name, "Arn": who.arn, "Path": who.path}
        return {**principal, self.id_key: who.id} if who.id else principal

    def as_caller(self, principal):
        """A user or role as the :class:`~c7n_iamguard.event.Caller` of a call."""
        facts = [principal.get(key) for key in (self.name_key, self.id_key, "Arn", "Path")]
        return Caller("IAMUser" if self is USER else "AssumedRole", None, self.name, *facts)

    def is_unmodifiable(self, principal):
        """Whether only AWS can change a principal: Identity Center's roles and service-linked ones."""
        return self is ROLE and (principal.get("Path") or "/").startswith(RESERVED_PATHS)

    def permissions(self, *templates):
        """IAM's permissions for this kind, such as ``iam:Attach{}Policy``."""
        return [template.format(self.noun) for template in templates]


USER = Kind("User", User, ("managed", "inline", "boundary"))
#: No inline step: whoever may put inline policies on roles may become anything in the account.
ROLE = Kind("Role", Role, ("managed", "boundary"))
KINDS = (USER, ROLE)


def kind_of(manager):
    """The :class:`Kind` of c7n's resource manager; None if it manages neither users nor roles."""
    return next((kind for kind in KINDS if isinstance(manager, kind.manager)), None)


def register(registry, name):
    """Register a class for users and roles, in ``filter_registry`` or ``action_registry``. A decorator."""

    def decorator(cls):
        for kind in KINDS:
            getattr(kind.manager, registry).register(name, cls)
        return cls

    return decorator
