"""The policies around the containment: observing, listing and lifting quarantines, and what validate refuses."""

import json

import pytest
from c7n.exceptions import PolicyExecutionError, PolicyValidationError
from contained import ACCOUNT, ANYTHING, QUARANTINE, TRUST, once
from helpers import CONTAIN, POLICIES, policies_of, policy, shipped, stock

from c7n_iamguard import settings
from c7n_iamguard.errors import Refusal


def pin(data, **pins):
    """Let a policy know what a deployment would have found out."""
    pins = {"groups": {}, "roles": {}, "exempt": {}, "self_service": {}, "off": {}} | pins
    data["mode"]["environment"] = {"Variables": {settings.PINS: json.dumps(pins)}}


def admins_id(contained):
    """The id of the admin group."""
    (group,) = [group for group in contained.backend.groups.values() if group.name == "admins"]
    return group.id


@pytest.fixture
def by_hand(contained, monkeypatch, tmp_path):
    """``by_hand(action)``: the users' policy in this process, with these options of its action."""

    def make(**action):
        data = shipped(CONTAIN)
        data["actions"] = [{"type": "undo-iam-call", "groups": ["admins"], **action}]
        pin(data, groups={"admins": admins_id(contained)})
        environ = contained.sandbox.environ(account=ACCOUNT)
        return policy(data, environ, monkeypatch, output_dir=str(tmp_path), log_group="null")

    return make


@pytest.fixture
def quarantined(contained):
    """A quarantined user and role, by name."""
    mallory = contained.person()
    name = f"made-{mallory.name}"
    once(contained, mallory, "create_user", UserName=name)
    once(contained, mallory, "create_role", RoleName=name, AssumeRolePolicyDocument=TRUST)
    return name


# Observing


def test_observing_changes_nothing_and_says_what_it_would_do(contained, by_hand, logged):
    """The decision is would-contain, with the command; IAM is asked, and not changed."""
    mallory = contained.person()
    mallory.iam.create_user(UserName=f"eve-{mallory.name}")
    mallory.iam.put_user_policy(UserName=mallory.name, PolicyName="mine", PolicyDocument=ANYTHING)
    events = contained.events()
    contained.sandbox.calls.clear()
    observing = by_hand(observe=True)
    for event in events:
        observing.get_execution_mode().run(event, None)
    assert all(call.action.startswith(("Get", "List")) for call in contained.sandbox.calls)
    first, second = logged()
    assert (first["decision"], second["decision"]) == ("would-contain", "would-contain")
    assert first["commands"] == [
        f"aws iam attach-user-policy --user-name eve-{mallory.name} --policy-arn {QUARANTINE}"
    ]
    assert not contained.quarantined("user", f"eve-{mallory.name}")


def test_a_function_that_does_not_know_the_admin_groups_ids_fails(contained, by_hand):
    """Without the pins of the deployment nobody is quarantined."""
    mallory = contained.person()
    mallory.iam.create_user(UserName=f"eve-{mallory.name}")
    (event,) = contained.events()
    unpinned = by_hand()
    del unpinned.data["mode"]["environment"]["Variables"][settings.PINS]
    with pytest.raises(PolicyExecutionError, match="deploy the policy again"):
        unpinned.get_execution_mode().run(event, None)


@pytest.mark.parametrize(
    ("groups", "problem"),
    [(["nobody"], "the admin group 'nobody' does not exist"), (["{admin_groups}"], "nothing has filled in")],
)
def test_an_action_without_its_admin_groups_is_not_deployed(by_hand, groups, problem):
    """A group that does not exist here would let admins be quarantined, and so would a missing setting."""
    (action,) = by_hand(groups=groups).resource_manager.actions
    with pytest.raises(Refusal, match=problem):
        action.pin()


def test_without_admin_groups_every_new_user_is_quarantined(contained, by_hand):
    """Where nobody comes in as a user, the action spares nobody, and does not fail."""
    mallory = contained.person()
    mallory.iam.create_user(UserName=f"eve-{mallory.name}")
    (event,) = contained.events()
    alone = by_hand(groups=[])
    alone.get_execution_mode().run(event, None)
    assert contained.quarantined("user", f"eve-{mallory.name}")


# The policies that operators run


KINDS = ("user", "role")


@pytest.fixture
def run(contained, tmp_path):
    """``run(file)``: the policies of a file, those of users and of roles, by stock custodian."""

    def custodian(file):
        file = POLICIES / f"{file}.yml"
        environ = contained.sandbox.environ(account=ACCOUNT)
        done = stock("custodian", "run", "-s", tmp_path, "-r", "us-east-1", file, environ=environ)
        assert done.returncode == 0, done.stderr
        names = [data["name"] for data in policies_of(file)]
        return [json.loads((tmp_path / name / "resources.json").read_text()) for name in names]

    return custodian


