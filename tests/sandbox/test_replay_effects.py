"""A replay of the containment: what would have been taken back, and what left to a person."""

import json
import subprocess

import pytest
import stock_commands
from helpers import POLICIES, ROOT
from records import ACCOUNT, record, role, user, written

ARN = f"arn:aws:iam::{ACCOUNT}"
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
BOB, EVE = {"userName": "bob"}, {"userName": "eve"}


def new_key(name):
    return {"accessKey": {"userName": name, "accessKeyId": f"AKIA{name.upper()}", "status": "Active"}}


def made(kind, name, unique_id):
    return {kind: {f"{kind}Name": name, f"{kind}Id": unique_id, "arn": f"{ARN}:{kind}/{name}", "path": "/"}}


READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
PUT = {**EVE, "policyName": "p", "policyDocument": json.dumps(ANYTHING)}
#: Calls, their answers, and what becomes of them.
CALLS = [
    (user("alice"), "CreateUser", {"userName": "fine"}, made("user", "fine", "AIDAFINE"), "let-pass"),
    (user("bob"), "CreateUser", {"userName": "new"}, made("user", "new", "AIDANEW"), "contained"),
    (user("new"), "CreateAccessKey", None, new_key("new"), "contained"),
    (user("bob"), "CreateAccessKey", EVE, new_key("eve"), "contained"),
    (user("bob"), "CreateLoginProfile", EVE, {"loginProfile": EVE}, "contained"),
    (user("bob"), "PutUserPolicy", PUT, None, "contained"),
    (user("bob"), "AttachUserPolicy", {**BOB, "policyArn": f"{ARN}:policy/team/own"}, None, "contained"),
    (user("bob"), "AttachUserPolicy", {**EVE, "policyArn": READ_ONLY}, None, "left"),
    (user("bob"), "CreateRole", {"roleName": "r"}, made("role", "r", "AROAR"), "contained"),
    (user("bob"), "AddUserToGroup", {**EVE, "groupName": "developers"}, None, "left"),
    (user("bob"), "PutUserPolicy", {"omitted": True, "originalSize": 102500}, None, "left"),
    (user("bob"), "DeleteUser", {"userName": "carol"}, None, "left"),
    (role("app"), "CreateAccessKey", EVE, new_key("eve"), "contained"),
]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The calls, replayed under the containment's policies: the decisions by caller, in the order of the calls."""
    records = [
        {
            **record(who, action),
            "eventTime": f"2026-11-20T09:{minute:02d}:00Z",
            "requestParameters": params,
            "responseElements": answer,
        }
        for minute, (who, action, params, answer, _) in enumerate(CALLS)
    ]
    log = written(tmp_path_factory.mktemp("logs") / "log", json.dumps(records))
    page, policy = log.parent / "page.html", POLICIES / "contain-unintended-iam-calls.yml"
    command = [stock_commands.path("python"), "-m", "sandbox", "replay", log, "--admin", "alice"]
    command += ["--report", page, "--policy", policy]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True), page.read_text()


@pytest.mark.parametrize("number", range(len(CALLS)), ids=lambda n: f"{n}-{CALLS[n][1]}")
def test_a_call_is_contained_or_left_as_in_the_account(replayed, number):
    """What a call gave is there to be taken back, also where the log does not tell how it came about."""
    done, page = replayed
    _, action, _, _, decision = CALLS[number]
    line = f'2026-11-20T09:{number:02d}:00Z <strong>{action}</strong> <span class="tag">'
    assert page.partition(line)[2].partition("<")[0] == decision, done.stderr


def test_what_was_contained_is_counted(replayed):
    """The lines below the table count callers whose calls were taken back, and those with calls left."""
    done, _ = replayed
    assert "It would have taken back calls of 3 callers, and left calls of 1 to a person." in done.stdout
    assert done.returncode == 0
