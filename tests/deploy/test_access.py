"""The roles of ``deploy/access.yml``: what each may do is enough, and every action of it is used."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import kept
import pytest
from botocore.exceptions import ClientError
from c7n import mu
from c7n.resources import load_resources
from helpers import FUNCTION, policy, shipped
from moto.iam.models import iam_backends
from rights import DEPLOYER, READER, RESPONSE, allowed, inline, resources, rights_used, session, without

from c7n_iamguard.errors import Refusal
from c7n_iamguard.function.archive import CompiledPolicyLambda
from c7n_iamguard.iam.policy_documents import deny_document
from sandbox.organizations import organization
from sandbox.server import DEPLOY

ACCOUNT, MEMBER = "121212121212", "121212121213"
DENY = f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess"
ACCESS = resources("access.yml")
#: A trust policy of a role that no person can take.
NOBODY = json.dumps(resources("account.yml")["Role"]["Properties"]["AssumeRolePolicyDocument"])
#: What nobody calls: GetFunction shows tags to those alone who may list them.
LISTING_TAGS = "lambda:ListTags"
DEPLOYERS = allowed(DEPLOYER, ACCESS["Read"]["Properties"]["PolicyDocument"], inline(ACCESS["Deployer"]))
RESPONSES = allowed(RESPONSE, inline(ACCESS["Response"]))

load_resources(("aws.iam-role", "aws.iam-user", "aws.lambda"))

REVOKE, PROTECT = shipped("revoke-unintended-iam-access"), shipped("protect-admin-group")
PREVIEW, CALLS = shipped("preview-unintended-iam-access"), shipped("report-iam-calls")


@pytest.fixture(scope="module")
def account(sandbox):
    """An account with the stacks, an admin and a user, and a session of each role; it may list the organization."""
    organization.found(sandbox, [(ACCOUNT, "central", False)])
    service, management = (
        "access-analyzer.amazonaws.com",
        sandbox.client("organizations", account=organization.MANAGEMENT),
    )
    management.enable_aws_service_access(ServicePrincipal=service)
    management.register_delegated_administrator(AccountId=ACCOUNT, ServicePrincipal=service)
    sandbox.deploy(account=ACCOUNT, AdminGroups="Admins")
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    sandbox.deploy(
        DEPLOY / "access.yml", "iam-guard-access", account=ACCOUNT,
        CentralAccount=sandbox.account, ResponseRoles=f"arn:aws:iam::{ACCOUNT}:role/on-call", AdminGroups="Admins",
        OidcProviderArn=provider, OidcSubject="repo:a/b:main", OidcPreviewSubject="repo:a/b:pull_request",
    )  # fmt: skip
    sandbox.deploy(DEPLOY / "access.yml", "iam-guard-access", account=MEMBER, CentralAccount=ACCOUNT)
    sandbox.client("iam", account=ACCOUNT).create_group(GroupName="Admins")
    sandbox.create_user("ada", groups=["Admins"], account=ACCOUNT)
    sandbox.create_user("bob", account=ACCOUNT)

    def environ(role):
        return sandbox.environ(sandbox.session(f"arn:aws:iam::{ACCOUNT}:role/{role}"), account=ACCOUNT)

    yield SimpleNamespace(
        environ={role: environ(role) for role in (DEPLOYER, READER, RESPONSE)},
        client=lambda service: sandbox.client(service, account=ACCOUNT),
        backend=iam_backends[ACCOUNT]["aws"],
    )
    organization.dissolve()


# Deploying


def runner(monkeypatch, folder):
    """``run(environ, policy, dryrun=…)``: a policy in this process; a function's zip is config.json alone."""

    def archive(self):
        made = mu.PythonPackageArchive()
        made.add_contents("config.json", json.dumps(self.policy.data, sort_keys=True))
        made.close()
        return made

    monkeypatch.setattr(CompiledPolicyLambda, "get_archive", archive)

    def run(environ, data, **options):
        made = policy(json.loads(json.dumps(data)), environ, monkeypatch, output_dir=str(folder), **options)
        made.expand_variables(made.get_variables({}))
        made.validate()
        return made.run()

    return run


