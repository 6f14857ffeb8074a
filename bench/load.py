"""Nobody wrong, nothing lost: a thousand events of 200 callers, while IAM throttles every third call."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.callers import ADMIN_GROUP, Users
from bench.common import sandbox, say
from bench.functions import FUNCTIONS
from bench.report import markdown
from sandbox.lambda_.invocations import Invocation
from sandbox.server import Fault

TITLE = "Load"
EVENTS, CALLERS, ADMINS, AT_ONCE, THROTTLED = 1000, 200, 20, 12, 0.3
SEED = 7


def measure():
    """Deliver all events, and account for each of them."""
    function = FUNCTIONS["ours"]
    with sandbox() as box:
        function.prepare(box)
        admins = [f"boss-{i}" for i in range(ADMINS)]
        others = [f"caller-{i}" for i in range(CALLERS - ADMINS)]
        Users.add(box, function.account, admins, [ADMIN_GROUP])
        Users.add(box, function.account, others)
        delivered = deliveries(box, function, admins + others)
        throttle = Fault("iam:*", "Throttling", share=THROTTLED, caller="*:assumed-role/iam-guard/*")
        box.faults.append(throttle)
        del box.calls[:]
        say(f"load: {len(delivered)} deliveries")
        started = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            invoke = partial(box.functions.invoke, function.name, account=function.account)
            invocations = list(pool.map(invoke, delivered))
        seconds = time.perf_counter() - started
        return {
            "events": EVENTS,
            "deliveries": len(delivered),
            "environments": len(box.functions.all),
            "seconds": round(seconds, 1),
            "calls": sum(call.service == "iam" for call in box.calls),
            "throttled": throttle.hits,
            "attempts": sum(len(i.attempts) for i in invocations),
            "dead-lettered": sum(i.dead_lettered for i in invocations),
            "decisions": Counter(map(outcome, invocations)),
            "unaccounted": sum(outcome(i) == "unaccounted" for i in invocations),
            "non-admins": len(others),
            "non-admins revoked": sum(Users.is_denied(function.account, name) for name in others),
            "admins": len(admins),
            "admins touched": sum(is_touched(function.account, name) for name in admins),
        }


def deliveries(box, function, names):
    """Every event one to three times, shuffled; each caller has some."""
    chance = random.Random(SEED)  # noqa: S311  for a load, not for a secret
    events = [Users.event(box, function.account, names[i % len(names)]) for i in range(EVENTS)]
    delivered = [event for event in events for _ in range(chance.randint(1, 3))]
    chance.shuffle(delivered)
    return delivered


def outcome(invocation):
    """The decision of the last attempt, or ``dead-lettered``, or ``unaccounted`` where nobody knows."""
    last = Invocation(invocation.function, invocation.event, invocation.attempts[-1:])
    if invocation.dead_lettered:
        return "dead-lettered"
    if not last.succeeded or len(last.decisions) != 1:
        return "unaccounted"
    decision = last.decisions[0]
    user = invocation.event["detail"]["userIdentity"]["userName"]
    return decision["decision"] if decision.get("user") == user else "unaccounted"


def is_touched(account, name):
    user = Users.found(account, name)
    return bool(user.managed_policies or user.policies or getattr(user, "permissions_boundary_arn", None))


# Report


def table(data):
    """The part as Markdown."""
    decisions = ", ".join(f"{name} {count}" for name, count in sorted(data["decisions"].items()))
    plain = ("events", "deliveries", "environments", "calls", "throttled", "attempts", "seconds")
    lines = [
        *([key, data[key]] for key in plain),
        ["decisions", decisions],
        ["dead-lettered", data["dead-lettered"]],
        ["events unaccounted for", data["unaccounted"]],
        ["non-admins revoked", f"{data['non-admins revoked']} of {data['non-admins']}"],
        ["admins touched", f"{data['admins touched']} of {data['admins']}"],
    ]
    held = data["unaccounted"] == data["admins touched"] == 0
    held &= data["non-admins revoked"] == data["non-admins"]
    return "\n\n".join(
        [
            f"{EVENTS:,} events of {CALLERS} callers, shuffled, each delivered one to three times, "
            f"{AT_ONCE} at once, {THROTTLED:.0%} of the function's calls to IAM throttled.",
            markdown(["", ""], lines),
            f"- {'ok' if held else '**missed**'}: every non-admin revoked, no admin touched, nothing lost",
        ]
    )


def figures(data):
    """The figures that a later run is compared by."""
    return {key: data[key] for key in ("seconds", "calls", "attempts")}
