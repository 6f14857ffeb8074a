"""What the templates of ``deploy/`` hold, and what their parameters change."""

import pytest
from moto.iam.models import iam_backends
from rights import FUNCTIONS, GUARD, documents, of_type, resources, template

from c7n_iamguard.iam import policy_documents
from sandbox.access import authorization
from sandbox.server import DEPLOY

TEMPLATES = sorted(
    file.name for file in DEPLOY.glob("*.yml") if file.read_text().startswith("AWSTemplateFormatVersion")
)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_can_be_deployed_everywhere_and_as_a_stack_set(name):
    """No partition, region, account, nested stack, export, import, macro or mapping; and it is not too long."""
    text = (DEPLOY / name).read_text()
    assert "arn:aws:" not in text
    assert not any(word in text.split("Resources:")[1] for word in ("us-east-1", "111122223333"))
    assert len(text.encode()) < 51200
    for word in ("AWS::CloudFormation::", "Export:", "ImportValue", "\nTransform:", "Fn::"):
        assert word not in text


# One account


def test_every_function_has_a_log_and_a_queue_of_its_name():
    """Each log group and each dead-letter queue has its function's name, at most 64 characters long."""
    both = ("account.yml", "contain.yml")
    logs = [p["LogGroupName"] for name in both for p in of_type(name, "AWS::Logs::LogGroup")]
    queues = [p["QueueName"] for name in both for p in of_type(name, "AWS::SQS::Queue")]
    assert sorted(logs) == sorted(f"/aws/lambda/{function}" for function in FUNCTIONS)
    assert sorted(queues) == sorted(FUNCTIONS)
    assert max(map(len, FUNCTIONS)) <= 64


@pytest.mark.parametrize("name", ["account.yml", "contain.yml"])
def test_no_queue_is_fed_by_another_one(name):
    """A queue that names one of ours as its dead-letter queue moves nothing there; nor does anybody send."""
    for queue in of_type(name, "AWS::SQS::Queue"):
        assert queue["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}
    (policy,) = of_type(name, "AWS::SQS::QueuePolicy")
    queues = [f"!Ref {id}" for id, r in resources(name).items() if r["Type"] == "AWS::SQS::Queue"]
    assert sorted(policy["Queues"]) == sorted(queues)
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "sqs:SendMessage")
    assert statement["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": "!GetAtt Role.Arn"}}


def actions(account, role=GUARD):
    """What a role of an account may do."""
    found = documents(iam_backends[account]["aws"].get_role(role))
    statements = [s for document in found for s in document["Statement"] if s["Effect"] == "Allow"]
    return {action for s in statements for action in authorization.listed(s["Action"])}


def deployed(sandbox, account, **parameters):
    """The queues that the stack has made in an account, each with its attributes."""
    sandbox.deploy(account=account, **parameters)
    sqs = sandbox.client("sqs", account=account)
    return {
        url.rsplit("/", 1)[1]: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for url in sqs.list_queues()["QueueUrls"]
    }


ROLE_RIGHTS = {"iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:GetRole"}
CATCH_UP_RIGHTS = {"cloudtrail:LookupEvents", "iam:GetAccountAuthorizationDetails"}
KEY_RIGHTS = {"kms:Decrypt", "kms:GenerateDataKey"}


@pytest.mark.parametrize(
    ("account", "parameters", "queues", "rights"),
    [
        ("191919191902", {"Roles": "no"}, [FUNCTIONS[n] for n in (0, 2, 3, 5)], CATCH_UP_RIGHTS),
        ("191919191903", {"CatchUp": "no"}, FUNCTIONS[:3], ROLE_RIGHTS),
    ],
)
def test_what_is_not_deployed_gets_no_queue_and_no_right(sandbox, account, parameters, queues, rights):
    """Without guarded roles, or without the catch-up, their queues and the role's rights are not there."""
    assert sorted(deployed(sandbox, account, **parameters)) == sorted(queues)
    assert actions(account) & (ROLE_RIGHTS | CATCH_UP_RIGHTS | KEY_RIGHTS) == rights