@pytest.fixture
def run(monkeypatch, tmp_path):
    """:func:`runner` for a test."""
    return runner(monkeypatch, tmp_path)


def changed(**mode):
    return {**REVOKE, "mode": {**REVOKE["mode"], **mode}}


def deploy_update_and_remove(sandbox, run, environ):
    """A function's whole life: made, changed, changed back, stopped, started, and removed as documented."""
    run(environ, REVOKE)
    run(environ, changed(memory=1024, tags={"team": "security"}))
    run(environ, REVOKE)
    events, functions = (sandbox.client(name, session(environ), ACCOUNT) for name in ("events", "lambda"))
    for rule in events.list_rules(NamePrefix="iam-guard-")["Rules"]:
        events.disable_rule(Name=rule["Name"])
        events.enable_rule(Name=rule["Name"])
    events.remove_targets(Rule=FUNCTION, Ids=[FUNCTION])
    events.delete_rule(Name=FUNCTION)
    functions.delete_function(FunctionName=FUNCTION)


def go_on(sandbox, run, environ, role=DEPLOYER):
    """CI takes the same role of another account that trusts this one."""
    sts = sandbox.client("sts", session(environ), ACCOUNT)
    sts.assume_role(RoleArn=f"arn:aws:iam::{MEMBER}:role/{role}", RoleSessionName="ci")


def looking(data, **options):
    """A job that looks, and changes nothing: a dry run or a report."""
    return lambda sandbox, run, environ: run(environ, data, **options)


def find_stopped(sandbox, run, environ):
    """CI asks which rules are disabled, before it deploys or says what it would deploy."""
    sandbox.client("events", session(environ), ACCOUNT).list_rules(NamePrefix="iam-guard-")


def list_accounts(sandbox, run, environ):
    """CI asks which accounts there are, as c7n-org does."""
    client = sandbox.client("organizations", session(environ), ACCOUNT)
    client.list_roots()
    client.list_organizational_units_for_parent(ParentId=organization.ROOT)
    client.list_accounts_for_parent(ParentId=organization.ROOT)
    client.list_tags_for_resource(ResourceId=ACCOUNT)


def quickly(data):
    """A preview that asks IAM again at once until the data is there."""
    *filters, usage = data["filters"]
    return {**data, "filters": [*filters, {**usage, "poll-delay": 0.01}]}


#: What the documentation has the reader do, and the deployer, too.
LOOKS = [
    looking(REVOKE, dryrun=True),
    looking(PROTECT, dryrun=True),
    looking(shipped("revoke-unintended-iam-access-of-roles"), dryrun=True),
    looking(quickly(PREVIEW)),
    looking(quickly(shipped("preview-unintended-iam-access-of-roles"))),
    looking(shipped("list-revoked-iam-access")),
    looking({**CALLS, "filters": CALLS["filters"][-1:]}),
    looking(shipped("list-iam-guard-functions")),
    find_stopped,
    list_accounts,
]
WORK = {READER: LOOKS, DEPLOYER: [deploy_update_and_remove, go_on]}


