"""An account whose unintended calls are contained, and what its people and intruders do there."""

import itertools
import json
from types import SimpleNamespace

from botocore.exceptions import ClientError
from helpers import CONTAIN, POLICIES, PROTECT, function_names, settings_file, stock

from sandbox.server import DEPLOY

ACCOUNT = "151515151515"
QUARANTINE = f"arn:aws:iam::{ACCOUNT}:policy/iam-guard-quarantine"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
PASSWORD = "Correct-1-Horse"  # noqa: S105  nobody's
SAML = "<EntityDescriptor/>".ljust(1000)
#: The callers that are the containing functions.
CALLER = ":assumed-role/iam-guard-contain/"
REFUSALS = ("AccessDenied", "InvalidAccessKeyId", "InvalidClientTokenId", "NoSuchEntity")
numbers = itertools.count(1)


def document(*statements):
    """A policy document; a text stands for a statement that allows it."""
    found = [
        {"Effect": "Allow", "Action": s, "Resource": "*"} if isinstance(s, str) else s for s in statements
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": found})


DENIAL = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
ANYTHING, NOTHING = document("*"), document("polly:DescribeVoices")
TRUST = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}})


class Contained:
    """The account: an admin group with ada in it, and the functions that contain calls and protect the group."""

    def __init__(self, sandbox, output):
        from moto.iam.models import AWSManagedPolicy, iam_backends

        self.sandbox = sandbox
        sandbox.deploy(account=ACCOUNT, AdminGroups="admins")
        sandbox.deploy(DEPLOY / "contain.yml", stack="iam-guard-contain", account=ACCOUNT)
        self.iam, self.backend = self.client("iam"), iam_backends[ACCOUNT]["aws"]
        date = "2015-02-06T18:39:46+00:00"
        data = {"DefaultVersionId": "v1", "Path": "/", "Document": json.loads(ANYTHING)}
        data |= {"CreateDate": date, "UpdateDate": date}
        policy = AWSManagedPolicy.from_data("AdministratorAccess", ACCOUNT, sandbox.region, data)
        self.backend.managed_policies[policy.arn] = policy  # the sandbox does not load AWS's own
        self.iam.create_group(GroupName="admins")
        self.iam.attach_group_policy(GroupName="admins", PolicyArn=ADMINISTRATOR)
        sandbox.create_user("ada", groups=["admins"], account=ACCOUNT)
        run = stock(
            "custodian", "run", "-s", output, "-r", sandbox.region, "-p", "contain-*", "-p", PROTECT,
            POLICIES / f"{CONTAIN}.yml", POLICIES / f"{PROTECT}.yml", environ=sandbox.environ(account=ACCOUNT),
            settings=settings_file(output, observe_roles=False, observe_containment=False),
        )  # fmt: skip
        assert run.returncode == 0, run.stderr

    @property
    def admins_id(self):
        """The id of the admin group."""
        return next(group.id for group in self.backend.groups.values() if group.name == "admins")

    def client(self, service, credentials=None):
        return self.sandbox.client(service, credentials, account=ACCOUNT)

    # People

    def person(self, *rights, name="mallory", groups=()):
        """Somebody new with these rights, all if none are given."""
        name = f"{name}-{next(numbers)}"
        key = self.sandbox.create_user(name, rights or "*", groups=groups, account=ACCOUNT)
        self.sandbox.pending.clear()
        return SimpleNamespace(name=name, key=key, iam=self.client("iam", key))

    def role(self, *rights, name="worker"):
        """A role of the account, and a session of it."""
        name = f"{name}-{next(numbers)}"
        arn = self.sandbox.create_role(name, rights or "*", account=ACCOUNT)["Arn"]
        self.sandbox.pending.clear()
        key = self.sandbox.session(arn, "a-session")
        return SimpleNamespace(name=name, key=key, iam=self.client("iam", key))

    def group(self, *inline):
        """The name of a new group with inline policies."""
        name = f"group-{next(numbers)}"
        self.iam.create_group(GroupName=name)
        for number, text in enumerate(inline):
            self.iam.put_group_policy(GroupName=name, PolicyName=f"p{number}", PolicyDocument=text)
        return name

    def policy(self, *texts):
        """The ARN of a new managed policy; the last of its versions is the default one."""
        first, *others = texts
        name = f"policy-{next(numbers)}"
        arn = self.iam.create_policy(PolicyName=name, PolicyDocument=first)["Policy"]["Arn"]
        for text in others:
            self.iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
        return arn

    # Events

    def events(self):
        """The calls since the last look, as events, without reads, which EventBridge keeps to itself."""
        found, self.sandbox.pending = self.sandbox.pending, []
        own = [event for event in found if event["account"] == ACCOUNT]
        return [event for event in own if not event["detail"]["eventName"].startswith(("Get", "List"))]

    def deliver(self, *events):
        """Deliver events, or all that has happened, and what comes of it, until nothing is left.

        :returns: the invocations of the functions
        """
        invocations, events = [], list(events) or self.events()
        for _ in range(10):
            for event in events:
                invocations += self.sandbox.deliver(event)
            events = self.events()
            if not events:
                return invocations
        raise AssertionError(f"the functions keep on answering each other: {events}")

    def contain(self, *events):
        """Deliver one event, and return what was decided about it, with the calls that this took.

        :returns: the decision, and the names of the calls to IAM
        """
        events = list(events) or self.events()
        for name in function_names(self.sandbox, ACCOUNT):
            if CONTAIN in name:  # what a function looks at while it starts is no call for the event
                self.sandbox.functions.attempt(name, {"detail": {}}, ACCOUNT)
        self.sandbox.calls.clear()
        (invocation,) = [i for event in events for i in self.sandbox.deliver(event) if CONTAIN in i.function]
        assert len(invocation.decisions) == 1, invocation.decisions
        self.calls = [
            call.action
            for call in self.sandbox.calls
            if CALLER in call.caller and call.service == "iam" and call.action != "ListAccountAliases"
        ]
        self.events()
        return invocation.decisions[0]

    # What is so

    def quarantined(self, kind, name):
        """Whether a user or role carries the quarantine, as IAM tells it."""
        answer = getattr(self.iam, f"list_attached_{kind}_policies")(**{f"{kind.title()}Name": name})
        return QUARANTINE in [policy["PolicyArn"] for policy in answer["AttachedPolicies"]]

    def works(self, key):
        """Whether somebody with credentials may do what no right of the tests' people allows by itself."""
        return allowed(self.client("s3", key).list_buckets)

    def status(self, user, key):
        """Whether a user's access key is ``Active`` or ``Inactive``."""
        keys = self.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
        return next(found["Status"] for found in keys if found["AccessKeyId"] == key["AccessKeyId"])


def once(account, person, operation, **parameters):
    """Make a call and let it be contained; what IAM answered, and what was decided."""
    account.events()
    answer = getattr(person.iam, operation)(**parameters)
    return answer, account.contain()


def allowed(call, **parameters):
    """Whether a call is answered."""
    try:
        call(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] not in REFUSALS:
            raise
        return False
    return True


def decided(invocations):
    """The decisions of the containing functions, in their order."""
    return [line for i in invocations if CONTAIN in i.function for line in i.decisions]
