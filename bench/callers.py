"""Who calls IAM in a measurement, written into moto directly, because calls would take minutes.

Each kind of caller knows how to make one who is denied, one who is meant to use IAM, the event of their call, and
how to see that they are denied.
"""

import itertools
import json

from moto.iam.models import iam_backends

from sandbox import cloudtrail
from sandbox.principals import Principal

ADMIN_GROUP = "admins"
ADMIN = "admin"
MANAGED_POLICY = "policy/DenyIAMAccess"

numbers = itertools.count()


def backend(account):
    return iam_backends[account]["aws"]


def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Users:
    """Callers that are IAM users."""

    @staticmethod
    def add(box, account, names, groups=()):
        """Make users."""
        for name in names:
            user = backend(account).create_user(box.region, name)
            for group in groups:
                backend(account).groups[group].users.append(user)

    @classmethod
    def prepare(cls, box, account):
        """Make the admin group, with one member."""
        backend(account).create_group(ADMIN_GROUP)
        cls.add(box, account, [ADMIN], [ADMIN_GROUP])

    @classmethod
    def new(cls, box, account):
        """The name of a user who has not existed before."""
        name = f"user-{next(numbers)}"
        cls.add(box, account, [name])
        return name

    @staticmethod
    def principal(account, name):
        return Principal("IAMUser", account, "aws", "AKIABENCH", name)

    @staticmethod
    def found(account, name):
        return backend(account).users[name]


class Roles:
    """Callers that are sessions of IAM roles."""

    @staticmethod
    def add(account, name, principal):
        """Make a role that somebody may take."""
        trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal})
        return backend(account).create_role(name, trust, "/", None, "", [], None)

    @classmethod
    def prepare(cls, box, account):
        """Make the role that is meant to use IAM."""
        cls.add(account, ADMIN, {"AWS": account})

    @classmethod
    def new(cls, box, account):
        """The name of a role that has not existed before."""
        name = f"role-{next(numbers)}"
        cls.add(account, name, {"AWS": account})
        return name

    @staticmethod
    def principal(account, name):
        return Principal("AssumedRole", account, "aws", "ASIABENCH", name, "bench")

    @staticmethod
    def found(account, name):
        return next(role for role in backend(account).roles.values() if role.name == name)


def event(box, kind, account, name):
    """EventBridge's event of a caller who has called CreateUser just now."""
    identity, params = kind.principal(account, name).identity(), {"UserName": "somebody"}
    return cloudtrail.envelope(cloudtrail.record(identity, "iam", "CreateUser", params, account, box.region))


def is_denied(kind, account, name):
    """Whether a caller carries the managed deny policy."""
    return any(arn.endswith(MANAGED_POLICY) for arn in kind.found(account, name).managed_policies)
