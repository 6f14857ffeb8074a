"""From one account to many: stacks, c7n-org, upgrade, uninstall, other partitions, by the stock commands.

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
from helpers import FUNCTION, PROTECT_FUNCTION, REVOKE, ROOT, SETTINGS, attached, call_iam, function_names, ok
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends

from c7n_iamguard import __version__
from c7n_iamguard.settings import PINS
from sandbox.iam import last_accessed
from sandbox.server import DEPLOY

DEPLOYER = "iam-guard-deployer"
EXAMPLE = yaml.safe_load((DEPLOY / "accounts.example.yml").read_text())["accounts"]
PRODUCTION, STAGING, _ = MEMBERS = [account["account_id"] for account in EXAMPLE]
#: Accounts in which something is wrong, and what c7n-org has to say of them.
FAILING = {
    "no-role": ("555566667777", "AssumeRole answered AccessDenied"),
    "no-admins": ("666677778888", "the admin group 'admins' does not exist in account 666677778888"),
    "denied": ("777788889999", "AccessDenied"),
    "mistaken": ("888899990000", "is no group's name"),
}

#: One account of its own kind, and one that is like most.
OTHER, PLAIN = "999900001111", "999900002222"
DEPLOYED = "policies/revoke-unintended-iam-access.yml policies/protect-admin-group.yml"
#: The pages' own commands over an organization. Each is run here.
COMMANDS = [
    line.strip().removeprefix("$ ")
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
    for line in page.read_text().splitlines()
    if line.strip().startswith("$ ") and "c7n-org " in line
]
# That the second one makes a list of accounts is tested in test_accounts.
REMOVE_ALL, _, PREVIEW_ALL, REPORT_PREVIEW = COMMANDS
#: c7n-org deploys, too. Its exit status is 0 if an account's vars make a policy invalid, hence the grep.
RUN_ALL = (
    f"for file in {DEPLOYED}; do c7n-org run -c accounts.yml -u $file -s output; done 2>&1 | tee run.log;"
    " ! grep -E 'c7n_org:WARNING|:ERROR |Error' run.log"
)
DRY_RUN_ALL = RUN_ALL.replace("-s output", "-s output --dryrun --cache-period 0")
RUN_REVOKED = RUN_ALL.replace(DEPLOYED, "policies/list-revoked-iam-access.yml")
REPORT_REVOKED = REPORT_PREVIEW.replace("preview-unintended", "list-revoked")


def config_in(account, name, region="us-east-1"):
    """The policy that a deployed function carries."""
    code = lambda_backends[account][region].get_function(name).code_bytes
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        return json.loads(archive.read("config.json"))["policies"][0]


def stacks(sandbox, account, AdminGroups, **access):
    """Deploy the stacks that an account needs to be deployed to by c7n-org."""
    sandbox.deploy(account=account, AdminGroups=AdminGroups)
    access |= {"AdminGroups": AdminGroups}
    sandbox.deploy(DEPLOY / "access.yml", "iam-guard-access", account=account, **access)


def entry(name, account):
    """An account in c7n-org's accounts file."""
    role = f"arn:aws:iam::{account}:role/{DEPLOYER}"
    return {"name": name, "account_id": account, "role": role, "regions": ["us-east-1"]}


def write(path, accounts):
    """Write c7n-org's accounts file, with the settings of all accounts, as deploy/accounts.py does."""
    path.write_text(yaml.safe_dump({"vars": yaml.safe_load(SETTINGS.read_text()), "accounts": accounts}))


# Many accounts