def test_a_key_of_ones_own_encrypts_the_queues(sandbox):
    """With KmsKeyArn the queues are under that key, and the functions' role may use it."""
    key = "arn:aws:kms:us-east-1:191919191905:key/x"
    queues = deployed(sandbox, "191919191905", KmsKeyArn=key)
    assert {attributes["KmsMasterKeyId"] for attributes in queues.values()} == {key}
    assert actions("191919191905") >= KEY_RIGHTS


@pytest.mark.parametrize(
    ("account", "groups", "named"),
    [("191919191911", "admins,team/x", ["admins", "team/x"]), ("191919191912", "", None)],
)
def test_the_functions_take_members_out_of_the_named_groups_alone(sandbox, account, groups, named):
    """Each of AdminGroups is in the role's right and in its tag, for deployments to compare; none is no right."""
    sandbox.deploy(account=account, AdminGroups=groups)
    role = iam_backends[account]["aws"].get_role(GUARD)
    statements = [s for document in documents(role) for s in document["Statement"]]
    found = [s["Resource"] for s in statements if s["Action"] == "iam:RemoveUserFromGroup"]
    assert found == ([[f"arn:*:iam::*:group/{name}" for name in named]] if named else [])
    assert role.tags == [{"Key": "iam-guard-admin-groups", "Value": " ".join(named or [])}]


def test_stock_actions_get_their_rights_by_managed_policies():
    """The policies that ActionPolicies names hang on the functions' role; moto does not attach them."""
    assert resources("account.yml")["Role"]["Properties"]["ManagedPolicyArns"] == "!Ref ActionPolicies"
    assert template("account.yml")["Conditions"]["HasActionPolicies"]


def test_deny_actions_are_what_both_deny_policies_deny(sandbox):
    """The parameter reaches the managed policy and the boundary."""
    account = "181818181818"
    sandbox.deploy(account=account, DenyActions="iam:*,sts:AssumeRole")
    for name in ("DenyIAMAccess", "DenyIAMAccessBoundary"):
        policy = iam_backends[account]["aws"].managed_policies[f"arn:aws:iam::{account}:policy/{name}"]
        assert policy_documents.denies(authorization.default_document(policy), ["iam:*", "sts:AssumeRole"])


def test_templates_agree_on_the_parameters_that_they_share():
    """A parameter that two templates have has the same type, default and values in both."""
    shared = {}
    for name in TEMPLATES:
        for parameter, slot in template(name).get("Parameters", {}).items():
            kind = {key: slot.get(key) for key in ("Type", "Default", "AllowedPattern", "AllowedValues")}
            assert shared.setdefault(parameter, kind) == kind, (name, parameter)


IDS = ("Revoke", "RevokeRoles", "Protect", "CatchUp", "CatchUpRoles", "CatchUpAdmins")
#: What 0.2.0's stack iam-guard holds, by logical id. Whoever renames one has an upgrade delete it.
KEPT = {
    **{name: name for name in ("DenyIAMAccess", "DenyIAMAccessBoundary")},
    **{"Role": "iam-guard", "Bus": "iam-guard"},
    **{f"{id}Log": f"/aws/lambda/{name}" for id, name in zip(IDS, FUNCTIONS, strict=False)},
    **{f"{id}DeadLetters": name for id, name in zip(IDS, FUNCTIONS, strict=False)},
}


def test_an_upgrade_from_0_2_0_keeps_queues_logs_and_the_bus():
    """They have the logical ids and the names that they had, so that CloudFormation leaves them where they are."""
    names = ("ManagedPolicyName", "RoleName", "Name", "LogGroupName", "QueueName")
    found = {id: r["Properties"] for id, r in resources("account.yml").items() if id in KEPT}
    assert {id: next(p[name] for name in names if name in p) for id, p in found.items()} == KEPT


# The trail


def test_a_trail_logs_management_events_of_all_regions_and_keeps_them():
    """The trail is on, takes IAM's global events and waits for its bucket's policy; the bucket outlives it."""
    trail = resources("trail.yml")["Trail"]
    assert trail["DependsOn"] == "TrailBucketPolicy"
    for key in ("IsLogging", "IsMultiRegionTrail", "IncludeGlobalServiceEvents"):
        assert trail["Properties"][key] is True
    assert "EventSelectors" not in trail["Properties"]  # CloudTrail's default is all management events
    assert resources("trail.yml")["TrailBucket"]["DeletionPolicy"] == "Retain"
