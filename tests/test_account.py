"""The whole account: who would be hit, who is revoked, and the way back, with the stock command."""

import copy
import csv
import json
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from c7n.exceptions import PolicyExecutionError
from conftest import POLICIES, deny_arn, moto_user, stock
from test_attacks import fill_inline, fill_managed

from c7n_iamguard import client, deny
from sandbox import iam as sandbox_iam
from sandbox.server import Fault

PREVIEW, LIST, RESTORE = "preview-unintended-iam-access", "list-revoked-iam-access", "restore-iam-access"
REVOKED = "c7n:IAMAccessRevoked"
DETAILS = "GetAccountAuthorizationDetails"
BOUNDARY = deny.BOUNDARY_POLICY
RESTORE_TAG = {"Key": "iam-guard", "Value": "restore"}
PAT = {
    "UserName": "pat",
    "Path": "/",
    "UserId": "A" * 16,
    "Arn": "arn:aws:iam::111122223333:user/pat",
    "CreateDate": "2026-01-01",
}
THEIR_OWN = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]}


@pytest.fixture
def run(sandbox, tmp_path):
    """``run(policy, "--dryrun", …)``: stock ``custodian run`` of a policy, and what is in its output then."""

    def runner(policy, *options, credentials=None, fails=False, **environ):
        file = POLICIES / f"{policy}.yml"
        if isinstance(policy, dict):
            file = tmp_path / "policy.yml"
            file.write_text(yaml.safe_dump({"policies": [policy]}))
        name = yaml.safe_load(file.read_text())["policies"][0]["name"]
        done = stock(
            "custodian", "run", "-s", tmp_path, "-r", sandbox.region, *options, file,
            environ=sandbox.environ(credentials) | environ,
        )  # fmt: skip
        assert bool(done.returncode) == fails, done.stderr
        if not fails:
            found = json.loads((tmp_path / name / "resources.json").read_text())
            done.users = {user["UserName"]: user for user in found}
        lines = [line for line in done.stderr.splitlines() if "c7n_iamguard:" in line]
        done.decisions = [json.loads(line[line.index("{") :]) for line in lines]
        return done

    return runner


@pytest.fixture
def source(in_process):
    """``source(filters=…)``: a policy of ours on the source ``authorization-details``, in this process."""

    def make(**data):
        return in_process(source="authorization-details", **data)

    return make


@pytest.fixture
def logged(caplog):
    """``logged()``: the decisions that were logged in this process."""
    caplog.set_level("INFO", "c7n_iamguard")
    return lambda: [json.loads(r.getMessage()) for r in caplog.records if r.name == "c7n_iamguard"]


@pytest.fixture
def few_tries(monkeypatch):
    """Two tries a call instead of ten, to save the backoff's seconds."""
    few = client.BULK_CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 2}))
    monkeypatch.setattr(client, "BULK_CONFIG", few)


def call_iam(person):
    """A call of IAM that changes nothing."""
    keys = person.iam.list_access_keys(UserName=person.name)["AccessKeyMetadata"]
    person.iam.update_access_key(
        UserName=person.name, AccessKeyId=keys[0]["AccessKeyId"], Status=keys[0]["Status"]
    )


def is_denied(person):
    try:
        call_iam(person)
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    return False


def used_iam(sandbox, name, days):
    """Say when a user last used IAM."""
    when = datetime.now(timezone.utc) - timedelta(days=days)
    sandbox_iam.last_used[moto_user(sandbox, name).arn] = {"s3": None, "iam": when}


def state(sandbox, name):
    """All that a user is and has, in its order."""
    iam, user = sandbox.client("iam"), moto_user(sandbox, name)
    return copy.deepcopy(
        {
            "user": iam.get_user(UserName=name)["User"],
            "managed": list(user.managed_policies),
            "inline": list(user.policies.items()),
            "groups": [g["GroupName"] for g in iam.list_groups_for_user(UserName=name)["Groups"]],
            "tags": iam.list_user_tags(UserName=name)["Tags"],
            "keys": iam.list_access_keys(UserName=name)["AccessKeyMetadata"],
        }
    )


