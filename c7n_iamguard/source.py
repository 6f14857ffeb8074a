"""Where users come from: the event itself."""


def user_from(caller):
    """The ``iam-user`` resource of an event's caller, made without a call to IAM.

    :param caller: :class:`c7n_iamguard.event.Caller` of a user
    :returns: what the event tells of the user: UserName, Arn, Path, and UserId where it is known
    """
    user = {"UserName": caller.name, "Arn": caller.arn, "Path": caller.path}
    if caller.id:
        user["UserId"] = caller.id
    return user
