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
    """Put people, roles, a trail and what the docs' commands name into an account.

    :returns: the people's access keys, by name
    """
    iam = sandbox.client("iam")
    add_policies_of_aws(sandbox.account)
    for group in ("admins", "developers", "data"):
        iam.create_group(GroupName=group)
    keys = {
        "ada": sandbox.create_user("ada", groups=["admins"]),
        "bob": sandbox.create_user("bob", groups=["developers", "data"]),
        "carol": sandbox.create_user("carol", groups=["developers"]),
    }
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
    """Put an admin, ada, and bob, who has called IAM, into another account of the organization.

    :returns: the people's access keys, by name
    """
    iam = sandbox.client("iam", account=account)
    add_policies_of_aws(account)
    for group in ("admins", "ops"):
        iam.create_group(GroupName=group)
    keys = {
        "ada": sandbox.create_user("ada", groups=["admins", "ops"], account=account),
        "bob": sandbox.create_user("bob", account=account),
    }
    sandbox.client("iam", keys["bob"], account).list_account_aliases()
    return keys


def add_policies_of_aws(account):
    """Let an account know those of AWS's own policies that are attached here."""
    for name in POLICIES_OF_AWS:
        add_policy_of_aws(iam_backends[account]["aws"], name)