def deny_user(sandbox, name, *forms):
    """Put the guard's deny on a user."""
    iam = sandbox.client("iam")
    if "managed" in forms:
        iam.attach_user_policy(UserName=name, PolicyArn=deny_arn(sandbox))
    if "inline" in forms:
        iam.put_user_policy(
            UserName=name, PolicyName="DenyIAM", PolicyDocument=deny.document(["iam:*", "sts:*"])
        )
    if "boundary" in forms:
        iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=deny_arn(sandbox, BOUNDARY))


def restore(policy, *users):
    """Run the policy's one action on users as they are listed."""
    (action,) = policy.resource_manager.actions
    return action.process([{"UserName": user} if isinstance(user, str) else user for user in users])


def operations(sandbox):
    """How often each operation was called, without those that any command makes."""
    return Counter(call.action for call in sandbox.calls if call.action != "GetCallerIdentity")


# From the preview to the way back


@pytest.fixture
def people(fresh, user):
    """Users whom a revocation denies by each form, an admin, and two who have not used IAM lately."""
    iam = fresh.client("iam")
    known = [group["GroupName"] for group in iam.list_groups()["Groups"]]
    for group in ("developers", "data"):
        if group not in known:
            iam.create_group(GroupName=group)
    tags = [{"Key": "team", "Value": "data"}]
    made = {
        "managed": user("mia", groups=["developers"], tags=tags, path="/team/"),
        "inline": user("ina", groups=["developers", "data"], tags=tags),
        "boundary": user("bea"),
    }
    fill_managed(fresh, "ina")
    fill_managed(fresh, "bea")
    fill_inline(fresh, "bea")
    user("ada", groups=["Admins"]), user("lou"), user("nev")
    for name, days in {"mia": 0, "ina": 30, "bea": 89, "ada": 1, "lou": 91}.items():
        used_iam(fresh, name, days)
    fresh.pending.clear()
    fresh.calls.clear()
    yield made
    sandbox_iam.last_used.clear()
    for name in ("mia", "ina", "bea"):
        iam.untag_user(UserName=name, TagKeys=["team", "iam-guard"])


def test_preview_revoke_list_tag_restore(fresh, people, run):
    """Preview names who is revoked then, list says by which form, restore brings back what was before."""
    before = {person.name: state(fresh, person.name) for person in people.values()}
    assert set(run(PREVIEW).users) == {"mia", "ina", "bea"}

    for person in people.values():
        call_iam(person)
    fresh.deliver()
    assert [is_denied(person) for person in people.values()] == [True, True, True]
    assert run(PREVIEW).users == {}
    listed = run(LIST).users
    assert {name: user[REVOKED] for name, user in listed.items()} == {
        "mia": ["managed"],
        "ina": ["inline"],
        "bea": ["boundary"],
    }
    assert {name: len(user["GroupList"]) for name, user in listed.items()} == {"mia": 1, "ina": 2, "bea": 0}

    assert run(RESTORE).users == {}
    for name in ("mia", "ina", "bea"):
        fresh.client("iam").tag_user(UserName=name, Tags=[RESTORE_TAG])
    assert set(run(RESTORE, "--dryrun").users) == {"mia", "ina", "bea"}
    assert [is_denied(person) for person in people.values()] == [True, True, True]
    restored = run(RESTORE)
    assert {d["user"]: (d["decision"], d["restored"]) for d in restored.decisions} == {
        "mia": ("restored", ["managed"]),
        "ina": ("restored", ["inline"]),
        "bea": ("restored", ["boundary"]),
    }
    for person in people.values():
        call_iam(person)
        assert state(fresh, person.name) == before[person.name]
    assert run(LIST).users == {}
    fresh.pending.clear()


def test_the_preview_asks_for_last_use_of_those_who_are_left(fresh, people, run):
    """Admins, revoked and exempt users cost no call; who used IAM 90 days ago or never is out."""
    deny_user(fresh, "mia", "managed")
    fresh.client("iam").tag_user(UserName="ina", Tags=[{"Key": "iam-guard-exempt", "Value": "yes"}])
    policy = yaml.safe_load((POLICIES / f"{PREVIEW}.yml").read_text())["policies"][0]
    policy["filters"].insert(2, {"tag:iam-guard-exempt": "absent"})
    fresh.calls.clear()
    assert set(run(policy).users) == {"bea"}
    asked = {c.params["Arn"].split("/")[-1] for c in fresh.calls if c.action.startswith("GenerateService")}
    assert asked == {"bea", "lou", "nev", "bob", "paul"}