def make_function(account, name, **more):
    account.client("lambda").create_function(
        FunctionName=name, Runtime="python3.13", Handler="x.y", Code={"ZipFile": b"x"},
        Role=f"arn:aws:iam::{ACCOUNT}:role/iam-guard", **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def used(sandbox, account, tmp_path_factory):
    """The actions that the reader and the deployer need for their jobs."""
    found = {}
    account.client("iam").create_user(UserName="denied")  # so that there is a denial to read
    account.client("iam").attach_user_policy(UserName="denied", PolicyArn=DENY)
    account.client("iam").create_policy_version(  # the default version is another one than the first
        PolicyArn=DENY, PolicyDocument=deny_document(), SetAsDefault=True
    )
    for name in ("iam-guard-present", "thumbnails"):  # for a report to look at, and not to look at
        make_function(account, name, Tags={"iam-guard-version": "0"})
    with pytest.MonkeyPatch.context() as monkeypatch:
        run = runner(monkeypatch, tmp_path_factory.mktemp("out"))
        for role, jobs in WORK.items():
            with rights_used(role) as found[role]:
                for job in jobs:
                    job(sandbox, run, account.environ[role])
    return found


@pytest.fixture
def undeployed(account):
    """What a deployment has made is gone after the test."""
    put_back = kept.functions(ACCOUNT, "us-east-1")
    yield
    put_back()


def test_the_deployers_role_is_enough_and_every_right_is_used(account, used):
    """Reader and deployer do their jobs as themselves, need every action they have, and leave nothing behind."""
    assert used[READER] | used[DEPLOYER] == set(DEPLOYERS)
    reader, deployer = (account.backend.get_role(role).managed_policies for role in (READER, DEPLOYER))
    assert reader == deployer
    names = [f["FunctionName"] for f in account.client("lambda").list_functions()["Functions"]]
    assert names == ["iam-guard-present", "thumbnails"]


def test_an_unchanged_function_is_left_alone_by_whoever_may_list_its_tags(sandbox, account, run, undeployed):
    """Without lambda:ListTags nothing is refused, but each deployment tags the function again."""
    run(account.environ[DEPLOYER], REVOKE)
    for context in (nullcontext(), without(account.backend, DEPLOYER, LISTING_TAGS)):
        sandbox.calls.clear()
        with context:
            run(account.environ[DEPLOYER], REVOKE)
        tagged = "TagResource" in [call.action for call in sandbox.calls]
        assert tagged is not isinstance(context, nullcontext)


def test_ci_looks_at_other_accounts_as_the_reader_of_each(sandbox, account, run):
    """The reader goes on to the reader of a member, and not to its deployer."""
    go_on(sandbox, run, account.environ[READER], READER)
    with pytest.raises(ClientError, match="AccessDenied"):
        go_on(sandbox, run, account.environ[READER], DEPLOYER)


def test_the_reader_cannot_deploy(sandbox, account, run, undeployed):
    """A deployment as the reader is denied before anything is made."""
    with pytest.raises(Refusal, match="AccessDenied"):
        run(account.environ[READER], REVOKE)
    assert FUNCTION not in [f["FunctionName"] for f in account.client("lambda").list_functions()["Functions"]]


# Giving IAM back


def restore(sandbox, account, run, user):
    """Tag a user who carries the deny in all forms, and run the policy that restores."""
    operator = account.client("iam")
    operator.attach_user_policy(UserName=user, PolicyArn=DENY)
    operator.put_user_policy(UserName=user, PolicyName="DenyIAM", PolicyDocument=deny_document())
    operator.put_user_permissions_boundary(UserName=user, PermissionsBoundary=f"{DENY}Boundary")
    environ = account.environ[RESPONSE]
    iam = sandbox.client("iam", session(environ), ACCOUNT)
    iam.tag_user(UserName=user, Tags=[{"Key": "IAM-guard", "Value": "restore"}])  # in any case, as in IAM
    iam.untag_user(UserName=user, TagKeys=["IAM-guard"])
    iam.tag_user(UserName=user, Tags=[{"Key": "iam-guard", "Value": "restore"}])
    run(environ, shipped("restore-iam-access"))


def restore_role(sandbox, account, run, user):
    """The same for a role, which carries the deny in the two forms that roles know."""
    operator = account.client("iam")
    operator.create_role(RoleName="robot", AssumeRolePolicyDocument=NOBODY)
    try:
        operator.attach_role_policy(RoleName="robot", PolicyArn=DENY)
        operator.put_role_permissions_boundary(RoleName="robot", PermissionsBoundary=f"{DENY}Boundary")
        environ = account.environ[RESPONSE]
        iam = sandbox.client("iam", session(environ), ACCOUNT)
        iam.tag_role(RoleName="robot", Tags=[{"Key": "iam-guard", "Value": "restore"}])
        run(environ, shipped("restore-iam-access-of-roles"))
        role = account.backend.get_role("robot")
        assert not role.managed_policies
        assert not role.permissions_boundary
    finally:
        account.backend.roles.pop(account.backend.get_role("robot").id)


def change_admins(sandbox, account, run, user):
    """Make a user an admin, and take them out again."""
    iam = sandbox.client("iam", session(account.environ[RESPONSE]), ACCOUNT)
    iam.add_user_to_group(GroupName="Admins", UserName=user)
    iam.remove_user_from_group(GroupName="Admins", UserName=user)


def redrive(sandbox, account, run, user):
    """Send dead letters through the function that failed on them, and stop that again."""
    functions = sandbox.client("lambda", session(account.environ[RESPONSE]), ACCOUNT)
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{FUNCTION}"
    made = functions.create_event_source_mapping(FunctionName=FUNCTION, EventSourceArn=queue, BatchSize=1)
    functions.update_event_source_mapping(UUID=made["UUID"], FunctionName=FUNCTION, Enabled=False)
    functions.list_event_source_mappings(FunctionName=FUNCTION)


def switch(sandbox, account, run, user):
    """Stop the guard, and start it again, as deploy/switch does."""
    events = sandbox.client("events", session(account.environ[RESPONSE]), ACCOUNT)
    account.client("events").put_rule(Name=FUNCTION, ScheduleExpression="rate(1 hour)")
    events.list_rules(NamePrefix="iam-guard-")
    events.disable_rule(Name=FUNCTION)
    events.enable_rule(Name=FUNCTION)
    account.client("events").delete_rule(Name=FUNCTION)


@pytest.fixture
def carrier(sandbox, account, undeployed):
    """A user who is to carry every form of the deny, and who is gone after the test, as is the function."""
    sandbox.create_user("carrie", account=ACCOUNT)
    make_function(account, FUNCTION)
    yield "carrie"
    account.backend.users.pop("carrie")


def test_the_response_role_is_enough_and_every_right_is_used(sandbox, account, run, carrier):
    """The responder restores users and roles, makes and unmakes admins, redrives dead letters, and stops the guard.

    No form of the deny is left on the user, and no tag but the time.
    """
    with rights_used(RESPONSE) as found:
        restore(sandbox, account, run, carrier)
        user = account.client("iam").get_user(UserName=carrier)["User"]
        assert [tag["Key"] for tag in user["Tags"]] == ["iam-guard-restored"]
        assert not user.get("PermissionsBoundary")
        assert list(account.backend.users[carrier].policies) == ["access"]
        assert not account.backend.users[carrier].managed_policies
        for job in (restore_role, change_admins, redrive, switch):
            job(sandbox, account, run, carrier)
    assert found == set(RESPONSES)


# What is out of reach

REFUSED = {
    "pass another role": (DEPLOYER, lambda iam, functions: functions.create_function(
        FunctionName="iam-guard-x", Runtime="python3.13", Handler="x.y", Code={"ZipFile": b"x"},
        Role=f"arn:aws:iam::{ACCOUNT}:role/iam-guard-deployer",
    )),
    "delete another function": (DEPLOYER, lambda iam, functions: functions.delete_function(FunctionName="payroll")),
    "write any SCP": (DEPLOYER, lambda iam, functions: functions.update_function_code(
        FunctionName="iam-guard-people", ZipFile=b"x",
    )),
    "restore": (DEPLOYER, lambda iam, functions: iam.detach_user_policy(UserName="bob", PolicyArn=DENY)),
    "revoke": (DEPLOYER, lambda iam, functions: iam.attach_user_policy(UserName="bob", PolicyArn=DENY)),
    "other tags": (RESPONSE, lambda iam, functions: iam.tag_user(
        UserName="bob", Tags=[{"Key": "team", "Value": "x"}],
    )),
    "other groups": (RESPONSE, lambda iam, functions: iam.add_user_to_group(GroupName="others", UserName="bob")),
    "other policies": (RESPONSE, lambda iam, functions: iam.detach_user_policy(
        UserName="bob", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess",
    )),
    "other functions": (RESPONSE, lambda iam, functions: functions.create_event_source_mapping(
        FunctionName="payroll", EventSourceArn=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{FUNCTION}",
    )),
}  # fmt: skip


@pytest.mark.parametrize(("role", "attempt"), REFUSED.values(), ids=REFUSED)
def test_a_role_may_do_nothing_else(sandbox, account, role, attempt):
    """Other roles, functions, users, tags, groups and policies are out of reach."""
    keys = session(account.environ[role])
    iam, functions = (sandbox.client(service, keys, ACCOUNT) for service in ("iam", "lambda"))
    with pytest.raises(ClientError, match="AccessDenied"):
        attempt(iam, functions)
