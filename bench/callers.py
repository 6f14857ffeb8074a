"""The callers of IAM in a measurement, written into moto directly, because calls would take minutes.

Each kind knows how to make one who is to be denied, the event by which the function hears of their call, and how to
see that they are denied. The name ``admin`` is that of somebody who may use IAM.
"""

import itertools
import time

from moto.iam.models import iam_backends

from sandbox.access.principals import Principal
from sandbox.cloudtrail import records
from sandbox.events import rules
from sandbox.server import DEPLOY, document

ADMIN_GROUP = "admins"
ADMIN = "admin"
#: How long ago a call was that a catch-up finds, in seconds: the first half hour is the event path's.
CAUGHT_SECONDS = 45 * 60

numbers = itertools.count()


def backend(account):
    return iam_backends[account]["aws"]


def created(account, who, name="somebody", **more):
    """The record of a caller's CreateUser just now, of a user with a name."""
    params = {"UserName": name}
    return {**records.record(who.identity(), "iam", "CreateUser", params, account, "us-east-1"), **more}


class Kind:
    """The parts that all kinds have in common.

    :cvar denial: how the ARN of the policy ends that denies them
    """

    denial = "policy/DenyIAMAccess"

    @classmethod
    def event(cls, box, account, name):
        """EventBridge's event of a caller who has called CreateUser just now."""
        return records.envelope(created(account, cls.principal(account, name)))

    @classmethod
    def is_denied(cls, account, name):
        """Whether a caller carries the policy that denies."""
        return any(arn.endswith(cls.denial) for arn in cls.found(account, name).managed_policies)


class Users(Kind):
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


class CaughtUsers(Users):
    """Users whose call the event path has missed: the history has that one, and a schedule starts the function."""

    @classmethod
    def event(cls, box, account, name):
        """The schedule's event, with a call of the user in the history."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - CAUGHT_SECONDS))
        box.history.clear()
        box.history.append(created(account, cls.principal(account, name), eventTime=moment))
        return rules.envelope("aws.events", "Scheduled Event", {}, account, box.region, [])


class CreatedUsers(Users):
    """Users whom somebody has made who must not use IAM. They are quarantined, whatever happens to their maker."""

    denial = "policy/iam-guard-quarantine"
    MAKER = "maker"

    @classmethod
    def prepare(cls, box, account):
        """Make the quarantine, the admin group, and the user who makes others."""
        super().prepare(box, account)
        box.deploy(DEPLOY / "contain.yml", stack="iam-guard-contain", account=account)
        cls.add(box, account, [cls.MAKER])

    @classmethod
    def event(cls, box, account, name):
        """EventBridge's event of the call that has made a user just now."""
        who = cls.principal(account, ADMIN if name == ADMIN else cls.MAKER)
        user = cls.found(account, name)
        answer = {"user": {"userName": name, "userId": user.id, "arn": user.arn, "path": "/"}}
        return records.envelope(created(account, who, name, responseElements=answer))


class Roles(Kind):
    """Callers that are sessions of IAM roles."""

    @staticmethod
    def add(account, name, principal):
        """Make a role that somebody may take."""
        trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal})
        backend(account).create_role(name, trust, "/", None, "", [], None)

    @classmethod
    def prepare(cls, box, account):
        """Make the role that is meant to use IAM, and the admin group, without which nothing is deployed."""
        Users.prepare(box, account)
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
