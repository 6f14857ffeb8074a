"""The resources of the templates of ``deploy/``, and the effects of their parameters."""

import pytest
from moto.iam.models import iam_backends
from rights import FUNCTIONS, GUARD, allowed, documents, of_type, resources, template

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


def test_the_peoples_dead_letters_come_from_their_own_queue():
    """No other queue moves messages into the people's queues."""
    queue, letters = (one["RedriveAllowPolicy"] for one in of_type("people.yml", "AWS::SQS::Queue"))
    assert queue == {"redrivePermission": "denyAll"}
    (source,) = letters["sourceQueueArns"]
    assert letters["redrivePermission"] == "byQueue"
    assert source.endswith(":iam-guard-people.fifo")


KEY = "arn:aws:kms:us-east-1:191919191902:key/x"
#: Accounts, with what their stacks are given.
NO_ROLES, NO_CATCH_UP = ACCOUNTS = "191919191902", "191919191903"
GIVEN = (
    {"Roles": "no", "KmsKeyArn": KEY, "AdminGroups": "admins,team/x", "DenyActions": "iam:*,sts:AssumeRole"},
    {"CatchUp": "no", "AdminGroups": ""},
)
ROLE_RIGHTS = {"iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:GetRole"}
CATCH_UP_RIGHTS = {"cloudtrail:LookupEvents", "iam:GetAccountAuthorizationDetails"}
KEY_RIGHTS = {"kms:Decrypt", "kms:GenerateDataKey"}


@pytest.fixture(scope="module")
def iam(sandbox):
    """moto's IAM of each account."""
    for account, given in zip(ACCOUNTS, GIVEN, strict=True):
        sandbox.deploy(account=account, **given)
    return {account: iam_backends[account]["aws"] for account in ACCOUNTS}


@pytest.mark.parametrize(
    ("account", "functions", "rights", "key"),
    [
        (NO_ROLES, [FUNCTIONS[n] for n in (0, 2, 3, 5)], CATCH_UP_RIGHTS | KEY_RIGHTS, {KEY}),
        (NO_CATCH_UP, FUNCTIONS[:3], ROLE_RIGHTS, {None}),
    ],
)
def test_what_is_not_deployed_gets_no_queue_and_no_right(sandbox, iam, account, functions, rights, key):
    """Without guarded roles, the catch-up or a key, queues and rights are not there; a key encrypts the queues."""
    sqs = sandbox.client("sqs", account=account)
    urls = sqs.list_queues()["QueueUrls"]
    assert sorted(url.rsplit("/", 1)[1] for url in urls) == sorted(functions)
    asked = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls]
    assert {attributes.get("KmsMasterKeyId") for attributes in asked} == key
    actions = set(allowed(GUARD, *documents(iam[account].get_role(GUARD))))
    assert actions & (ROLE_RIGHTS | CATCH_UP_RIGHTS | KEY_RIGHTS) == rights


@pytest.mark.parametrize(("account", "named"), [(NO_ROLES, ["admins", "team/x"]), (NO_CATCH_UP, [])])
def test_the_functions_take_members_out_of_the_named_groups_alone(iam, account, named):
    """Each of AdminGroups is in the role's right and in its tag, for deployments to compare; none is no right."""
    role = iam[account].get_role(GUARD)
    statements = [s for document in documents(role) for s in document["Statement"]]
    found = [s["Resource"] for s in statements if s["Action"] == "iam:RemoveUserFromGroup"]
    assert found == ([[f"arn:*:iam::*:group/{name}" for name in named]] if named else [])
    assert role.tags == [{"Key": "iam-guard-admin-groups", "Value": " ".join(named)}]


def test_stock_actions_get_their_rights_by_managed_policies():
    """The policies that ActionPolicies names hang on the functions' role; moto does not attach them."""
    assert resources("account.yml")["Role"]["Properties"]["ManagedPolicyArns"] == "!Ref ActionPolicies"
    assert template("account.yml")["Conditions"]["HasActionPolicies"]


@pytest.mark.parametrize("name", ["DenyIAMAccess", "DenyIAMAccessBoundary"])
def test_deny_actions_are_what_both_deny_policies_deny(iam, name):
    """The parameter reaches the managed policy and the boundary."""
    policy = iam[NO_ROLES].managed_policies[f"arn:aws:iam::{NO_ROLES}:policy/{name}"]
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
