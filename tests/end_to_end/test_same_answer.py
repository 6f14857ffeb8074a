"""The one question: the event path, the catch-up, the containment and the preview give the same answer to it."""

import json
import time
from contextlib import suppress
from datetime import date, timedelta

import pytest
from helpers import CONTAIN, PREVIEW, REVOKE, moto_user, policy, shipped

from c7n_iamguard.event import IAMEvent
from c7n_iamguard.function import changes
from c7n_iamguard.iam.principals import ROLE, USER
from c7n_iamguard.settings import PINS

CATCH_UP = "catch-up-unintended-iam-access"
TODAY = date.today()
MEANT, NOT_MEANT = True, False


def account_of(sandbox, user):
    """The callers by the table's names for them: their session's or user's IAM client."""
    role = {name: sandbox.create_role(name) for name in ("Terraform", "pipeline", "robot", "stranger")}

    def session(name, session_name="somebody"):
        return sandbox.client("iam", sandbox.session(role[name]["Arn"], session_name))

    people = {
        "an admin": user("ada", groups=["Admins"]).iam,
        "somebody": user("eve").iam,
        "an exempt user": user("break-glass").iam,
        "a guest until tomorrow": user("guest").iam,
        "a guest until the day before yesterday": user("former-guest").iam,
        "a listed role": session("Terraform"),
        "an exempt role": session("pipeline"),
        "an exempt session": session("robot", "build"),
        "another session of that role": session("robot", "laptop"),
        "a role": session("stranger"),
    }
    ids = {name: made["RoleId"] for name, made in role.items()}
    ids |= {name: moto_user(sandbox, name).id for name in ("break-glass", "guest", "former-guest")}
    settings = {
        "admin_groups": ["Admins"],
        "admin_roles": ["Terraform"],
        "self_service": ["ChangePassword"],
        "exempt": [
            ids["break-glass"],
            ids["pipeline"],
            f"{ids['robot']}:build",
            {"id": ids["guest"], "until": str(TODAY + timedelta(days=1))},
            {"id": ids["former-guest"], "until": TODAY - timedelta(days=2)},
        ],
    }
    return people, settings


#: The callers, whether they are meant to, and the answer of the preview if it differs: it sees a role as a whole.
TABLE = {
    "an admin": (MEANT, None),
    "somebody": (NOT_MEANT, None),
    "an exempt user": (MEANT, None),
    "a guest until tomorrow": (MEANT, None),
    "a guest until the day before yesterday": (NOT_MEANT, None),
    "a listed role": (MEANT, None),
    "an exempt role": (MEANT, None),
    "an exempt session": (MEANT, NOT_MEANT),
    "another session of that role": (NOT_MEANT, None),
    "a role": (NOT_MEANT, None),
}


def tag_bob(client):
    """A call about somebody else that can be made again."""
    client.tag_user(UserName="bob", Tags=[{"Key": "team", "Value": "a"}])


@pytest.fixture
def answers(deployed, unchanged, user, monkeypatch):
    """``answers(who)``: whether the policies, by their filters, take somebody's call for one that was meant."""
    people, settings = account_of(deployed, user)

    def pinned(name):
        """A shipped policy as its function has it, without its actions."""
        data = {**shipped(name, **settings), "actions": []}
        data.pop("max-resources", None)
        if "mode" in data:
            pins, _ = changes.pins_for(policy(data, deployed.environ(), monkeypatch), None)
            role = f"arn:aws:iam::{deployed.account}:role/iam-guard"
            variables = {PINS: json.dumps(pins)}
            data["mode"] = {**data["mode"], "role": role, "environment": {"Variables": variables}}
        return policy(data, deployed.environ(), monkeypatch).resource_manager

    def answer(who, call=tag_bob):
        deployed.history.clear()
        deployed.pending.clear()
        call(people[who])
        (event,), record = deployed.pending, deployed.history[-1]
        event = IAMEvent(event)
        kind, of_roles = (ROLE, "-of-roles") if event.who.kind == "role" else (USER, "")
        by_event = [pinned(name + of_roles) for name in (REVOKE, CONTAIN)]
        found = {m.ctx.policy.name: m.filter_resources([kind.of_caller(event.who)], event) for m in by_event}
        an_hour_ago = time.gmtime(time.time() - 3600)
        record["eventTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", an_hour_ago)
        found["catch-up"] = pinned(CATCH_UP + of_roles).resources()
        preview = pinned(PREVIEW + of_roles)
        users_or_roles = preview.source.resources({})
        found["preview"] = preview.filters[0].process(users_or_roles)
        name = event.who.name
        return {by: name not in [each[kind.name_key] for each in those] for by, those in found.items()}

    return answer


def test_all_policies_give_the_same_answer_for_a_caller(answers):
    """Whoever is meant to use IAM is so for all policies, and whoever is not is so for none."""
    for who, (expected, in_preview) in TABLE.items():
        answer = answers(who)
        assert answer.pop("preview") is (expected if in_preview is None else in_preview), who
        assert set(answer.values()) == {expected}, (who, answer)


def test_a_call_about_oneself_is_self_service_for_all_policies(answers):
    """A user may change their own password; the preview does not see single calls, and lists the user."""
    change = {"OldPassword": "old-Password-1", "NewPassword": "new-Password-1"}

    def change_password(client):
        with suppress(client.exceptions.ClientError):  # it is the record that is judged
            client.change_password(**change)

    answer = answers("somebody", change_password)
    assert answer.pop("preview") is NOT_MEANT
    assert set(answer.values()) == {MEANT}, answer
