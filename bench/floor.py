"""The floor: the least that a Lambda in Python can do to revoke a caller."""

import boto3

iam = boto3.client("iam")


def run(event, context):
    identity = event["detail"]["userIdentity"]
    name, account = identity["userName"], identity["accountId"]
    groups = iam.list_groups_for_user(UserName=name)["Groups"]
    if "admins" in [group["GroupName"].lower() for group in groups]:
        return "admin"
    if name in [user["UserName"] for user in iam.get_group(GroupName="admins")["Users"]]:
        return "admin"
    iam.attach_user_policy(UserName=name, PolicyArn=f"arn:aws:iam::{account}:policy/DenyIAMAccess")
    return "revoked"
