"""``python -m sandbox demo``: the guard at work, told with real calls and their real answers."""

import tempfile
import textwrap

from botocore import xform_name
from botocore.exceptions import ClientError
from tabulate import tabulate

from sandbox.commands import guard
from sandbox.server import Sandbox, document

DENIED = "AccessDenied"
FULL = 10  # managed policies per user
BUCKET = "team-data"
CONTAIN = guard.ROOT / "policies" / "contain-unintended-iam-calls.yml"
CONTAIN_STACK = guard.ROOT / "deploy" / "contain.yml"


class Story:
    """The demo as it is told: the users, what was checked, and the rows of the closing table."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.iam = sandbox.client("iam")
        self.keys = {}
        self.held = 0
        self.failures = []
        self.rows = [("caller", "call", "decision", "how")]

    def call(self, name, service, operation, **params):
        """Make a call as a user, show it with its answer, and return the code of the error, or None."""
        client = self.sandbox.client(service, self.keys[name])
        code, answer = None, "done"
        try:
            getattr(client, xform_name(operation))(**params)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            answer = f"{code}: {error.response['Error']['Message']}"
        shown = f"{service}:{operation} {' '.join(params.values())}".rstrip()
        say(f"   {name} calls {shown}", f"     -> {answer}")
        return code

    def create_user(self, name, new):
        """Have a user call CreateUser, and return the error's code or None, and the event of the call."""
        return self.call(name, "iam", "CreateUser", UserName=new), self.sandbox.pending[-1]

    def deliver(self, event, note=""):
        """Hand an event to EventBridge, show the decision that the function logged, and add the row of it."""
        name, call = caller_of(event), event["detail"]["eventName"] + note
        invocations = self.sandbox.deliver(event)
        found = decided(invocations)
        functions = ", ".join(invocation.function for invocation in invocations)
        say(f"   EventBridge invokes {functions or 'no function'}", f"     -> {name}: {verdict(found)}")
        self.check(f"{name}'s event is delivered to the function", len(invocations) == 1)
        self.rows.append((name, call, found["decision"], found.get("how") or "-"))
        return found

    def revoke(self, name, whose, their, new):
        """Have a user create another one, and see that the guard revokes IAM access for it.

        :param whose: the user in the first line about them, ``their`` in the second
        :returns: the event of the call, and the decision
        """
        code, event = self.create_user(name, new)
        self.check(f"{whose} first call succeeded", code is None)
        found = self.deliver(event)
        self.check(f"the guard revoked {their} IAM access", found["decision"] == "revoked")
        return event, found

    def deny(self, name, whose, operation, **params):
        """Have a user call IAM again, and see that they may not."""
        code = self.call(name, "iam", operation, **params)
        self.check(f"{whose} next IAM call is answered AccessDenied", code == DENIED)

    def deploy(self, policy, **settings):
        """Deploy one more policy file, with changed settings."""
        with tempfile.TemporaryDirectory(prefix="sandbox-demo-") as folder:
            changed = guard.settings_with(folder, **settings)
            guard.deploy_policies(self.sandbox, [policy], lambda line: say(f"   {line}"), changed)

    def check(self, claim, held):
        """Show whether something held, and remember it."""
        say(f"   [{'ok' if held else 'FAILED'}] {claim}")
        self.held += held
        self.failures += [] if held else [claim]

    def attached(self, name):
        """Everything that bears on a user's rights, as IAM tells it, and the names of their policies."""
        users = self.iam.get_account_authorization_details(Filter=["User"])["UserDetailList"]
        (user,) = [one for one in users if one["UserName"] == name]
        policies = *user["AttachedManagedPolicies"], *user["UserPolicyList"]
        return user, [policy["PolicyName"] for policy in policies]


