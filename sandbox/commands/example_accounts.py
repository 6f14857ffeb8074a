"""The people, roles and trail with which ``serve`` starts, as the commands of README and docs expect them."""

from moto.iam.models import iam_backends

from sandbox.iam.entities import add_policy_of_aws
from sandbox.server import document

BUCKET = "trail-of-this-account"
SSO_ROLE = "AWSReservedSSO_AdministratorAccess_0123456789abcdef"
#: Those of AWS's own policies that people attach here, the smoke test among them.
POLICIES_OF_AWS = (
    "AdministratorAccess",
    "AWSDenyAll",
    "IAMFullAccess",
    "IAMSelfManageServiceSpecificCredentials",
    "PowerUserAccess",
    "ReadOnlyAccess",
)


def populate(sandbox):
    """Put people, roles, a trail and what the docs' commands name into an account, and return their keys."""
    iam, groups = sandbox.client("iam"), {"bob": ["developers", "data"], "carol": ["developers"]}
    keys = people(sandbox, sandbox.account, {"ada": ["admins"], **groups})
    for role in ("platform", "on-call"):
        sandbox.create_role(role)
    pipeline = sandbox.create_role("pipeline")["Arn"]
    sso = {"Service": "sso.amazonaws.com"}
    administrators = sandbox.create_role(SSO_ROLE, trust=sso, path="/aws-reserved/sso.amazonaws.com/")["Arn"]
    allowed = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    iam.create_policy(PolicyName="iam-guard-actions", PolicyDocument=allowed)
    sandbox.client("sns").create_topic(Name="pager")
    sandbox.client("s3").create_bucket(Bucket=BUCKET)
    cloudtrail, trail = sandbox.client("cloudtrail"), "management-events"
    cloudtrail.create_trail(Name=trail, S3BucketName=BUCKET, IsMultiRegionTrail=True)
    selector = {"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []}
    cloudtrail.put_event_selectors(TrailName=trail, EventSelectors=[selector])
    cloudtrail.start_logging(Name=trail)
    # The preview tells who has called IAM: somebody has to.
    for key in (keys["bob"], keys["carol"], sandbox.session(pipeline, "ci"), sandbox.session(administrators)):
        sandbox.client("iam", key).list_account_aliases()
    return keys


def populate_member(sandbox, account):
    """Put an admin, ada, and bob, who has called IAM, into another account, and return their keys."""
    keys = people(sandbox, account, {"ada": ["admins", "ops"], "bob": []})
    sandbox.client("iam", keys["bob"], account).list_account_aliases()
    return keys


def people(sandbox, account, groups):
    """Put people with their groups into an account, which then knows AWS's own policies that are attached here."""
    for name in POLICIES_OF_AWS:
        add_policy_of_aws(iam_backends[account]["aws"], name)
    for group in {group for some in groups.values() for group in some}:
        sandbox.client("iam", account=account).create_group(GroupName=group)
    return {name: sandbox.create_user(name, groups=some, account=account) for name, some in groups.items()}
