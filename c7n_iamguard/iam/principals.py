"""Users and roles: how IAM's calls and parameters are named for each, and finding one by name or id.

Everything that differs between the two is in :data:`USER` and :data:`ROLE`. The other modules work on
"the principal" and ask its :class:`Kind`.
"""

from dataclasses import dataclass

from c7n.resources.iam import Role, User

from c7n_iamguard.aws_names import RESERVED_PATHS
from c7n_iamguard.event import Caller


@dataclass(frozen=True)
class Kind:
    """A kind of principal.

    :param noun: as IAM's operations name it: ``User``, ``Role``
    :param manager: c7n's resource manager of this kind
    :param resource: the resource type that a policy names
    :param rungs: the ways in which IAM can be denied to one, in the order in which they are tried
    :param details: the key of GetAccountAuthorizationDetails' answer
    :param inline: the key of the inline policies in such an answer
    """

    noun: str
    manager: type
    resource: str
    rungs: tuple
    details: str
    inline: str

    @property
    def name(self):
        """``user`` or ``role``, for messages and as :attr:`~c7n_iamguard.event.Caller.kind`."""
        return self.noun.lower()

    @property
    def name_key(self):
        """The parameter that names one, and the key of the name in a resource."""
        return f"{self.noun}Name"

    @property
    def id_key(self):
        """The key of the unique id in a resource."""
        return f"{self.noun}Id"

    def operation(self, client, template):
        """One of IAM's operations for this kind.

        :param template: the client's method with ``{}`` for the kind, such as ``attach_{}_policy``
        :returns: a function of the principal's name and the other parameters
        """
        method = getattr(client, template.format(self.name))
        return lambda name, **parameters: method(**{self.name_key: name}, **parameters)

    def pages(self, client, template, name=None, **parameters):
        """All items of a paged operation for this kind, page by page.

        :param template: as for :meth:`operation`, such as ``list_attached_{}_policies``
        """
        if name is not None:
            parameters[self.name_key] = name
        return client.get_paginator(template.format(self.name)).paginate(**parameters)

    def by_name(self, client, name):
        """The principal of a name, as GetUser or GetRole describes it; None if there is none.

        :raises botocore.exceptions.ClientError: whatever else IAM answers
        """
        try:
            return self.operation(client, "get_{}")(name)[self.noun]
        except client.exceptions.NoSuchEntityException:
            return None

    def by_id(self, client, unique_id):
        """The user of a unique id, which survives renames; None if there is none.

        IAM cannot be asked for an id, so this reads the whole list, 1,000 a call. Nobody can rename a role, so a
        role that its own name does not lead to does not exist.

        :raises botocore.exceptions.ClientError: whatever IAM answers
        """
        if self is ROLE:
            return None
        pages = self.pages(client, "list_{}s", PaginationConfig={"PageSize": 1000})
        every = (each for page in pages for each in page[f"{self.noun}s"])
        return next((each for each in every if each[self.id_key] == unique_id), None)

    def of_caller(self, who):
        """The resource that an event's caller is, made without a call to IAM.

        :param who: :class:`c7n_iamguard.event.Caller` of this kind
        :returns: name, Arn, Path, and the unique id if the event has it
        """
        principal = {self.name_key: who.name, "Arn": who.arn, "Path": who.path}
        return {**principal, self.id_key: who.id} if who.id else principal

    def as_caller(self, principal, session=None):
        """A user or role as the :class:`~c7n_iamguard.event.Caller` of a call.

        :param session: the name of the role's session, if the call is known
        """
        name, unique_id = principal[self.name_key], principal.get(self.id_key)
        arn, path = principal.get("Arn"), principal.get("Path")
        type_ = "IAMUser" if self is USER else "AssumedRole"
        return Caller(type_, None, self.name, name, unique_id, arn, path, session)

    def is_unmodifiable(self, principal):
        """Whether only AWS can change a principal: Identity Center's roles and service-linked ones."""
        return self is ROLE and (principal.get("Path") or "/").startswith(RESERVED_PATHS)

    def permissions(self, *templates):
        """IAM's permissions for this kind, such as ``iam:Attach{}Policy``."""
        return [template.format(self.noun) for template in templates]


USER = Kind(
    "User", User, "aws.iam-user", ("managed", "inline", "boundary"), "UserDetailList", "UserPolicyList"
)
#: No inline step: whoever may put inline policies on roles may become anything in the account.
ROLE = Kind("Role", Role, "aws.iam-role", ("managed", "boundary"), "RoleDetailList", "RolePolicyList")
KINDS = (USER, ROLE)


def kind_of(manager):
    """The :class:`Kind` of c7n's resource manager; None if it manages neither users nor roles."""
    return next((kind for kind in KINDS if isinstance(manager, kind.manager)), None)


def register(registry, name):
    """A class decorator that registers an element for every kind.

    :param registry: ``filter_registry`` or ``action_registry``
    """

    def decorator(cls):
        for kind in KINDS:
            getattr(kind.manager, registry).register(name, cls)
        return cls

    return decorator
