"""moto's state, remembered and put back, so that no test depends on another one."""

import copy


def of(things):
    """Remember what moto's objects hold, by the keys that they have in a backend.

    :returns: a function that puts it all back
    """
    copied = {dict: dict, list: list}
    before = {
        key: (
            thing,
            {name: copied.get(type(value), lambda v: v)(value) for name, value in vars(thing).items()},
        )
        for key, thing in things.items()
    }

    def put_back():
        things.clear()
        for key, (thing, held) in before.items():
            things[key] = thing
            vars(thing).update(held)

    return put_back


def iam(backend):
    """Remember the users, groups, roles, managed policies and tags of moto's IAM backend; as :func:`of`."""
    kinds = [of(kind) for kind in (backend.users, backend.groups, backend.roles, backend.managed_policies)]
    versions = {arn: copy.deepcopy(policy.versions) for arn, policy in backend.managed_policies.items()}
    tags = copy.deepcopy(backend.tagger.tags)

    def put_back():
        for put_back_kind in kinds:
            put_back_kind()
        for arn, held in versions.items():
            backend.managed_policies[arn].versions = held
        backend.tagger.tags = tags

    return put_back


def functions(account, region):
    """Remember an account's functions and rules; as :func:`of`."""
    from moto.awslambda.models import lambda_backends
    from moto.events.models import events_backends

    storage = lambda_backends[account][region]._lambdas
    known, arns = copy.copy(storage._functions), dict(storage._arns)
    puts = [
        of(events_backends[account][region].event_buses["default"].rules),
        *(of({"latest": each["latest"], "policy": each["latest"].policy}) for each in known.values()),
    ]

    def put_back():
        for put_back_kind in puts:
            put_back_kind()
        storage._functions = known
        storage._arns.update(arns)

    return put_back
