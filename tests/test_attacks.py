"""Somebody fights the guard. Each move of README's table, played with the attacker's own credentials.

The functions run from their uploaded zips under AWS's runtime client; what an attacker may do is decided
by the sandbox's authorization.
"""

import copy
import json

import pytest
from botocore.exceptions import ClientError
from conftest import FUNCTION, REVOKE, case, deny_arn, guards_calls, moto_user, revoked
from test_faults import GUARD, environment, outcomes

from sandbox.server import Fault

PROTECT = "protect-admin-group"
HARMLESS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def play(sandbox, order=None):
    """Deliver all that has happened, and what comes of it, until nothing is left."""
    played = []
    while sandbox.pending:
        events, sandbox.pending = sandbox.pending, []
        if order:
            events = order(events)
        for event in events:
            played += sandbox.deliver(event)
    return played


def denied(attacker):
    """Whether an attacker's next IAM call is refused."""
    try:
        attacker.iam.create_user(UserName=f"{attacker.name}-next")
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    attacker.iam.delete_user(UserName=f"{attacker.name}-next")
    return False


def fill_managed(sandbox, name):
    """Attach managed policies to a user until IAM takes no more."""
    iam = sandbox.client("iam")
    for number in range(10 - len(moto_user(sandbox, name).managed_policies)):
        arn = f"arn:aws:iam::{sandbox.account}:policy/filler-{number}"
        if arn not in moto_policies(sandbox):
            iam.create_policy(PolicyName=f"filler-{number}", PolicyDocument=json.dumps(HARMLESS))
        iam.attach_user_policy(UserName=name, PolicyArn=arn)


def fill_inline(sandbox, name):
    """Put inline policies on a user until not even the shortest denial fits."""
    used = sum(len("".join(text.split())) for text in moto_user(sandbox, name).policies.values())
    statement = {"Sid": "", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    room = 2048 - used - len("".join(json.dumps(document).split()))
    statement["Sid"] = "x" * (room - 20)
    sandbox.client("iam").put_user_policy(
        UserName=name, PolicyName="filler", PolicyDocument=json.dumps(document)
    )


def moto_policies(sandbox):
    from moto.iam.models import iam_backends

    return iam_backends[sandbox.account]["aws"].managed_policies


def decisions(invocations, policy=REVOKE):
    return [d for i in invocations for d in i.decisions if d["policy"] == policy]


@pytest.fixture
def attacker(fresh, user):
    """Somebody who may do anything, and is in no admin group."""
    return user("mallory")


@pytest.fixture(autouse=True)
def own_things(fresh):
    """Groups, policies and settings of the account as they were, after each attack."""
    from moto.iam.models import iam_backends

    backend = iam_backends[fresh.account]["aws"]
    groups = {group.name: list(group.users) for group in backend.groups.values()}
    kept = set(backend.users)
    yield
    fresh.scps.clear()
    for group in list(backend.groups.values()):
        if group.name in groups:
            group.users = [u for u in groups[group.name] if u.name in backend.users]
        else:
            del backend.groups[group.name]
    for name in set(backend.users) - kept:
        del backend.users[name]


# Full quotas


def test_full_managed_policies_leave_the_inline_policy(fresh, attacker):
    """Ten managed policies: the inline policy denies IAM."""
    fill_managed(fresh, "mallory")
    assert not denied(attacker)
    (decision, *_) = decisions(play(fresh))
    assert decision["how"] == "inline"
    assert decision["rungs"]["managed"].startswith("LimitExceeded")
    assert denied(attacker)


def test_full_policies_of_both_kinds_leave_the_boundary(fresh, attacker):
    """Both quotas full: the permissions boundary takes IAM away, and nothing else."""
    fill_managed(fresh, "mallory")
    fill_inline(fresh, "mallory")
    assert not denied(attacker)
    (decision, *_) = decisions(play(fresh))
    assert decision["how"] == "boundary"
    assert decision["rungs"] == {
        "managed": "LimitExceeded: Cannot exceed quota for PoliciesPerUser: 10",
        "inline": "LimitExceeded: Maximum policy size of 2048 bytes exceeded for user mallory",
        "boundary": "set",
    }
    assert denied(attacker)
    fresh.client("s3", attacker.key).list_buckets()


def boundary(sandbox, name, document):
    """Set a permissions boundary of some document on a user."""
    iam = sandbox.client("iam")
    arn = f"arn:aws:iam::{sandbox.account}:policy/their-boundary"
    if arn in moto_policies(sandbox):
        del moto_policies(sandbox)[arn]
    iam.create_policy(PolicyName="their-boundary", PolicyDocument=json.dumps(document))
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=arn)
    return arn