@pytest.fixture(scope="module")
def organization(sandbox, shell, workplace):
    """The example's accounts, and four in which something is wrong; all policies run over all of them."""
    central, accounts, keys = sandbox.account, [], {}
    for account in EXAMPLE:
        (group,) = account.get("vars", {}).get("admin_groups", ["admins"])
        stacks(sandbox, account["account_id"], CentralAccount=central, AdminGroups=group)
        accounts.append(account)
        sandbox.client("iam", account=account["account_id"]).create_group(GroupName=group)
        sandbox.create_user("ada", groups=[group], account=account["account_id"])
        keys[account["account_id"]] = sandbox.create_user("bob", account=account["account_id"])
        sandbox.create_user("eve", account=account["account_id"])
        for user in ("ada", "bob"):
            last_accessed.note(f"arn:aws:iam::{account['account_id']}:user/{user}", "iam")
    for name, (account, _) in FAILING.items():
        if name != "no-role":
            stacks(sandbox, account, CentralAccount=central, AdminGroups="admins")
        if name != "no-admins":
            sandbox.client("iam", account=account).create_group(GroupName="admins")
            sandbox.create_user("ada", groups=["admins"], account=account)
        if name == "denied":
            iam = sandbox.client("iam", account=account)
            iam.delete_role_policy(RoleName=DEPLOYER, PolicyName=DEPLOYER)
        sandbox.create_user("bob", account=account)
        accounts.append(
            entry(name, account) | ({"vars": {"admin_groups": [7]}} if name == "mistaken" else {})
        )
    write(workplace / "accounts.yml", accounts)
    shell(PREVIEW_ALL)
    preview = shell(REPORT_PREVIEW)
    dry = shell(DRY_RUN_ALL)
    deployed_by_dry_run = [function_names(sandbox, account) for account in MEMBERS]
    sandbox.calls.clear()
    run = shell(RUN_ALL)
    return SimpleNamespace(
        run=run,
        dry=dry,
        deployed_by_dry_run=deployed_by_dry_run,
        preview=preview,
        calls=list(sandbox.calls),
        keys=keys,
    )


@pytest.fixture(autouse=True)
def as_deployed(sandbox, organization):
    """After each test, users, functions and rules of the sound accounts are as the deployment left them."""
    sandbox.pending.clear()
    puts = [kept.functions(account, sandbox.region) for account in MEMBERS]
    puts += [kept.iam(iam_backends[account]["aws"]) for account in MEMBERS]
    yield
    for put_back in puts:
        put_back()


def test_all_policies_are_deployed_to_all_sound_accounts(sandbox, organization):
    """One command deploys every policy to every account that is in order, whatever is wrong with others."""
    for account in MEMBERS:
        assert {FUNCTION, PROTECT_FUNCTION} < set(function_names(sandbox, account))


@pytest.mark.parametrize("name", FAILING)
def test_an_account_that_fails_is_named_in_the_end_with_its_reason(sandbox, organization, name):
    """Nothing is deployed to it; what c7n-org said of it is repeated last; the command's status is 1."""
    account, reason = FAILING[name]
    assert function_names(sandbox, account) == []
    assert organization.run.returncode == 1
    summary = organization.run.stdout.split("Policy resource counts")[-1]
    assert any(name in line and reason in line for line in summary.splitlines())


def test_vars_of_an_account_win_over_the_settings(organization):
    """The functions of an account with ``vars`` carry its admin group, the others that of the settings."""
    for account in MEMBERS:
        groups = ["platform-admins"] if account == STAGING else ["admins"]
        (judge,) = config_in(account, FUNCTION)["filters"][0]["not"]
        assert judge["groups"] == groups
        assert config_in(account, PROTECT_FUNCTION)["actions"][0]["groups"] == groups


def test_the_admin_group_of_another_account_makes_no_admin(sandbox, organization):
    """In the account with ``vars``, a member of its group is let pass, a member of ``admins`` is revoked."""
    sandbox.client("iam", account=STAGING).create_group(GroupName="admins")
    admin = sandbox.create_user("grace", groups=["platform-admins"], account=STAGING)
    other = sandbox.create_user("heidi", groups=["admins"], account=STAGING)
    (invocation,) = call_iam(sandbox, STAGING, admin, "graces-friend")
    assert invocation.decisions[0]["reason"] == "in admin group platform-admins"
    call_iam(sandbox, STAGING, other, "heidis-friend")
    assert attached(sandbox, STAGING, "grace") == []
    assert attached(sandbox, STAGING, "heidi") == [f"arn:aws:iam::{STAGING}:policy/DenyIAMAccess"]


def test_an_event_revokes_in_its_own_account_alone(sandbox, organization):
    """Of two users of one name in two accounts, the one who called is revoked, and the other is not."""
    before = attached(sandbox, STAGING, "bob")
    (invocation,) = call_iam(sandbox, PRODUCTION, organization.keys[PRODUCTION], "bobs-friend")
    assert invocation.succeeded, invocation.log
    assert attached(sandbox, PRODUCTION, "bob") == [f"arn:aws:iam::{PRODUCTION}:policy/DenyIAMAccess"]
    assert attached(sandbox, STAGING, "bob") == before == []


def test_a_dry_run_over_all_accounts_deploys_nothing_and_names_failing_accounts(organization):
    """The dry run creates no function, and names accounts where a deployment would fail, with status 1."""
    assert organization.deployed_by_dry_run == [[], [], []]
    assert organization.dry.returncode == 1
    summary = organization.dry.stdout.split("Policy resource counts")[-1]
    for name in ("no-role", "no-admins", "mistaken"):
        assert name in summary


