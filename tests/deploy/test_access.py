"""The roles of ``deploy/access.yml``: what each may do is enough, and every action of it is used."""

import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from c7n import mu
from c7n.resources import load_resources
from helpers import FUNCTION, LIST, PREVIEW, PROTECT, RESTORE, RESTORE_TAG, policy, shipped
from moto.iam.models import iam_backends
from rights import DEPLOYER, READER, RESPONSE, allowed, inline, resources, rights_used, session

from c7n_iamguard.function.archive import CompiledPolicyLambda
from c7n_iamguard.iam.policy_documents import deny_document
from sandbox.organizations import organization
from sandbox.server import DEPLOY

ACCOUNT, MEMBER = "121212121212", "121212121213"
DENY, ROLES = f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess", f"arn:aws:iam::{ACCOUNT}:role/"
ANY_CODE = {"Runtime": "python3.13", "Handler": "x.y", "Code": {"ZipFile": b"x"}}
ACCESS = resources("access.yml")
DEPLOYERS = allowed(DEPLOYER, ACCESS["Read"]["Properties"]["PolicyDocument"], inline(ACCESS["Deployer"]))
RESPONSES = allowed(RESPONSE, inline(ACCESS["Response"]))

load_resources(("aws.iam-role", "aws.iam-user", "aws.lambda"))

REVOKE = shipped("revoke-unintended-iam-access")


@pytest.fixture(scope="module")
def account(sandbox):
    """An account with the stacks, an admin and a user, and a session of each role; it may list the organization."""
    organization.found(sandbox, [(ACCOUNT, "central", False)])
    management = sandbox.client("organizations", account=organization.MANAGEMENT)
    service = "access-analyzer.amazonaws.com"
    management.enable_aws_service_access(ServicePrincipal=service)
    management.register_delegated_administrator(AccountId=ACCOUNT, ServicePrincipal=service)
    sandbox.deploy(account=ACCOUNT, AdminGroups="Admins")
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    sandbox.deploy(
        DEPLOY / "access.yml", "iam-guard-access", account=ACCOUNT,
        CentralAccount=sandbox.account, ResponseRoles=f"{ROLES}on-call", AdminGroups="Admins",
        OidcProviderArn=provider, OidcSubject="repo:a/b:main", OidcPreviewSubject="repo:a/b:pull_request",
    )  # fmt: skip
    sandbox.deploy(DEPLOY / "access.yml", "iam-guard-access", account=MEMBER, CentralAccount=ACCOUNT)
    sandbox.client("iam", account=ACCOUNT).create_group(GroupName="Admins")
    sandbox.create_user("ada", groups=["Admins"], account=ACCOUNT)
    sandbox.create_user("bob", account=ACCOUNT)

    yield SimpleNamespace(
        environ={
            role: sandbox.environ(sandbox.session(f"{ROLES}{role}"), account=ACCOUNT)
            for role in (DEPLOYER, READER, RESPONSE)
        },
        client=lambda service: sandbox.client(service, account=ACCOUNT),
        backend=iam_backends[ACCOUNT]["aws"],
    )
    organization.dissolve()


# What they need


@pytest.fixture
def run(monkeypatch, tmp_path):
    """``run(environ, policy, dryrun=…)``: a policy in this process; a function's zip is config.json alone."""

    def archive(self):
        made = mu.PythonPackageArchive()
        made.add_contents("config.json", json.dumps(self.policy.data, sort_keys=True))
        made.close()
        return made

    monkeypatch.setattr(CompiledPolicyLambda, "get_archive", archive)

    def run_policy(environ, data, **options):
        made = policy(json.loads(json.dumps(data)), environ, monkeypatch, output_dir=str(tmp_path), **options)
        made.expand_variables(made.get_variables({}))
        made.validate()
        return made.run()

    return run_policy


