"""The defaults of a policy's mode: how each function of the guard is set up. The policy's own values win."""

from c7n.utils import get_partition

from c7n_iamguard.aws_names import FUNCTION_PREFIX
from c7n_iamguard.settings import is_template

HANDLER = "c7n_iamguard.handler.run"
PACKAGE = "c7n_iamguard"

COMMON = {
    "function-prefix": FUNCTION_PREFIX,
    "runtime": "python3.13",
    "handler": HANDLER,
    "packages": [PACKAGE],
    "memory": 1769,  # the least that gives a whole processor
}
BY_TYPE = {
    "cloudtrail": {
        "timeout": 120,
        "environment": {"Variables": {"C7N_SKIP_ERR_EVENT": "no"}},  # calls that failed count, too
        "pattern": {"source": ["aws.iam"]},  # nobody but AWS can put events of this source
    },
    "periodic": {"timeout": 900},
}
#: The part of the rule's pattern beside the event's name ``*``, which c7n renders, and which matches no call.
ANY_NAME = {"exists": True}


def own_modules(policy):
    """The modules of the plugin that a policy's source, filters and actions are in, sorted."""
    manager = policy.resource_manager
    modules = {type(part).__module__ for part in (manager.source, *manager.iter_filters(), *manager.actions)}
    return sorted(module for module in modules if module.startswith(f"{PACKAGE}."))


def listens_to_any_call(mode):
    """Whether a mode listens to any call, instead of listed ones."""
    return any(isinstance(event, dict) and event.get("event") == "*" for event in mode.get("events") or ())


def fill_in(policy):
    """Fill in what a policy's mode does not say."""
    mode = policy.data["mode"]
    defaults = merged(COMMON, BY_TYPE[mode["type"]])
    if listens_to_any_call(mode):
        defaults = merged(defaults, {"pattern": {"detail": {"eventName": [ANY_NAME]}}})
    policy.data["mode"] = merged(defaults, mode)
    if queue := dead_letter_queue(policy):
        policy.data["mode"].setdefault("dead_letter_config", {}).setdefault("TargetArn", queue)


def merged(defaults, own):
    """Two JSON objects as one, key by key. Of what is no object in both, ``own`` wins."""
    if not (isinstance(defaults, dict) and isinstance(own, dict)):
        return own
    return defaults | {key: merged(defaults.get(key), value) for key, value in own.items()}


def function_name(policy):
    """The name of a policy's function, of its rule and of its dead-letter queue."""
    return policy.data["mode"].get("function-prefix", FUNCTION_PREFIX) + policy.name


def dead_letter_queue(policy):
    """The ARN of a function's dead-letter queue; None while the account is not known."""
    if is_template(policy):
        return None
    region, account = policy.options.region, policy.options.account_id
    return f"arn:{get_partition(region)}:sqs:{region}:{account}:{function_name(policy)}"