def test_another_boundary_that_withholds_iam_is_enough(fresh, attacker):
    """Both quotas full, and a boundary that leaves no IAM: it stays, and the record says so."""
    fill_managed(fresh, "mallory")
    fill_inline(fresh, "mallory")
    arn = boundary(
        fresh, "mallory", {**HARMLESS, "Statement": [{**HARMLESS["Statement"][0], "Action": "s3:*"}]}
    )
    fresh.functions.cool()
    with pytest.raises(ClientError, match="AccessDenied"):
        attacker.iam.create_user(UserName="helper")
    (decision,) = decisions(play(fresh))
    assert (decision["how"], decision["rungs"]["boundary"]) == ("boundary", f"kept {arn}")
    assert fresh.client("iam").get_user(UserName="mallory")["User"]["PermissionsBoundary"]


def test_another_boundary_that_lets_iam_through_is_kept_and_the_event_fails_loudly(fresh, attacker):
    """Both quotas full, and a boundary that denies nothing: nothing is loosened, and the event fails."""
    fill_managed(fresh, "mallory")
    fill_inline(fresh, "mallory")
    arn = boundary(fresh, "mallory", HARMLESS)
    fresh.functions.cool()
    attacker.iam.create_user(UserName="helper")
    event = next(e for e in fresh.pending if e["detail"]["eventName"] == "CreateUser")
    fresh.pending.clear()
    (invocation,) = fresh.deliver(event)
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert f"{arn}, version v1, does not deny iam:*" in invocation.log
    kept = fresh.client("iam").get_user(UserName="mallory")["User"]["PermissionsBoundary"]
    assert kept["PermissionsBoundaryArn"] == arn


def test_an_inline_policy_of_the_guards_name_is_overwritten(fresh, attacker):
    """Whoever takes the name DenyIAM beforehand gains nothing."""
    fill_managed(fresh, "mallory")
    attacker.iam.put_user_policy(
        UserName="mallory", PolicyName="DenyIAM", PolicyDocument=json.dumps(HARMLESS)
    )
    assert decisions(play(fresh))[0]["how"] == "inline"
    assert denied(attacker)


# The deny policy


@pytest.fixture
def deny_policy(fresh):
    """The ARN of the managed deny policy, which is as it was after the test."""
    before = copy.deepcopy(moto_policies(fresh)[deny_arn(fresh)].versions)
    yield deny_arn(fresh)
    policy = moto_policies(fresh)[deny_arn(fresh)]
    policy.versions = before
    policy.default_version_id = next(v.version_id for v in before if v.is_default)
    fresh.functions.cool()


def test_a_tampered_deny_policy_is_not_trusted(fresh, attacker, deny_policy):
    """A new default version that allows everything: the very event that tells of it is answered inline."""
    attacker.iam.create_policy_version(
        PolicyArn=deny_policy, PolicyDocument=json.dumps(HARMLESS), SetAsDefault=True
    )
    (decision, *_) = decisions(play(fresh))
    assert decision["how"] == "inline"
    assert "does not deny iam:*" in decision["rungs"]["managed"]
    assert denied(attacker)


def test_a_deny_policy_that_was_tampered_with_unseen_is_found_within_a_minute(fresh, attacker, deny_policy):
    """A change that no event told of is found when the function looks again."""
    fresh.client("iam").create_policy_version(
        PolicyArn=deny_policy, PolicyDocument=json.dumps(HARMLESS), SetAsDefault=True
    )
    fresh.pending.clear()
    fresh.functions.cool()
    attacker.iam.create_user(UserName="helper")
    assert decisions(play(fresh))[0]["how"] == "inline"
    assert denied(attacker)


