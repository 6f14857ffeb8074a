"""The defaults of a mode, over which its own values win. Pure."""

from c7n.config import Config
from c7n.policy import Policy
from helpers import REVOKE, shipped

from c7n_iamguard.function import defaults

SHIPPED = shipped(REVOKE)


def guarded_policy(account="111122223333", data=SHIPPED, **own):
    """A policy whose mode has filled in what it does not say."""
    config = Config.empty(account_id=account, region="us-gov-west-1")
    policy = Policy({**data, "mode": {**data["mode"], **own}}, config)
    policy.get_execution_mode()
    return policy


def mode_of(*account, **own):
    """A policy's mode with all that it does not say."""
    return guarded_policy(*account, **own).data["mode"]


def test_a_function_is_set_up_for_its_kind():
    """Events: calls of any name, failed ones too, from AWS alone, and a queue for those that fail thrice."""
    mode = mode_of(memory=512, environment={"Variables": {"MORE": "x"}})
    assert mode["memory"] == 512
    assert mode["environment"]["Variables"] == {"C7N_SKIP_ERR_EVENT": "no", "MORE": "x"}
    assert mode["pattern"]["source"] == ["aws.iam"]
    assert mode["pattern"]["detail"]["eventName"] == [{"exists": True}]
    queue = f"arn:aws-us-gov:sqs:us-gov-west-1:111122223333:iam-guard-{REVOKE}"
    assert mode["dead_letter_config"] == {"TargetArn": queue}
    assert "dead_letter_config" not in mode_of("na")
    assert mode_of(dead_letter_config={"TargetArn": "own"})["dead_letter_config"] == {"TargetArn": "own"}


def test_a_policy_without_the_plugin_keeps_its_mode():
    """Only whose source, filters or actions are the plugin's, or who listens to any call, gets the defaults."""
    mode = {"type": "periodic", "schedule": "x", "role": "r"}
    stock = {"name": "a", "resource": "aws.iam-user", "mode": mode}
    assert mode_of(data=stock) == mode
    guarded = {**stock, "filters": [{"or": [{"not": ["iam-access-revoked"]}]}]}
    assert mode_of(data=guarded)["timeout"] == 900
    assert defaults.own_modules(guarded_policy(data=guarded)) == ["c7n_iamguard.revoke.carried"]