def test_the_commented_exemption_of_the_preview_is_a_filter(fresh, people, run):
    """Taking the ``#`` off the preview's example leaves a valid policy that exempts tagged users."""
    text = (POLICIES / f"{PREVIEW}.yml").read_text()
    assert "# - tag:iam-guard-exempt" in text
    fresh.client("iam").tag_user(UserName="ina", Tags=[{"Key": "iam-guard-exempt", "Value": "yes"}])
    (policy,) = yaml.safe_load(text.replace("# - tag:iam-guard-exempt", "- tag:iam-guard-exempt"))["policies"]
    assert set(run(policy).users) == {"mia", "bea"}


@pytest.mark.parametrize("policy", [PREVIEW, LIST, RESTORE])
def test_the_permissions_that_a_policy_declares_are_enough(fresh, people, in_process, user, run, policy):
    """An operator with no more rights than the policy's elements declare can run it."""
    deny_user(fresh, "mia", "managed", "inline", "boundary")
    fresh.client("iam").tag_user(UserName="mia", Tags=[RESTORE_TAG])
    (data,) = yaml.safe_load((POLICIES / f"{policy}.yml").read_text())["policies"]
    manager = in_process(**data).resource_manager
    declared = {*manager.get_permissions()}
    for element in (*manager.iter_filters(), *manager.actions):
        declared |= {*element.get_permissions()}
    operator = user("operator", allow=sorted(declared))
    assert {"ina", "mia"} & set(run(policy, credentials=operator.key).users)
    assert (policy == RESTORE) == (state(fresh, "mia")["managed"] == [])


# What the source reads


def test_a_user_of_the_source_is_what_stock_filters_expect(fresh, user, source, in_process):
    """Every user is as GetUser tells, with a list of tags, and groups, policies and boundary besides."""
    user("tia", groups=["Admins"], tags=[{"Key": "team", "Value": "data"}], path="/team/")
    deny_user(fresh, "tia", "managed", "inline", "boundary")
    users = {u["UserName"]: u for u in source().resource_manager.resources()}
    for stock_user in in_process(source="describe").resource_manager.resources():
        ours = users.pop(stock_user["UserName"])
        assert {key: ours.get(key) for key in stock_user} == stock_user
        if stock_user["UserName"] == "tia":
            tia = ours
    assert users == {}
    assert tia["GroupList"] == ["Admins"]
    assert [p["PolicyName"] for p in tia["AttachedManagedPolicies"]] == ["DenyIAMAccess"]
    assert tia["UserPolicyList"][1]["PolicyDocument"]["Statement"][0]["Action"] == ["iam:*", "sts:*"]
    assert tia["PermissionsBoundary"]["PermissionsBoundaryArn"] == deny_arn(fresh, BOUNDARY)


def test_lists_that_an_answer_leaves_out_are_empty(source, monkeypatch):
    """A user of whom IAM tells no tags, groups or policies has none, and is no match of either filter."""
    policy = source(filters=["admin-group-member", "iam-access-revoked"])
    iam = client.iam(policy.resource_manager)
    with Stubber(iam) as stub:
        page = {"UserDetailList": [PAT], "IsTruncated": False}
        stub.add_response("get_account_authorization_details", page)
        monkeypatch.setattr(client, "_kept", iam)
        (pat,) = policy.resource_manager.source.resources({})
        assert [pat[key] for key in policy.resource_manager.source.LISTS] == [[], [], [], []]
        assert [item.process([pat], event={}) for item in policy.resource_manager.filters] == [[], []]


def test_all_pages_are_read(fresh, user, run, monkeypatch):
    """Users on later pages count, for each filter, however small the pages are."""
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 3)
    for number in range(8):
        user(f"page-{number}", groups=["Admins"] if number % 2 else [])
        deny_user(fresh, f"page-{number}", *["managed"] * (number > 4))
    fresh.calls.clear()
    policy = {
        "name": "pages",
        "resource": "aws.iam-user",
        "source": "authorization-details",
        "filters": ["admin-group-member", "iam-access-revoked"],
    }
    assert set(run(policy).users) == {"page-5", "page-7"}
    assert operations(fresh)[DETAILS] == 4


