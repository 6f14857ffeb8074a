"""Who is revoked, and the way back."""

import json

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from c7n.exceptions import PolicyExecutionError
from helpers import PAT, RESTORE, RESTORE_TAG, REVOKED, deny_arn, deny_user, moto_user, state, untagged

from c7n_iamguard.iam import client, policy_documents
from c7n_iamguard.iam.policy_documents import deny_document
from sandbox.server import Fault

THEIR_OWN = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]}


def restore(policy, *users):
    """Run the policy's one action on users as they are listed."""
    (action,) = policy.resource_manager.actions
    return action.process([{"UserName": user} if isinstance(user, str) else user for user in users])


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
        iam.create_policy(
            PolicyName="NoIAM", Path="/security/", PolicyDocument=policy_documents.deny_document()
        )
    user("pol")
    for attached in (deny_arn(fresh), arn):
        iam.attach_user_policy(UserName="pol", PolicyArn=attached)
    policy = source(
        filters=[{"UserName": "pol"}, {"type": "iam-access-revoked", "policy": option}],
        actions=[{"type": "restore-iam-access", "policy": option}],
    )
    (pol,) = policy.resource_manager.resources()
    assert pol[REVOKED] == ["managed"]
    assert restore(policy, pol) == [{"UserName": "pol", "restored": ["managed"]}]
    assert state(fresh, "pol")["managed"] == [deny_arn(fresh)]


def test_somebody_elses_policies_are_no_deny_of_the_guards(fresh, user, source):
    """An inline policy of the guard's name with another document, and another boundary, do not count."""
    user("ora")
    iam = fresh.client("iam")
    iam.put_user_policy(UserName="ora", PolicyName="DenyIAM", PolicyDocument=json.dumps(THEIR_OWN))
    iam.put_user_policy(UserName="ora", PolicyName="another", PolicyDocument=policy_documents.deny_document())
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
    monkeypatch.setattr(client, "_kept", {})

    def attached(name):
        return {"PolicyName": name, "PolicyArn": f"arn:aws:iam::111122223333:policy/{name}"}

    client.keep("iam", iam)
    with Stubber(iam) as stub:
        stub.add_response("get_user", {"User": PAT}, {"UserName": "pat"})
        page = {"AttachedPolicies": [attached("own")], "IsTruncated": True, "Marker": "next"}
        stub.add_response("list_attached_user_policies", page, {"UserName": "pat"})
        page = {"AttachedPolicies": [attached("DenyIAMAccess")], "IsTruncated": False}
        stub.add_response("list_attached_user_policies", page, {"UserName": "pat", "Marker": "next"})
        stub.add_client_error("get_user_policy", "NoSuchEntity")
        version = {"Document": deny_document(), "VersionId": "v1", "IsDefaultVersion": True}
        stub.add_response("get_policy_version", {"PolicyVersion": version})
        (found,) = policy.resource_manager.filters[0].process([{"UserName": "pat"}])
    assert found[REVOKED] == ["managed"]


# The way back