def test_the_preview_over_accounts_says_who_used_iam_where(organization):
    """Users in no admin group who used IAM are listed with their account's name; nobody else is."""
    rows = ok(organization.preview).splitlines()
    found = {tuple(row.replace('"', "").split(",")[:4:3]) for row in rows[1:]}
    assert found == {(account["name"], "bob") for account in EXAMPLE}


def test_the_report_over_accounts_says_who_is_revoked(sandbox, organization, shell):
    """Revoked users of all accounts are listed with their account's name, and nobody else is."""
    sandbox.client("iam", account=PRODUCTION).attach_user_policy(
        UserName="bob", PolicyArn=f"arn:aws:iam::{PRODUCTION}:policy/DenyIAMAccess"
    )
    shell(RUN_REVOKED)
    rows = ok(shell(REPORT_REVOKED))
    assert '"production","us-east-1","list-revoked-iam-access","bob"' in rows
    assert '"staging","us-east-1","list-revoked-iam-access","bob"' not in rows


def test_deployments_run_as_the_deployer_role(organization):
    """In a member account, every call of the rollout is made by its own deployer role."""
    callers = {
        call.caller for call in organization.calls if call.service in ("lambda", "events", "iam", "tag")
    }
    assert {caller.split(":")[4] for caller in callers} >= set(MEMBERS)
    assert all(f":assumed-role/{DEPLOYER}/" in caller for caller in callers)


# Accounts that differ


@pytest.fixture(scope="module")
def different(sandbox, organization, shell, workplace):
    """Two accounts after a deployment: one has the ``vars`` of docs/organization.md, one has none."""
    entries = []
    given = {"admin_groups": [], "observe_users": True, "admin_roles": ["pipeline"]}
    for name, account, variables in (("other", OTHER, given), ("plain", PLAIN, {})):
        stacks(
            sandbox,
            account,
            CentralAccount=sandbox.account,
            AdminGroups=",".join(variables.get("admin_groups", ["admins"])),
        )
        entries.append({**entry(name, account), "vars": variables})
    trust = {"Version": "2012-10-17", "Statement": []}
    pipeline = {"RoleName": "pipeline", "AssumeRolePolicyDocument": json.dumps(trust)}
    sandbox.client("iam", account=OTHER).create_role(**pipeline)
    sandbox.client("iam", account=PLAIN).create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=PLAIN)
    write(workplace / "different.yml", entries)
    files = f"{DEPLOYED} policies/{REVOKE}-of-roles.yml"
    ok(shell(RUN_ALL.replace("accounts.yml", "different.yml").replace(DEPLOYED, files)))


@pytest.mark.parametrize("account", [OTHER, PLAIN])
def test_vars_let_one_account_be_without_an_admin_group(sandbox, different, account):
    """Its functions are deployed, and so are those of an account that says nothing."""
    assert {FUNCTION, PROTECT_FUNCTION} < set(function_names(sandbox, account))


@pytest.mark.parametrize(("account", "decision"), [(OTHER, "would-revoke"), (PLAIN, "revoked")])
def test_vars_let_one_account_observe(sandbox, different, account, decision):
    """A user of that account keeps IAM, one of an account that says nothing does not, and a tag says so."""
    key = sandbox.create_user("carol", account=account)
    sandbox.pending.clear()
    (invocation,) = call_iam(sandbox, account, key, "carols-friend")
    assert invocation.decisions[0]["decision"] == decision, invocation.log
    tags = sandbox.client("lambda", account=account).get_function(FunctionName=FUNCTION)["Tags"]
    assert tags["iam-guard-observes"] == ("yes" if decision == "would-revoke" else "no")


def test_vars_name_the_roles_of_one_account(different):
    """The roles' function of that account has pinned its own list, the other one no role of that name."""
    pinned = {}
    for account in (OTHER, PLAIN):
        variables = config_in(account, f"{FUNCTION}-of-roles")["mode"]["environment"]["Variables"]
        pinned[account] = "pipeline" in json.loads(variables[PINS])["roles"]
    assert pinned == {OTHER: True, PLAIN: False}


# Upgrade