def decided(invocations):
    """The decision that the function logged, as a dict; ``none`` or ``failed`` where there is none."""
    for invocation in invocations:
        if not invocation.succeeded:
            error = invocation.attempts[-1].error or {}
            return {"decision": "failed", "reason": str(error.get("errorMessage", "no answer"))}
        if invocation.decisions:
            return invocation.decisions[-1]
    return {"decision": "none"}


def verdict(found):
    detail = found.get("how") or found.get("reason")
    return found["decision"] + (f" ({detail})" if detail else "")


def caller_of(event):
    """The name of the user or role who made an event's call."""
    identity = event["detail"]["userIdentity"]
    return identity.get("userName") or identity["sessionContext"]["sessionIssuer"]["userName"]


def run(policy=guard.POLICY):
    """Tell the whole story, and return the exit status: 1 where anything that is claimed did not hold."""
    with Sandbox() as sandbox:
        say(
            "c7n-iamguard: an IAM user who is no admin calls IAM, and loses IAM access.",
            "",
            f"Nothing leaves this machine. The AWS account is simulated at {sandbox.endpoint}",
            "(loopback only), the credentials are fake, and your own AWS settings are not read.",
        )
        story = Story(sandbox)
        groups = guard.admin_groups()
        title("The account", "It gets its users: alice, bob, carol and dave.")
        people(story, groups)
        say(f"   alice is in the admin group: {', '.join(groups)}.")
        title("The guard", "CloudFormation makes what it needs (deploy/account.yml), custodian deploys it.")
        guard.deploy_stacks(sandbox, [policy])
        guard.deploy_policies(sandbox, [policy], lambda line: say(f"   {line}"))
        alice(story)
        first_event = bob(story)
        carol(story)
        dave(story)
        again(story, first_event)
        erin(story)
        mallory(story)
        return ending(story)


def people(story, groups):
    """The users of the story, and what they work with."""
    for group in groups:
        story.iam.create_group(GroupName=group)
    sandbox, keys = story.sandbox, story.keys
    keys["alice"] = sandbox.create_user("alice", groups=groups)
    keys["bob"] = sandbox.create_user("bob")
    keys["carol"] = sandbox.create_user("carol")
    keys["dave"] = sandbox.create_user("dave", allow="s3:*")
    sandbox.client("s3").create_bucket(Bucket=BUCKET)
    allowed = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    for number in range(1, FULL + 1):
        made = story.iam.create_policy(PolicyName=f"team-{number}", PolicyDocument=allowed)
        story.iam.attach_user_policy(UserName="carol", PolicyArn=made["Policy"]["Arn"])


def alice(story):
    title("alice, an admin", "She may use IAM. Nothing should happen to her.")
    before = story.attached("alice")
    code, event = story.create_user("alice", "new-colleague")
    found = story.deliver(event)
    story.check("alice's call succeeded", code is None)
    story.check("the guard let her pass", found["decision"] == "let-pass")
    story.check("nothing that is attached to her changed", story.attached("alice") == before)
    code = story.call("alice", "iam", "DeleteUser", UserName="new-colleague")
    story.check("she can go on using IAM", code is None)


def bob(story):
    """Tell of bob, and return the event of his first call."""
    title("bob, who has the rights of an administrator", "He is in no admin group, and creates a user.")
    event, _ = story.revoke("bob", "bob's", "his", "backdoor")
    story.check("DenyIAMAccess is attached to him now", "DenyIAMAccess" in story.attached("bob")[1])
    story.deny("bob", "bob's", "CreateUser", UserName="backdoor-2")
    code = story.call("bob", "s3", "PutObject", Bucket=BUCKET, Key="report.txt")
    story.check("his S3 call still works", code is None)
    return event


def carol(story):
    title(f"carol, who has {FULL} managed policies", "IAM attaches no more to her. There is another way.")
    _, found = story.revoke("carol", "carol's", "her", "carols-helper")
    user, policies = story.attached("carol")
    inline = found.get("how") == "inline" and "DenyIAM" in policies
    beside = len(user["AttachedManagedPolicies"]) == FULL
    story.check("she has the inline policy DenyIAM, beside her own ten", inline and beside)
    story.deny("carol", "carol's", "DeleteUser", UserName="carols-helper")


