"""docs/told.md is true: its event has the schema's shape, and Custodian's own actions work as it shows them.

The actions run on deployed functions, from their uploaded zips, with the YAML and the rights of the page.
"""

import base64
import json
import re
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
import yaml
from helpers import FUNCTION, POLICIES, REVOKE, ROOT, policies_of, shipped, stock
from moto.iam.models import iam_backends
from rights import GUARD
from told import DETAIL, of_role

from sandbox.cloudtrail import records

PAGE = (ROOT / "docs/told.md").read_text()
ACCOUNT = "300000000011"


def blocks(section, language):
    """The code of one language in a section of the page."""
    text = re.split(r"\n##+ ", PAGE.split(f"# {section}\n", 1)[1])[0]
    return re.findall(rf"```{language}\n(.*?)```", text.replace("111122223333", ACCOUNT), re.S)


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
    """An account whose functions use all channels, with the rights that the page gives their role."""
    client = lambda service: sandbox.client(service, account=ACCOUNT)  # noqa: E731
    iam = client("iam")
    iam.create_group(GroupName="admins")
    sandbox.deploy(account=ACCOUNT)
    sandbox.create_user("ada", groups=["admins"], account=ACCOUNT)
    client("sqs").create_queue(QueueName="c7n-mailer")
    client("securityhub").enable_security_hub()
    for channel in ("notify", "post-finding"):
        (rights,) = blocks(channel, "json")
        policy = iam.create_policy(PolicyName=f"iam-guard-{channel}", PolicyDocument=rights)
        # As the stack's parameter ActionPolicies does, which moto's CloudFormation leaves out.
        iam.attach_role_policy(RoleName=GUARD, PolicyArn=policy["Policy"]["Arn"])
    channels = ("notify", "post-finding", "webhook")
    notify, finding, webhook = (yaml.safe_load(blocks(channel, "yaml")[0])[0] for channel in channels)
    users = ["revoke-iam-access", notify, finding, {**webhook, "url": hook.url}]
    roles = {"source": "describe", "actions": ["revoke-iam-access", finding]}
    policies = [{**shipped(REVOKE), "actions": users}, {**shipped(f"{REVOKE}-of-roles"), **roles}]
    file = tmp_path_factory.mktemp("channels") / "policies.yml"
    file.write_text(yaml.safe_dump({"policies": policies}))
    done = stock("custodian", "run", "-s", file.parent, file, environ=sandbox.environ(account=ACCOUNT))
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(client=client, iam=iam, backend=iam_backends[ACCOUNT]["aws"])


@pytest.fixture(scope="module")
def bob(sandbox, account):
    """A user whom the function has denied IAM for a call."""
    sandbox.create_user("bob", account=ACCOUNT)
    user = account.backend.users["bob"]
    identity = {
        "type": "IAMUser", "principalId": user.id, "arn": user.arn, "accountId": ACCOUNT, "userName": "bob",
        "accessKeyId": "AKIAEXAMPLE",
    }  # fmt: skip
    record = records.record(identity, "iam", "CreateUser", {"UserName": "x"}, ACCOUNT, "us-east-1")
    done = sandbox.functions.invoke(FUNCTION, records.envelope(record), ACCOUNT)
    assert done.succeeded, done.log
    assert "DenyIAMAccess" in str(user.managed_policies)
    user.event_id = record["eventID"]
    return user


def finding_about(account, arn):
    """Security Hub's findings about a user or role."""
    found = account.client("securityhub").get_findings()["Findings"]
    (finding,) = [one for one in found if one["Resources"][0]["Id"] == arn]
    return finding, finding["Resources"][0]["Details"]


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


def test_every_policy_with_a_function_tells():
    """The last action of each shipped policy that has a function is put-event, on the stack's bus."""
    policies = [policy for file in POLICIES.glob("*.yml") for policy in policies_of(file)]
    assert {policy["actions"][-1] for policy in policies if "mode" in policy} == {"put-event"}


# Custodian's own actions


def test_notify_sends_who_was_denied_to_the_mailers_queue(account, bob):
    """The message has the user, what was decided, the event and the page's recipients."""
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName="c7n-mailer")["QueueUrl"]
    (found,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert found["MessageAttributes"]["mtype"]["StringValue"] == "maidmsg/1.0"
    message = json.loads(zlib.decompress(base64.b64decode(found["Body"])))  # as c7n-mailer does it
    (resource,) = message["resources"]
    assert resource["UserName"] == "bob"
    assert resource["c7n:IAMGuard"]["decision"] == "revoked"
    assert message["event"]["detail"]["eventID"] == bob.event_id
    assert (message["account_id"], message["policy"]["name"]) == (ACCOUNT, REVOKE)
    assert message["action"]["to"] == ["security@example.com"]


def test_a_finding_says_who_was_denied(account, bob):
    """Security Hub gets one finding about the user, whom the action tags with its id."""
    finding, details = finding_about(account, bob.arn)
    assert (finding["Title"], finding["Severity"]["Label"]) == ("IAM access revoked", "HIGH")
    assert finding["Types"] == ["TTPs/Privilege Escalation"]
    assert details["Other"]["UserName"] == "bob"
    assert json.loads(details["Other"]["c7n:IAMGuard"])["decision"] == "revoked"
    (tag,) = account.iam.list_user_tags(UserName="bob")["Tags"]
    assert tag["Key"] == "c7n:FindingId:IAM access revoked"
    assert tag["Value"].startswith(finding["Id"])


def test_a_finding_about_a_role_needs_what_describe_reads(sandbox, account):
    """With the page's ``source: describe``, a finding about a role has its trust policy."""
    sandbox.create_role("deployer", account=ACCOUNT)
    role = account.backend.get_role("deployer")
    event = of_role("deployer", account=ACCOUNT, role_id=role.id)
    done = sandbox.functions.invoke(f"{FUNCTION}-of-roles", event, ACCOUNT)
    assert done.succeeded, done.log
    _, details = finding_about(account, role.arn)
    assert "sts:AssumeRole" in details["AwsIamRole"]["AssumeRolePolicyDocument"]


def test_a_webhook_says_who_was_denied(hook, bob):
    """The server gets what the page's expression picks from resource and event."""
    ((path, body),) = hook.got
    assert path == "/iam-guard"
    assert body[:3] == ["bob", "revoked", "CreateUser"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body[3])