def state(sandbox, account):
    """All that EventBridge and Lambda know of an account's functions, but the code and the time."""
    functions, events = sandbox.client("lambda", account=account), sandbox.client("events", account=account)
    found = {}
    for name in (FUNCTION, PROTECT_FUNCTION):
        answer = functions.get_function(FunctionName=name)
        rule = events.describe_rule(Name=name)
        found[name] = {
            "code": answer["Configuration"]["CodeSha256"],
            "tags": answer["Tags"],
            "delivery": [
                functions.get_policy(FunctionName=name)["Policy"],
                {key: rule[key] for key in ("Arn", "EventPattern", "State")},
                events.list_targets_by_rule(Rule=name)["Targets"],
            ],
        }
    return found


def changing(calls):
    """The calls that change something, of those made as the deployer."""
    reading = ("Get", "List", "Describe", "AssumeRole")
    return [call.action for call in calls if DEPLOYER in call.caller and not call.action.startswith(reading)]


@pytest.fixture
def run_production(sandbox, shell, organization):
    """Run the rollout over the production account again, with a changed environment or policy file.

    It fails nowhere, so the command's status is 0, and it names nobody in the end.
    """

    def run(policies=DEPLOYED, **environ):
        sandbox.calls.clear()
        command = RUN_ALL.replace("-c accounts.yml", "-c accounts.yml -a production")
        said = ok(shell(command.replace(DEPLOYED, policies), sandbox.environ() | environ))
        assert said.rstrip().splitlines()[-1].split("INFO ")[1].startswith("Policy resource counts")
        return state(sandbox, PRODUCTION)

    return run


def test_a_new_version_updates_functions_in_place(sandbox, run_production, tmp_path):
    """An upgrade changes code and version tag; rule, target and permission stay as they are throughout."""
    before = state(sandbox, PRODUCTION)
    shutil.copytree(ROOT / "c7n_iamguard", tmp_path / "c7n_iamguard")
    init = tmp_path / "c7n_iamguard" / "__init__.py"
    init.write_text(init.read_text().replace(__version__, "99.0"))
    after = run_production(f"policies/{REVOKE}.yml", PYTHONPATH=str(tmp_path))
    calls = changing(sandbox.calls)
    assert after[FUNCTION]["code"] != before[FUNCTION]["code"]
    assert after[FUNCTION]["tags"]["iam-guard-version"] == "99.0"
    assert after[FUNCTION]["delivery"] == before[FUNCTION]["delivery"]
    assert set(calls) == {"UpdateFunctionCode", "TagResource", "AddPermission"}  # the last one is refused
    key = sandbox.create_user("ivan", account=PRODUCTION)
    (invocation,) = call_iam(sandbox, PRODUCTION, key, "ivans-friend")
    assert invocation.decisions[0]["decision"] == "revoked"
    assert run_production(f"policies/{REVOKE}.yml") == before


def test_an_unchanged_version_is_left_alone(sandbox, run_production):
    """A second run changes nothing in any function, rule, target, tag or permission."""
    before = state(sandbox, PRODUCTION)
    assert run_production() == before
    assert set(changing(sandbox.calls)) == {"AddPermission"}  # which is refused: it is there


def test_a_changed_policy_updates_its_own_function_alone(sandbox, run_production, workplace):
    """Editing one policy updates that one's function, and the other keeps its code."""
    before = state(sandbox, PRODUCTION)
    policy = (workplace / "policies/revoke-unintended-iam-access.yml").read_text()
    action = "{type: revoke-iam-access,"
    (workplace / "changed.yml").write_text(policy.replace(action, f'{action} deny: ["iam:*"],', 1))
    after = run_production("changed.yml")
    assert after[FUNCTION]["code"] != before[FUNCTION]["code"]
    assert after[FUNCTION]["delivery"] == before[FUNCTION]["delivery"]
    assert after[PROTECT_FUNCTION] == before[PROTECT_FUNCTION]


def test_uninstalling_functions_over_all_accounts_is_one_command(sandbox, organization, shell, workplace):
    """c7n-org's run-script removes functions and rules of every account, as the deployer."""
    accounts = yaml.safe_load((workplace / "accounts.yml").read_text())["accounts"]
    two = [account for account in accounts if account["account_id"] in (PRODUCTION, STAGING)]
    write(workplace / "two.yml", two)
    ok(shell(REMOVE_ALL.replace("accounts.yml", "two.yml")))
    for account in (PRODUCTION, STAGING):
        assert function_names(sandbox, account) == []
        events = sandbox.client("events", account=account)
        assert events.list_rules(NamePrefix="iam-guard-")["Rules"] == []