def dave(story):
    title("dave, who has no IAM right at all", "He tries, and fails. An attempt counts, too.")
    code, event = story.create_user("dave", "daves-friend")
    story.check("dave's call was denied", code == DENIED and "errorCode" in event["detail"])
    found = story.deliver(event, note=" (denied)")
    story.check("the guard revoked dave's IAM access", found["decision"] == "revoked")
    story.check("DenyIAMAccess is attached to dave now", "DenyIAMAccess" in story.attached("dave")[1])


def again(story, event):
    title("bob's first event, delivered again", "EventBridge may deliver twice. It should change nothing.")
    before = story.attached("bob")
    found = story.deliver(event, note=" (repeated)")
    story.check("the decision on it is the same", found["decision"] == "revoked")
    story.check("all that is attached to bob is as before", story.attached("bob") == before)


def erin(story):
    title(
        "erin, who has no IAM right, and a role that has",
        "She may assume the role pipeline. Roles count, too.",
    )
    say("   The roles' policy observes as shipped. Here it acts: iam-guard.yml says observe_roles: false.")
    story.deploy(guard.ROLES_POLICY, observe_roles=False)
    sandbox = story.sandbox
    role = sandbox.create_role("pipeline")["Arn"]
    erins = sandbox.client("sts", sandbox.create_user("erin", allow="sts:AssumeRole"))
    story.keys["pipeline"] = erins.assume_role(RoleArn=role, RoleSessionName="erin")["Credentials"]
    _, found = story.revoke("pipeline", "the role's", "the role's", "erins-friend")
    story.check("the log says whose session it was", found.get("session") == "erin")
    story.deny("pipeline", "the role's", "DeleteUser", UserName="erins-friend")
    code = story.call("pipeline", "s3", "PutObject", Bucket=BUCKET, Key="build.txt")
    story.check("the role's S3 call still works", code is None)


def mallory(story):
    title("mallory, who cuts a key", "The containment is opt-in. It takes back what her call gave.")
    sandbox = story.sandbox
    sandbox.deploy(CONTAIN_STACK, "iam-guard-contain")
    story.deploy(CONTAIN, observe_containment=False)
    story.keys["mallory"] = sandbox.create_user("mallory")
    code = story.call("mallory", "iam", "CreateAccessKey", UserName="alice")
    event = sandbox.pending[-1]
    story.check("mallory has a key of alice's", code is None)
    sandbox.pending.clear()
    for invocation in sandbox.deliver(event):
        found = decided([invocation])
        say(f"   EventBridge invokes {invocation.function}", f"     -> mallory: {found['decision']}")
        how = found.get("how") or "-"
        story.rows.append(("mallory", event["detail"]["eventName"], found["decision"], how))
    made = event["detail"]["responseElements"]["accessKey"]["accessKeyId"]
    keys = story.iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]
    keys = {key["AccessKeyId"]: key["Status"] for key in keys}
    story.check("the key that she made is inactive", keys[made] == "Inactive")
    story.check("alice's own key is active", keys[story.keys["alice"]["AccessKeyId"]] == "Active")
    story.deny("mallory", "mallory's", "CreateUser", UserName="backdoor-3")


def ending(story):
    """Show the closing table and the verdict, and return the exit status."""
    title("What happened")
    say(textwrap.indent(tabulate(story.rows, headers="firstrow"), "   "), "")
    if not story.failures:
        say(f"All {story.held} checks held.")
        return 0
    say("These did not hold:", *(f"  - {claim}" for claim in story.failures))
    return 1


def title(text, *lines):
    say("", f"== {text}", *(f"   {line}" for line in lines))


def say(*lines):
    print(*lines, sep="\n", flush=True)