def deploy(sandbox, run, environ):
    """A function's whole life: made, changed, changed back, stopped, started, and removed as documented."""
    run(environ, REVOKE)
    run(environ, {**REVOKE, "mode": {**REVOKE["mode"], "memory": 1024, "tags": {"team": "security"}}})
    run(environ, REVOKE)
    events, functions = (sandbox.client(name, session(environ), ACCOUNT) for name in ("events", "lambda"))
    events.disable_rule(Name=FUNCTION)
    events.enable_rule(Name=FUNCTION)
    events.remove_targets(Rule=FUNCTION, Ids=[FUNCTION])
    events.delete_rule(Name=FUNCTION)
    functions.delete_function(FunctionName=FUNCTION)


def look(sandbox, run, environ):
    """All that the documentation has the reader do, and the deployer, too."""
    for name in (REVOKE["name"], PROTECT, f"{REVOKE['name']}-of-roles"):
        run(environ, shipped(name), dryrun=True)
    for name in (PREVIEW, f"{PREVIEW}-of-roles"):
        *filters, usage = shipped(name)["filters"]
        run(environ, {**shipped(name), "filters": [*filters, {**usage, "poll-delay": 0.01}]})
    for name in (LIST, "list-iam-guard-functions"):
        run(environ, shipped(name))
    calls = shipped("report-iam-calls")
    run(environ, {**calls, "filters": calls["filters"][-1:]})
    # Which rules are disabled, and which accounts are there? CI asks for the former, c7n-org for the latter.
    sandbox.client("events", session(environ), ACCOUNT).list_rules(NamePrefix="iam-guard-")
    client = sandbox.client("organizations", session(environ), ACCOUNT)
    client.list_roots()
    client.list_organizational_units_for_parent(ParentId=organization.ROOT)
    client.list_accounts_for_parent(ParentId=organization.ROOT)
    client.list_tags_for_resource(ResourceId=ACCOUNT)


def make_function(account, name):
    """A function for a report to look at, or not to look at."""
    given = {"Role": f"{ROLES}iam-guard", "Tags": {"iam-guard-version": "0"}, **ANY_CODE}
    account.client("lambda").create_function(FunctionName=name, **given)


def test_the_deployers_role_is_enough_and_every_right_is_used(sandbox, account, run):
    """Reader and deployer do their jobs as themselves, need every action they have, and leave nothing behind.

    Both go on to the same role of another account.
    """
    account.client("iam").create_user(UserName="denied")  # so that there is a denial to read
    account.client("iam").attach_user_policy(UserName="denied", PolicyArn=DENY)
    account.client("iam").create_policy_version(  # the default version is another one than the first
        PolicyArn=DENY, PolicyDocument=deny_document(), SetAsDefault=True
    )
    for name in ("iam-guard-present", "thumbnails"):
        make_function(account, name)
    used = set()
    for role, job in ((READER, look), (DEPLOYER, deploy)):
        environ = account.environ[role]
        with rights_used(role) as found:
            job(sandbox, run, environ)
            sts = sandbox.client("sts", session(environ), ACCOUNT)
            sts.assume_role(RoleArn=f"arn:aws:iam::{MEMBER}:role/{role}", RoleSessionName="ci")
        used |= found
    assert used == set(DEPLOYERS)
    reader, deployer = (account.backend.get_role(role).managed_policies for role in (READER, DEPLOYER))
    assert reader == deployer
    names = [f["FunctionName"] for f in account.client("lambda").list_functions()["Functions"]]
    assert names == ["iam-guard-present", "thumbnails"]


