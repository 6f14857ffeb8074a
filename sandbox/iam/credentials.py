"""Ways to sign in that moto's IAM lacks: service-specific credentials, passwords."""

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.iam import exceptions
from moto.iam.models import User
from moto.iam.responses import IamResponse
from moto.iam.utils import random_access_key
from moto.moto_api._internal import mock_random

from sandbox.iam.entities import page_of
from sandbox.replacements import replaces

# Credentials for one service


@replaces(IamResponse)
def create_service_specific_credential(self):
    user, service = user_of(self), self._get_param("ServiceName")
    made = {
        "ServiceSpecificCredentialId": f"ACCA{random_access_key()}",
        "ServiceName": service,
        "ServiceUserName": f"{user.name}-at-{user.account_id}",
        "ServicePassword": mock_random.get_random_string(length=40),
        "UserName": user.name,
        "Status": "Active",
        "CreateDate": utcnow(),
    }
    credentials_of(user)[made["ServiceSpecificCredentialId"]] = made
    return ActionResult({"ServiceSpecificCredential": made})


@replaces(IamResponse)
def update_service_specific_credential(self):
    credential_of(self)["Status"] = self._get_param("Status")
    return EmptyResult()


@replaces(IamResponse)
def delete_service_specific_credential(self):
    del credentials_of(user_of(self))[credential_of(self)["ServiceSpecificCredentialId"]]
    return EmptyResult()


@replaces(IamResponse)
def list_service_specific_credentials(self):
    """List a user's credentials by pages, without their passwords."""
    found = [{**one, "ServicePassword": None} for one in credentials_of(user_of(self)).values()]
    page, pages = page_of(self, found)
    return ActionResult({"ServiceSpecificCredentials": page, **pages})


def user_of(response):
    return response.backend.get_user(response._get_param("UserName"))


def credentials_of(user: User):
    return user.__dict__.setdefault("service_specific_credentials", {})


def credential_of(response):
    wanted = response._get_param("ServiceSpecificCredentialId")
    found = credentials_of(user_of(response)).get(wanted)
    if found is None:
        raise exceptions.NoSuchEntity(f"No such credential {wanted} exists")
    return found


# Passwords


@replaces(IamResponse)
def create_login_profile(self):
    """Give a user a password, and remember when."""
    create_login_profile.original(self)
    user_of(self).password_created = utcnow()
    return get_login_profile(self)


@replaces(IamResponse)
def get_login_profile(self):
    """Tell of a password, with its own date instead of the user's."""
    answer = get_login_profile.original(self)
    answer.result["LoginProfile"]["CreateDate"] = user_of(self).password_created
    return answer


@replaces(IamResponse)
def change_password(self):
    """Change the caller's own password, if they know the old one."""
    user = self.backend.get_user_from_access_key_id(self.get_access_key())
    if user is None or user.password != self._get_param("OldPassword"):
        raise exceptions.IAMException("AccessDenied", "The old password was incorrect.")
    user.password = self._get_param("NewPassword")
    return EmptyResult()