def test_a_deny_policy_that_cannot_be_read_is_not_trusted(fresh, attacker):
    """Where the policy's document cannot be seen, the next rung is used, and the log says why."""
    fresh.functions.cool()
    fresh.faults.append(Fault("iam:GetPolicyVersion", "AccessDenied", 403, caller=GUARD))
    attacker.iam.create_user(UserName="helper")
    (decision,) = decisions(play(fresh))
    assert decision["how"] == "inline"
    assert "cannot be read" in decision["rungs"]["managed"]
    fresh.functions.cool()


def test_the_deny_policy_is_looked_at_once_a_minute_at_the_most(in_process, user, sandbox, monkeypatch):
    """Many revocations ask for the policy's document once; after a minute, once again."""
    from c7n_iamguard import trust

    user("one"), user("two")
    (action,) = in_process(actions=[{"type": "revoke-iam-access", "bulk": True}]).resource_manager.actions
    now = trust.time.monotonic() + 1000
    monkeypatch.setattr(trust.time, "monotonic", lambda: now)
    looks = []
    for later in (0, 59, 61):
        now += later
        sandbox.calls.clear()
        action.process([{"UserName": "one"}, {"UserName": "two"}], event={})
        looks.append([call.action for call in sandbox.calls].count("GetPolicyVersion"))
    assert looks == [1, 0, 1]


# Joining the admins


def test_adding_oneself_to_the_admins_is_undone_and_revoked(fresh, attacker):
    """Who makes themselves an admin is out of the group again, and denied IAM."""
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="mallory")
    played = play(fresh)
    assert fresh.client("iam").list_groups_for_user(UserName="mallory")["Groups"] == []
    assert decisions(played, PROTECT)[0]["decision"] == "acted"
    assert revoked(fresh, "mallory") == ["managed"]
    assert denied(attacker)


@pytest.mark.parametrize("order", [list, lambda events: events[::-1]], ids=["in order", "reversed"])
def test_calls_that_follow_the_joining_end_the_same_in_any_order(fresh, attacker, order):
    """AddUserToGroup, then two more calls; delivered in any order, the attacker ends out and revoked."""
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="mallory")
    attacker.iam.create_user(UserName="helper")
    attacker.iam.create_access_key(UserName="helper")
    play(fresh, order)
    assert fresh.client("iam").list_groups_for_user(UserName="mallory")["Groups"] == []
    assert revoked(fresh, "mallory") == ["managed"]


def test_adding_somebody_else_to_the_admins_is_undone_and_revoked(fresh, attacker, user):
    """A friend who is made an admin is out of the group again, and who made them one is revoked."""
    user("friend")
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="friend")
    play(fresh)
    assert fresh.client("iam").list_groups_for_user(UserName="friend")["Groups"] == []
    assert revoked(fresh, "mallory") == ["managed"]
    assert revoked(fresh, "friend") == []


def test_a_friend_who_is_renamed_at_once_is_not_taken_for_removed(fresh, attacker, user):
    """Who adds a friend and renames them: the event fails loudly instead of saying that all is done."""
    user("friend")
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="friend")
    (event,) = fresh.pending
    fresh.pending.clear()
    fresh.client("iam").update_user(UserName="friend", NewUserName="friend-2")
    invocation = fresh.functions.invoke(f"iam-guard-{PROTECT}", event)
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    assert "is gone or renamed: look at the group" in invocation.log
    fresh.client("iam").update_user(UserName="friend-2", NewUserName="friend")


def test_who_adds_and_renames_themselves_is_out_of_the_group(fresh, attacker):
    """Who makes themselves an admin and takes another name is found by id: out again, and revoked."""
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="mallory")
    attacker.iam.update_user(UserName="mallory", NewUserName="innocent")
    play(fresh)
    assert fresh.client("iam").list_groups_for_user(UserName="innocent")["Groups"] == []
    assert revoked(fresh, "innocent") == ["managed"]
    fresh.client("iam").update_user(UserName="innocent", NewUserName="mallory")


