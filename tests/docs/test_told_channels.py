"""docs/told.md is true: its event has the schema's shape, and Custodian's own actions work as it shows them.

The actions run on deployed functions, from their uploaded zips, with the YAML and the rights of the page.
"""

import base64
import json
import re
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from types import SimpleNamespace

import pytest
import yaml
from helpers import POLICIES, ROOT, policies_of, shipped, stock
from moto.iam.models import iam_backends
from rights import GUARD
from told import DETAIL, of_role

from sandbox.cloudtrail import records

PAGE = (ROOT / "docs/told.md").read_text()
ACCOUNT = "300000000011"
USERS = count()
CHANNELS = ("notify", "post-finding", "webhook")
TAG = "c7n:FindingId:IAM access revoked"


def blocks(section, language):
    """The code of one language in a section of the page."""
    text = re.split(r"\n##+ ", PAGE.split(f"# {section}\n", 1)[1])[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def action(channel, hook):
    """A channel's action as the page shows it, with this test's account and server."""
    (text,) = blocks(channel, "yaml")
    (found,) = yaml.safe_load(text.replace("111122223333", ACCOUNT))
    return {**found, "url": hook} if channel == "webhook" else found


@pytest.fixture(scope="module")
def hook():
    """A server that takes webhooks: its ``url``, and what it ``got``."""
    server = SimpleNamespace(got=[])

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{http.server_port}/iam-guard"
        yield server
        http.shutdown()


@pytest.fixture(scope="module")
def account(sandbox, hook, tmp_path_factory):
    """An account with a function for each channel, and the rights that the page gives the functions' role."""
    client = lambda service: sandbox.client(service, account=ACCOUNT)  # noqa: E731
    iam = client("iam")
    iam.create_group(GroupName="admins")
    sandbox.deploy(account=ACCOUNT)
    sandbox.create_user("ada", groups=["admins"], account=ACCOUNT)
    client("sqs").create_queue(QueueName="c7n-mailer")
    client("securityhub").enable_security_hub()
    for channel in ("notify", "post-finding"):
        (rights,) = blocks(channel, "json")
        policy = iam.create_policy(
            PolicyName=f"iam-guard-{channel}", PolicyDocument=rights.replace("111122223333", ACCOUNT)
        )
        # As the stack's parameter ActionPolicies does, which moto's CloudFormation leaves out.
        iam.attach_role_policy(RoleName=GUARD, PolicyArn=policy["Policy"]["Arn"])
    policies = []
    for channel in CHANNELS:
        policy = shipped("revoke-unintended-iam-access")
        policies.append(
            {**policy, "name": channel, "actions": ["revoke-iam-access", action(channel, hook.url)]}
        )
    policy = shipped("revoke-unintended-iam-access-of-roles")
    actions = ["revoke-iam-access", action("post-finding", hook.url)]
    policies.append({**policy, "name": "post-finding-of-roles", "source": "describe", "actions": actions})
    for policy in policies:  # their functions have other names than those of the stack's queues
        queue = f"iam-guard-{policy['name']}"
        client("sqs").create_queue(QueueName=queue)
        allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:*:*:{queue}"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.put_role_policy(RoleName=GUARD, PolicyName=queue, PolicyDocument=document)
    file = tmp_path_factory.mktemp("channels") / "policies.yml"
    file.write_text(yaml.safe_dump({"policies": policies}))
    done = stock("custodian", "run", "-s", file.parent, file, environ=sandbox.environ(account=ACCOUNT))
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(client=client, iam=iam, backend=iam_backends[ACCOUNT]["aws"])


@pytest.fixture
def call(sandbox, account):
    """``call(channel)``: what a channel's function makes of a call by a user of its own."""
    made = []

    def make(channel):
        name = f"{channel}-{next(USERS)}"
        made.append(name)
        sandbox.create_user(name, account=ACCOUNT)
        user = account.backend.users[name]
        identity = {
            "type": "IAMUser", "principalId": user.id, "arn": user.arn, "accountId": ACCOUNT, "userName": name,
            "accessKeyId": "AKIAEXAMPLE",
        }  # fmt: skip
        record = records.record(identity, "iam", "CreateUser", {"UserName": "x"}, ACCOUNT, "us-east-1")
        done = sandbox.functions.invoke(f"iam-guard-{channel}", records.envelope(record), ACCOUNT)
        done.user, done.event_id = user, record["eventID"]
        return done

    yield make
    for name in made:
        account.backend.users.pop(name, None)


@pytest.fixture
def mailer(account):
    """``mailer()``: the messages in c7n-mailer's queue, decoded as c7n-mailer does it."""
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName="c7n-mailer")["QueueUrl"]

    def messages():
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        for message in found.get("Messages", ()):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            assert message["MessageAttributes"]["mtype"]["StringValue"] == "maidmsg/1.0"
        return [json.loads(zlib.decompress(base64.b64decode(m["Body"]))) for m in found.get("Messages", ())]

    messages()
    return messages


