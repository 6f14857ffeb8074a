"""The organization that the sandbox's accounts are in, and what moto's AWS Organizations lacks.

moto lets a delegated administrator list nothing, and gives everything random ids.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_integrate_delegated_admin.html
"""

from moto.cloudformation.models import cloudformation_backends
from moto.core.exceptions import JsonRESTError
from moto.organizations.models import organizations_backends
from moto.organizations.responses import OrganizationsResponse

from sandbox import running
from sandbox.organizations import scps
from sandbox.replacements import replaces

#: The ids of the organization, of its root and of its one unit, as the pages show them.
ID, ROOT, UNIT = "o-exampleorgid", "r-abcd", "ou-abcd-12345678"
MANAGEMENT = "999999999999"


@replaces(OrganizationsResponse, "organizations_backend")
def backend_for(response):
    """The backend that answers: the management account's, which its delegated administrators may read, too."""
    account, partition = response.current_account, response.partition
    master = scps.management(account) or account
    backend, action = organizations_backends[master][partition], response._get_action()
    if master != account and action != "DescribeOrganization":
        reads = account in [one.account.id for one in backend.admins] and action.startswith(
            ("List", "Describe")
        )
        if not reads and action not in scps.DELEGATED:
            problem = "You don't have permissions to access this resource."
            raise JsonRESTError("AccessDeniedException", problem)
    return backend


def found(sandbox, members, unit="workloads"):
    """Found the organization, with the pages' ids; ``members`` are (id, name, whether it is in the unit)."""
    client = sandbox.client("organizations", account=MANAGEMENT)
    backend = organizations_backends[MANAGEMENT]["aws"]
    client.create_organization(FeatureSet="ALL")
    root, (management,) = backend.ou[0], backend.accounts
    backend.org.id, backend.org.root_id, root.id = ID, ROOT, ROOT
    management.organization_id, management.parent_id, management.name = ID, ROOT, "management"
    client.create_organizational_unit(ParentId=ROOT, Name=unit)
    backend.ou[1].id, backend.ou[1].organization_id = UNIT, ID
    for number, name, in_unit in members:
        client.create_account(Email=f"{name}@example.com", AccountName=name)
        account = backend.accounts[-1]
        del organizations_backends.master_accounts[account.id]
        account.id, account.parent_id = number, UNIT if in_unit else ROOT
        organizations_backends.master_accounts[number] = (MANAGEMENT, "aws")


def dissolve():
    """End the organization and its StackSets; accounts and stacks stay."""
    organizations_backends[MANAGEMENT]["aws"]._reset()
    organizations_backends.master_accounts.clear()
    for backend in cloudformation_backends[MANAGEMENT].values():
        backend.stacksets.clear()


def accounts_below(account, partition, parents):
    """The ids of the accounts below roots and units, but the management account, which is ``account``."""
    backend = organizations_backends[account][partition]
    known, more = set(), set(parents)
    while more:
        known |= more
        more = {unit.id for unit in backend.ou if unit.parent_id in known} - known
    return [one.id for one in backend.accounts if one.parent_id in known and one.id != account]


def of(account):
    """The id of the organization that an account is in; None for outsiders."""
    return None if account in running.sandbox.outsiders else ID
