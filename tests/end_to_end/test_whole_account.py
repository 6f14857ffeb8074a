"""The whole account: who would be hit, who is revoked, and the way back. The policies run in this process."""

from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError
from c7n.exceptions import PolicyExecutionError
from helpers import (
    LIST,
    PREVIEW,
    RESTORE,
    RESTORE_TAG,
    REVOKED,
    deny_user,
    fill_inline,
    fill_managed,
    moto_user,
    policy,
    shipped,
    state,
    untagged,
)

from sandbox.server import Fault


def use_iam(person):
    """A call of IAM that changes nothing."""
    keys = person.iam.list_access_keys(UserName=person.name)["AccessKeyMetadata"]
    person.iam.update_access_key(
        UserName=person.name, AccessKeyId=keys[0]["AccessKeyId"], Status=keys[0]["Status"]
    )


def is_refused(person):
    try:
        use_iam(person)
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    return False


@pytest.fixture
def people(fresh, user):
    """Users whom a revocation denies by each form; beside them an admin, and two who have not used IAM lately."""
    for group in ("developers", "data"):
        fresh.client("iam").create_group(GroupName=group)
    tags = [{"Key": "team", "Value": "data"}]
    people = [
        user("mia", groups=["developers"], tags=tags, path="/team/"),
        user("ina", groups=["developers", "data"], tags=tags),
        user("bea"),
    ]
    fill_managed(fresh, "ina")
    fill_managed(fresh, "bea")
    fill_inline(fresh, "bea")
    user("ada", groups=["Admins"]), user("lou"), user("nev")
    for name, days in {"mia": 0, "ina": 30, "bea": 89, "ada": 1, "lou": 91}.items():
        when = datetime.now(timezone.utc) - timedelta(days=days)
        fresh.last_used[moto_user(fresh, name).arn] = {"s3": None, "iam": when}
    return people


@pytest.fixture
def run(fresh, monkeypatch, tmp_path):
    """``run(policy)``: the users whom a policy of the pack finds, by name; it acts on them."""

    def by_name(name, credentials=None):
        data = shipped(name) if isinstance(name, str) else name
        environ = fresh.environ(credentials)
        found = policy(data, environ, monkeypatch, output_dir=str(tmp_path), log_group="null").run()
        return {user["UserName"]: user for user in found}

    return by_name


FORMS = {"mia": ["managed"], "ina": ["inline"], "bea": ["boundary"]}


def test_preview_revoke_list_tag_restore(fresh, people, run, logged):
    """Preview names who is revoked then, list says by which form, restore brings back what was before."""
    before = {person.name: state(fresh, person.name) for person in people}
    assert set(run(PREVIEW)) == set(FORMS)

    for person in people:
        use_iam(person)
    fresh.deliver()
    for person in people:
        assert is_refused(person)
        fresh.client("s3", person.key).list_buckets()
    assert run(PREVIEW) == {}
    listed = run(LIST)
    assert {name: user[REVOKED] for name, user in listed.items()} == FORMS
    assert {name: len(user["GroupList"]) for name, user in listed.items()} == {"mia": 1, "ina": 2, "bea": 0}

    for name in FORMS:
        fresh.client("iam").tag_user(UserName=name, Tags=[RESTORE_TAG])
    run(RESTORE)
    restored = [decision for decision in logged() if decision["decision"] == "restored"]
    assert {decision["user"]: decision["restored"] for decision in restored} == FORMS
    for person in people:
        use_iam(person)
        assert untagged(state(fresh, person.name)) == untagged(before[person.name])


def test_the_preview_asks_for_last_use_of_those_who_are_left(fresh, people, run):
    """Admins, revoked and exempt users cost no call; who used IAM 90 days ago or never is out."""
    deny_user(fresh, "mia", "managed")
    fresh.client("iam").tag_user(UserName="ina", Tags=[{"Key": "iam-guard-exempt", "Value": "yes"}])
    preview = shipped(PREVIEW)
    preview["filters"].insert(2, {"tag:iam-guard-exempt": "absent"})
    fresh.calls.clear()
    assert set(run(preview)) == {"bea"}
    asked = {c.params["Arn"].split("/")[-1] for c in fresh.calls if c.action.startswith("GenerateService")}
    assert asked == {"bea", "lou", "nev", "bob", "paul"}


def test_the_permissions_that_a_policy_declares_are_enough(fresh, user, run, monkeypatch):
    """An operator with no more rights than the policy's elements declare can run it."""
    user("mia", tags=[RESTORE_TAG])
    deny_user(fresh, "mia", "managed", "inline", "boundary")
    manager = policy(shipped(RESTORE), fresh.environ(), monkeypatch).resource_manager
    declared = {*manager.get_permissions()}
    for element in (*manager.iter_filters(), *manager.actions):
        declared |= {*element.get_permissions()}
    operator = user("operator", allow=sorted(declared))
    assert set(run(RESTORE, operator.key)) == {"mia"}
    assert state(fresh, "mia")["managed"] == []


def test_a_tag_goes_only_with_what_it_is_for(fresh, user, run):
    """A user who cannot be restored keeps the tag that asks for it, until the next run restores them."""
    for name, value in (("tag-1", "restore"), ("tag-2", "restore"), ("tag-3", "exempt")):
        user(name, tags=[{"Key": "iam-guard", "Value": value}])
    for name in ("tag-1", "tag-2"):
        deny_user(fresh, name, "managed")
    fresh.faults.append(Fault("iam:DetachUserPolicy", "AccessDenied", 403, times=1))
    with pytest.raises(PolicyExecutionError, match="could not give IAM back to 1 of 2 users"):
        run(RESTORE)
    assert sorted(asks(fresh, name) for name in ("tag-1", "tag-2", "tag-3")) == [False, True, True]
    assert len(run(RESTORE)) == 1
    assert [asks(fresh, name) for name in ("tag-1", "tag-2", "tag-3")] == [False, False, True]


def asks(sandbox, name):
    """Whether a user carries the tag that asks for a restoration, whatever its value is."""
    return "iam-guard" in [tag["Key"] for tag in state(sandbox, name)["tags"]]
