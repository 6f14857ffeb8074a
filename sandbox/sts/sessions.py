"""Sessions: the credentials that STS gives to users and to roles.

moto hands out one constant for all sessions of users, and forgets who began a session of a role, and how.
"""

from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from moto.sts.models import sts_backends
from moto.sts.responses import TokenResponse
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.access.principals import Principal, principal_of
from sandbox.replacements import replaces


def begin(role_arn, name, region, key=None, policy=None):
    """Begin a session of a role, with an access key id that STS has given already, if any."""
    account, partition = role_arn.split(":")[4], get_partition(region)
    role = next(r for r in iam_backends[account][partition].roles.values() if r.arn == role_arn)
    key = key or new_key()
    return keep(Principal("AssumedRole", account, partition, key, role.name, name, policy, role.id))


def keep(session):
    running.sandbox.sessions[session.key] = session
    return session


def credentials_of(principal, duration=3600):
    sts = sts_backends[principal.account][principal.partition]
    return {
        "AccessKeyId": principal.key,
        "SecretAccessKey": "s" * 40,
        "SessionToken": "t" * 40,
        "Expiration": sts.get_session_token(duration=duration).expiration,
    }


def new_key():
    return f"ASIA{mock_random.get_random_string(length=16).upper()}"


# Users


@replaces(TokenResponse)
def get_session_token(self):
    """Begin a session of the calling user, or of root."""
    return _session_of(self, principal_of(self.get_access_key(), self.region).kind, "session", None)


@replaces(TokenResponse)
def get_federation_token(self):
    """Begin a federated session of the calling user, or of root, narrowed by the policy they pass."""
    return _session_of(self, "FederatedUser", self._get_param("Name"), self._get_param("Policy"))


def _session_of(response, kind, name, policy):
    caller, key = principal_of(response.get_access_key(), response.region), new_key()
    unique = caller.entity and caller.entity.id
    session = Principal(kind, caller.account, caller.partition, key, caller.name, name, policy, unique)
    return ActionResult(
        {
            "Credentials": credentials_of(keep(session)),
            "FederatedUser": {
                "FederatedUserId": f"{caller.account}:{name}",
                "Arn": f"arn:{caller.partition}:sts::{caller.account}:federated-user/{name}",
            },
        }
    )


@replaces(TokenResponse)
def get_caller_identity(self):
    caller = principal_of(self.get_access_key(), self.region)
    identity = caller.identity()
    return ActionResult(
        {"UserId": identity.get("principalId"), "Account": caller.account, "Arn": identity.get("arn")}
    )


# Roles


@replaces(TokenResponse)
def assume_role(self):
    answer = assume_role.original(self)
    role = answer.result["Credentials"]
    begin(role.role_arn, role.session_name, self.region, role.access_key_id, self._get_param("Policy"))
    return answer
