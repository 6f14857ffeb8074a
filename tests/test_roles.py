"""The stack's roles: what they may do is enough, and every single action of it is needed."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import yaml
from botocore.exceptions import ClientError, WaiterError
from c7n import mu
from c7n.config import Config
from c7n.policy import Policy
from c7n.resources import load_resources
from conftest import FUNCTION, POLICIES, policy, stock
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends

from c7n_iamguard import deny
from sandbox import authorization, cloudtrail, principals
from sandbox.server import DEPLOY, Fault

ACCOUNT = "121212121212"
DEPLOYER, READER, RESPONSE, GUARD = (
    "iam-guard-deployer",
    "iam-guard-reader",
    "iam-guard-response",
    "iam-guard",
)
PROTECT_FUNCTION = "iam-guard-protect-admin-group"
DENY = f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess"

load_resources(("aws.iam-user", "aws.lambda"))


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, of which the tests need no value."""


Template.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix}")
RESOURCES = yaml.load((DEPLOY / "account.yml").read_text(), Template)["Resources"]  # noqa: S506


def actions(*documents):
    """Every action that policy documents allow, one by one."""
    found = []
    for document in documents:
        for statement in document["Statement"]:
            found += authorization.listed(statement["Action"])
    return sorted(found)


def inline(resource):
    return RESOURCES[resource]["Properties"]["Policies"][0]["PolicyDocument"]


READ = RESOURCES["Read"]["Properties"]["PolicyDocument"]
DEPLOYERS = actions(READ, inline("Deployer"))
RESPONSES = actions(inline("Response"))
GUARDS = actions(inline("Role"))


def shipped(name):
    (found,) = yaml.safe_load((POLICIES / f"{name}.yml").read_text())["policies"]
    return found


REVOKE, PROTECT, PREVIEW = map(
    shipped, ("revoke-unintended-iam-access", "protect-admin-group", "preview-unintended-iam-access")
)


@pytest.fixture(scope="module")
def account(sandbox):
    """An account with the stack, an admin and a user, and a session of each role."""
    sandbox.deploy(
        account=ACCOUNT, CentralAccount=sandbox.account, ResponseRoles="arn:*:iam::*:*", AdminGroup="Admins"
    )
    sandbox.client("iam", account=ACCOUNT).create_group(GroupName="Admins")
    sandbox.create_user("ada", groups=["Admins"], account=ACCOUNT)
    sandbox.create_user("bob", account=ACCOUNT)
    sts = sandbox.client("sts")

    def environ(role):
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        session = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        return sandbox.environ(session, account=ACCOUNT)

    return SimpleNamespace(
        environ={role: environ(role) for role in (DEPLOYER, READER, RESPONSE)},
        client=lambda service: sandbox.client(service, account=ACCOUNT),
        backend=iam_backends[ACCOUNT]["aws"],
    )


@contextmanager
def without(backend, role, action):
    """A role that lacks one action, as long as the block lasts."""
    holder = backend.get_role(role)
    versions = [v for p in holder.managed_policies.values() for v in p.versions]
    before = dict(holder.policies), [version.document for version in versions]
    holder.policies = {name: lacking(document, action) for name, document in holder.policies.items()}
    for version in versions:
        version.document = lacking(version.document, action)
    try:
        yield
    finally:
        holder.policies = before[0]
        for version, document in zip(versions, before[1], strict=True):
            version.document = document


def lacking(document, action):
    """A policy document that allows all but one action of what it did."""
    document = json.loads(document) if isinstance(document, str) else document
    left = [
        {**statement, "Action": [a for a in authorization.listed(statement["Action"]) if a != action]}
        for statement in document["Statement"]
    ]
    return json.dumps({**document, "Statement": [statement for statement in left if statement["Action"]]})


# Deploying


def runner(monkeypatch, folder):
    """``run(environ, policy, dryrun=…)``: a policy in this process; a function's zip is config.json alone."""

    def archive(self):
        made = mu.PythonPackageArchive()
        made.add_contents("config.json", json.dumps(self.policy.data, sort_keys=True))
        made.close()
        return made

    monkeypatch.setattr(mu.PolicyLambda, "get_archive", archive)

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


