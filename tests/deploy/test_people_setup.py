"""Everything around the denial of people: giving IAM back, the list, the stacks, root. As docs/people.md has it."""

import json
import re

import pytest
from c7n.resources import load_resources
from helpers import HARMLESS, ROOT, ok, policy, shipped
from moto.iam.models import iam_backends
from moto.organizations.models import organizations_backends
from pack import commands_of
from people_world import CENTRAL, EMPTY, FIRST, FUNCTION, MANAGEMENT, index
from rights import PEOPLE, READER, RESPONSE, allowed, inline, resources, rights_used, without
from told import of_role

from c7n_iamguard.event import time_text
from c7n_iamguard.history.catch_up import PERIOD_SECONDS, SETTLED_SECONDS
from sandbox.access import authorization
from sandbox.organizations.organization import ID
from sandbox.server import DEPLOY, Fault

load_resources(("aws.lambda",))
PAGE = (ROOT / "docs/people.md").read_text()
PAGES_SCP = "arn:aws:organizations::999999999999:policy/o-exampleorgid/service_control_policy/p-examplepolicy"


# Giving back


def command(start, number=0):
    """A command of the page that begins so, with the accounts of this organization."""
    found = [one for one in commands_of("docs/people.md") if one.startswith(start)][number]
    return found.replace("111122223333", CENTRAL).replace("222233334444", FIRST)


def test_iam_is_given_back_by_one_command_also_to_two_in_one_second(world, shell, ada, bob):
    """Neither the page's command nor that of the event is taken for a repetition of another one.

    The central account's response role sends them.
    """
    told = world.listen()
    world.forward(ada, bob)
    shown = command("aws sqs send-message")
    restore = [one["detail"]["commands"]["restore"] for one in told() if one["account"] == CENTRAL]
    for send in (shown.replace("AROAEXAMPLEOFAPERMSET:ada@example.com", ada.id), restore[1]):
        assert "$(date +%s)" in send, "SQS would drop what is sent again within five minutes"
        ok(shell(send.replace("$(date +%s)", "1795808815"), world.environ(RESPONSE)))
    assert [invocation.decisions[0]["decision"] for invocation in world.poll()] == ["restored"] * 2
    assert world.denied == {}
    assert ada.may_use_iam()


def test_the_list_says_who_is_denied_and_since_when(world, shell, ada):
    """The page's command prints account, person and day, as the central account's response role."""
    world.forward(ada)
    printed = ok(shell(command("aws lambda invoke"), world.environ(RESPONSE)))
    shown, _ = json.JSONDecoder().raw_decode(printed)
    today = time_text()[:10]
    assert shown["denied"] == [{"since": today, "account": FIRST, "person": ada.id}]
    assert shown["attached"] == ["Root"]


def test_dead_letters_go_back_by_one_command(world, shell, ada):
    """The page's command, as the central account's response role, has them tried again, and ends the alarm."""
    world.sandbox.faults.append(Fault("organizations:UpdatePolicy", "AccessDeniedException"))
    world.put(world.event(ada))
    for _ in range(3):
        world.poll()
        world.later()
    world.poll()
    world.sandbox.faults.clear()
    shown = command("aws sqs start-message-move-task")
    with without(iam_backends[CENTRAL]["aws"], RESPONSE, "sqs:StartMessageMoveTask"):
        assert shell(shown, world.environ(RESPONSE)).returncode
    assert world.alarms() == ["letters"]
    ok(shell(shown, world.environ(RESPONSE)))
    world.poll()
    assert (world.denied, world.alarms()) == ({FIRST: [ada.id]}, [])


def test_a_catch_up_denies_again_for_a_call_from_before(world, ada):
    """A late event counts, so the page says how long to wait after the last call if nobody exempts the person."""
    world.forward(ada)
    world.policy.content = json.dumps(EMPTY)
    world.put(world.event(ada, late=True))
    world.poll()
    assert not ada.may_use_iam()
    hours = (PERIOD_SECONDS + SETTLED_SECONDS) / 3600
    assert hours < 2
    assert "wait two hours after their last call" in " ".join(PAGE.split())


# The stacks


def test_the_pages_commands_set_it_up(world, shell):
    """In another organization, the page's commands make the SCP and all that writes it, attach it, and stop it."""
    management, security = "300000000511", "300000000512"
    client = world.sandbox.client("organizations", account=management)
    client.create_organization(FeatureSet="ALL")
    (root,) = client.list_roots()["Roots"]
    world.sandbox.deploy(DEPLOY / "central.yml", "central", security, OrganizationId=ID)
    there = {CENTRAL: security, "ou-abcd-12345678": root["Id"]}

    def follow(account, start, number=0):
        real = command(start, number)
        for shown, known in there.items():
            real = real.replace(shown, known)
        ok(shell(real, world.sandbox.environ(account=account)))

    follow(management, "aws cloudformation deploy")
    (policy,) = [one for one in organizations_backends[management]["aws"].policies if one.name == FUNCTION]
    there |= {PAGES_SCP: policy.arn, "p-examplepolicy": policy.id}
    follow(security, "aws cloudformation deploy", 1)
    follow(management, "aws organizations attach")
    assert [target.id for target in policy.attachments] == [root["Id"]]
    follow(management, "aws organizations detach-policy")
    assert policy.attachments == []
    follow(security, "aws events disable-rule")
    events, functions = (world.sandbox.client(name, account=security) for name in ("events", "lambda"))
    state = events.describe_rule(Name=FUNCTION, EventBusName="iam-guard-central")["State"]
    assert state == "DISABLED"
    configuration = functions.get_function_configuration(FunctionName=FUNCTION)
    assert configuration["Environment"]["Variables"]["IAM_GUARD_SCP"] == policy.id