def test_fifty_users_cost_one_call_and_the_look_at_the_admin_group(fresh, user, run):
    """Who is no admin, and who is revoked, is one call for 50 users, beside the look at the admin group."""
    from moto.iam.models import iam_backends

    backend = iam_backends[fresh.account]["aws"]
    many = [f"many-{number}" for number in range(50)]
    for name in many:
        backend.create_user(fresh.region, name)
    deny_user(fresh, "many-7", "managed")
    policy = {
        "name": "many",
        "resource": "aws.iam-user",
        "source": "authorization-details",
        "filters": [{"not": ["admin-group-member"]}, "iam-access-revoked"],
    }
    fresh.calls.clear()
    try:
        assert set(run(policy).users) == {"many-7"}
        assert operations(fresh) == {DETAILS: 1, "GetGroup": 2, "ListGroups": 1}
    finally:
        for name in many:
            del backend.users[name]


def test_a_throttle_between_pages_is_waited_for(fresh, user, run, monkeypatch):
    """A page that IAM refuses once is asked for again, and no user is missing."""
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 2)
    for number in range(3):
        user(f"slow-{number}")
        deny_user(fresh, f"slow-{number}", "managed")
    fresh.faults.append(Fault(f"iam:{DETAILS}", "Throttling", skip=1, times=1))
    assert set(run(LIST).users) == {"slow-0", "slow-1", "slow-2"}
    assert fresh.faults[0].hits == 1


def test_throttles_without_end_between_pages_fail_the_run(fresh, user, run, monkeypatch):
    """Where a later page never comes, the run fails with IAM's error, and nobody of the first is acted on."""
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 2)
    policy = {
        "name": "part-of-the-users",
        "resource": "aws.iam-user",
        "source": "authorization-details",
        "filters": [{"not": ["admin-group-member"]}],
        "actions": [{"type": "revoke-iam-access", "bulk": True}],
    }
    fresh.faults.append(Fault(f"iam:{DETAILS}", "Throttling", skip=1))
    done = run(policy, fails=True, AWS_MAX_ATTEMPTS="1")
    assert "(Throttling) when calling the GetAccountAuthorizationDetails operation" in done.stderr
    assert operations(fresh) == {DETAILS: 3}


def test_membership_is_of_now_and_never_from_custodians_cache(fresh, user, run):
    """A second run within the 15 minutes of Custodian's cache sees who has become an admin since."""
    user("nia")
    policy = {
        "name": "of-now",
        "resource": "aws.iam-user",
        "source": "authorization-details",
        "filters": [{"UserName": "nia"}, {"not": [{"type": "admin-group-member", "groups": ["Admins"]}]}],
    }
    assert set(run(policy).users) == {"nia"}
    fresh.client("iam").add_user_to_group(GroupName="Admins", UserName="nia")
    fresh.calls.clear()
    assert run(policy).users == {}
    assert operations(fresh)[DETAILS] == 1


def test_an_events_user_is_read_by_name(fresh, user, source):
    """Asked for one user by name, the source reads that user alone, and the filters ask for the rest."""
    user("evi", groups=["Admins"])
    deny_user(fresh, "evi", "inline")
    policy = source(filters=["admin-group-member", "iam-access-revoked"])
    fresh.calls.clear()
    found = policy.resource_manager.source.get_resources(["evi", "nobody"])
    found = policy.resource_manager.filter_resources(found, {})
    assert [(u["UserName"], u["c7n:AdminGroups"], u[REVOKED]) for u in found] == [
        ("evi", ["Admins"], ["inline"])
    ]
    assert operations(fresh)[DETAILS] == 0
    assert operations(fresh)["ListGroupsForUser"] == 1