def test_somebody_elses_policies_stay_and_the_run_fails(fresh, user, in_process, logged):
    """Another inline policy of the guard's name stays, and the failure says so; another boundary stays."""
    user("sam")
    iam = fresh.client("iam")
    deny_user(fresh, "sam", "managed")
    iam.put_user_policy(UserName="sam", PolicyName="DenyIAM", PolicyDocument=json.dumps(THEIR_OWN))
    iam.put_user_permissions_boundary(UserName="sam", PermissionsBoundary=deny_arn(fresh))
    policy = in_process(actions=["restore-iam-access"])
    with pytest.raises(PolicyExecutionError, match="DenyIAM of sam is not the guard's, and still denies IAM"):
        restore(policy, "sam")
    after = state(fresh, "sam")
    assert json.loads(dict(after["inline"])["DenyIAM"]) == THEIR_OWN
    assert after["user"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == deny_arn(fresh)
    (line,) = logged()
    assert (line["decision"], line["restored"]) == ("failed", ["managed"])
    assert after["managed"] == []


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
    with pytest.raises(PolicyExecutionError, match="DenyIAM of tim is not the guard's"):
        restore(policy, tim)
    assert untagged(state(fresh, "tim")) == untagged({**before, "managed": []})


def test_restoring_again_changes_nothing(fresh, user, in_process):
    """A second restoration finds nothing to take off, and is no failure."""
    user("rae")
    before = state(fresh, "rae")
    deny_user(fresh, "rae", "managed", "inline", "boundary")
    policy = in_process(actions=["restore-iam-access"])
    (first,) = restore(policy, "rae")
    assert sorted(first["restored"]) == ["boundary", "inline", "managed"]
    assert restore(policy, "rae") == [{"UserName": "rae", "restored": []}]
    assert untagged(state(fresh, "rae")) == untagged(before)


OF_THE_WAY = ["DeleteUserPermissionsBoundary", "DetachUserPolicy", "GetUserPolicy", "DeleteUserPolicy"]


@pytest.mark.parametrize("operation", OF_THE_WAY)
def test_what_goes_meanwhile_is_no_failure(fresh, user, in_process, operation):
    """A form that is gone when the action takes it off is no failure, and the others are taken off."""
    user("mel")
    deny_user(fresh, "mel", "managed", "inline", "boundary")
    fresh.faults.append(Fault(f"iam:{operation}", "NoSuchEntity", 404))
    (record,) = restore(in_process(actions=["restore-iam-access"]), "mel")
    gone = {"inline"} if operation == "GetUserPolicy" else set()
    assert set(record["restored"]) == {"managed", "inline", "boundary"} - gone


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
    with pytest.raises(
        PolicyExecutionError, match=r"policy:a-policy could not give IAM back to 1 of 2 users"
    ):
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


def test_a_tag_goes_only_with_what_it_is_for(fresh, user, custodian):
    """A user who cannot be restored keeps the tag that asks for it, until the next run restores them."""
    user("tag-1"), user("tag-2"), user("tag-3")
    iam = fresh.client("iam")
    for name in ("tag-1", "tag-2"):
        deny_user(fresh, name, "managed")
    for name, value in (("tag-1", "restore"), ("tag-2", "restore"), ("tag-3", "exempt")):
        iam.tag_user(UserName=name, Tags=[{"Key": "iam-guard", "Value": value}])
    fresh.faults.append(Fault("iam:DetachUserPolicy", "AccessDenied", 403, times=1))
    done = custodian(RESTORE, fails=True)
    assert "could not give IAM back to 1 of 2 users" in done.stderr
    assert sorted(asks(fresh, name) for name in ("tag-1", "tag-2", "tag-3")) == [False, True, True]
    assert [decision["decision"] for decision in custodian(RESTORE).decisions] == ["restored"]
    assert [asks(fresh, name) for name in ("tag-1", "tag-2", "tag-3")] == [False, False, True]


def asks(sandbox, name):
    """Whether a user carries the tag that asks for a restoration, whatever its value is."""
    return "iam-guard" in [tag["Key"] for tag in state(sandbox, name)["tags"]]


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


STEPS = ["TagUser", "DeleteUserPermissionsBoundary", "DetachUserPolicy", "DeleteUserPolicy", "UntagUser"]


@pytest.mark.parametrize("operation", STEPS)
def test_a_conflict_while_restoring_is_tried_again(fresh, user, in_process, monkeypatch, operation):
    """Somebody else changes the user at the same time: each step is repeated, and all is taken off."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    user("con")
    deny_user(fresh, "con", "managed", "inline", "boundary")
    fresh.client("iam").tag_user(UserName="con", Tags=[RESTORE_TAG])
    fresh.faults.append(Fault(f"iam:{operation}", "ConcurrentModification", 409, times=1))
    (record,) = restore(in_process(actions=["restore-iam-access"]), "con")
    assert sorted(record["restored"]) == ["boundary", "inline", "managed"]
    assert fresh.faults[0].hits == 1