def test_the_pages_statement_is_the_templates():
    """Whoever merges the statements of the page delegates what the stack does."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    made = resources("people-organization.yml")["Delegation"]["Properties"]["Content"]["Statement"]
    made = json.dumps(made).replace("!Sub ", "").replace("${AWS::Partition}", "aws")
    made = made.replace("${SecurityAccount}", "111122223333").replace("!GetAtt People.Arn", PAGES_SCP)
    assert json.loads(f"[{text}]") == json.loads(made)


def test_an_update_of_the_stack_keeps_who_is_denied(world, ada):
    """Another parameter, and a delegation that goes and comes back, leave the SCP's content as it was."""
    world.forward(ada)
    template = DEPLOY / "people-organization.yml"
    for parameters in ({"Delegate": "no"}, {"Delegate": "yes"}):
        world.sandbox.deploy(template, "people", MANAGEMENT, SecurityAccount=CENTRAL, **parameters)
    assert world.denied == {FIRST: [ada.id]}


def test_a_change_of_the_scps_properties_would_lose_everybody():
    """CloudFormation writes the template's content over it at any change: so nothing about it can change."""
    properties = resources("people-organization.yml")["People"]["Properties"]
    assert "!" not in json.dumps(properties)
    assert set(properties) == {"Name", "Type", "Description", "Content"}
    # A release that changed one of these would give everybody IAM back.
    assert properties["Description"].startswith("People of Identity Center whom iam-guard has denied IAM. W")
    assert properties["Content"] == EMPTY == json.loads(index().document({}, "iam:*"))


def test_every_right_of_the_function_is_used(world, ada):
    """To deny, to tell it, to write it down, and to see whether the SCP is on, it asks for all that it may do."""
    with rights_used(PEOPLE) as found:
        assert world.forward(ada)[0].decisions[0]["decision"] == "revoked"
        assert world.look().succeeded
    assert found == set(allowed(PEOPLE, inline(resources("people.yml")["Role"])))


def test_the_health_report_says_that_the_scp_is_detached(world, monkeypatch):
    """The report has the function's line, with the problem as long as there is one."""

    def problem():
        report = policy(shipped("list-iam-guard-functions"), world.environ(READER), monkeypatch)
        (found,) = report.resource_manager.resources()
        assert found["FunctionName"] == FUNCTION
        return found["c7n:IAMGuardHealth"]["problem"]

    assert problem() == "none"
    world.attach(False)
    assert problem() == "its SCP is attached to nothing"


# Root


@pytest.mark.parametrize("federated", [False, True], ids=["root", "a federated session of root's"])
def test_roots_calls_to_iam_are_told(world, federated):
    """One mail in the account and one in the security account say which account, which call and from where."""
    sts, everything = world.sandbox.client("sts", account=FIRST), json.dumps(HARMLESS)
    key = sts.get_federation_token(Name="joe", Policy=everything)["Credentials"] if federated else None
    world.sandbox.pending.clear()
    world.sandbox.client("iam", key, FIRST).create_user(UserName="by-root")
    before = [len(world.mails("iam-guard-notices")), len(world.mails())]
    world.sandbox.deliver()
    mails = world.mails("iam-guard-notices"), world.mails()
    assert [len(found) for found in mails] == [count + 1 for count in before]
    for found in mails:
        first, call, *_ = found[-1].splitlines()
        assert first == f'"IAM called by root: account {FIRST}"'
        assert "CreateUser" in call
    world.sandbox.client("iam", account=FIRST).delete_user(UserName="by-root")
    world.sandbox.pending.clear()


def test_a_role_that_calls_iam_is_not_told_as_root(world):
    """Only root's own calls bring that mail."""
    event, before = of_role(account=FIRST), len(world.mails())
    event |= {"source": "aws.iam", "region": "us-east-1", "detail-type": "AWS API Call via CloudTrail"}
    world.sandbox.eventbridge.run(event, FIRST, "us-east-1")
    assert len(world.mails()) == before


@pytest.mark.parametrize("rule", ["rule/iam-guard-people", "rule/iam-guard-central/iam-guard-people"])
def test_the_deployer_stops_the_denial_of_people_and_changes_nothing_of_it(rule):
    """Who could have another function or other events go there could have any SCP written."""
    arn = f"arn:aws:events:us-east-1:{CENTRAL}:{rule}"
    text = json.dumps(inline(resources("access.yml")["Deployer"]))
    for shown, real in (("!Sub ", ""), ("${AWS::Partition}", "aws"), ("${AWS::AccountId}", CENTRAL)):
        text = text.replace(shown, real)
    for action in ("PutRule", "PutTargets", "DeleteRule", "RemoveTargets"):
        assert authorization.allows([text], f"events:{action}", arn, {}) is None  # by a deny
    assert authorization.allows([text], "events:DisableRule", arn, {}) is True