def test_groups_that_aws_config_tells_of_are_not_trusted(fresh, user, in_process):
    """Groups in a user from another source are of some time ago; IAM is asked."""
    user("kay")
    policy = in_process(source="config", filters=["admin-group-member", "iam-access-revoked"])
    of_config = {
        "UserName": "kay",
        "GroupList": ["Admins"],
        "AttachedManagedPolicies": [],
        "UserPolicyList": [],
    }
    assert policy.resource_manager.filters[0].process([of_config], event={}) == []
    deny_user(fresh, "kay", "managed")
    (kay,) = policy.resource_manager.filters[1].process([of_config])
    assert kay[REVOKED] == ["managed"]


# Who is revoked


FORMS = [(), ("managed",), ("inline",), ("boundary",), ("managed", "inline", "boundary")]


def test_the_filter_finds_the_same_with_any_source(fresh, user, in_process, source):
    """Each form of the deny, alone and together, is found alike with the stock source and with ours."""
    for number, forms in enumerate(FORMS):
        user(f"form-{number}")
        deny_user(fresh, f"form-{number}", *forms)
    expected = {f"form-{number}": list(forms) for number, forms in enumerate(FORMS) if forms}
    for policy in (source(filters=["iam-access-revoked"]), in_process(filters=["iam-access-revoked"])):
        found = policy.resource_manager.filter_resources(policy.resource_manager.source.resources({}))
        assert {u["UserName"]: u[REVOKED] for u in found} == expected


@pytest.mark.parametrize("option", ["security/NoIAM", "arn:aws:iam::111122223333:policy/security/NoIAM"])
def test_another_managed_policy_can_be_the_deny(fresh, user, source, option):
    """``policy`` names the one managed policy that the filter looks for and the action takes off."""
    iam = fresh.client("iam")
    arn = deny_arn(fresh, "security/NoIAM")
    if arn not in [p["Arn"] for p in iam.list_policies(Scope="Local")["Policies"]]:
        iam.create_policy(PolicyName="NoIAM", Path="/security/", PolicyDocument=deny.document())
    user("pol")
    for attached in (deny_arn(fresh), arn):
        iam.attach_user_policy(UserName="pol", PolicyArn=attached)
    policy = source(
        filters=[{"UserName": "pol"}, {"type": "iam-access-revoked", "policy": option}],
        actions=[{"type": "restore-iam-access", "policy": option}],
    )
    (pol,) = policy.resource_manager.resources()
    assert pol[REVOKED] == ["managed"]
    assert restore(policy, pol) == [{"UserName": "pol", "restored": ["managed"], "kept": []}]
    assert state(fresh, "pol")["managed"] == [deny_arn(fresh)]


def test_somebody_elses_policies_are_no_deny_of_the_guards(fresh, user, source):
    """An inline policy of the guard's name with another document, and another boundary, do not count."""
    user("ora")
    iam = fresh.client("iam")
    iam.put_user_policy(UserName="ora", PolicyName="DenyIAM", PolicyDocument=json.dumps(THEIR_OWN))
    iam.put_user_policy(UserName="ora", PolicyName="another", PolicyDocument=deny.document())
    iam.put_user_permissions_boundary(UserName="ora", PermissionsBoundary=deny_arn(fresh))
    assert source(filters=[{"UserName": "ora"}, "iam-access-revoked"]).resource_manager.resources() == []


@pytest.mark.parametrize("operation", ["ListAttachedUserPolicies", "GetUserPolicy", "GetUser"])
def test_an_error_of_iam_never_counts_as_not_revoked(fresh, user, in_process, few_tries, operation):
    """AccessDenied to any of the filter's own questions ends the run with that error."""
    user("err")
    policy = in_process(filters=["iam-access-revoked"])
    fresh.faults.append(Fault(f"iam:{operation}", "AccessDenied", 403))
    with pytest.raises(ClientError, match="AccessDenied"):
        policy.resource_manager.filters[0].process([{"UserName": "err"}])


@pytest.mark.parametrize("operation", [None, "ListAttachedUserPolicies"])
def test_a_user_who_is_gone_is_not_listed(fresh, user, in_process, operation):
    """A user who is deleted before or while the filter asks is no match and no error."""
    if operation:
        user("gil")
        fresh.faults.append(Fault(f"iam:{operation}", "NoSuchEntity", 404))
    policy = in_process(filters=["iam-access-revoked"])
    assert policy.resource_manager.filters[0].process([{"UserName": "gil"}]) == []


