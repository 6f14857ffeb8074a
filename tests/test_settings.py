"""Mistakes of an operator: a clear error that names the policy, the key and the mend, and nothing done."""

import copy
import json
from types import SimpleNamespace

import pytest
import yaml
from c7n import commands
from conftest import FUNCTION, POLICIES, REVOKE, case, guards_calls, revoked, stock

SHIPPED = yaml.safe_load((POLICIES / f"{REVOKE}.yml").read_text())["policies"][0]


def custodian_validates(tmp_path, caplog, policy):
    """What ``custodian validate`` says of a policy: None where it is valid, else its errors as one text."""
    file = tmp_path / "policy.yml"
    file.write_text(yaml.safe_dump({"policies": [policy]}))
    options = SimpleNamespace(configs=[str(file)], check_deprecations="skip", dryrun=True)
    try:
        commands.validate(options)
    except SystemExit:
        return " ".join(" ".join(record.getMessage() for record in caplog.records).split())
    return None


def edited(**changes):
    """The shipped policy with keys of its mode replaced, or of the policy itself if it has them."""
    policy = copy.deepcopy(SHIPPED)
    for key, value in changes.items():
        key = key.replace("_", "-") if key.replace("_", "-") in policy["mode"] else key
        place = policy if key in policy or key == "source" else policy["mode"]
        place[key] = value
    return policy


def with_groups(groups, **more):
    return edited(filters=[{"not": [{"type": "admin-group-member", "groups": groups, **more}]}])


def with_action(**action):
    return edited(actions=[{"type": "revoke-iam-access", **action}])


def without(key):
    policy = copy.deepcopy(SHIPPED)
    del policy["mode"][key]
    return policy


