"""Where users come from: the event itself, or the account where the event is not enough."""

import time
from calendar import timegm

from c7n.cache import NullCache
from c7n.query import sources
from c7n.resources.iam import DescribeUser, User

from c7n_iamguard.client import iam
from c7n_iamguard.event import detail
from c7n_iamguard.settings import refuse

#: An event older than this many seconds may be about a name that has changed hands since.
FRESH_SECONDS = 15 * 60


def user_from(caller):
    """The ``iam-user`` resource of an event's caller, made without a call to IAM.

    :param caller: :class:`c7n_iamguard.event.Caller` of a user
    :returns: what the event tells of the user: UserName, Arn, Path, and UserId where it is known
    """
    user = {"UserName": caller.name, "Arn": caller.arn, "Path": caller.path}
    if caller.id:
        user["UserId"] = caller.id
    return user


def is_fresh(event):
    """Whether a call was made so recently that its caller's name is still theirs.

    Redriven dead letters are days old. A time that is missing or cannot be read is no fresh one.
    """
    try:
        made = timegm(time.strptime(detail(event)["eventTime"], "%Y-%m-%dT%H:%M:%SZ"))
    except (KeyError, TypeError, ValueError):
        return False
    return abs(time.time() - made) < FRESH_SECONDS


def user_by_name(client, name):
    """The user of a name, as GetUser tells; None where there is none.

    :raises botocore.exceptions.ClientError: whatever else IAM answers
    """
    try:
        return client.get_user(UserName=name)["User"]
    except client.exceptions.NoSuchEntityException:
        return None


def same_user(client, who):
    """The user of a caller's name, where they are still the one who called; None where not."""
    user = user_by_name(client, who.name)
    return user if user and user["UserId"] == who.id else None


def user_by_id(client, unique_id):
    """The user of a unique id, which survives renames; None where there is none any more.

    IAM finds nobody by id, so that this reads the list of all users, 1,000 a call.

    :raises botocore.exceptions.ClientError: whatever IAM answers
    """
    pages = client.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1000})
    found = (user for page in pages for user in page["Users"] if user["UserId"] == unique_id)
    return next(found, None)


@sources.register("authorization-details")
class AuthorizationDetails(DescribeUser):
    """All users of an account with their groups, policies, boundary and tags, 1,000 a call.

    A user has what the stock filters expect of one (UserName, UserId, Arn, Path, CreateDate, Tags), and
    what came along: GroupList, AttachedManagedPolicies, UserPolicyList and, where there is one,
    PermissionsBoundary. PasswordLastUsed did not; ``source: describe`` has it.

    Users are read anew in every run. An event's user is read by GetUser, without what comes along here.

    :example:

    .. code-block:: yaml

        policies:
          - name: iam-users-outside-the-admin-group
            resource: aws.iam-user
            source: authorization-details
            filters:
              - not:
                  - admin-group-member

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
    """

    #: What the answer leaves out where a user has none.
    LISTS = ("GroupList", "AttachedManagedPolicies", "UserPolicyList", "Tags")

    def __init__(self, manager):
        if not isinstance(manager, User):
            policy = manager.ctx.policy
            refuse(policy, "source", f"{self.type} reads IAM users alone", "use resource: aws.iam-user")
        super().__init__(manager)
        # Custodian keeps what it has read for 15 minutes. Somebody who has become an admin since would be
        # revoked as none.
        manager._cache = NullCache(manager.config)

    def get_permissions(self):
        """What reading the account needs, and reading an event's user."""
        return ["iam:GetAccountAuthorizationDetails", "iam:GetUser"]

    def resources(self, query):
        """Every user of the account.

        :raises botocore.exceptions.ClientError: whatever IAM answers; part of the users is never all of them
        """
        pages = iam(self.manager).get_paginator("get_account_authorization_details")
        pages = pages.paginate(Filter=["User"], PaginationConfig={"PageSize": 1000})
        empty = {key: [] for key in self.LISTS}
        return [{**empty, **user} for page in pages for user in page["UserDetailList"]]

    def augment(self, resources):
        """The users as they are: there is nothing more to ask for."""
        return resources


def came_along(manager, user):
    """Whether a user's groups, policies and boundary were read with the user, by this run.

    Groups may also stand in a user whom AWS Config tells of, but those are of some time ago.
    """
    return isinstance(manager.source, AuthorizationDetails) and "GroupList" in user