def test_a_policy_on_a_later_page_counts(in_process, monkeypatch):
    """The guard's policy on the second page of ListAttachedUserPolicies is found."""
    policy = in_process(filters=["iam-access-revoked"])
    iam = client.iam(policy.resource_manager)

    def attached(name):
        return {"PolicyName": name, "PolicyArn": f"arn:aws:iam::111122223333:policy/{name}"}

    with Stubber(iam) as stub:
        stub.add_response("get_user", {"User": PAT}, {"UserName": "pat"})
        page = {"AttachedPolicies": [attached("own")], "IsTruncated": True, "Marker": "next"}
        stub.add_response("list_attached_user_policies", page, {"UserName": "pat"})
        page = {"AttachedPolicies": [attached("DenyIAMAccess")], "IsTruncated": False}
        stub.add_response("list_attached_user_policies", page, {"UserName": "pat", "Marker": "next"})
        stub.add_client_error("get_user_policy", "NoSuchEntity")
        monkeypatch.setattr(client, "_kept", iam)
        (found,) = policy.resource_manager.filters[0].process([{"UserName": "pat"}])
    assert found[REVOKED] == ["managed"]


def changed(**statement):
    document = json.loads(deny.document())
    document["Statement"][0] |= statement
    return document


@pytest.mark.parametrize(
    ("document", "own"),
    [
        (deny.document(), True),
        (json.loads(deny.document(["iam:*", "organizations:*"])), True),
        (json.dumps(json.loads(deny.document()), indent=4), True),
        (THEIR_OWN, False),
        (changed(Action=[]), False),
        (changed(Action=["iam:*", 5]), False),
        (changed(Sid="Mine"), False),
        (changed(Condition={}), False),
        (changed(Effect="Allow"), False),
        (changed(Resource=["*"]), False),
        ({**json.loads(deny.document()), "Id": "mine"}, False),
        ({**json.loads(deny.document()), "Version": "2008-10-17"}, False),
        ({**changed(), "Statement": changed()["Statement"] * 2}, False),
        ({**changed(), "Statement": changed()["Statement"][0]}, False),
        ({"Version": "2012-10-17", "Statement": []}, False),
        ("no JSON", False),
        (None, False),
        ([], False),
    ],
    ids=str,
)
def test_a_document_is_the_guards_own_or_not(document, own):
    """Only a document exactly as a revocation writes it, for whichever actions, is the guard's own."""
    assert deny.is_own_document(document) is own


# The way back


