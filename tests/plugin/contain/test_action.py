"""The action undo-iam-call in this process: its options, observing, and what it says of what it leaves."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from c7n.exceptions import PolicyValidationError
from contained import ACCOUNT, ANYTHING, QUARANTINE
from helpers import CONTAIN, policy, shipped

from c7n_iamguard.contain.action import carriers
from c7n_iamguard.errors import Refusal


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


@pytest.mark.parametrize(
    ("groups", "problem"),
    [(["nobody"], "the admin group 'nobody' does not exist"), (["{admin_groups}"], "nothing has filled in")],
)
def test_an_action_without_its_admin_groups_is_not_deployed(by_hand, groups, problem):
    """A group that does not exist here would let admins be quarantined, and so would a missing setting."""
    (action,) = by_hand(groups=groups).resource_manager.actions
    with pytest.raises(Refusal, match=problem):
        action.pin()


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


@pytest.mark.parametrize(("is_truncated", "more"), [(False, []), (True, ["…"])])
def test_a_hundred_carriers_are_named_and_further_ones_are_hinted_at(is_truncated, more):
    """One call tells a hundred; the list says whether there are more. A policy that is gone has none."""

    def list_entities_for_policy(PolicyArn, MaxItems):
        assert MaxItems == 100
        if PolicyArn != "a policy":
            raise ClientError({"Error": {"Code": "NoSuchEntity"}}, "ListEntitiesForPolicy")
        entities = {f"Policy{n}s": [{f"{n}Name": n.lower()}] for n in ("User", "Group", "Role")}
        return {**entities, "IsTruncated": is_truncated}

    client = SimpleNamespace(list_entities_for_policy=list_entities_for_policy)
    assert carriers(client, "a policy") == ["user user", "group group", "role role", *more]
    assert carriers(client, "no policy") == []
