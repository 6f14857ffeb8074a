"""An operator's options in a policy, and the error if one is wrong."""

from types import SimpleNamespace

import pytest
from helpers import REVOKE, shipped
from variants import assert_validated, edited, with_action

from c7n_iamguard.errors import Refusal
from c7n_iamguard.settings import PolicyOption, setting

SHIPPED = shipped(REVOKE)
BY_HAND = {"name": REVOKE, "resource": "aws.iam-user"}
#: what the operator wrote, and what the error has to say, if it cannot be
OPTIONS = {
    "observe as a text": (with_action(observe="yes"), "revoke-iam-access observe", "write true or false"),
    "a policy that is a number": (with_action(policy=7), "policy", "7 is not of type 'string'"),
    "a malformed ARN": (with_action(policy="arn:aws:iam::1234:policy/DenyIAMAccess"), "revoke-iam-access policy", "write DenyIAMAccess"),
    "a policy's name with a space": (with_action(policy="Deny IAM"), "revoke-iam-access policy", "write DenyIAMAccess"),
    "restoring a policy that is none": ({**BY_HAND, "actions": [{"type": "restore-iam-access", "policy": "Deny IAM"}]}, "action:restore-iam-access policy", "write DenyIAMAccess"),
    "looking for a policy that is none": ({**BY_HAND, "filters": [{"type": "iam-access-revoked", "policy": "arn:aws:iam::1:policy/x"}]}, "filter:iam-access-revoked policy", "write DenyIAMAccess"),
    "more hours than CloudTrail keeps": ({**BY_HAND, "filters": [{"type": "iam-calls", "hours": 2161}]}, "hours", "maximum of 2160"),
    "a mode that would not know the plugin": ({**SHIPPED, "mode": {"type": "schedule", "schedule": "rate(1 hour)", "role": "r", "scheduler-role": "s"}}, "mode.type", "use cloudtrail or periodic"),
    "observing by a setting": (with_action(observe="{observe_users}"),),
    "a bus's ARN with a variable": (edited(actions=[*SHIPPED["actions"][:1], {"type": "put-event", "bus": "arn:aws:events:{region}:{account_id}:event-bus/x"}]),),
    "a policy's path and name": (with_action(policy="security/DenyIAMAccess"),),
    "a policy's ARN": (with_action(policy="arn:aws-us-gov:iam::111122223333:policy/DenyIAMAccess"),),
    "a policy's ARN with a variable": (with_action(policy="arn:aws:iam::{account_id}:policy/DenyIAMAccess"),),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_refused_if_it_cannot_be(tmp_path, caplog, name):
    """``custodian validate`` accepts a policy offline, or names the policy, the key and the fix."""
    assert_validated(tmp_path, caplog, *OPTIONS[name])


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [("a", [], ["a"]), (["a", "b"], [], ["a", "b"]), (None, [], []), ("a", None, "a"), (True, False, True)],
)
def test_an_option_that_is_a_list_may_stand_alone(value, default, expected):
    """One text is a list of one, where a list is wanted; what is not written is the default."""
    data = {} if value is None else {"key": value}
    assert setting(SimpleNamespace(data=data), "key", default) == expected


@pytest.mark.parametrize("value", ["{admin_groups}", ["admins", "{more_groups}"]])
def test_a_placeholder_is_refused_when_the_policy_runs(value):
    """Alone or in a list, what nothing has filled in is named, with the command that fills it in."""
    manager = SimpleNamespace(ctx=SimpleNamespace(policy=SimpleNamespace(name="p")))
    element = SimpleNamespace(data={"groups": value}, manager=manager, type="t")
    problem = r"filled in \{\w+_groups\}; run custodian run --vars-file iam-guard.yml"
    with pytest.raises(Refusal, match=problem):
        setting(element, "groups", [])


@pytest.mark.parametrize(
    ("policy", "arn"),
    [
        ("DenyIAMAccess", "arn:aws-cn:iam::111122223333:policy/DenyIAMAccess"),
        ("security/DenyIAMAccess", "arn:aws-cn:iam::111122223333:policy/security/DenyIAMAccess"),
        ("arn:aws:iam::444455556666:policy/X", "arn:aws:iam::444455556666:policy/X"),
    ],
)
def test_a_policys_arn_is_of_the_account_and_partition(policy, arn):
    """A name becomes an ARN of the partition and account; an ARN stays."""
    element = PolicyOption()
    element.manager = SimpleNamespace(config=SimpleNamespace(region="cn-north-1", account_id="111122223333"))
    assert element.arn_of(policy) == arn
