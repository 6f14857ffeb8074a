"""An organization with people of Identity Center, whose guard denies them IAM by an SCP."""

import itertools
import json
import types
from datetime import datetime, timedelta, timezone

from botocore.exceptions import ClientError
from moto.organizations.models import organizations_backends
from moto.sqs.models import sqs_backends
from rights import resources
from told import by_event, listen, of_role

from c7n_iamguard.event import IAMEvent
from c7n_iamguard.notify import detail
from sandbox.organizations import organization
from sandbox.server import DEPLOY

MANAGEMENT, CENTRAL, FIRST, SECOND = ACCOUNTS = "300000000501", "300000000502", "300000000503", "300000000504"
BUS = f"arn:aws:events:us-east-1:{CENTRAL}:event-bus/iam-guard-central"
QUEUE = f"https://sqs.us-east-1.amazonaws.com/{CENTRAL}/iam-guard-people.fifo"
FUNCTION = "iam-guard-people"
ROLE = "AWSReservedSSO_Developer_0123456789abcdef"
PATH = "/aws-reserved/sso.amazonaws.com/"
EMPTY = resources("people-organization.yml")["People"]["Properties"]["Content"]


def index():
    """The function's code, as a module."""
    module = types.ModuleType("index")
    code = resources("people.yml")["Function"]["Properties"]["Code"]["ZipFile"]
    exec(compile(code, "index.py", "exec"), vars(module))  # noqa: S102  it is the template's own
    return module


class Person:
    """Somebody who works with a permission set in an account."""

    def __init__(self, sandbox, name, account, role):
        self.name, self.account, self.id = name, account, f"{role['RoleId']}:{name}"
        self.client = lambda service: sandbox.client(service, sandbox.session(role["Arn"], name), account)

    def may(self, service, operation, **parameters):
        """Whether AWS lets them make a call."""
        try:
            getattr(self.client(service), operation)(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            return False
        return True

    def may_use_iam(self):
        return self.may("iam", "list_account_aliases")


class World:
    """The organization: the management account, the central one, and two others with the same permission set."""

    def __init__(self, sandbox):
        self.sandbox, self.numbers = sandbox, itertools.count()
        self.join()
        sandbox.deploy(
            DEPLOY / "people-organization.yml", "people", account=MANAGEMENT, SecurityAccount=CENTRAL
        )
        (self.policy,) = [one for one in self.backend.policies if one.name == FUNCTION]
        mail = {"NotifyEmail": "security@example.com"}
        sandbox.deploy(DEPLOY / "central.yml", "central", CENTRAL, OrganizationId=organization.ID, **mail)
        sandbox.deploy(DEPLOY / "people.yml", "people", account=CENTRAL, PolicyArn=self.policy.arn)
        access = {"CentralAccount": CENTRAL, "ResponseRoles": f"arn:aws:iam::{CENTRAL}:role/on-call"}
        sandbox.deploy(DEPLOY / "access.yml", "access", CENTRAL, **access)
        self.roles = {}
        for account in (FIRST, SECOND):
            sandbox.deploy(account=account, CentralBus=BUS, **mail)
            sso = {"Service": "sso.amazonaws.com"}
            self.roles[account] = sandbox.create_role(ROLE, trust=sso, path=PATH, account=account)
        self.attach()

    @property
    def backend(self):
        return organizations_backends[MANAGEMENT]["aws"]

    def join(self):
        """Make the organization out of the accounts."""
        client = self.sandbox.client("organizations", account=MANAGEMENT)
        client.create_organization(FeatureSet="ALL")
        for account in (CENTRAL, FIRST, SECOND):
            client.create_account(Email=f"{account}@example.com", AccountName=account)
            made = self.backend.accounts[-1]
            masters = organizations_backends.master_accounts
            masters[account] = masters.pop(made.id)
            made.id = account
        (root,) = client.list_roots()["Roots"]
        self.root = root["Id"]

    def attach(self, attached=True):
        """Attach the SCP to the root, or detach it."""
        client = self.sandbox.client("organizations", account=MANAGEMENT)
        call = client.attach_policy if attached else client.detach_policy
        call(PolicyId=self.policy.id, TargetId=self.root)

    def person(self, name, account=FIRST):
        return Person(self.sandbox, name, account, self.roles[account])

    @property
    def denied(self):
        """The people who are denied now, by account."""
        return {account: list(people) for account, people in index().read(self.policy.content).items()}

    def event(self, person, **changes):
        """The guard's words about a person's call: it cannot deny their role IAM."""
        role = self.roles[person.account]
        event = of_role(ROLE, person.name, PATH, person.account, role["RoleId"])
        event["detail"]["eventID"] = f"call-{next(self.numbers)}"
        principal, kind = by_event(event, "cannot-revoke", reason="only AWS can change this role")
        teller = detail.Teller("a-policy", person.account, "us-east-1")
        return detail.describe(principal, kind, IAMEvent(event), teller) | changes

    def put(self, detail, account=FIRST, role="iam-guard-forward"):
        """Put an event on the central bus, as a role of an account."""
        session = self.sandbox.session(f"arn:aws:iam::{account}:role/{role}")
        entry = {"Source": "iam-guard", "DetailType": "IAM access cannot be revoked", "EventBusName": BUS}
        events = self.sandbox.client("events", session, account)
        events.put_events(Entries=[entry | {"Detail": json.dumps(detail)}])

    def forward(self, *people):
        """Let the guard of their accounts say what it cannot do about people, and the function do it."""
        for person in people:
            self.put(self.event(person), person.account)
        return self.poll()

    def poll(self):
        """Hand the queue to the function, as long as there is something that nobody is at work on."""
        return self.sandbox.functions.poll(CENTRAL)

    def later(self):
        """Let the time pass for which SQS hides a message that a function has failed on."""
        for message in sqs_backends[CENTRAL]["us-east-1"].queues["iam-guard-people.fifo"]._messages:
            message.visible_at = 0

    def look(self):
        """Let the hourly look come round."""
        (invocation,) = self.sandbox.tick(FUNCTION, CENTRAL)
        return invocation

    def alarms(self):
        """The alarms about people that have gone off in this minute or the last, by the ends of their names."""
        now, gone_off = datetime.now(timezone.utc), {}
        for moment in (now - timedelta(minutes=1), now):
            states = self.sandbox.alarms(moment, CENTRAL)
            gone_off |= {
                name: None for name, state in states.items() if state == "ALARM" and "people" in name
            }
        return [name.rsplit("-", 1)[1] for name in gone_off]

    def mails(self, topic="iam-guard-central"):
        """The texts of the mails of the security account, or of an account's own."""
        return [mail.text for mail in self.sandbox.mails(topic)]

    def listen(self):
        return listen(self.sandbox, "iam-guard-central", CENTRAL)

    def environ(self, role):
        """The environment of whoever has taken a role of the central account."""
        session = self.sandbox.session(f"arn:aws:iam::{CENTRAL}:role/{role}")
        return self.sandbox.environ(session, CENTRAL)

    def reset(self):
        """Nobody is denied, nothing waits, and the SCP is attached."""
        self.policy.content = json.dumps(EMPTY)
        for queue in sqs_backends[CENTRAL]["us-east-1"].queues.values():
            queue._messages.clear()
            queue.pending_messages.clear()
            queue.deleted_messages.clear()
        if not self.policy.attachments:
            self.attach()
        self.sandbox.faults.clear()
        self.sandbox.metrics.points.clear()
