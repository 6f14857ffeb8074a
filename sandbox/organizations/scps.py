"""AWS Organizations, as far as SCPs go: which act on whom, and who may change one.

moto keeps policies in the management account, and lets nobody else see them.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_delegate_policies.html
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
"""

import json

from moto.core.exceptions import JsonRESTError
from moto.organizations.exceptions import InvalidInputException
from moto.organizations.models import OrganizationsBackend, organizations_backends

from sandbox.replacements import replaces

SCP = "SERVICE_CONTROL_POLICY"
#: The most characters of an SCP.
SIZE = 10240


#: The calls that a management account may let member accounts make. Authorization judges whether it does.
DELEGATED = ("DescribePolicy", "ListTargetsForPolicy", "UpdatePolicy")


@replaces(OrganizationsBackend, "update_policy")
def update_policy(self, **parameters):
    """A change of a policy, which has a largest size and no Sid twice."""
    content = parameters.get("Content") or "{}"
    if len(content) > SIZE:
        raise InvalidInputException("You have exceeded the maximum policy size limit.")
    sids = [statement["Sid"] for statement in json.loads(content).get("Statement", ()) if "Sid" in statement]
    if len(set(sids)) < len(sids):
        problem = "The provided policy document does not meet the requirements of the specified policy type."
        raise JsonRESTError("MalformedPolicyDocumentException", problem)
    return update_policy.original(self, **parameters)


def management(account):
    """The management account of a member account's organization; None for anybody else."""
    return organizations_backends.master_accounts.get(account, (None,))[0]


def backend_of(account):
    return organizations_backends[management(account) or account]["aws"]


def arn_of(request):
    known = backend_of(request.account).policies
    return next((one.arn for one in known if one.id == request.params.get("PolicyId")), None)


def scps_of(account):
    """The SCPs that act in an account: those of the root, of its units and its own. None in the management account.

    They count as one set, so that an allow has to be on one level alone: enough for SCPs that deny.
    """
    if not management(account):
        return []
    backend = backend_of(account)
    place, attached = next(one for one in backend.accounts if one.id == account), []
    while place is not None:
        attached += [policy.content for policy in place.attached_policies if policy.type == SCP]
        place = next((unit for unit in backend.ou if unit.id == getattr(place, "parent_id", None)), None)
    return attached
