"""The callers: an access key stands for one of them."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

import moto.iam.models
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.replacements import replaces


def operator_key(account):
    """The access key id of an account's operator, who may do anything, whatever a policy says."""
    return f"AKIA{account}ROOT"


def service_key(account):
    """The access key id with which Lambda itself calls STS for an account's functions."""
    return f"AKIA{account}SRVC"


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Principal:
    """A caller, with all that authorization and CloudTrail want to know of them.

    :param kind: CloudTrail's type: ``Root``, ``IAMUser``, ``FederatedUser``, ``AssumedRole`` or ``Service``
    :param name: the user's, role's or service's name
    :param session: the session's name, if the credentials are temporary
    :param policy: a session policy, JSON text, that narrows the session
    :param id: the id of the user or role that a session is of: one of the same name is somebody else
    :param created: when a session was made
    """

    kind: str
    account: str
    partition: str
    key: str
    name: str | None = None
    session: str | None = None
    policy: str | None = field(default=None, compare=False)
    id: str | None = None
    created: str = field(default_factory=now, compare=False)

    @property
    def backend(self):
        return iam_backends[self.account][self.partition]

    @property
    def entity(self):
        """moto's user or role behind the credentials; None for all others, and where it is gone."""
        if self.kind == "AssumedRole":
            known = self.backend.roles.values()
            return next((r for r in known if r.name == self.name and self.id in (None, r.id)), None)
        if self.kind not in ("IAMUser", "FederatedUser"):
            return None
        # A session goes on under its user's new name; a key is looked up anew for each call.
        same = (user for user in self.backend.users.values() if user.id == self.id)
        return next(same, None) if self.id else self.backend.users.get(self.name)

    @property
    def arn(self):
        prefix = f"arn:{self.partition}:"
        if self.kind == "Root":
            return f"{prefix}iam::{self.account}:root"
        if self.kind == "FederatedUser":
            return f"{prefix}sts::{self.account}:federated-user/{self.session}"
        if self.kind == "AssumedRole":
            return f"{prefix}sts::{self.account}:assumed-role/{self.name}/{self.session}"
        return self.entity.arn if self.entity else self.name

    @property
    def policy_arn(self):
        """``aws:PrincipalArn``: the role's ARN for its sessions, the user's for theirs."""
        return self.entity.arn if self.entity else self.arn

    def identity(self):
        """CloudTrail's userIdentity element.

        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
        """
        if self.kind == "Service":
            return {"type": "AWSService", "invokedBy": self.name}
        base = {"type": self.kind, "arn": self.arn, "accountId": self.account, "accessKeyId": self.key}
        if self.kind == "Root":
            return {**base, "principalId": self.account}
        entity = self.entity
        unique, name = (entity.id, entity.name) if entity else (self.id, self.name)
        context = {"attributes": {"creationDate": self.created, "mfaAuthenticated": "false"}}
        if self.kind == "IAMUser":
            identity = {**base, "principalId": unique, "userName": name}
            return identity | ({"sessionContext": context} if self.session else {})
        issuer = {
            "type": "Role" if self.kind == "AssumedRole" else "IAMUser",
            "principalId": unique,
            "arn": entity.arn if entity else None,
            "accountId": self.account,
            "userName": name,
        }
        if name is None:
            issuer = replace(self, kind="Root").identity()
            del issuer["accessKeyId"]
        prefix = issuer["principalId"] if self.kind == "AssumedRole" else self.account
        context = {"sessionIssuer": issuer, **context}
        return {**base, "principalId": f"{prefix}:{self.session}", "sessionContext": context}


def account_of(key):
    """The account that an access key belongs to, as moto's servers ask for it; None if nobody's."""
    if key.startswith("AKIA") and key.endswith(("ROOT", "SRVC")):
        return key[4:16]
    if key in running.sandbox.sessions:
        return running.sandbox.sessions[key].account
    for account, partitions in list(iam_backends.items()):
        if any(key in backend.access_keys for backend in partitions.values()):
            return account
    return None


@replaces(moto.iam.models, "get_account_id_from")
def account_or_default(key):
    """The account that moto is to work in."""
    return account_of(key) or DEFAULT_ACCOUNT_ID


def principal_of(key, region):
    """The caller of an access key; None if it is nobody's."""
    account, partition = account_of(key), get_partition(region)
    if account is None:
        return None
    if key == operator_key(account):
        return Principal("Root", account, partition, key)
    if key == service_key(account):
        return Principal("Service", account, partition, key, "lambda.amazonaws.com")
    if key in running.sandbox.sessions:
        return running.sandbox.sessions[key]
    for user in iam_backends[account][partition].users.values():
        if any(k.access_key_id == key and k.status == "Active" for k in user.access_keys):
            return Principal("IAMUser", account, partition, key, user.name)
    return None


def service(name, account, partition, arn=None):
    """An AWS service that acts by itself, on behalf of a resource of an account, such as a rule."""
    return Principal("Service", account, partition, service_key(account), name, session=arn)