def findings(account):
    """The findings in Security Hub, by the ARN of what they are about."""
    found = account.client("securityhub").get_findings()["Findings"]
    return {finding["Resources"][0]["Id"]: finding for finding in found}


# The page


def test_the_pages_event_has_the_schemas_shape():
    """The event that the page shows is one."""
    (text,) = blocks("The event", "json")
    DETAIL.validate(json.loads(text))


def test_the_pages_mail_is_the_templates(account):
    """The mail that the page shows has the lines of the stack's template, in its order."""
    (shown,) = blocks("A mail", "")
    (mail, *_) = account.client("events").list_targets_by_rule(
        EventBusName="iam-guard", Rule="iam-guard-tell"
    )["Targets"]
    lines = [re.sub("<.*?>", "\0", line) for line in mail["InputTransformer"]["InputTemplate"].splitlines()]
    for line, said in zip(lines, shown.splitlines(), strict=True):
        assert re.fullmatch(re.escape(line).replace("\0", ".+"), said), said


def test_the_page_names_every_title():
    """Each title that an event can have is in the page's table, and no others are."""
    from c7n_iamguard.notify import detail

    shown = re.findall(r"^\| (\w[\w ]+) \| `", PAGE, re.M)
    assert sorted(shown) == sorted([*detail.TITLES.values(), detail.REVOKED_LATE, detail.WOULD_REMOVE])


@pytest.mark.parametrize(
    "policy", [p["name"] for f in POLICIES.glob("*.yml") for p in policies_of(f) if "mode" in p]
)
def test_every_policy_with_a_function_tells(policy):
    """The last action of each shipped policy that has a function is put-event, on the stack's bus."""
    *_, last = shipped(policy)["actions"]
    assert last == "put-event"


# notify


def test_notify_sends_who_was_denied_to_the_mailers_queue(call, mailer):
    """The message has the user, what was decided, the event and the page's recipients."""
    done = call("notify")
    assert done.succeeded, done.log
    (message,) = mailer()
    (resource,) = message["resources"]
    assert resource["UserName"] == done.user.name
    assert resource["c7n:IAMGuard"]["decision"] == "revoked"
    assert message["event"]["detail"]["eventID"] == done.event_id
    assert (message["account_id"], message["policy"]["name"]) == (ACCOUNT, "notify")
    assert message["action"]["to"] == ["security@example.com"]
    assert "DenyIAMAccess" in str(done.user.managed_policies)


# post-finding


def test_a_finding_says_who_was_denied(account, call):
    """Security Hub gets one finding about the user, whom the action tags with its id."""
    done = call("post-finding")
    assert done.succeeded, done.log
    finding = findings(account)[done.user.arn]
    assert (finding["Title"], finding["Severity"]["Label"]) == ("IAM access revoked", "HIGH")
    assert finding["Types"] == ["TTPs/Privilege Escalation"]
    details = finding["Resources"][0]["Details"]["Other"]
    assert details["UserName"] == done.user.name
    assert json.loads(details["c7n:IAMGuard"])["decision"] == "revoked"
    (tag,) = account.iam.list_user_tags(UserName=done.user.name)["Tags"]
    assert tag["Key"] == TAG
    assert tag["Value"].startswith(finding["Id"])


def test_a_finding_about_a_role_needs_what_describe_reads(sandbox, account):
    """With the page's ``source: describe``, a finding about a role has its trust policy."""
    sandbox.create_role("deployer", account=ACCOUNT)
    event = of_role("deployer", account=ACCOUNT, role_id=account.backend.get_role("deployer").id)
    done = sandbox.functions.invoke("iam-guard-post-finding-of-roles", event, ACCOUNT)
    assert done.succeeded, done.log
    finding = findings(account)[f"arn:aws:iam::{ACCOUNT}:role/deployer"]
    assert "sts:AssumeRole" in finding["Resources"][0]["Details"]["AwsIamRole"]["AssumeRolePolicyDocument"]


# webhook


def test_a_webhook_says_who_was_denied(call, hook):
    """The server gets what the page's expression picks from resource and event."""
    hook.got.clear()
    done = call("webhook")
    assert done.succeeded, done.log
    ((path, body),) = hook.got
    assert path == "/iam-guard"
    assert body[:3] == [done.user.name, "revoked", "CreateUser"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body[3])