def session(environ):
    """The credentials of an environment, as STS answers them."""
    return {
        "AccessKeyId": environ["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": environ["AWS_SECRET_ACCESS_KEY"],
        "SessionToken": environ["AWS_SESSION_TOKEN"],
    }


def deploy_update_and_remove(sandbox, run, environ):
    """A function's whole life: made, changed, changed back, and removed as the documentation says."""
    run(environ, REVOKE)
    run(environ, changed(memory=1024, tags={"team": "security"}))
    run(environ, REVOKE)
    events, functions = (sandbox.client(name, session(environ), ACCOUNT) for name in ("events", "lambda"))
    events.remove_targets(Rule=FUNCTION, Ids=[FUNCTION])
    events.delete_rule(Name=FUNCTION)
    functions.delete_function(FunctionName=FUNCTION)


def looking(data, **options):
    """A job that looks, and changes nothing: a dry run or a report."""
    return lambda sandbox, run, environ: run(environ, data, **options)


#: All that the documentation has the deployer do; the reader, all but the last.
USAGE = {**PREVIEW["filters"][-1], "poll-delay": 0.01}
LOOKS = {
    "dry run": looking(REVOKE, dryrun=True),
    "dry run of protect": looking(PROTECT, dryrun=True),
    "preview": looking({**PREVIEW, "filters": [*PREVIEW["filters"][:-1], USAGE]}),
    "list the revoked": looking(shipped("list-revoked-iam-access")),
    "list the functions": looking(shipped("list-iam-guard-functions")),
}
WORK = {**LOOKS, "deploy": deploy_update_and_remove}


@pytest.fixture(scope="module")
def used(sandbox, account, tmp_path_factory):
    """The actions that each job of the deployer asks for, while the deployer has all of its own."""
    found = {}
    functions = account.client("lambda")
    functions.create_function(
        FunctionName="iam-guard-present",  # so that a report has something to look at
        Runtime="python3.13",
        Role=f"arn:aws:iam::{ACCOUNT}:role/iam-guard",
        Handler="x.y",
        Code={"ZipFile": b"x"},
        Tags={"iam-guard-version": "0"},
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        run = runner(monkeypatch, tmp_path_factory.mktemp("out"))
        for name, job in WORK.items():
            sandbox.calls.clear()
            job(sandbox, run, account.environ[DEPLOYER])
            found[name] = {f"{c.service}:{c.action}" for c in sandbox.calls if DEPLOYER in c.caller}
    found["deploy"].add("iam:PassRole")  # which Lambda asks for, and nobody calls
    return found


@pytest.fixture
def undeployed(account):
    """Whatever a deployment has left is gone after the test."""
    yield
    names = [f["FunctionName"] for f in account.client("lambda").list_functions()["Functions"]]
    rules = [rule["Name"] for rule in account.client("events").list_rules()["Rules"]]
    for rule in {FUNCTION} & set(rules):
        targets = account.client("events").list_targets_by_rule(Rule=rule)["Targets"]
        if targets:
            account.client("events").remove_targets(Rule=rule, Ids=[target["Id"] for target in targets])
        account.client("events").delete_rule(Name=rule)
    for name in {FUNCTION} & set(names):
        account.client("lambda").delete_function(FunctionName=name)


def test_the_deployers_role_is_enough(account, used):
    """The deployer does all its jobs as itself, asks for every action it has, and leaves nothing behind."""
    free = {"sts:GetCallerIdentity"}  # allowed to everybody
    assert set().union(*used.values()) - free == set(DEPLOYERS)
    names = [f["FunctionName"] for f in account.client("lambda").list_functions()["Functions"]]
    assert names == ["iam-guard-present"]


@pytest.mark.parametrize("action", sorted(set(DEPLOYERS)))
def test_the_deployer_needs_every_action(sandbox, account, used, run, undeployed, action):
    """Without this one action, a job of the deployer's is denied."""
    job = next(name for name in WORK if action in used[name])
    with without(account.backend, DEPLOYER, action):
        with pytest.raises((ClientError, WaiterError), match="AccessDenied"):
            WORK[job](sandbox, run, account.environ[DEPLOYER])


@pytest.mark.parametrize("name", LOOKS)
def test_the_readers_role_is_enough_to_look(sandbox, account, used, run, name):
    """The reader does dry runs and reports as itself."""
    LOOKS[name](sandbox, run, account.environ[READER])


def test_the_reader_cannot_deploy(sandbox, account, run, undeployed):
    """A deployment as the reader is denied before anything is made."""
    with pytest.raises(ClientError, match="AccessDenied"):
        run(account.environ[READER], REVOKE)
    assert FUNCTION not in [f["FunctionName"] for f in account.client("lambda").list_functions()["Functions"]]


@pytest.mark.parametrize(
    "attempt",
    [
        lambda iam, functions: functions.create_function(
            FunctionName="iam-guard-x", Runtime="python3.13", Handler="x.y", Code={"ZipFile": b"x"},
            Role=f"arn:aws:iam::{ACCOUNT}:role/iam-guard-deployer",
        ),
        lambda iam, functions: functions.delete_function(FunctionName="payroll"),
        lambda iam, functions: iam.detach_user_policy(UserName="bob", PolicyArn=DENY),
        lambda iam, functions: iam.attach_user_policy(UserName="bob", PolicyArn=DENY),
    ],
    ids=["pass-another-role", "delete-another-function", "restore", "revoke"],
)  # fmt: skip
def test_the_deployer_may_do_nothing_else(sandbox, account, attempt):
    """Other roles, functions and users are out of the deployer's reach."""
    keys = session(account.environ[DEPLOYER])
    iam, functions = (sandbox.client(service, keys, ACCOUNT) for service in ("iam", "lambda"))
    with pytest.raises(ClientError, match="AccessDenied"):
        attempt(iam, functions)


# Giving IAM back


def responders_job(sandbox, account, run, user):
    """Tag a user who carries the deny in all forms, and run the policy that restores."""
    operator = account.client("iam")
    operator.attach_user_policy(UserName=user, PolicyArn=DENY)
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": ["iam:*"], "Resource": "*"}]},
        separators=(",", ":"),
    )
    operator.put_user_policy(UserName=user, PolicyName="DenyIAM", PolicyDocument=document)
    operator.put_user_permissions_boundary(UserName=user, PermissionsBoundary=f"{DENY}Boundary")
    environ = account.environ[RESPONSE]
    iam = sandbox.client("iam", session(environ), ACCOUNT)
    iam.tag_user(UserName=user, Tags=[{"Key": "iam-guard", "Value": "restore"}])
    run(environ, shipped("restore-iam-access"))


@pytest.fixture
def carrier(sandbox, account):
    """A user who is to carry every form of the deny, and who is gone after the test."""
    sandbox.create_user("carrie", account=ACCOUNT)
    yield "carrie"
    account.backend.users.pop("carrie")


def test_the_response_role_is_enough(sandbox, account, run, carrier):
    """The responder tags a user and restores them: no form of the deny is left, and no tag."""
    responders_job(sandbox, account, run, carrier)
    user = account.client("iam").get_user(UserName=carrier)["User"]
    assert not user.get("Tags")
    assert not user.get("PermissionsBoundary")
    assert list(account.backend.users[carrier].policies) == ["access"]
    assert not account.backend.users[carrier].managed_policies


@pytest.mark.parametrize("action", RESPONSES)
def test_the_response_role_needs_every_action(sandbox, account, run, carrier, action):
    """Without this one action, giving IAM back is denied."""
    with without(account.backend, RESPONSE, action):
        with pytest.raises(Exception, match="AccessDenied"):
            responders_job(sandbox, account, run, carrier)


# The functions


@pytest.fixture(scope="module")
def guarded(sandbox, tmp_path_factory):
    """An account with both functions deployed, and the mapping that redrives the dead letters."""
    name = "131313131313"
    sandbox.deploy(account=name, AdminGroup="admins")
    iam = sandbox.client("iam", account=name)
    iam.create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=name)
    run = stock(
        "custodian", "run", "-s", tmp_path_factory.mktemp("out"), POLICIES / "protect-admin-group.yml",
        POLICIES / "revoke-unintended-iam-access.yml", environ=sandbox.environ(account=name),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    queue = f"arn:aws:sqs:us-east-1:{name}:{FUNCTION}"
    return Guarded(sandbox, name, queue)


class Guarded:
    """A guarded account, and the jobs of its functions; each tells whether it was done."""

    def __init__(self, sandbox, account, queue):
        self.sandbox, self.account, self.queue = sandbox, account, queue
        self.iam = sandbox.client("iam", account=account)
        self.sqs = sandbox.client("sqs", account=account)
        self.functions = sandbox.client("lambda", account=account)
        self.backend = iam_backends[account]["aws"]
        self.users = 0

    def user(self):
        self.users += 1
        name = f"user-{self.users}"
        self.sandbox.create_user(name, account=self.account)
        return self.backend.users[name]

    def event(self, user, action="CreateUser", **params):
        identity = principals.Principal("IAMUser", self.account, "aws", "AKIATEST", user.name).identity()
        record = cloudtrail.record(
            identity, "iam", action, params or {"UserName": "x"}, self.account, "us-east-1"
        )
        return cloudtrail.envelope(record)

    def revoked(self, user, event, how):
        """Whether the function denies a user IAM in this way."""
        invocation = self.sandbox.functions.invoke(FUNCTION, event, self.account)
        return invocation.succeeded and [line["how"] for line in invocation.decisions] == [how]

    def full(self, user, inline=False):
        """A user with no room for another managed policy, nor for an inline one."""
        for number in range(10):
            arn = f"arn:aws:iam::{self.account}:policy/own-{number}"
            if arn not in self.backend.managed_policies:
                statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
                document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
                self.iam.create_policy(PolicyName=f"own-{number}", PolicyDocument=document)
            user.managed_policies[arn] = self.backend.managed_policies[arn]
        if inline:
            user.policies["large"] = "x" * 2048
        return user

    def attach(self):
        user = self.user()
        return self.revoked(user, self.event(user), "managed")

    def look_first(self):
        self.sandbox.functions.cool()
        try:
            return self.attach()
        finally:
            self.sandbox.functions.cool()  # what it could not look at, it would remember

    def look_up(self):
        user = self.user()
        event = self.event(user)
        event["detail"]["eventTime"] = "2026-01-05T10:00:00Z"
        return self.revoked(user, event, "managed")

    def find_renamed(self):
        user = self.user()
        event = self.event(user)
        self.iam.update_user(UserName=user.name, NewUserName=f"new-{user.name}")
        return self.revoked(user, event, "managed")

    def put(self):
        user = self.full(self.user())
        return self.revoked(user, self.event(user), "inline")

    def bound(self):
        user = self.full(self.user(), inline=True)
        return self.revoked(user, self.event(user), "boundary")

    def take_out(self):
        user, added = self.user(), self.user()
        self.iam.add_user_to_group(GroupName="admins", UserName=added.name)
        event = self.event(user, "AddUserToGroup", UserName=added.name, GroupName="admins")
        self.sandbox.functions.invoke(PROTECT_FUNCTION, event, self.account)
        return added not in self.backend.groups["admins"].users

    def log(self):
        user = self.user()
        logs_backends[self.account]["us-east-1"].groups.pop(f"/aws/lambda/{FUNCTION}", None)
        return bool(self.sandbox.functions.invoke(FUNCTION, self.event(user), self.account).log)

    def dead_letter(self):
        user = self.user()
        self.sandbox.faults.append(Fault("iam:ListGroupsForUser", "AccessDenied", 403, times=3))
        try:
            return self.sandbox.functions.invoke(FUNCTION, self.event(user), self.account).dead_lettered
        except ClientError:
            return False
        finally:
            self.sandbox.faults.clear()

    def redrive(self):
        user = self.user()
        url = self.sqs.get_queue_url(QueueName=FUNCTION)["QueueUrl"]
        for message in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        mapping = self.functions.create_event_source_mapping(
            EventSourceArn=self.queue, FunctionName=FUNCTION, BatchSize=1
        )
        self.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(self.event(user)))
        try:
            (invocation,) = self.sandbox.functions.poll(self.account)
            return invocation.succeeded
        except ClientError:
            return False
        finally:
            self.functions.delete_event_source_mapping(UUID=mapping["UUID"])


