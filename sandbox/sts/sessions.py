"""Sessions: the credentials that STS gives to users, to roles, and to people of other identity providers.

moto hands out one constant for all sessions of users, and forgets who began a session of a role, and how.
"""

import base64
import json
import re

from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from moto.sts.models import STSBackend, sts_backends
from moto.sts.responses import TokenResponse
from moto.utilities.utils import get_partition

from sandbox import running
from sandbox.access.principals import Principal, principal_of
from sandbox.replacements import replaces


def begin(role_arn, name, region, key=None, policy=None, **how):
    """Begin a session of a role.

    :param key: the access key id, if STS has given one already
    :param how: further fields of :class:`~sandbox.access.principals.Principal`
    """
    account, partition = role_arn.split(":")[4], get_partition(region)
    role = next(r for r in iam_backends[account][partition].roles.values() if r.arn == role_arn)
    key = key or new_key()
    return keep(Principal("AssumedRole", account, partition, key, role.name, name, policy, role.id, **how))


def keep(session):
    """Know a session by its access key id."""
    running.sandbox.sessions[session.key] = session
    return session


def credentials_of(principal, duration=3600):
    """What STS answers of a session's credentials."""
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
    mfa, unique = bool(response._get_param("TokenCode")), caller.entity and caller.entity.id
    session = Principal(
        kind, caller.account, caller.partition, key, caller.name, name, policy, unique, mfa=mfa
    )
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
    """Who calls, as CloudTrail names them."""
    caller = principal_of(self.get_access_key(), self.region)
    identity = caller.identity()
    return ActionResult(
        {"UserId": identity.get("principalId"), "Account": caller.account, "Arn": identity.get("arn")}
    )


# Roles


@replaces(TokenResponse)
def assume_role(self):
    """Begin a session of a role, with the source identity of the call or of its caller."""
    answer = assume_role.original(self)
    caller = principal_of(self.get_access_key(), self.region)
    source = caller.context.get("sourceIdentity") or self._get_param("SourceIdentity")
    context, also = {"sourceIdentity": source} if source else {}, {}
    if caller.kind == "Service":  # Lambda, for a function that has the session's name
        arn = f"arn:{caller.partition}:lambda:{self.region}:{caller.account}:function"
        issued = f"{arn}:{self._get_param('RoleSessionName')}"
        also = {"inScopeOf": {"issuerType": "AWS::Lambda::Function", "credentialsIssuedTo": issued}}
    _note(self, answer, context, mfa=bool(self._get_param("TokenCode")), also=also)
    if source:
        answer.result["SourceIdentity"] = source
    return answer


@replaces(TokenResponse)
def assume_role_with_web_identity(self):
    """Begin a session of a role for somebody of an OpenID Connect provider."""
    answer = assume_role_with_web_identity.original(self)
    claims = claims_of(self._get_param("WebIdentityToken"))
    provider = provider_of(self._get_param("RoleArn"), claims)
    session = _note(self, answer, {"webIdFederationData": {"federatedProvider": provider, "attributes": {}}})
    answer.result["AssumedRoleUser"]["AssumedRoleId"] = f"{session.id}:{session.session}"
    return answer


def _note(response, answer, context, **how):
    role, region = answer.result["Credentials"], response.region
    policy = response._get_param("Policy")
    return begin(role.role_arn, role.session_name, region, role.access_key_id, policy, context=context, **how)


@replaces(STSBackend)
def assume_role_with_saml(self, **kwargs):
    """Begin a session of a role for somebody of a SAML provider."""
    role = assume_role_with_saml.original(self, **kwargs)
    begin(role.role_arn, role.session_name, role.region_name, role.access_key_id)
    return role


def federated(action, params, region):
    """Who calls STS without any credentials of AWS, with those of an identity provider.

    :param action: the name of the call
    :returns: a :class:`~sandbox.access.principals.Principal`; None for all other calls
    """
    if action not in ("AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"):
        return None
    account, partition = params["RoleArn"].split(":")[4], get_partition(region)
    if action == "AssumeRoleWithSAML":
        also = {"identityProvider": params["PrincipalArn"]}
        return Principal("SAMLUser", account, partition, "", "saml", also=also)
    claims = claims_of(params["WebIdentityToken"])
    provider = provider_of(params["RoleArn"], claims)
    also = {"principalId": f"{provider}:{claims['aud']}:{claims['sub']}", "identityProvider": provider}
    return Principal("WebIdentityUser", account, partition, "", claims["sub"], also=also)


def claims_of(token):
    """What a JSON Web Token claims. Its signature is nobody's here."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def provider_of(role_arn, claims):
    """The ARN of the OpenID Connect provider that has given a token, in the role's account."""
    issuer = re.sub("^https://", "", claims["iss"])
    return f"{role_arn.split(':role/')[0]}:oidc-provider/{issuer}"


def web_identity_context(params):
    """The condition keys that a token brings along: the provider's name, and what it claims."""
    claims = claims_of(params["WebIdentityToken"])
    issuer = re.sub("^https://", "", claims["iss"]).lower()
    return {f"{issuer}:{claim}": claims[claim] for claim in ("aud", "sub") if claim in claims}
