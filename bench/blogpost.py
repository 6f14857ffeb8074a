"""The blog post's algorithm, as people deploy it: one function per step, each with its own client."""

import boto3


def is_admin(name):
    groups = boto3.client("iam").list_groups_for_user(UserName=name)["Groups"]
    return any(group["GroupName"] == "admins" for group in groups)


def is_revoked(name, policy_arn):
    attached = boto3.client("iam").list_attached_user_policies(UserName=name)["AttachedPolicies"]
    return any(policy["PolicyArn"] == policy_arn for policy in attached)


def run(event, context):
    identity = event["detail"]["userIdentity"]
    name = identity["userName"]
    policy_arn = f"arn:aws:iam::{identity['accountId']}:policy/DenyIAMAccess"
    if is_admin(name):
        return "admin"
    if not is_revoked(name, policy_arn):
        boto3.client("iam").attach_user_policy(UserName=name, PolicyArn=policy_arn)
    return "revoked"
