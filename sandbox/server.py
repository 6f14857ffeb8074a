"""The sandbox itself: moto behind a WSGI server on the loopback address, with what moto lacks added."""

import json
import os
import threading
import time
from contextlib import ExitStack
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from moto.iam.models import iam_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.organizations.models import organizations_backends
from moto.utilities.utils import get_partition
from waitress import wasyncore
from waitress.server import create_server

from sandbox import replacements, running, unknown
from sandbox.access import principals
from sandbox.cloudtrail import records
from sandbox.cloudtrail.history import History
from sandbox.cloudwatch.metrics import Metrics
from sandbox.events.rules import EventBridge
from sandbox.faults import Fault
from sandbox.iam import last_accessed
from sandbox.lambda_.invocations import Functions
from sandbox.requests import Call
from sandbox.sts import sessions

HOST = "127.0.0.1"
ACCOUNT = "111122223333"
REGION = "us-east-1"
DEPLOY = Path(__file__).parent.parent / "deploy"
for folder in ("cloudformation", "events", "iam", "lambda_", "organizations", "sns", "sqs"):
    for file in (Path(__file__).parent / folder).glob("[a-z]*.py"):
        import_module(f"sandbox.{folder}.{file.stem}")  # it replaces parts of moto


class Sandbox:
    """AWS on the loopback address. Use it as a context manager; only one may run in a process.

    :param account: the account that is used where none is named, as the region is
    :ivar calls: each :class:`~sandbox.requests.Call` that was made
    :ivar pending: the events of IAM calls that :meth:`deliver` has not handed on yet
    :ivar scps: documents that act in every account, beside those of Organizations
    :ivar outsiders: the accounts that are outside of the organization
    :ivar last_used: when users and roles last used which service, by ARN, such as ``{"iam": None, "s3": datetime}``
    """

    def __init__(self, account=ACCOUNT, region=REGION, port=0):
        self.account, self.region, self.port = account, region, port
        self.calls, self.pending, self.faults, self.scps = [], [], [], []
        self.outsiders, self.delegation_policies = set(), {}
        self.sessions, self.last_used, self.jobs = {}, {}, {}
        self.sent, self.known_alarms = [], {}
        self.connections = set()
        self.connection_delay = self.call_delay = 0.0
        self.lock = threading.RLock()
        self.functions = Functions(self)
        self.eventbridge = EventBridge(self)
        self.history = History()
        self.metrics = Metrics()
        self.stack = ExitStack()
        self.boto = boto3.Session()

    # Life

    def __enter__(self):
        self.stack.enter_context(patch.dict(os.environ))
        os.environ.pop("MOTO_ACCOUNT_ID", None)
        reset()
        self.home = self.stack.enter_context(TemporaryDirectory(prefix="sandbox-home-"))
        self.stack.enter_context(patch.object(running, "sandbox", self))
        self.stack.enter_context(replacements.put_in_place())
        app = DomainDispatcherApplication(unknown.app_of)
        self.server = create_server(
            self.counting(app), host=HOST, port=self.port, threads=16, asyncore_loop_timeout=1
        )
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self.endpoint = f"http://{HOST}:{self.server.effective_port}"
        return self

    def __exit__(self, *exc):
        self.functions.close()
        self.server.task_dispatcher.shutdown()
        # By its own thread, which would otherwise wait for sockets that are closed, and end with a traceback.
        self.server.trigger.pull_trigger(lambda: wasyncore.close_all(self.server._map, ignore_all=True))
        self.thread.join(timeout=5)
        self.stack.close()
        reset()

    def counting(self, app):
        """The WSGI application, with every TCP connection that reaches it counted."""

        def counted(environ, start_response):
            channel = environ["waitress.client_disconnected"].__self__
            connection = environ["REMOTE_PORT"], channel.creation_time  # ports come round again
            if connection not in self.connections:
                self.connections.add(connection)
                time.sleep(self.connection_delay)
            return app(environ, start_response)

        return counted

    # Calling it

    def environ(self, credentials=None, account=None, region=None):
        """The environment variables that bind a stock command to the sandbox, and to nothing else.

        :param credentials: what STS or CreateAccessKey answered; the account's operator if left out
        """
        account = account or self.account
        loopback(self.endpoint)
        keys = credentials or {"AccessKeyId": principals.operator_key(account), "SecretAccessKey": "sandbox"}
        kept = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        environ |= {
            "HOME": self.home,  # c7n keeps its cache there
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_DEFAULT_REGION": region or self.region,
            "AWS_REGION": region or self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if "SessionToken" in keys:
            environ["AWS_SESSION_TOKEN"] = keys["SessionToken"]
        return environ

    def client(self, service, credentials=None, account=None, region=None):
        """A boto3 client; the account's operator's, if no credentials are given."""
        environ = self.environ(credentials, account, region)
        return self.boto.client(
            service,
            endpoint_url=environ["AWS_ENDPOINT_URL"],
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environ.get("AWS_SESSION_TOKEN"),
            region_name=environ["AWS_REGION"],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def deploy(self, template=DEPLOY / "account.yml", stack="iam-guard", account=None, region=None, **params):
        """Create a CloudFormation stack, or update it if it exists."""
        formation = self.client("cloudformation", account=account, region=region)
        arguments = {
            "StackName": stack,
            "TemplateBody": Path(template).read_text(),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in params.items()],
        }
        known = [s["StackName"] for s in formation.describe_stacks()["Stacks"]]
        (formation.update_stack if stack in known else formation.create_stack)(**arguments)

    def create_user(self, name, allow="*", groups=(), account=None, path="/", region=None, tags=()):
        """An IAM user with an inline policy that allows ``allow``, of whom an access key is returned."""
        client = self.client("iam", account=account, region=region)
        client.create_user(UserName=name, Path=path, Tags=list(tags))
        allowed = {"Effect": "Allow", "Action": allow, "Resource": "*"}
        client.put_user_policy(UserName=name, PolicyName="access", PolicyDocument=document(allowed))
        for group in groups:
            client.add_user_to_group(GroupName=group, UserName=name)
        return client.create_access_key(UserName=name)["AccessKey"]

    def create_role(self, name, allow="*", trust=None, account=None, path="/", region=None, **more):
        """A role with an inline policy that allows ``allow``.

        :param trust: who may take it, as ``Principal`` of a trust policy says; the account itself if left out
        :param more: further parameters of CreateRole
        :returns: the role, as CreateRole answers it
        """
        client = self.client("iam", account=account, region=region)
        principal = trust or {"AWS": account or self.account}
        trusted = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal})
        made = client.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trusted, **more)
        allowed = document({"Effect": "Allow", "Action": allow, "Resource": "*"})
        backend = iam_backends[account or self.account][get_partition(region or self.region)]
        backend.get_role(name).put_policy("access", allowed)  # a call cannot, if the role is one of AWS's
        return made["Role"]

    def session(self, role_arn, name="session"):
        """Credentials of a role, without asking its trust policy, as Identity Center, instances and services do."""
        return sessions.credentials_of(sessions.begin(role_arn, name, self.region))

    # Events

    def deliver(self, *events, region=None):
        """Hand events to EventBridge: those given, or the records of the IAM calls made so far.

        :returns: the :class:`~sandbox.lambda_.invocations.Invocation` of every function that a rule invoked
        """
        if not events:
            with self.lock:
                events, self.pending = self.pending, []
        invocations = []
        for event in events:
            invocations += self.eventbridge.run(event, event["account"], region or event["region"])
        return invocations

    def tick(self, function, account=None, region=None):
        """The invocations if the schedules of a function come round now."""
        return self.eventbridge.tick(function, account or self.account, region or self.region)

    def alarms(self, now=None, account=None, region=None):
        """The states of the alarms that an account's stacks have made, by their names, as of now or of a moment."""
        place = account or self.account, region or self.region
        found = [alarm for alarm in self.known_alarms.values() if (alarm.account, alarm.region) == place]
        for alarm in found:
            alarm.evaluate(now)
        return {alarm.name: alarm.state for alarm in found}

    def mails(self, topic=None):
        """The mails that all topics have sent, or the one of a name."""
        return [mail for mail in self.sent if topic in (None, mail.topic.rpartition(":")[2])]

    def fault_for(self, action, caller):
        with self.lock:
            return next((fault for fault in self.faults if fault.meets(action, caller)), None)

    def record(self, request, caller, identity, error, answer):
        """Note a call, and its CloudTrail record if it is one of IAM's.

        :param caller: the ARN of who called, as of before the call
        :param identity: CloudTrail's userIdentity, as of before the call
        :param error: (code, message) as the service answered, or None
        :param answer: the body of the answer
        """
        params = {name: value for name, value in request.params.items() if name not in ("Code", "ZipFile")}
        called = Call(caller, request.service, request.action, params, error and error[0])
        with self.lock:
            self.calls.append(called)
            last_accessed.note(request.principal.policy_arn, request.service)
            if request.service == "iam":
                region = records.IAM_REGION.get(request.partition, request.region)
                detail = records.record(
                    identity, "iam", request.action, params, request.account, region, error, answer
                )
                self.pending.append(records.envelope(detail))
                self.history.append(detail)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def loopback(url):
    """Refuse any address but this machine's own."""
    if not ip_address(urlparse(url).hostname).is_loopback:
        raise RuntimeError(f"{url} is not the loopback address: the sandbox never calls a real account")
    return url


def reset():
    """Forget everything that moto keeps in this process."""
    moto_api_backend.reset()
    organizations_backends.master_accounts.clear()


__all__ = ["ACCOUNT", "REGION", "Call", "Fault", "Sandbox", "loopback"]