def test_the_response_role_is_enough_and_every_right_is_used(sandbox, account, run):
    """The responder restores users and roles, makes and unmakes admins, redrives dead letters, and stops the guard.

    No form of the deny is left on the user or the role, and no tag but the time.
    """
    operator, environ = account.client("iam"), account.environ[RESPONSE]
    iam, functions, events = (
        sandbox.client(name, session(environ), ACCOUNT) for name in ("iam", "lambda", "events")
    )
    user, role, key = {"UserName": "carrie"}, {"RoleName": "robot"}, {"FunctionName": FUNCTION}
    sandbox.create_user("carrie", account=ACCOUNT)
    sandbox.create_role("robot", account=ACCOUNT)
    operator.attach_user_policy(**user, PolicyArn=DENY)
    operator.put_user_policy(**user, PolicyName="DenyIAM", PolicyDocument=deny_document())
    operator.put_user_permissions_boundary(**user, PermissionsBoundary=f"{DENY}Boundary")
    operator.attach_role_policy(**role, PolicyArn=DENY)
    operator.put_role_permissions_boundary(**role, PermissionsBoundary=f"{DENY}Boundary")
    make_function(account, FUNCTION)
    account.client("events").put_rule(Name=FUNCTION, ScheduleExpression="rate(1 hour)")
    with rights_used(RESPONSE) as found:
        iam.tag_user(**user, Tags=[{"Key": "IAM-guard", "Value": "restore"}])  # in any case, as in IAM
        iam.untag_user(**user, TagKeys=["IAM-guard"])
        iam.tag_user(**user, Tags=[RESTORE_TAG])
        iam.tag_role(**role, Tags=[RESTORE_TAG])
        for name in (RESTORE, f"{RESTORE}-of-roles"):
            run(environ, shipped(name))
        iam.add_user_to_group(**user, GroupName="Admins")
        iam.remove_user_from_group(**user, GroupName="Admins")
        queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{FUNCTION}"
        made = functions.create_event_source_mapping(**key, EventSourceArn=queue, BatchSize=1)
        functions.update_event_source_mapping(**key, UUID=made["UUID"], Enabled=False)
        functions.list_event_source_mappings(**key)
        events.list_rules(NamePrefix="iam-guard-")
        events.disable_rule(Name=FUNCTION)
        events.enable_rule(Name=FUNCTION)
    assert found == set(RESPONSES)
    for carrier in (account.backend.users["carrie"], account.backend.get_role("robot")):
        assert list(carrier.policies) == ["access"]
        assert not carrier.managed_policies
    for answer in (operator.get_user(**user)["User"], operator.get_role(**role)["Role"]):
        assert "PermissionsBoundary" not in answer
        assert [tag["Key"] for tag in answer["Tags"]] == ["iam-guard-restored"]


# What is out of reach


@pytest.mark.parametrize(
    ("role", "service", "operation", "parameters"),
    [
        (READER, "lambda", "create_function",
         {"FunctionName": "iam-guard-x", "Role": f"{ROLES}iam-guard", **ANY_CODE}),
        (READER, "sts", "assume_role",
         {"RoleArn": f"arn:aws:iam::{MEMBER}:role/{DEPLOYER}", "RoleSessionName": "ci"}),
        (DEPLOYER, "lambda", "create_function",
         {"FunctionName": "iam-guard-x", "Role": f"{ROLES}{DEPLOYER}", **ANY_CODE}),
        (DEPLOYER, "lambda", "delete_function", {"FunctionName": "payroll"}),
        (DEPLOYER, "lambda", "update_function_code", {"FunctionName": "iam-guard-people", "ZipFile": b"x"}),
        (DEPLOYER, "iam", "detach_user_policy", {"UserName": "bob", "PolicyArn": DENY}),
        (DEPLOYER, "iam", "attach_user_policy", {"UserName": "bob", "PolicyArn": DENY}),
        (RESPONSE, "iam", "tag_user", {"UserName": "bob", "Tags": [{"Key": "team", "Value": "x"}]}),
        (RESPONSE, "iam", "add_user_to_group", {"UserName": "bob", "GroupName": "others"}),
        (RESPONSE, "iam", "detach_user_policy", {"UserName": "bob", "PolicyArn": "arn:aws:iam::aws:policy/X"}),
        (RESPONSE, "lambda", "create_event_source_mapping",
         {"FunctionName": "payroll", "EventSourceArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{FUNCTION}"}),
    ],
)  # fmt: skip
def test_a_role_may_do_nothing_else(sandbox, account, role, service, operation, parameters):
    """The reader deploys nothing; other roles, functions, users, tags, groups and policies are out of reach."""
    client = sandbox.client(service, session(account.environ[role]), ACCOUNT)
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(client, operation)(**parameters)