JOBS = {
    "iam:ListGroupsForUser": Guarded.attach,
    "iam:AttachUserPolicy": Guarded.attach,
    "iam:GetPolicy": Guarded.look_first,
    "iam:GetPolicyVersion": Guarded.look_first,
    "iam:GetUser": Guarded.look_up,
    "iam:ListUsers": Guarded.find_renamed,
    "iam:PutUserPolicy": Guarded.put,
    "iam:PutUserPermissionsBoundary": Guarded.bound,
    "iam:RemoveUserFromGroup": Guarded.take_out,
    "logs:CreateLogGroup": Guarded.log,
    "logs:CreateLogStream": Guarded.log,
    "logs:PutLogEvents": Guarded.log,
    "sqs:SendMessage": Guarded.dead_letter,
    "sqs:ReceiveMessage": Guarded.redrive,
    "sqs:DeleteMessage": Guarded.redrive,
    "sqs:GetQueueAttributes": Guarded.redrive,
}


def test_every_action_of_the_functions_role_has_a_job():
    """The role's actions are those that the next test takes away, and no others."""
    assert set(GUARDS) == set(JOBS)


@pytest.mark.parametrize("action", JOBS)
def test_the_functions_role_is_enough_and_needs_every_action(guarded, action):
    """A function does this job as its own role, and does not without this one action."""
    assert JOBS[action](guarded)
    with without(guarded.backend, GUARD, action):
        assert not JOBS[action](guarded)