def test_who_leaves_their_name_to_a_decoy_is_out_of_the_group(fresh, attacker, user):
    """Who makes themselves an admin and gives their name to somebody else is found by id all the same."""
    user("decoy")
    attacker.iam.add_user_to_group(GroupName="Admins", UserName="mallory")
    (event,) = fresh.pending
    iam = fresh.client("iam")
    iam.update_user(UserName="mallory", NewUserName="innocent")
    iam.update_user(UserName="decoy", NewUserName="mallory")
    fresh.functions.invoke(f"iam-guard-{PROTECT}", event)
    assert iam.list_groups_for_user(UserName="innocent")["Groups"] == []
    iam.update_user(UserName="mallory", NewUserName="decoy")
    iam.update_user(UserName="innocent", NewUserName="mallory")


def test_an_admin_who_was_renamed_since_is_an_admin(fresh, user):
    """An admin adds a colleague and is renamed: the colleague stays."""
    admin = user("ada", groups=["Admins"])
    user("colleague")
    admin.iam.add_user_to_group(GroupName="Admins", UserName="colleague")
    fresh.client("iam").update_user(UserName="ada", NewUserName="ada-2")
    fresh.deliver(fresh.pending[0])
    groups = fresh.client("iam").list_groups_for_user(UserName="colleague")["Groups"]
    assert [group["GroupName"] for group in groups] == ["Admins"]
    fresh.client("iam").update_user(UserName="ada-2", NewUserName="ada")


def test_an_old_event_of_an_admin_who_has_left_takes_nobody_out(fresh, user):
    """Long after, nobody can tell whether a caller who is gone was an admin: the event fails instead."""
    user("colleague", groups=["Admins"])
    event = case("let-pass-user-who-is-gone")
    event["detail"] |= {
        "eventName": "AddUserToGroup",
        "requestParameters": {"groupName": "Admins", "userName": "colleague"},
    }
    invocation = fresh.functions.invoke(f"iam-guard-{PROTECT}", event)
    assert invocation.dead_lettered
    assert fresh.client("iam").list_groups_for_user(UserName="colleague")["Groups"]


def test_an_admin_group_that_only_moves_to_another_path_revokes_nobody(fresh):
    """UpdateGroup that repeats the admin group's name, as Terraform sends it, grants nothing."""
    event = case("let-pass-admin")
    names = {"groupName": "Admins", "newGroupName": "admins", "newPath": "/people/"}
    event["detail"] |= {"eventName": "UpdateGroup", "requestParameters": names}
    (invocation,) = fresh.deliver(event)
    assert invocation.decisions[0]["decision"] == "let-pass"
    assert revoked(fresh, "alice") == []


def test_an_admin_may_make_admins(fresh, user):
    """An admin adds a colleague: nothing is undone, nobody is revoked."""
    admin = user("ada", groups=["Admins"])
    user("colleague")
    admin.iam.add_user_to_group(GroupName="Admins", UserName="colleague")
    played = play(fresh)
    assert [d["decision"] for d in decisions(played) + decisions(played, PROTECT)] == ["let-pass", "let-pass"]
    groups = fresh.client("iam").list_groups_for_user(UserName="colleague")["Groups"]
    assert [group["GroupName"] for group in groups] == ["Admins"]


def test_a_failed_attempt_to_join_changes_no_membership(fresh, user):
    """AddUserToGroup that IAM refused takes nobody out of the group, and still revokes who tried."""
    weak = user("weak", allow="s3:*")
    with pytest.raises(ClientError, match="AccessDenied"):
        weak.iam.add_user_to_group(GroupName="Admins", UserName="alice")
    play(fresh)
    groups = fresh.client("iam").list_groups_for_user(UserName="alice")["Groups"]
    assert [group["GroupName"] for group in groups] == ["Admins"]
    assert revoked(fresh, "weak") == ["managed"]


def test_a_group_that_takes_the_admins_name_makes_no_admin(fresh, attacker):
    """Who renames a group of their own to the admin group's name is revoked for it."""
    event = case("revoked-create-user")
    fresh.client("iam").create_group(GroupName="devs")
    event["detail"] |= {
        "eventName": "UpdateGroup",
        "requestParameters": {"groupName": "devs", "newGroupName": "ADMINS"},
    }
    moto_group(fresh, "Admins").users.append(moto_user(fresh, "bob"))
    fresh.deliver(event)
    assert revoked(fresh, "bob") == ["managed"]


def moto_group(sandbox, name):
    from moto.iam.models import iam_backends

    return next(g for g in iam_backends[sandbox.account]["aws"].groups.values() if g.name == name)


