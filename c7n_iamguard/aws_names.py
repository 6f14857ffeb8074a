"""The names that the guard has in AWS, and those of AWS's that it knows."""

import re

#: The managed policy that ``deploy/account.yml`` makes, and that a revocation attaches.
MANAGED_POLICY = "DenyIAMAccess"
#: The inline policy that a revocation puts if the managed one cannot be attached.
INLINE_POLICY = "DenyIAM"
#: The managed policy that serves as permissions boundary if no other policy fits.
BOUNDARY_POLICY = "DenyIAMAccessBoundary"
#: The managed policy that ``deploy/contain.yml`` makes: it denies everything to a user or role that carries it.
QUARANTINE_POLICY = "iam-guard-quarantine"

#: The roles of the guard's functions.
FUNCTION_ROLES = ("iam-guard", "iam-guard-contain")
#: The guard's own roles. They are meant to use IAM whatever the settings say.
OWN_ROLES = (*FUNCTION_ROLES, "iam-guard-deployer", "iam-guard-reader", "iam-guard-response")
#: StackSets' execution roles, which make and update the guard's stacks.
STACK_SETS_ROLES = re.compile(r"stacksets-exec-\w{1,64}|AWSCloudFormationStackSetExecutionRole", re.ASCII)

#: The prefix of the guard's functions.
FUNCTION_PREFIX = "iam-guard-"
#: The functions that know the admin groups in every account.
MAIN_FUNCTIONS = (
    "iam-guard-revoke-unintended-iam-access", "iam-guard-catch-up-unintended-iam-access",
    "iam-guard-protect-admin-group", "iam-guard-catch-up-admin-group",
)  # fmt: skip
#: The event bus that gets the decisions, and the source of these events.
BUS = SOURCE = "iam-guard"

#: The tag of a user or role that asks for a restoration, and the one that says when there was one.
REQUEST_TAG, RESTORED_TAG = "iam-guard", "iam-guard-restored"
#: The tag of the functions' role that says which admin groups the stack was given.
GROUPS_TAG = "iam-guard-admin-groups"
#: The tag of a function that says which version of the plugin it carries.
VERSION_TAG = "iam-guard-version"
#: The tag of a function that says whether it observes: ``yes`` or ``no``.
OBSERVES_TAG = "iam-guard-observes"
#: The tag of a catch-up's function that says since when it judges calls, and its end if it observed.
SINCE_TAG, OBSERVED = "iam-guard-since", " observed"

#: The path of Identity Center's roles, and that of service-linked roles. Only AWS can change these roles.
IDENTITY_CENTER_PATH, SERVICE_LINKED_PATH = "/aws-reserved/sso.amazonaws.com/", "/aws-service-role/"
RESERVED_PATHS = ("/aws-reserved/", SERVICE_LINKED_PATH)

#: The one region of each partition in which IAM's events reach EventBridge and CloudTrail's event history.
IAM_REGIONS = {
    "aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1", "aws-eusc": "eusc-de-east-1",
}  # fmt: skip