EVENT = SHIPPED["mode"]["events"][0]
PATTERN = SHIPPED["mode"]["pattern"]
BY_HAND = {"name": REVOKE, "resource": "aws.iam-user"}
#   what the operator wrote, and what the error has to say
MISTAKES = {
    "no groups": (with_groups([]), "groups", "name at least one"),
    "groups that are a text": (with_groups("admins"), "groups", "name at least one"),
    "a group that is a number": (with_groups([7]), "groups", "write it as text"),
    "a group's ARN": (with_groups(["arn:aws:iam::111122223333:group/admins"]), "groups", "use the name alone"),
    "a group with a wildcard": (with_groups(["admin*"]), "groups", "use the name alone"),
    "an empty name": (with_groups([""]), "groups", "no group's name"),
    "an unknown key of the filter": (with_groups(["a"], group="b"), "admin-group-member group", "use groups or allow-missing-group"),
    "allow-missing-group as a text": (with_groups(["a"], **{"allow-missing-group": "yes"}), "allow-missing-group", "write true or false"),
    "an unknown key of the action": (with_action(polcy="x"), "polcy", "'polcy' was unexpected"),
    "a policy that is a number": (with_action(policy=7), "policy", "7 is not of type 'string'"),
    "a malformed ARN": (with_action(policy="arn:aws:iam::1234:policy/DenyIAMAccess"), "revoke-iam-access policy", "write DenyIAMAccess"),
    "a role's ARN": (with_action(policy="arn:aws:iam::111122223333:role/DenyIAMAccess"), "revoke-iam-access policy", "write DenyIAMAccess"),
    "a policy's name with a space": (with_action(policy="Deny IAM"), "revoke-iam-access policy", "write DenyIAMAccess"),
    "another resource": (edited(resource="aws.s3"), "admin-group-member", "aws.s3"),
    "two kinds of events": (edited(events=[EVENT, {**EVENT, "event": "CreateUser"}]), "mode.events", "leave out the other events"),
    "any call of another service": (edited(events=[{**EVENT, "source": "s3.amazonaws.com"}]), "mode.events", "use that source"),
    "ids of somebody else": (edited(events=[{**EVENT, "ids": "requestParameters.userName"}]), "mode.events", "use ids: userIdentity"),
    "a rule that matches nothing": (edited(pattern={"source": ["aws.iam"]}), "mode.pattern", "add detail: {eventName: [{exists: true}]}"),
    "a rule that takes forged events": (edited(pattern={"detail": PATTERN["detail"]}), "mode.pattern", "add source: [aws.iam]"),
    "the stock handler": (without("handler"), "mode.handler", "use c7n_iamguard.handler.run"),
    "a function without the plugin": (without("packages"), "mode.packages", "add c7n_iamguard"),
    "failed calls skipped": (without("environment"), "mode.environment", 'C7N_SKIP_ERR_EVENT: "no"'),
    "errors swallowed": (edited(environment={"Variables": {"C7N_SKIP_ERR_EVENT": "no", "C7N_CATCH_ERR": "yes"}}), "mode.environment", "leave out C7N_CATCH_ERR"),
    "no dead-letter queue": (without("dead_letter_config"), "mode.dead_letter_config", "TargetArn"),
    "another account's role": ({**SHIPPED, "mode": {**SHIPPED["mode"], "member-role": "r"}}, "mode.member-role", "deploy it to each account"),
    "a tag without the full user": (edited(filters=[{"tag:break-glass": "absent"}]), "filter:value", "add source: describe"),
    "a date without the full user": (edited(filters=[{"not": [{"type": "value", "key": "CreateDate", "value": "x"}]}]), "filter:value", "add source: describe"),
    "restoring by event": (edited(actions=["restore-iam-access"]), "mode.type", "joining the admin group must not undo a revocation; use mode pull"),
    "restoring on a schedule": ({**SHIPPED, "mode": {"type": "periodic", "schedule": "rate(1 day)", "role": "iam-guard"}, "actions": ["restore-iam-access"]}, "mode.type", "use mode pull"),
    "restoring a policy that is none": ({**BY_HAND, "actions": [{"type": "restore-iam-access", "policy": "Deny IAM"}]}, "action:restore-iam-access policy", "write DenyIAMAccess"),
    "looking for a policy that is none": ({**BY_HAND, "filters": [{"type": "iam-access-revoked", "policy": "arn:aws:iam::1:policy/x"}]}, "filter:iam-access-revoked policy", "write DenyIAMAccess"),
    "another resource's details": ({**BY_HAND, "resource": "aws.iam-role", "source": "authorization-details"}, "source", "use resource: aws.iam-user"),
    "no filter for admins": (edited(filters=[]), "filters", "add - not: [admin-group-member]"),
    "admins revoked, and nobody else": (edited(filters=["admin-group-member"]), "filters", "add - not: [admin-group-member]"),
    "admins let pass only if they have a certain name": (edited(filters=[{"not": ["admin-group-member", {"UserName": "break-glass"}]}]), "filters", "with nothing else in that not"),
    "a role of another account assumed": ({**SHIPPED, "mode": {**SHIPPED["mode"], "execution-options": {"assume_role": "arn:aws:iam::222222222222:role/r"}}}, "mode.execution-options", "leave out assume_role"),
    "bulk by accident": ({k: v for k, v in SHIPPED.items() if k not in ("mode", "conditions")}, "revoke-iam-access bulk", "add bulk: true"),
    "bulk on a schedule by accident": ({**SHIPPED, "mode": {"type": "periodic", "schedule": "rate(1 day)", "role": "iam-guard"}}, "revoke-iam-access bulk", "add bulk: true"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_policy_key_and_mend(tmp_path, caplog, name):
    """``custodian validate`` refuses the mistake; its message names the policy, the key and the mend."""
    policy, key, mend = MISTAKES[name]
    said = custodian_validates(tmp_path, caplog, policy)
    assert said is not None
    assert REVOKE in said
    assert key in said
    assert mend in said


SOUND = {
    "the shipped policy": SHIPPED,
    "tags of the full user": edited(source="describe", filters=[{"tag:break-glass": "absent"}, *SHIPPED["filters"]]),
    "what events tell": edited(
        filters=[{"UserName": "bob"}, {"type": "value", "key": "Path", "value": "/"}, *SHIPPED["filters"]]
    ),
    "variables, filled in later": with_groups(["{admins}"]),
    "a policy's path and name": with_action(policy="security/DenyIAMAccess"),
    "a policy's ARN": with_action(policy="arn:aws-us-gov:iam::111122223333:policy/DenyIAMAccess"),
    "bulk on purpose": {
        "name": "a", "resource": "aws.iam-user", "actions": [{"type": "revoke-iam-access", "bulk": True}]
    },
    "restoring by hand": {**BY_HAND, "mode": {"type": "pull"}, "actions": ["restore-iam-access"]},
    "the account's details by event": edited(source="authorization-details", filters=[{"tag:break-glass": "absent"}, *SHIPPED["filters"]]),
    "a stock policy of the mode": {
        "name": "a", "resource": "aws.iam-user",
        "mode": {"type": "cloudtrail", "role": "r", "events": [
            {"source": "iam.amazonaws.com", "event": "CreateUser", "ids": "requestParameters.userName"}]},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_passes(tmp_path, caplog, name):
    """``custodian validate`` accepts what is meant and can work, offline."""
    assert custodian_validates(tmp_path, caplog, SOUND[name]) is None


# Deploying


@pytest.fixture
def run(sandbox, tmp_path):
    """``run(policy, "--dryrun", account=…)``: stock ``custodian run`` of a policy, and its output folder."""

    def runner(policy, *options, account=None):
        file = tmp_path / "policy.yml"
        file.write_text(yaml.safe_dump({"policies": [policy]}))
        out = tmp_path / "out"
        done = stock(
            "custodian", "run", "--cache-period", "0", "-s", out, "-r", sandbox.region, *options, file,
            environ=sandbox.environ(account=account),
        )  # fmt: skip
        done.resources = out / policy["name"] / "resources.json"
        return done

    return runner


@pytest.mark.parametrize(
    ("account", "groups", "allow", "message"),
    [
        ("222222222201", (), False, "the admin group 'admins' does not exist in account 222222222201"),
        ("222222222202", ("admins",), False, "no user is a member of the admin group 'admins' in account"),
        ("222222222203", (), True, None),
    ],
    ids=["missing", "empty", "missing-on-purpose"],
)
def test_an_account_without_admins_is_not_deployed_to(sandbox, run, account, groups, allow, message):
    """``custodian run`` stops where the admin group is missing or empty, unless that is said to be meant."""
    sandbox.deploy(account=account)
    for name in groups:
        sandbox.client("iam", account=account).create_group(GroupName=name)
    done = run(with_groups(["admins"], **{"allow-missing-group": allow}), account=account)
    functions = sandbox.client("lambda", account=account).list_functions()["Functions"]
    rules = sandbox.client("events", account=account).list_rules()["Rules"]
    if message:
        assert done.returncode != 0
        assert message in done.stderr
        assert REVOKE in done.stderr
        assert functions == rules == []
    else:
        assert done.returncode == 0, done.stderr
        assert [function["FunctionName"] for function in functions] == [FUNCTION]


def test_a_policy_of_another_account_is_not_deployed(deployed, run):
    """An ARN of another account's policy is refused before anything is done."""
    done = run(with_action(policy="arn:aws:iam::999999999999:policy/DenyIAMAccess"))
    assert done.returncode != 0
    assert "of another account than 111122223333; write its name alone" in done.stderr


def test_a_variable_that_nothing_fills_in_is_not_deployed(deployed, run):
    """An unresolved ``{variable}`` is refused before anything is done, by name."""
    for policy in (with_groups(["{my_admins}"]), with_action(policy="{deny}")):
        done = run(policy)
        assert done.returncode != 0
        assert "has no value; define it" in done.stderr


def test_a_dry_run_lists_who_would_be_revoked(deployed, run):
    """``custodian run --dryrun`` lists the users who are in no admin group, and revokes nobody."""
    deployed.calls.clear()
    done = run(SHIPPED, "--dryrun")
    assert done.returncode == 0, done.stderr
    names = {user["UserName"] for user in json.loads(done.resources.read_text())}
    assert {"bob", "paul"} <= names
    assert "alice" not in names
    assert not [
        call for call in deployed.calls if call.action.startswith(("Attach", "Put", "Create", "Update"))
    ]


BULK = {
    "name": "revoke-contractors",
    "resource": "aws.iam-user",
    "filters": [
        {"type": "value", "key": "Path", "value": "/contractors/"},
        {"not": [{"type": "admin-group-member", "groups": ["Admins"]}]},
    ],
    "actions": [{"type": "revoke-iam-access", "bulk": True}],
}


def test_bulk_on_purpose_revokes_every_match_and_no_admin(deployed, run, user):
    """With ``bulk: true``, all users whom the filters leave are denied IAM, and nobody else."""
    for number in range(7):
        user(f"contractor-{number}", path="/contractors/")
    user("contractor-admin", path="/contractors/", groups=["Admins"])
    done = run({**BULK, "max-resources": 7})
    assert done.returncode == 0, done.stderr
    assert all(revoked(deployed, f"contractor-{number}") == ["managed"] for number in range(7))
    assert revoked(deployed, "contractor-admin") == []
    assert done.stderr.count('"decision": "revoked"') == 7


def test_max_resources_stops_a_bulk_revocation(deployed, run, user):
    """Custodian's own ``max-resources`` holds: one user too many, and nobody is revoked."""
    for number in range(3):
        user(f"contractor-{number}", path="/contractors/")
    done = run({**BULK, "max-resources": 2})
    assert done.returncode != 0
    assert "exceeded resource-limit" in done.stderr
    assert revoked(deployed, "contractor-0") == []


# Break-glass: exempting users with stock filters


@pytest.fixture(scope="module")
def exempting(deployed, tmp_path_factory):
    """``exempting(policy)``: deploys the policy in place of the shipped one, which comes back in the end."""
    folder = tmp_path_factory.mktemp("exempt")

    def deploy(policy):
        (folder / "policy.yml").write_text(yaml.safe_dump({"policies": [policy]}))
        deploy_file(folder / "policy.yml")

    def deploy_file(file):
        done = stock(
            "custodian", "run", "-s", folder, "-r", deployed.region, file, environ=deployed.environ()
        )
        assert done.returncode == 0, done.stderr

    yield deploy
    deploy_file(POLICIES / f"{REVOKE}.yml")


NOT_ADMIN = SHIPPED["filters"][0]
EXEMPTIONS = {
    "by name": [{"type": "value", "key": "UserName", "op": "not-in", "value": ["break-glass"]}],
    "by path": [{"not": [{"type": "value", "key": "Path", "value": "/emergency/"}]}],
    "by tag": [{"tag:iam-guard-exempt": "absent"}],
}


@pytest.mark.parametrize("how", EXEMPTIONS)
def test_an_exempt_user_is_not_revoked_and_others_are(fresh, exempting, user, how):
    """A break-glass user who is exempt by a stock filter keeps IAM; the same rule revokes everybody else."""
    policy = {**copy.deepcopy(SHIPPED), "filters": [*EXEMPTIONS[how], NOT_ADMIN]}
    if how == "by tag":
        policy["source"] = "describe"
    exempting(policy)
    user(
        "break-glass", path="/emergency/", tags=[{"Key": "iam-guard-exempt", "Value": "yes"}]
    ).iam.create_user(UserName=f"made-in-need-{how.split()[-1]}")
    fresh.calls.clear()
    event = case("revoked-create-user")
    text = (
        json.dumps(event).replace("user/bob", "user/emergency/break-glass").replace('"bob"', '"break-glass"')
    )
    ident = fresh.client("iam").get_user(UserName="break-glass")["User"]["UserId"]
    (invocation,) = fresh.deliver(json.loads(text.replace("AIDABOBXXXXXXXXXXXXXX", ident)))
    assert invocation.decisions[-1]["reason"] == "exempt by the policy's filters"
    assert not {"AttachUserPolicy", "PutUserPolicy"} & set(guards_calls(fresh))
    assert revoked(fresh, "break-glass") == []
    fresh.deliver(event)
    assert revoked(fresh, "bob") == ["managed"]


def test_errors_of_the_describe_source_propagate(fresh, exempting):
    """With ``source: describe``, a throttled GetUser fails the event instead of dropping it."""
    from sandbox.server import Fault

    exempting({**copy.deepcopy(SHIPPED), "source": "describe"})
    fresh.faults.append(Fault("iam:GetUser", "AccessDenied", 403, caller="*/iam-guard/*"))
    (invocation,) = fresh.deliver(case("revoked-create-user"))
    assert invocation.dead_lettered
    assert revoked(fresh, "bob") == []