def test_somebody_elses_policies_stay_and_are_reported(fresh, user, in_process, logged):
    """An inline policy of the guard's name with another document stays and is reported; a boundary stays."""
    user("sam")
    iam = fresh.client("iam")
    deny_user(fresh, "sam", "managed")
    iam.put_user_policy(UserName="sam", PolicyName="DenyIAM", PolicyDocument=json.dumps(THEIR_OWN))
    iam.put_user_permissions_boundary(UserName="sam", PermissionsBoundary=deny_arn(fresh))
    policy = in_process(actions=["restore-iam-access"])
    assert restore(policy, "sam") == [{"UserName": "sam", "restored": ["managed"], "kept": ["inline"]}]
    after = state(fresh, "sam")
    assert json.loads(dict(after["inline"])["DenyIAM"]) == THEIR_OWN
    assert after["user"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == deny_arn(fresh)
    (line,) = logged()
    assert line["decision"] == "restored"
    assert line["kept"] == ["inline"]
    assert line["reason"] == "the inline policy DenyIAM is somebody else's"


def test_what_is_deleted_is_looked_at_right_before(fresh, user, source):
    """An inline policy and a boundary that somebody changed after the listing stay."""
    user("tim")
    iam = fresh.client("iam")
    deny_user(fresh, "tim", "managed", "inline", "boundary")
    policy = source(filters=[{"UserName": "tim"}, "iam-access-revoked"], actions=["restore-iam-access"])
    (tim,) = policy.resource_manager.resources()
    iam.put_user_policy(UserName="tim", PolicyName="DenyIAM", PolicyDocument=json.dumps(THEIR_OWN))
    iam.put_user_permissions_boundary(UserName="tim", PermissionsBoundary=deny_arn(fresh))
    before = state(fresh, "tim")
    assert restore(policy, tim) == [{"UserName": "tim", "restored": ["managed"], "kept": ["inline"]}]
    assert state(fresh, "tim") == {**before, "managed": []}


def test_restoring_again_changes_nothing(fresh, user, in_process):
    """A second restoration finds nothing to take off, and is no failure."""
    user("rae")
    before = state(fresh, "rae")
    deny_user(fresh, "rae", "managed", "inline", "boundary")
    policy = in_process(actions=["restore-iam-access"])
    (first,) = restore(policy, "rae")
    assert sorted(first["restored"]) == ["boundary", "inline", "managed"]
    assert restore(policy, "rae") == [{"UserName": "rae", "restored": [], "kept": []}]
    assert state(fresh, "rae") == before


OF_THE_WAY = ["DeleteUserPermissionsBoundary", "DetachUserPolicy", "GetUserPolicy", "DeleteUserPolicy"]


@pytest.mark.parametrize("operation", OF_THE_WAY)
def test_what_goes_meanwhile_is_no_failure(fresh, user, in_process, operation):
    """A form that is gone when it is to be taken off is not counted, and the others are taken off."""
    user("mel")
    deny_user(fresh, "mel", "managed", "inline", "boundary")
    fresh.faults.append(Fault(f"iam:{operation}", "NoSuchEntity", 404))
    (record,) = restore(in_process(actions=["restore-iam-access"]), "mel")
    assert len(record["restored"]) == 2
    assert record["kept"] == []


def test_a_user_deleted_since_the_listing_is_no_failure(fresh, user, source, logged):
    """A user who is gone is let pass with the reason in the log, and so is the new owner of their name."""
    user("dan"), user("deb")
    for name in ("dan", "deb"):
        deny_user(fresh, name, "managed")
    policy = source(filters=["iam-access-revoked"], actions=["restore-iam-access"])
    listed = policy.resource_manager.resources()
    gone = moto_user(fresh, "dan").managed_policies
    gone.clear(), moto_user(fresh, "dan").policies.clear()
    iam = fresh.client("iam")
    iam.delete_user(UserName="dan")
    moto_user(fresh, "deb").id = "AIDAANOTHEROFTHATNAME"
    assert restore(policy, *listed) == []
    assert state(fresh, "deb")["managed"] == [deny_arn(fresh)]
    assert [line["reason"] for line in logged()] == ["the user does not exist any more"] * 2


@pytest.mark.parametrize("operation", ["GetUser", *OF_THE_WAY])
def test_every_user_is_tried_before_the_failure_is_raised(fresh, user, in_process, logged, operation):
    """One user who cannot be restored does not stop the others; the log names them, and the run fails."""
    user("fay"), user("guy")
    for name in ("fay", "guy"):
        deny_user(fresh, name, "managed", "inline", "boundary")
    policy = in_process(actions=["restore-iam-access"])
    fresh.faults.append(Fault(f"iam:{operation}", "AccessDenied", 403, times=1))
    with pytest.raises(PolicyExecutionError, match=r"policy:a-policy could not restore IAM to 1 of 2 users"):
        restore(policy, "fay", "guy")
    lines = logged()
    assert sorted(line["decision"] for line in lines) == ["failed", "restored"]
    (failed,) = [line for line in lines if line["decision"] == "failed"]
    assert "AccessDenied" in failed["reason"]
    assert sorted(len(state(fresh, name)["managed"]) for name in ("fay", "guy"))[0] == 0
    fresh.faults.clear()
    assert restore(policy, "fay", "guy")
    for name in ("fay", "guy"):
        assert state(fresh, name)["managed"] == []
        assert "DenyIAM" not in dict(state(fresh, name)["inline"])
        assert "PermissionsBoundary" not in state(fresh, name)["user"]


def test_a_tag_goes_only_with_what_it_is_for(fresh, user, run):
    """Where a user cannot be restored, tags stay; the next run takes them off, also where no deny is left."""
    user("tag-1"), user("tag-2"), user("tag-3")
    iam = fresh.client("iam")
    for name in ("tag-1", "tag-2"):
        deny_user(fresh, name, "managed")
    for name, value in (("tag-1", "restore"), ("tag-2", "restore"), ("tag-3", "exempt")):
        iam.tag_user(UserName=name, Tags=[{"Key": "iam-guard", "Value": value}])
    fresh.faults.append(Fault("iam:DetachUserPolicy", "AccessDenied", 403, times=1))
    done = run(RESTORE, fails=True)
    assert "could not restore IAM to 1 of 2 users" in done.stderr
    assert [len(state(fresh, name)["tags"]) for name in ("tag-1", "tag-2", "tag-3")] == [1, 1, 1]
    assert sorted(d["decision"] for d in run(RESTORE).decisions) == ["let-pass", "restored"]
    assert [len(state(fresh, name)["tags"]) for name in ("tag-1", "tag-2", "tag-3")] == [0, 0, 1]
    iam.untag_user(UserName="tag-3", TagKeys=["iam-guard"])


def test_the_functions_role_cannot_restore(fresh, user):
    """The guard's own role has no right to take a deny off again."""
    user("rob")
    deny_user(fresh, "rob", "managed", "inline", "boundary")
    role = f"arn:aws:iam::{fresh.account}:role/iam-guard"
    iam = fresh.client("iam", fresh.functions.credentials(role, fresh.account, fresh.region))
    where = {"UserName": "rob"}
    taking = [
        lambda: iam.delete_user_permissions_boundary(**where),
        lambda: iam.detach_user_policy(**where, PolicyArn=deny_arn(fresh)),
        lambda: iam.delete_user_policy(**where, PolicyName="DenyIAM"),
    ]
    for call in taking:
        with pytest.raises(ClientError, match="AccessDenied"):
            call()


# Reports

USER = ("--field", "User=UserName")
GROUPS = ("--field", "Groups=list:GroupList")
FIELDS = {
    PREVIEW: (*USER, *GROUPS, "--field", "Created=CreateDate"),
    LIST: (*USER, "--field", 'Denied by=list:"c7n:IAMAccessRevoked"', "--field", "Groups=count:GroupList"),
    RESTORE: (
        *USER, "--field", "Attached=list:AttachedManagedPolicies[].PolicyName",
        "--field", "Inline=list:UserPolicyList[].PolicyName", "--field", "Tag=tag:iam-guard",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "row"),
    [
        (PREVIEW, {"User": "ina", "Groups": "developers, data", "Created": ...}),
        (LIST, {"User": "mia", "Denied by": "managed, boundary", "Groups": "1"}),
        (
            RESTORE,
            {"User": "mia", "Attached": "DenyIAMAccess", "Inline": "access", "Tag": "restore"},
        ),
    ],
)
def test_custodian_report_prints_readable_columns(fresh, people, run, tmp_path, policy, row):
    """Stock ``custodian report`` prints a table and CSV of each policy, with the columns of README."""
    iam = fresh.client("iam")
    deny_user(fresh, "mia", "managed", "boundary")
    iam.tag_user(UserName="mia", Tags=[RESTORE_TAG])
    created = iam.get_user(UserName=row["User"])["User"]["CreateDate"].isoformat()
    row = {column: created if value is ... else value for column, value in row.items()}
    run(policy)

    def report(form):
        done = stock(
            "custodian", "report", "-s", tmp_path, "-r", fresh.region, "--format", form,
            "--no-default-fields", *FIELDS[policy], POLICIES / f"{policy}.yml", environ=fresh.environ(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def parsed(value):
        return datetime.fromisoformat(value) if value == row.get("Created") else value

    rows = [*csv.DictReader(report("csv").splitlines())]
    (found,) = [each for each in rows if each["User"] == row["User"]]
    assert list(found) == list(row)
    found["Created"] = created if "Created" in found else None
    assert {k: v for k, v in found.items() if v is not None} == row
    grid = [[cell.strip() for cell in line.strip("|").split("|")] for line in report("grid").splitlines()]
    assert list(row) in grid
    assert row["User"] in [cells[0] for cells in grid]
