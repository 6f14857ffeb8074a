"""From one account to many: c7n-org, upgrade, uninstall. Accounts that fail, and dry runs, are in test_ci.

The commands are the documentation's own, and run in a shell, ``aws`` being ``aws_cli.py``.
"""

import io
import json
import shutil
import zipfile
from types import SimpleNamespace

import kept
import pytest
import yaml
from helpers import FUNCTION, REVOKE, ROOT, SETTINGS, attached, call_iam, function_names, ok
from moto.awslambda.models import lambda_backends

from c7n_iamguard import __version__
from sandbox.iam import last_accessed
from sandbox.server import DEPLOY

DEPLOYER = "iam-guard-deployer"
EXAMPLE = yaml.safe_load((DEPLOY / "accounts.example.yml").read_text())["accounts"][:2]
PRODUCTION, STAGING = MEMBERS = [account["account_id"] for account in EXAMPLE]
EXAMPLE[1]["vars"]["observe_users"] = True
#: The pages' own commands over an organization. Each is run here.
COMMANDS = [
    line.strip().removeprefix("$ ")
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
    for line in page.read_text().splitlines()
    if line.strip().startswith("$ ") and "c7n-org " in line
]
# That the second one makes a list of accounts is tested in test_accounts.
REMOVE_ALL, _, PREVIEW_ALL, REPORT_PREVIEW = COMMANDS
#: c7n-org deploys, too.
RUN_ALL = f"c7n-org run -c accounts.yml -u policies/{REVOKE}.yml -p {REVOKE} -s output"


@pytest.fixture(scope="module")
def organization(sandbox, shell, workplace):
    """The report of the preview over the example's accounts, which have functions then, and each bob's keys."""
    keys = {}
    for account in EXAMPLE:
        (group,) = account.get("vars", {}).get("admin_groups", ["admins"])
        account = account["account_id"]
        sandbox.deploy(account=account, AdminGroups=group)
        sandbox.deploy(DEPLOY / "access.yml", "access", account, CentralAccount=sandbox.account)
        sandbox.client("iam", account=account).create_group(GroupName=group)
        sandbox.create_user("ada", groups=[group], account=account)
        keys[account] = sandbox.create_user("bob", account=account)
        sandbox.create_user("eve", account=account)
        for name in ("ada", "bob"):
            last_accessed.note(f"arn:aws:iam::{account}:user/{name}", "iam")
    # With the settings of all accounts, as deploy/accounts.py writes the file.
    settings = {"vars": yaml.safe_load(SETTINGS.read_text()), "accounts": EXAMPLE}
    (workplace / "accounts.yml").write_text(yaml.safe_dump(settings))
    ok(shell(PREVIEW_ALL))
    preview = ok(shell(REPORT_PREVIEW))
    ok(shell(RUN_ALL))
    return SimpleNamespace(preview=preview, keys=keys)


@pytest.fixture(autouse=True)
def as_deployed(sandbox, organization):
    """After each test, functions and rules are as the deployment left them."""
    puts = [kept.functions(account, sandbox.region) for account in MEMBERS]
    yield
    for put_back in puts:
        put_back()


def test_vars_of_an_account_win_over_the_settings(sandbox):
    """One command deploys to all accounts, with the admin groups of each, and lets one of them observe."""
    for account, groups, observes in ((PRODUCTION, ["admins"], False), (STAGING, ["platform-admins"], True)):
        code = lambda_backends[account]["us-east-1"].get_function(FUNCTION).code_bytes
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            (policy,) = json.loads(archive.read("config.json"))["policies"]
        (judge,) = policy["filters"][0]["not"]
        assert (judge["groups"], policy["actions"][0]["observe"]) == (groups, observes)
        tags = sandbox.client("lambda", account=account).get_function(FunctionName=FUNCTION)["Tags"]
        assert tags["iam-guard-observes"] == ("yes" if observes else "no")


def test_an_event_revokes_in_its_own_account_alone(sandbox, organization):
    """Of two users of one name in two accounts, the one who called is revoked, and the other is not."""
    (invocation,) = call_iam(sandbox, PRODUCTION, organization.keys[PRODUCTION], "bobs-friend")
    assert invocation.succeeded, invocation.log
    assert attached(sandbox, PRODUCTION, "bob") == [f"arn:aws:iam::{PRODUCTION}:policy/DenyIAMAccess"]
    assert attached(sandbox, STAGING, "bob") == []


def test_the_preview_over_accounts_says_who_used_iam_where(organization):
    """Users in no admin group who used IAM are listed with their account's name; nobody else is."""
    rows = organization.preview.splitlines()
    found = {tuple(row.replace('"', "").split(",")[:4:3]) for row in rows[1:]}
    assert found == {(account["name"], "bob") for account in EXAMPLE}


def state(sandbox):
    """A function's code, its tags, and all that EventBridge and Lambda know of its delivery."""
    functions, events = (
        sandbox.client("lambda", account=PRODUCTION),
        sandbox.client("events", account=PRODUCTION),
    )
    answer, rule = functions.get_function(FunctionName=FUNCTION), events.describe_rule(Name=FUNCTION)
    delivery = [
        functions.get_policy(FunctionName=FUNCTION)["Policy"],
        {key: rule[key] for key in ("Arn", "EventPattern", "State")},
        events.list_targets_by_rule(Rule=FUNCTION)["Targets"],
    ]
    return answer["Configuration"]["CodeSha256"], answer["Tags"], delivery


def changing(sandbox, shell, environ):
    """The calls that change something, of a deployment to one account."""
    sandbox.calls.clear()
    ok(shell(f"{RUN_ALL} -a production", environ))
    calls = {call.action for call in sandbox.calls if DEPLOYER in call.caller}
    return {name for name in calls if not name.startswith(("Get", "List", "Describe", "AssumeRole"))}


def test_a_new_version_updates_functions_in_place(sandbox, shell, tmp_path):
    """An upgrade changes code and version tag, and nothing else; a second run changes nothing."""
    old_code, old_tags, old_delivery = state(sandbox)
    shutil.copytree(ROOT / "c7n_iamguard", tmp_path / "c7n_iamguard")
    init = tmp_path / "c7n_iamguard" / "__init__.py"
    init.write_text(init.read_text().replace(__version__, "99.0"))
    environ = sandbox.environ() | {"PYTHONPATH": str(tmp_path)}
    refused = {"AddPermission"}  # the permission is there
    assert changing(sandbox, shell, environ) == {"UpdateFunctionCode", "TagResource"} | refused
    code, tags, delivery = state(sandbox)
    assert code != old_code
    assert tags == old_tags | {"iam-guard-version": "99.0"}
    assert delivery == old_delivery
    assert changing(sandbox, shell, environ) == refused


def test_uninstalling_functions_over_all_accounts_is_one_command(sandbox, shell):
    """c7n-org's run-script removes functions and rules of every account, as the deployer."""
    ok(shell(REMOVE_ALL))
    for account in MEMBERS:
        assert function_names(sandbox, account) == []
        events = sandbox.client("events", account=account)
        assert events.list_rules(NamePrefix="iam-guard-")["Rules"] == []
