"""Who is calling: what an access key stands for in the sandbox."""

from dataclasses import dataclass, field

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from sandbox import authorization

#: Sessions that STS gave to users, by access key id. moto hands out one constant for all of them.
sessions = {}


def operator_key(account):
    """The access key id of an account's operator, who may do anything."""
    return f"AKIA{account}ROOT"


def service_key(account):
    """The access key id with which Lambda itself calls STS for an account's functions."""
    return f"AKIA{account}SRVC"


@dataclass(frozen=True)
class Principal:
    """A caller, with all that authorization and CloudTrail want to know of them.

    :param kind: CloudTrail's type: ``Root``, ``IAMUser``, ``FederatedUser``, ``AssumedRole`` or ``Service``
    :param name: the user's, role's or service's name
    :param session: the session's name, where the credentials are temporary
    :param policy: a session policy, JSON text, that narrows the session
    """

    kind: str
    account: str
    partition: str
    key: str
    name: str | None = None
    session: str | None = None
    policy: str | None = field(default=None, compare=False)

    @property
    def backend(self):
        return iam_backends[self.account][self.partition]

    @property
    def entity(self):
        """moto's user or role behind the credentials; None for the operator."""
        if self.kind == "AssumedRole":
            return self.backend.get_role(self.name)
        if self.kind == "Service":
            return None
        return self.backend.get_user(self.name) if self.name else None

    @property
    def arn(self):
        if self.kind == "Root":
            return f"arn:{self.partition}:iam::{self.account}:root"
        if self.kind == "Service":
            return self.name
        if self.kind == "FederatedUser":
            return f"arn:{self.partition}:sts::{self.account}:federated-user/{self.session}"
        if self.kind == "AssumedRole":
            return f"arn:{self.partition}:sts::{self.account}:assumed-role/{self.name}/{self.session}"
        return self.entity.arn

    def identity(self):
        """CloudTrail's userIdentity element."""
        if self.kind == "Service":
            return {"type": "AWSService", "invokedBy": self.name}
        base = {"type": self.kind, "arn": self.arn, "accountId": self.account, "accessKeyId": self.key}
        if self.kind == "Root":
            return {**base, "principalId": self.account}
        issuer = {
            "type": "Role" if self.kind == "AssumedRole" else "IAMUser",
            "principalId": self.entity.id,
            "arn": self.entity.arn,
            "accountId": self.account,
            "userName": self.name,
        }
        if self.kind == "IAMUser":
            identity = {**base, "principalId": self.entity.id, "userName": self.name}
            return identity | ({"sessionContext": {"attributes": {}}} if self.session else {})
        prefix = self.entity.id if self.kind == "AssumedRole" else self.account
        context = {"sessionIssuer": issuer, "attributes": {}}
        return {**base, "principalId": f"{prefix}:{self.session}", "sessionContext": context}


def account_of(key):
    """The account that an access key belongs to, as moto's servers ask for it; None if nobody's."""
    if key.startswith("AKIA") and key.endswith(("ROOT", "SRVC")):
        return key[4:16]
    if key in sessions:
        return sessions[key].account
    for account, partitions in list(iam_backends.items()):
        if any(key in backend.access_keys for backend in partitions.values()):
            return account
    return None


def account_or_default(key):
    """The account that moto is to work in."""
    return account_of(key) or DEFAULT_ACCOUNT_ID


def principal_of(key, region):
    """Who an access key stands for; None where it is nobody's."""
    account, partition = account_of(key), get_partition(region)
    if account is None:
        return None
    if key == operator_key(account):
        return Principal("Root", account, partition, key)
    if key == service_key(account):
        return Principal("Service", account, partition, key, "lambda.amazonaws.com")
    if key in sessions:
        return sessions[key]
    for role in sts_backends[account][partition].assumed_roles:
        if role.access_key_id == key:
            name = role.role_arn.split("/")[-1]
            return Principal("AssumedRole", account, partition, key, name, role.session_name, role.policy)
    for user in iam_backends[account][partition].users.values():
        if any(k.access_key_id == key and k.status == "Active" for k in user.access_keys):
            return Principal("IAMUser", account, partition, key, user.name)
    return None


def may_assume(principal, role_arn, context):
    """Whether a role exists and trusts a principal."""
    account = role_arn.split(":")[4]
    roles = {role.arn: role for role in iam_backends[account][principal.partition].roles.values()}
    if role_arn not in roles:
        return False
    if principal.kind == "Service":
        names = {"Service": {principal.name}}
    else:
        root = f"arn:{principal.partition}:iam::{principal.account}:root"
        arn = authorization.policy_arn_of(principal)
        names = {"AWS": {principal.account, root, principal.arn, arn}}
        context = context | {"aws:principalarn": arn, "aws:principalaccount": principal.account}
    trust = roles[role_arn].assume_role_policy_document
    return authorization.trusts(trust, names, "sts:AssumeRole", context)


def reset():
    """Forget the sessions of users."""
    sessions.clear()
