"""Where users come from: the event itself, or the account where the event is not enough."""

import time
from calendar import timegm

from c7n_iamguard.event import detail

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


def user_by_id(client, unique_id):
    """The user of a unique id, which survives renames; None where there is none any more.

    IAM finds nobody by id, so that this reads the list of all users, 1,000 a call.

    :raises botocore.exceptions.ClientError: whatever IAM answers
    """
    pages = client.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1000})
    found = (user for page in pages for user in page["Users"] if user["UserId"] == unique_id)
    return next(found, None)