def test_the_functions_role_has_what_the_policies_declare():
    """The role's IAM actions are those that the two policies and their mode declare, and no others."""
    declared = {"iam:GetUser", "iam:ListUsers"}  # of the mode: whose name is it now?
    for data in (REVOKE, PROTECT):
        options = Config.empty(dryrun=True, account_id=ACCOUNT, region="us-east-1")
        made = Policy(json.loads(json.dumps(data)), options)
        for element in (*made.resource_manager.iter_filters(), *made.resource_manager.actions):
            declared |= set(element.permissions)
    deploying = {"iam:GetGroup", "iam:ListGroups"}  # asked once, by whoever deploys
    unused = {"iam:AddUserToGroup"}  # set-groups declares it for state: add
    assert {action for action in GUARDS if action.startswith("iam:")} == declared - deploying - unused
    assert deploying <= set(DEPLOYERS)


# Who may take the roles


def test_roles_are_trusted_by_the_central_account_alone(sandbox, account):
    """Another account cannot take any of the roles, nor can anybody take the functions' role."""
    sts = sandbox.client("sts", account="999999999999")
    for role in (DEPLOYER, READER, RESPONSE, GUARD):
        with pytest.raises(ClientError, match="AccessDenied"):
            sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="test")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{GUARD}"
    with pytest.raises(ClientError, match="AccessDenied"):
        sandbox.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")


