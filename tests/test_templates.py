"""What the templates of ``deploy/`` hold, and what their parameters change."""

import json
import re

import pytest
from helpers import ROOT, case
from moto.iam.models import iam_backends
from rights import CONTAIN, GUARD, documents, resources, template
from told import SCHEMA, told_of

from c7n_iamguard import decisions
from c7n_iamguard.iam import policy_documents
from sandbox import authorization, cloudtrail
from sandbox.server import DEPLOY

TEMPLATES = sorted(
    file.name for file in DEPLOY.glob("*.yml") if file.read_text().startswith("AWSTemplateFormatVersion")
)
FUNCTIONS = (
    "iam-guard-revoke-unintended-iam-access",
    "iam-guard-revoke-unintended-iam-access-of-roles",
    "iam-guard-protect-admin-group",
    "iam-guard-catch-up-unintended-iam-access",
    "iam-guard-catch-up-unintended-iam-access-of-roles",
    "iam-guard-catch-up-admin-group",
    "iam-guard-contain-unintended-iam-calls",
    "iam-guard-contain-unintended-iam-calls-of-roles",
)


def of_type(name, kind):
    """The properties of a template's resources of one type."""
    return [r["Properties"] for r in resources(name).values() if r["Type"] == kind]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_says_no_partition_region_or_account(name):
    """A template takes partition, region and account from where it is deployed."""
    text = (DEPLOY / name).read_text()
    assert "arn:aws:" not in text
    assert not any(word in text.split("Resources:")[1] for word in ("us-east-1", "111122223333"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_can_be_a_stack_set(name):
    """No nested stack, export, import, macro or mapping that a service-managed StackSet could not deploy."""
    text = (DEPLOY / name).read_text()
    assert len(text.encode()) < 51200
    for word in ("AWS::CloudFormation::", "Export:", "ImportValue", "\nTransform:", "Fn::"):
        assert word not in text


# One account


def test_every_function_has_a_log_and_a_queue_of_its_name():
    """Each log group and each dead-letter queue has its function's name, at most 64 characters long."""
    both = ("account.yml", "contain.yml")
    logs = [p["LogGroupName"] for name in both for p in of_type(name, "AWS::Logs::LogGroup")]
    queues = [p["QueueName"] for name in both for p in of_type(name, "AWS::SQS::Queue")]
    assert sorted(logs) == sorted(f"/aws/lambda/{function}" for function in FUNCTIONS)
    assert sorted(queues) == sorted(FUNCTIONS)
    assert max(map(len, FUNCTIONS)) <= 64


@pytest.mark.parametrize("name", ["account.yml", "contain.yml"])
def test_no_queue_is_fed_by_another_one(name):
    """A queue that names one of ours as its dead-letter queue moves nothing there; nor does anybody send."""
    for queue in of_type(name, "AWS::SQS::Queue"):
        assert queue["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}
    (policy,) = of_type(name, "AWS::SQS::QueuePolicy")
    queues = [f"!Ref {id}" for id, r in resources(name).items() if r["Type"] == "AWS::SQS::Queue"]
    assert sorted(policy["Queues"]) == sorted(queues)
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "sqs:SendMessage")
    assert statement["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": "!GetAtt Role.Arn"}}


def actions(account, role=GUARD):
    """What a role of an account may do."""
    found = documents(iam_backends[account]["aws"].get_role(role))
    statements = [s for document in found for s in document["Statement"] if s["Effect"] == "Allow"]
    return {action for s in statements for action in authorization.listed(s["Action"])}


def deployed(sandbox, account, **parameters):
    """The queues that the stack has made in an account, each with its attributes."""
    sandbox.deploy(account=account, **parameters)
    sqs = sandbox.client("sqs", account=account)
    return {
        url.rsplit("/", 1)[1]: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for url in sqs.list_queues()["QueueUrls"]
    }


ROLE_RIGHTS = {"iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:GetRole"}
CATCH_UP_RIGHTS = {"cloudtrail:LookupEvents", "iam:GetAccountAuthorizationDetails"}
KEY_RIGHTS = {"kms:Decrypt", "kms:GenerateDataKey"}


@pytest.mark.parametrize(
    ("account", "parameters", "queues", "rights"),
    [
        ("191919191901", {}, FUNCTIONS[:6], ROLE_RIGHTS | CATCH_UP_RIGHTS),
        ("191919191902", {"Roles": "no"}, [FUNCTIONS[n] for n in (0, 2, 3, 5)], CATCH_UP_RIGHTS),
        ("191919191903", {"CatchUp": "no"}, FUNCTIONS[:3], ROLE_RIGHTS),
        ("191919191904", {"Roles": "no", "CatchUp": "no"}, [FUNCTIONS[n] for n in (0, 2)], set()),
    ],
)
def test_what_is_not_deployed_gets_no_queue_and_no_right(sandbox, account, parameters, queues, rights):
    """Without guarded roles, or without the catch-up, their queues and the role's rights are not there."""
    assert sorted(deployed(sandbox, account, **parameters)) == sorted(queues)
    assert actions(account) & (ROLE_RIGHTS | CATCH_UP_RIGHTS | KEY_RIGHTS) == rights


def test_a_key_of_ones_own_encrypts_the_queues(sandbox):
    """With KmsKeyArn the queues are under that key, and the functions' role may use it."""
    key = "arn:aws:kms:us-east-1:191919191905:key/x"
    queues = deployed(sandbox, "191919191905", KmsKeyArn=key)
    assert {attributes["KmsMasterKeyId"] for attributes in queues.values()} == {key}
    assert actions("191919191905") >= KEY_RIGHTS


def test_stock_actions_get_their_rights_by_managed_policies():
    """The policies that ActionPolicies names hang on the functions' role; moto does not attach them."""
    assert resources("account.yml")["Role"]["Properties"]["ManagedPolicyArns"] == "!Ref ActionPolicies"
    assert template("account.yml")["Conditions"]["HasActionPolicies"]


def test_deny_actions_are_what_both_deny_policies_deny(sandbox):
    """The parameter reaches the managed policy and the boundary."""
    account = "181818181818"
    sandbox.deploy(account=account, DenyActions="iam:*,sts:AssumeRole")
    for name in ("DenyIAMAccess", "DenyIAMAccessBoundary"):
        policy = iam_backends[account]["aws"].managed_policies[f"arn:aws:iam::{account}:policy/{name}"]
        assert policy_documents.denies(authorization.default_document(policy), ["iam:*", "sts:AssumeRole"])


# Who hears of it


def test_nobody_but_the_guards_roles_puts_events_on_its_bus():
    """The bus denies PutEvents to everybody but the two roles that the functions run as."""
    (policy,) = of_type("account.yml", "AWS::Events::EventBusPolicy")
    statement = policy["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Action"] == "events:PutEvents"
    guards, contains = statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert (guards, contains.split("/")[1]) == ("!GetAtt Role.Arn", CONTAIN)


@pytest.mark.parametrize("name", ["notify.yml", "alarms.yml", "central.yml"])
def test_nobody_but_aws_itself_writes_a_mail(name):
    """A topic denies Publish to all users and roles, and allows it to one service, for this account's own."""
    topics = {f"!Ref {id}" for id, r in resources(name).items() if r["Type"] == "AWS::SNS::Topic"}
    policies = of_type(name, "AWS::SNS::TopicPolicy")
    assert {topic for policy in policies for topic in policy["Topics"]} == topics
    for policy in policies:
        allow, refuse = policy["PolicyDocument"]["Statement"]
        assert (allow["Effect"], list(allow["Principal"])) == ("Allow", ["Service"])
        assert {"aws:SourceArn", "aws:SourceAccount"} & {k for c in allow["Condition"].values() for k in c}
        assert (refuse["Effect"], refuse["Principal"]) == ("Deny", "*")
        assert refuse["Condition"] == {"Bool": {"aws:PrincipalIsAWSService": "false"}}
        assert allow["Action"] == refuse["Action"] == "sns:Publish"


def mail(name):
    """The rule of a template that mails, and how it makes a mail of an event."""
    (rule,) = of_type(name, "AWS::Events::Rule")
    (transformer,) = [t["InputTransformer"] for t in rule["Targets"] if "InputTransformer" in t]
    return rule, transformer


def transformed(transformer, told):
    """The mail that EventBridge makes of an event: a path that leads nowhere leaves nothing."""

    def value(match):
        found = told
        for key in transformer["InputPathsMap"][match[1]].removeprefix("$.").split("."):
            found = (found or {}).get(key)
        return "" if found is None else str(found)

    return re.sub(r"<(\w+)>", value, transformer["InputTemplate"])


@pytest.fixture
def told():
    """An event of the guard's, whose call has a user agent and parameters that a caller could have written."""
    event = case("revoked-create-user")
    event["detail"] |= {"userAgent": "Call +1 900 EVIL", "requestParameters": {"userName": "Call-900-EVIL"}}
    return {
        "detail-type": "IAM access revoked",
        "source": "iam-guard",
        "account": "111122223333",
        "detail": told_of(event) | {"account": {"id": "999999999999", "alias": "production"}},
    }


MAILS = pytest.mark.parametrize("name", ["notify.yml", "central.yml"])


@MAILS
def test_the_mail_says_who_did_what_where_and_how_to_give_it_back(name, told):
    """A mail has all that a person wants at once, the title first, and each of its lines in quotes."""
    first, *lines = transformed(mail(name)[1], told).splitlines()
    assert first == '"IAM access revoked: IAM user bob in account 111122223333 production"'
    detail = told["detail"]
    call = detail["call"]
    for said in (
        f"{call['eventName']} at {call['eventTime']} from {call['sourceIPAddress']}",
        "revoked managed",
        detail["text"],
        detail["principal"]["arn"],
        detail["commands"]["restore"],
        detail["commands"]["contain"],
        detail["runbook"],
        call["eventID"],
    ):
        assert any(said in line for line in lines), said
    assert all(re.fullmatch(r'"[^"\\]*"', line) for line in lines)


@MAILS
def test_the_mail_asks_for_what_an_event_has(name):
    """Behind each placeholder is a path, and each path leads to a key that every event has."""
    _, transformer = mail(name)
    assert set(re.findall(r"<(\w+)>", transformer["InputTemplate"])) == set(transformer["InputPathsMap"])
    for path in transformer["InputPathsMap"].values():
        shape = SCHEMA
        for key in path.removeprefix("$.").split("."):
            assert key in shape["required"], path
            shape = shape["properties"][key]
            shape = SCHEMA["$defs"][shape["$ref"].rsplit("/", 1)[1]] if "$ref" in shape else shape


@MAILS
def test_the_mail_carries_no_text_that_the_caller_chose(name, told):
    """User agent and request parameters stay out, and the account is that of the envelope."""
    text = transformed(mail(name)[1], told)
    assert "EVIL" not in text
    assert "999999999999" not in text


def test_all_accounts_have_the_same_mail():
    """The security account's mail is the one that an account has by itself."""
    assert mail("notify.yml")[1] == mail("central.yml")[1]


@MAILS
def test_the_rule_takes_what_the_guard_says_and_no_replay(name, told):
    """The rule matches an event of the guard's, but neither another source's nor one from an archive."""
    rule, _ = mail(name)
    pattern = json.dumps(rule["EventPattern"])
    assert cloudtrail.matches(pattern, told)
    assert not cloudtrail.matches(pattern, {**told, "source": "my.app"})
    assert not cloudtrail.matches(pattern, {**told, "replay-name": "old"})


def test_the_security_account_hears_of_its_own_organization_alone():
    """The central bus takes events of the guard's source from the organization's forwarding roles."""
    (policy,) = of_type("central.yml", "AWS::Events::EventBusPolicy")
    condition = policy["Statement"]["Condition"]
    assert condition["StringEquals"] == {
        "aws:PrincipalOrgID": "!Ref OrganizationId",
        "events:source": "iam-guard",
    }
    (role,) = condition["ArnLike"].values()
    assert role.endswith("iam::*:role/iam-guard-forward")
    forward = resources("notify.yml")["Forward"]["Properties"]
    assert forward["RoleName"] == "iam-guard-forward"
    (statement,) = forward["Policies"][0]["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("events:PutEvents", "!Ref CentralBus")


# Is the guard itself well?

ALARMS = [
    alarm
    for name in ("alarms.yml", "contain.yml", "central.yml")
    for alarm in of_type(name, "AWS::CloudWatch::Alarm")
]


def metrics(alarm):
    """The metrics that an alarm watches, as (namespace, name, dimensions)."""
    stats = [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", ()) if "MetricStat" in m] or [alarm]
    return [(m["Namespace"], m["MetricName"], m.get("Dimensions", [])) for m in stats]


def test_alarms_are_few():
    """An account has at most twelve alarms, and the page on costs counts their metrics."""
    assert len(of_type("alarms.yml", "AWS::CloudWatch::Alarm")) <= 12
    watched = sum(len(metrics(alarm)) for alarm in of_type("alarms.yml", "AWS::CloudWatch::Alarm"))
    assert f"on {watched} metrics | {watched} |" in (ROOT / "docs" / "costs.md").read_text()


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm["AlarmName"])
def test_an_alarm_reaches_somebody_and_says_what_to_do(alarm):
    """Each alarm goes to the topic, and its first sentence says what has happened."""
    (topic,) = alarm["AlarmActions"]
    assert "Alarms" in topic or topic.endswith(":iam-guard-alarms")
    text = alarm["AlarmDescription"]
    assert re.match(
        r"(One of iam-guard's|A catch-up of iam-guard's|iam-guard|A role that nobody can change)\b.*?[.:] ",
        text,
    )
    assert len(text) <= 1024


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm["AlarmName"])
def test_an_alarm_watches_what_there_is(alarm):
    """Each metric of an alarm is of a function, rule or queue of the guard's, or made by a metric filter."""
    made = {
        (transformation["MetricNamespace"], transformation["MetricName"])
        for found in of_type("alarms.yml", "AWS::Logs::MetricFilter")
        for transformation in found["MetricTransformations"]
    }
    own = {"!GetAtt DeadLetters.QueueName", "!GetAtt RolesDeadLetters.QueueName"}
    buses = {"iam-guard", "iam-guard-central"}
    known = {*FUNCTIONS, *own, *buses, *(mail(name)[0]["Name"] for name in ("notify.yml", "central.yml"))}
    for namespace, name, dimensions in metrics(alarm):
        assert dimensions or (namespace, name) in made
        assert {dimension["Value"] for dimension in dimensions} <= known


def test_every_metric_filter_reads_a_log_that_there_is_for_an_alarm():
    """A filter's log group is one of account.yml, and some alarm watches what it counts."""
    logs = {p["LogGroupName"] for p in of_type("account.yml", "AWS::Logs::LogGroup")}
    watched = {metric[:2] for alarm in ALARMS for metric in metrics(alarm)}
    for found in of_type("alarms.yml", "AWS::Logs::MetricFilter"):
        (transformation,) = found["MetricTransformations"]
        assert found["LogGroupName"] in logs
        assert (transformation["MetricNamespace"], transformation["MetricName"]) in watched


@pytest.mark.parametrize(
    ("metric", "verdicts"), [("MissedCalls", {"revoked", "acted"}), ("CannotRevoke", {"cannot-revoke"})]
)
def test_the_filters_find_the_plugins_own_log_lines(metric, verdicts):
    """The texts that the filters look for stand in the lines of those decisions, and in no others."""
    texts = {
        json.loads(found["FilterPattern"])
        for found in of_type("alarms.yml", "AWS::Logs::MetricFilter")
        if found["MetricTransformations"][0]["MetricName"] == metric
    }
    every = ("revoked", "would-revoke", "cannot-revoke", "acted", "let-pass", "incomplete", "failed")
    found = {v for v in every if any(text in decisions.log_line(v, None, user="bob") for text in texts)}
    assert found == verdicts


def test_a_catch_up_that_does_not_run_is_an_alarm():
    """The alarm watches every catch-up, and no data at all for three hours is as bad as zero."""
    (alarm,) = [alarm for alarm in ALARMS if alarm["AlarmName"].endswith("-not-run")]
    watched = {dimension["Value"] for *_, dimensions in metrics(alarm) for dimension in dimensions}
    assert watched == {function for function in FUNCTIONS if "catch-up" in function}
    assert alarm["TreatMissingData"] == "breaching"
    periods = {m["MetricStat"]["Period"] for m in alarm["Metrics"] if "MetricStat" in m}
    assert [period * alarm["EvaluationPeriods"] for period in periods] == [3 * 3600]


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [("account.yml", "alarms.yml", {"Roles", "CatchUp"}), ("account.yml", "access.yml", {"AdminGroup"})],
)
def test_templates_agree_on_the_parameters_that_they_share(one, other, shared):
    """A parameter that two templates have has the same default and the same values in both."""
    first, second = (template(name)["Parameters"] for name in (one, other))
    assert set(first) & set(second) - {"KmsKeyArn"} == shared
    for name in shared:
        assert [first[name].get(key) for key in ("Type", "Default", "AllowedValues")] == [
            second[name].get(key) for key in ("Type", "Default", "AllowedValues")
        ]


# The trail


def test_a_trail_logs_management_events_of_all_regions():
    """The trail is on, takes IAM's global events, and is made once its bucket lets it write."""
    trail = resources("trail.yml")["Trail"]
    assert trail["DependsOn"] == "TrailBucketPolicy"
    for key in ("IsLogging", "IsMultiRegionTrail", "IncludeGlobalServiceEvents"):
        assert trail["Properties"][key] is True
    assert "EventSelectors" not in trail["Properties"]  # CloudTrail's default is all management events


def test_what_a_trail_has_recorded_outlives_its_stack():
    """The bucket is retained when the stack is deleted."""
    assert resources("trail.yml")["TrailBucket"]["DeletionPolicy"] == "Retain"
