"""The refusals of ``custodian validate``: settings that deny the wrong people, or forge, lose or misread events."""

from collections.abc import Callable
from typing import NamedTuple

from c7n.utils import jmespath_search as search

from c7n_iamguard.aws_names import FUNCTION_PREFIX
from c7n_iamguard.event import EVENT_SOURCE
from c7n_iamguard.function.defaults import ANY_NAME, HANDLER, PACKAGE, dead_letter_queue, function_name
from c7n_iamguard.iam.principals import kind_of
from c7n_iamguard.settings import refuse

#: The stock filters that need more of a user or role than an event tells.
LOOK_AT_DETAILS = ("value", "list-item", "marked-for-op", "tag-count", "reduce", "config-compliance")


class Check(NamedTuple):
    """One setting of a policy's mode that has to hold."""

    key: str
    holds: Callable
    problem: str
    fix: str


#: Every function of the guard.
FUNCTION = (
    Check("role", lambda mode: mode.get("role"),
          "the function would have no rights", "add role: iam-guard, the role of deploy/account.yml"),
    Check("handler", lambda mode: mode["handler"] == HANDLER,
          "the function would not know the plugin", "leave it out"),
    Check("function-prefix", lambda mode: mode["function-prefix"].startswith(FUNCTION_PREFIX),
          "its role, alarms and queue know other names", f"leave it out, or begin it with {FUNCTION_PREFIX}"),
    Check("packages", lambda mode: PACKAGE in mode["packages"],
          "the function would lack the plugin", "leave it out"),
    Check("member-role", lambda mode: not mode.get("member-role"),
          "the function acts in its own account only", "deploy it to each account"),
    Check("execution-options", lambda mode: not mode.get("execution-options"),
          "the function's role has no rights for these, so that every event would fail", "leave it out"),
    Check("environment", lambda mode: search("environment.Variables.C7N_CATCH_ERR", mode) in (None, "no"),
          "events that fail would be lost", "leave out C7N_CATCH_ERR"),
)  # fmt: skip

#: Functions that CloudTrail's events invoke.
BY_EVENT = (
    Check("events", lambda mode: all(isinstance(e, dict) and e["source"] == EVENT_SOURCE for e in mode["events"]),
          f"the guard understands calls to {EVENT_SOURCE}", "use that source"),
    Check("pattern.source", lambda mode: search("pattern.source", mode) == ["aws.iam"],
          "anyone could forge the event", "leave it out"),
    Check("environment", lambda mode: search("environment.Variables.C7N_SKIP_ERR_EVENT", mode) == "no",
          "calls that failed would be missed", "leave out C7N_SKIP_ERR_EVENT"),
    Check("delay", lambda mode: not mode.get("delay"),
          "the guard does not wait before it denies", "leave it out"),
)  # fmt: skip

#: Functions that any call invokes: without these settings, the rule would match nothing, or be misread.
ANY_CALL = (
    Check("events", lambda mode: len(mode["events"]) == 1,
          '"*" already takes every call', "leave out the other events"),
    Check("events", lambda mode: mode["events"][0]["ids"].removeprefix("detail.").startswith("userIdentity"),
          'with "*" the user or role is the caller', "use ids: userIdentity"),
    Check("pattern.detail.eventName",
          lambda mode: ANY_NAME in (search("pattern.detail.eventName[*]", mode) or ()),
          "the rule would match no call at all", "leave it out"),
)  # fmt: skip


def check_mode(policy, *tables):
    """Refuse a policy whose mode fails a check of the tables."""
    if kind_of(policy.resource_manager) is None:
        fix = "use resource: aws.iam-user or aws.iam-role"
        refuse(policy, "resource", "the guard finds users and roles", fix)
    mode = policy.data["mode"]
    for check in (check for table in tables for check in table):
        if not check.holds(mode):
            refuse(policy, f"mode.{check.key}", check.problem, check.fix)
    queue = search("dead_letter_config.TargetArn", mode)
    name, known = function_name(policy), dead_letter_queue(policy)
    if queue is not None and (queue != known if known else not str(queue).endswith(f":{name}")):
        problem = f"an event that fails three times has to end in the queue {name}"
        refuse(policy, "mode.dead_letter_config", problem, "leave it out")


def check_no_event_filter(policy):
    """Refuse a filter or condition on the event, which the catch-up does not get."""
    items = (*policy.resource_manager.iter_filters(), *policy.conditions.iter_filters())
    if any(item.type == "event" for item in items):
        problem = "the catch-up gets no event, and would deny an hour later whom this lets pass"
        refuse(policy, "filter:event", problem, "use the settings self_service and exempt of iam-guard.yml")


def check_filters(policy):
    """Refuse a filter on something that an event does not tell of its user or role."""
    kind = kind_of(policy.resource_manager)
    told = (kind.name_key, kind.id_key, "Arn", "Path")
    for item in policy.resource_manager.iter_filters():
        key = item.data.get("key") or next(iter(item.data), None)  # short form: {key: value}
        if item.type in LOOK_AT_DETAILS and not (item.type == "value" and key in told):
            problem = f"the event tells of its {kind.name} no more than {', '.join(told)}"
            refuse(policy, f"filter:{item.type}", problem, "add source: describe to the policy")


#: The actions that take something away from a caller, and what they would do to admins.
TAKING_AWAY = {
    "revoke-iam-access": "admins would be revoked, too",
    "undo-iam-call": "the calls of admins would be taken back, too",
}


def check_admins_pass(policy):
    """Refuse a policy that takes something away and does not let all admins pass."""
    manager = policy.resource_manager
    problems = [TAKING_AWAY[action.type] for action in manager.actions if action.type in TAKING_AWAY]
    if not problems:
        return
    for item in manager.filters:
        # A "not" of several filters lets pass only whom all of them match.
        if item.type == "not" and len(item.filters) == 1 and getattr(item.filters[0], "spares_admins", False):
            return
        if getattr(item, "leaves_out_admins", False):
            return
    example = {"user": "admin-group-member", "role": "admin-role"}[kind_of(manager).name]
    refuse(policy, "filters", problems[0], f"add - not: [{example}], with nothing else in that not")