def test_deny_actions_are_what_both_deny_policies_deny(sandbox):
    """The parameter reaches the managed policy and the boundary."""
    account = "181818181818"
    sandbox.deploy(account=account, DenyActions="iam:*,sts:AssumeRole")
    for name in ("DenyIAMAccess", "DenyIAMAccessBoundary"):
        policy = iam_backends[account]["aws"].managed_policies[f"arn:aws:iam::{account}:policy/{name}"]
        assert deny.denies(authorization.default_document(policy), ["iam:*", "sts:AssumeRole"])


def test_a_trail_logs_management_events_of_all_regions():
    """The optional trail is on, takes IAM's global events, and is made once its bucket lets it write."""
    trail = RESOURCES["Trail"]
    assert trail["Condition"] == "HasTrail"
    assert trail["DependsOn"] == "TrailBucketPolicy"
    for key in ("IsLogging", "IsMultiRegionTrail", "IncludeGlobalServiceEvents"):
        assert trail["Properties"][key] is True
    assert "EventSelectors" not in trail["Properties"]  # CloudTrail's default is all management events


@pytest.mark.parametrize(("create", "buckets"), [("no", 0), ("yes", 1)])
def test_a_trail_is_made_on_request_alone(sandbox, create, buckets):
    """There is a bucket for a trail if it is asked for, and none if not."""
    account = f"19191919190{buckets}"
    sandbox.deploy(account=account, CreateTrail=create)
    assert len(sandbox.client("s3", account=account).list_buckets()["Buckets"]) == buckets


def test_without_parameters_there_is_no_role_for_anybody(sandbox):
    """The stack as it stands makes the functions' role, and none that a person or CI could take."""
    sandbox.deploy(account="141414141414")
    roles = sandbox.client("iam", account="141414141414").list_roles()["Roles"]
    assert [role["RoleName"] for role in roles] == [GUARD]


@pytest.fixture(scope="module")
def ci(sandbox):
    """``ci(role, subject, audience)``: whether a CI job may take a role of the account."""
    name = "151515151515"
    provider = f"arn:aws:iam::{name}:oidc-provider/token.actions.githubusercontent.com"
    sandbox.deploy(
        account=name,
        OidcProviderArn=provider,
        OidcSubject="repo:example/guard:ref:refs/heads/main",
        OidcPreviewSubject="repo:example/guard:pull_request",
    )

    def may(role, subject, audience="sts.amazonaws.com", by=provider):
        trust = iam_backends[name]["aws"].get_role(role).assume_role_policy_document
        claims = {
            f"token.actions.githubusercontent.com:{k}": v for k, v in (("sub", subject), ("aud", audience))
        }
        names = {"Federated": {by}}
        return authorization.trusts(trust, names, "sts:AssumeRoleWithWebIdentity", claims)

    return may


@pytest.mark.parametrize(
    ("role", "claims", "may"),
    [
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/main",), True),
        (DEPLOYER, ("repo:example/guard:pull_request",), False),
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/topic",), False),
        (DEPLOYER, ("repo:example/other:ref:refs/heads/main",), False),
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/main", "another audience"), False),
        (DEPLOYER, ("repo:example/guard:ref:refs/heads/main", "sts.amazonaws.com", "arn:another"), False),
        (READER, ("repo:example/guard:pull_request",), True),
        (READER, ("repo:example/other:pull_request",), False),
    ],
)
def test_ci_takes_the_role_of_its_own_job_alone(ci, role, claims, may):
    """The main branch may deploy, a pull request may look, and nobody else may do either."""
    assert ci(role, *claims) is may