def deny_and_tag(contained, kind, name, value):
    """Deny IAM to a user or role, beside the quarantine, and tag it.

    :returns: the ARN of the denial
    """
    iam, named = contained.iam, {f"{kind.title()}Name": name}
    denial = QUARANTINE.replace("iam-guard-quarantine", "DenyIAMAccess")
    getattr(iam, f"attach_{kind}_policy")(**named, PolicyArn=denial)
    getattr(iam, f"tag_{kind}")(**named, Tags=[{"Key": "iam-guard", "Value": value}])
    return denial


def policies_on(contained, kind, name):
    """The ARNs of the managed policies of a user or role."""
    attached = getattr(contained.iam, f"list_attached_{kind}_policies")(**{f"{kind.title()}Name": name})
    return [one["PolicyArn"] for one in attached["AttachedPolicies"]]


def test_quarantined_users_and_roles_are_listed(contained, quarantined, run):
    """The lists have who carries the quarantine, and nobody else."""
    contained.person(name="free"), contained.role(name="free")
    found = run("list-quarantined")
    for kind, principals in zip(KINDS, found, strict=True):
        names = [principal[f"{kind.title()}Name"] for principal in principals]
        assert quarantined in names
        assert all(contained.quarantined(kind, name) for name in names)


def test_lifting_a_quarantine_takes_the_tag_and_leaves_other_denials(contained, quarantined, run):
    """Only who is tagged is free again; a denial of IAM stays, and so does everybody else's quarantine."""
    for number, kind in enumerate(KINDS):
        denial = deny_and_tag(contained, kind, quarantined, "lift-quarantine")
        run("restore-quarantined")
        assert policies_on(contained, kind, quarantined) == [denial]
        tags = getattr(contained.iam, f"list_{kind}_tags")(**{f"{kind.title()}Name": quarantined})["Tags"]
        assert tags == []
        left = [other for other in KINDS if contained.quarantined(other, quarantined)]
        assert left == list(KINDS[number + 1 :])


def test_giving_iam_back_lifts_no_quarantine(contained, quarantined, run):
    """restore-iam-access takes off the denial of IAM alone, and does not answer to the other tag."""
    for value, left in (("lift-quarantine", 2), ("restore", 1)):
        for kind in KINDS:
            deny_and_tag(contained, kind, quarantined, value)
        run("restore-iam-access")
        assert [len(policies_on(contained, kind, quarantined)) for kind in KINDS] == [left, left]
    assert [contained.quarantined(kind, quarantined) for kind in KINDS] == [True, True]


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": []}, "the calls of admins would be taken back, too; add - not: "),
        ({"filters": [{"not": ["admin-group-member", {"UserName": "x"}]}]}, "calls of admins would be taken back"),
        ({"mode": {"type": "pull"}}, "mode pull does not tell which calls to take back"),
        ({"actions": [{"type": "undo-iam-call", "groups": ["a*"]}]}, "'a\\*' is no group's name"),
        ({"actions": [{"type": "undo-iam-call", "groups": 7}]}, "7 is no list"),
    ],
)  # fmt: skip
def test_a_policy_that_would_hit_the_wrong_calls_is_refused(contained, monkeypatch, changes, message):
    """Without admins who pass, without the event of a call, or with groups that cannot be."""
    data = {**shipped(CONTAIN), **changes}
    with pytest.raises(PolicyValidationError, match=message):
        policy(data, contained.sandbox.environ(account=ACCOUNT), monkeypatch)


def test_who_is_meant_stands_once():
    """Both policies of the file take it from the same settings."""
    users, roles = policies_of(POLICIES / f"{CONTAIN}.yml")
    (of_users,), (of_roles,) = users["filters"][0]["not"], roles["filters"][0]["not"]
    for key in ("groups", "roles", "exempt"):
        assert of_users[key] == of_roles[key]
    assert users["actions"][0]["groups"] == roles["actions"][0]["groups"]


def test_the_groups_are_pinned_for_both_kinds_of_callers(contained):
    """Roles may quarantine users, too, so their function knows the admin group's id as well."""
    for name in (CONTAIN, f"{CONTAIN}-of-roles"):
        variables = function_config(contained, f"iam-guard-{name}")["mode"]["environment"]["Variables"]
        assert json.loads(variables[settings.PINS])["groups"] == {"admins": admins_id(contained)}


def function_config(contained, name):
    """The policy in a deployed function."""
    import io
    import zipfile

    from moto.awslambda.models import lambda_backends

    function = lambda_backends[ACCOUNT]["us-east-1"].get_function(name)
    with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
        (found,) = json.loads(archive.read("config.json"))["policies"]
    return found