def test_an_error_while_judging_who_added_fails_the_event(fresh, attacker):
    """Where IAM cannot say who the caller is, nobody is taken out, and the event is tried again."""
    event = copy.deepcopy(case("revoked-create-user"))
    event["detail"] |= {
        "eventName": "AddUserToGroup",
        "requestParameters": {"groupName": "Admins", "userName": "alice"},
    }
    fresh.faults.append(Fault("iam:ListGroupsForUser", "AccessDenied", 403, caller=GUARD))
    invocation = fresh.functions.invoke(f"iam-guard-{PROTECT}", event)
    assert outcomes(invocation) == "failed failed failed dead-lettered"
    fresh.faults.clear()
    assert fresh.client("iam").list_groups_for_user(UserName="alice")["Groups"]


# Stripping the deny


def test_stripping_the_deny_ten_times_brings_it_back_ten_times(fresh, attacker):
    """Ten rounds of detaching, each within the seconds that IAM takes, end with the denial in place."""
    attacker.iam.create_user(UserName="helper")
    play(fresh)
    for _ in range(10):
        assert revoked(fresh, "mallory") == ["managed"]
        moto_user(fresh, "mallory").managed_policies.pop(deny_arn(fresh))  # IAM has not caught up yet …
        attacker.iam.list_users()
        with pytest.raises(ClientError):  # … and the attacker's own call to strip it is an IAM call, too
            attacker.iam.detach_user_policy(UserName="mallory", PolicyArn=deny_arn(fresh))
        play(fresh)
    assert denied(attacker)


# Other moves


def test_renaming_oneself_does_not_help(fresh, attacker):
    """A user who renames themselves at once is found by their id, and revoked."""
    attacker.iam.update_user(UserName="mallory", NewUserName="innocent")
    attacker.name = "innocent"
    play(fresh)
    assert revoked(fresh, "innocent") == ["managed"]
    assert denied(attacker)
    fresh.client("iam").update_user(UserName="innocent", NewUserName="mallory")


@pytest.mark.parametrize("operation", ["get_session_token", "get_federation_token"])
def test_working_through_a_session_does_not_help(fresh, attacker, operation):
    """Calls of a session that STS gave to the user count as the user's, and the denial binds the session."""
    more = {} if operation == "get_session_token" else {"Name": "cover", "Policy": json.dumps(HARMLESS)}
    session = getattr(fresh.client("sts", attacker.key), operation)(**more)["Credentials"]
    iam = fresh.client("iam", session)
    iam.create_user(UserName="helper")
    play(fresh)
    assert revoked(fresh, "mallory") == ["managed"]
    with pytest.raises(ClientError, match="AccessDenied"):
        iam.delete_user(UserName="helper")


def test_a_forged_event_frames_nobody(fresh, attacker):
    """A CloudTrail-shaped event that somebody puts on the bus has another source, and matches no rule."""
    event = case("let-pass-admin")
    forged = {**event, "source": "com.example.audit"}
    assert fresh.deliver(forged) == []
    forged = json.loads(json.dumps(forged).replace("alice", "bob").replace("ALICE", "BOB"))
    assert fresh.deliver(forged) == []
    assert revoked(fresh, "bob") == []


def test_a_flood_of_calls_loses_no_event(fresh, attacker):
    """While IAM is throttled by the attacker's own flood, events wait in Lambda's retries and get through."""
    with environment(fresh, AWS_MAX_ATTEMPTS="1"):
        attacker.iam.create_user(UserName="helper")
        fresh.faults.append(Fault("iam:ListGroupsForUser", "Throttling", times=2, caller=GUARD))
        (invocation,) = [i for i in play(fresh) if i.function == FUNCTION]
    assert outcomes(invocation) == "failed failed succeeded"
    assert revoked(fresh, "mallory") == ["managed"]


def test_a_call_that_fails_counts(fresh, user):
    """Probing without any right is enough to be revoked."""
    probe = user("probe", allow="s3:*")
    with pytest.raises(ClientError, match="AccessDenied"):
        probe.iam.create_access_key(UserName="alice")
    play(fresh)
    assert revoked(fresh, "probe") == ["managed"]
    assert "AttachUserPolicy" in guards_calls(fresh)
