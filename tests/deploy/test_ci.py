"""deploy/ci.py and deploy/switch: the steps of the workflow for CI, over an organization and over one account."""

import os
import re
import shutil
import subprocess
from types import SimpleNamespace

import kept
import pytest
import stock_commands
import yaml
from helpers import FUNCTION, PROTECT_FUNCTION, REVOKE, ROOT, function_names, ok
from test_workflow import JOBS, WORKFLOW

from c7n_iamguard import __version__
from sandbox.server import DEPLOY, Fault

CENTRAL, PRODUCTION, STAGING, ALONE = "262626262616", "262626262617", "262626262618", "262626262619"
BIN, SWITCH = str(stock_commands.path(".")), str(ROOT / "deploy" / "switch")
STRANGERS = "iam-guard-zz"  # a rule that is none of the guard's
CATCH_UP_FUNCTION = "iam-guard-catch-up-unintended-iam-access"
#: What the workflow deploys.
FUNCTIONS = sorted(
    f"iam-guard-{policy['name']}"
    for file in WORKFLOW["env"]["POLICIES"].split()
    for policy in yaml.safe_load((ROOT / file).read_text())["policies"]
)
SETTINGS = yaml.safe_load((ROOT / "iam-guard.yml").read_text())
#: Accounts in which something is wrong, and what the summary has to say of them.
TRUST = f"deployed there, and does it trust arn:aws:sts::{CENTRAL}:assumed-role/iam-guard-"
FAILING = {
    "no-role": ("262626262620", TRUST),
    "no-admins": ("262626262621", "name the right group under admin_groups, or [] for no group"),
    "mistaken": ("262626262622", "is no group's name"),
    "no-stack": ("262626262623", "the stack iam-guard is not there: deploy deploy/account.yml"),
}
MISSPELT = {"admin_groups": [7]}


def account_of(name, account, **own):
    role = f"arn:aws:iam::{account}:role/iam-guard-deployer"
    own = {"observe_users": False, **own}
    return {"name": name, "account_id": account, "role": role, "regions": ["us-east-1"], "vars": own}


SOUND = [
    account_of("production", PRODUCTION),
    account_of("staging", STAGING, admin_groups=["platform-admins"]),
]
ALL = SOUND + [
    account_of(name, account, **(MISSPELT if name == "mistaken" else {}))
    for name, (account, _) in FAILING.items()
]


def deploy_access(sandbox, account):
    """The roles: of an account that CI comes to from GitHub, or of a member that CI goes on to."""
    trusted = {"CentralAccount": CENTRAL}
    if account in (CENTRAL, ALONE):
        trusted = {
            "OidcProviderArn": f"arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com",
            "OidcSubject": "repo:example/guard:ref:refs/heads/main",
            "OidcPreviewSubject": "repo:example/guard:pull_request",
        }
    sandbox.deploy(DEPLOY / "access.yml", "iam-guard-access", account=account, **trusted)


def prepare(sandbox, account, group="admins", stack=True):
    """An account with the stacks, an admin ada and a user bob."""
    if stack:
        sandbox.deploy(account=account, AdminGroups=group)
    deploy_access(sandbox, account)
    iam = sandbox.client("iam", account=account)
    iam.create_group(GroupName=group)
    sandbox.create_user("ada", groups=[group], account=account)
    sandbox.create_user("bob", account=account)


@pytest.fixture(scope="module")
def accounts(sandbox):
    """A central account, members that are in order, members that are not, and an account by itself."""
    for account, group in ((PRODUCTION, "admins"), (STAGING, "platform-admins"), (ALONE, "admins")):
        prepare(sandbox, account, group)
    for name, (account, _) in FAILING.items():
        if name != "no-role":
            prepare(sandbox, account, "others" if name == "no-admins" else "admins", stack=name != "no-stack")
    deploy_access(sandbox, CENTRAL)


@pytest.fixture(scope="module")
def repository(tmp_path_factory, shell, workplace):
    """Makes checkouts of the repository, with these accounts in accounts.yml."""

    def checkout(accounts=None):
        folder = tmp_path_factory.mktemp("repository")
        for link in ("policies", "iam-guard.yml"):
            (folder / link).symlink_to(ROOT / link)
        shutil.copytree(DEPLOY, folder / "deploy")
        if accounts is not None:
            (folder / "organization.yml").write_text(yaml.safe_dump({"accounts": accounts}))
            ok(run(["python", "deploy/accounts.py", "organization.yml"], dict(os.environ), folder))
        return folder

    return checkout


def run(command, environ, cwd, bin_folder=None):
    environ["PATH"] = os.pathsep.join([str(bin_folder)] * bool(bin_folder) + [BIN, environ["PATH"]])
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True)


@pytest.fixture(scope="module")
def job(sandbox, accounts):
    """``job(name, folder)``: run a job's last step as the role that it takes; and its summary."""

    def run_job(name, folder, account=CENTRAL, changes=()):
        steps = JOBS["preview" if name == "preview" else "deploy"]["steps"]
        (taken,) = (s["with"]["role-to-assume"] for s in steps if "role-to-assume" in s.get("with", {}))
        role = {"READER": "reader", "DEPLOYER": "deployer"}[re.search(r"vars\.IAM_GUARD_(\w+)", taken)[1]]
        environ = session(sandbox, account, f"iam-guard-{role}") | WORKFLOW["env"] | dict(changes)
        summary = folder / "summary.md"
        summary.write_text("")
        environ["GITHUB_STEP_SUMMARY"] = str(summary)
        command = steps[-1]["run"].replace("ci.py deploy", f"ci.py {name}")
        done = run(["bash", "-e", "-c", command], environ, folder)
        done.summary, done.said = summary.read_text(), done.stdout + done.stderr
        return done

    return run_job


def session(sandbox, account, role):
    """The environment of a CI job that has taken an account's role."""
    keys = sandbox.session(f"arn:aws:iam::{account}:role/{role}", "GitHubActions")
    return sandbox.environ(keys, account)


def remove(sandbox, account, name):
    """Remove a function and its rule, so that the next deployment would make them."""
    events = sandbox.client("events", account=account)
    events.remove_targets(Rule=name, Ids=[name])
    events.delete_rule(Name=name)
    sandbox.client("lambda", account=account).delete_function(FunctionName=name)


def row(summary, *cells):
    """The rest of the one row of a summary that starts with these cells."""
    start = "| " + " | ".join(cells) + " | "
    (found,) = (line for line in summary.splitlines() if line.startswith(start))
    return found.removeprefix(start).removesuffix(" |")


def place(account):
    """An account as the summary names it."""
    return f"{account['name']} ({account['account_id']})"


def does_anew(sandbox, account):
    """The summary's cell about a new function."""
    (group,) = (SETTINGS | account["vars"])["admin_groups"]
    iam = sandbox.client("iam", account=account["account_id"])
    group_id = iam.get_group(GroupName=group)["Group"]["GroupId"]
    return f"acts (new); meant: 1 user of {group} ({group_id}), 1 role"


@pytest.fixture(scope="module")
def organization(sandbox, repository, job, workplace):
    """The life of a guard over an organization: a pull request, its merge, changes, a stop, and CI again."""
    general = [account | {"vars": dict(account["vars"])} for account in SOUND]
    for account in general:
        del account["vars"]["observe_users"]  # so that iam-guard.yml says it
    everybody, sound = repository(ALL), repository(general)
    joined = job("deploy", sound)
    first = job("preview", everybody)
    undeployed = [function_names(sandbox, account["account_id"]) for account in ALL]
    merged = job("deploy", everybody)
    deployed = [function_names(sandbox, account["account_id"]) for account in ALL]

    stop = ["c7n-org", "run-script", "-c", "accounts.yml", "-s", "output", "--", SWITCH, "off"]
    environ = session(sandbox, CENTRAL, "iam-guard-deployer")
    stopped = run(stop, environ, sound, workplace / "bin")
    states_then = {account: states(sandbox, account) for account in (PRODUCTION, STAGING)}
    events = sandbox.client("events", account=STAGING)
    for name in FUNCTIONS:
        events.enable_rule(Name=name)  # staging is started again, and changed by hand
        if name != CATCH_UP_FUNCTION:  # which alone stays stopped in production
            sandbox.client("events", account=PRODUCTION).enable_rule(Name=name)
    events.put_rule(Name=STRANGERS, ScheduleExpression="rate(1 hour)", State="DISABLED")
    remove(sandbox, PRODUCTION, PROTECT_FUNCTION)
    second, seen, again = job("preview", sound), job("status", everybody), job("deploy", sound)
    return SimpleNamespace(**locals())


def test_a_pull_request_says_who_would_be_denied_and_what_each_function_would_do(organization):
    """The summary names users and functions of each account, and nothing is deployed."""
    done = organization.first
    for account in SOUND:
        does = does_anew(organization.sandbox, account)
        for function in FUNCTIONS:
            who = "bob" if function == FUNCTION else ""
            assert row(done.summary, place(account), function) == f"{does} | {who}", done.said
        warnings = row(done.summary, place(account), "ok")
        assert warnings.startswith(f"{', '.join(FUNCTIONS)}: newly trusted roles: iam-guard")
        assert warnings.count("newly trusted roles") == 1
    assert "ada" not in done.summary
    assert organization.undeployed == [[]] * len(ALL)


def test_an_account_that_joins_does_not_act_unless_its_own_settings_say_so(organization):
    """The sentence has the lines to write. Once it has functions, iam-guard.yml counts."""
    said = row(organization.joined.summary, place(SOUND[0]), "**failed**")
    assert f'Write {{account_id: "{PRODUCTION}", vars: {{observe_users: true}}}} into differences.yml' in said
    assert organization.undeployed == [[]] * len(ALL)
    assert row(organization.again.summary, place(SOUND[1]), FUNCTION).startswith("acts; ")


def test_main_is_deployed_to_every_sound_account(organization):
    """One account that fails stops no other."""
    done = organization.merged
    assert organization.deployed == [FUNCTIONS] * len(SOUND) + [[]] * len(FAILING), done.said
    for account in SOUND:
        does = does_anew(organization.sandbox, account)
        assert {row(done.summary, place(account), function) for function in FUNCTIONS} == {does}


#: The work in all accounts, one after the other in one process: there may be more accounts than processes.
WORK = f"""
import ci
for account in ci.accounts_in("accounts.yml"):
    print(ci.work("preview", account, ci.functions_in("policies/{REVOKE}.yml")[:1], set()))
"""


def test_a_process_that_goes_on_to_another_account_keeps_nothing_of_the_first(sandbox, organization):
    """Each account has its own session: the admin group of the second one is not looked for in the first."""
    (organization.sound / "deploy" / "work.py").write_text(WORK)
    environ = session(sandbox, CENTRAL, "iam-guard-deployer")
    printed = ok(run(["python", "deploy/work.py"], environ, organization.sound))
    assert re.findall(r"meant: 1 user of ([\w-]+)", printed) == ["admins", "platform-admins"]


@pytest.mark.parametrize("when", ["first", "merged"])
@pytest.mark.parametrize("name", FAILING)
def test_an_account_that_fails_fails_the_job_and_is_named_with_its_reason(organization, name, when):
    """Also where c7n-org itself ends with status 0."""
    account, reason = FAILING[name]
    done = getattr(organization, when)
    assert reason in row(done.summary, f"{name} ({account})", "**failed**")
    assert done.returncode == 1


def test_the_status_says_which_functions_run_and_which_do_not(organization):
    """Version, mode and problem of each function; a function that is missing or stopped fails the command."""
    done, (production, staging) = organization.seen, map(place, SOUND)
    assert row(done.summary, staging, FUNCTION, __version__, "no").endswith(" | none")
    assert row(done.summary, production, PROTECT_FUNCTION).endswith(" | not deployed")
    assert row(done.summary, production, CATCH_UP_FUNCTION).endswith(" | its rule is disabled")
    assert row(done.summary, staging, "ok") == ""
    assert row(done.summary, production, "**failed**").startswith("stopped, since")
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["no-role", "no-stack"])
def test_the_status_names_an_account_without_a_stack(organization, name):
    """It is failed, with the reason, whichever of the two stacks is missing."""
    account, reason = FAILING[name]
    assert reason in row(organization.seen.summary, f"{name} ({account})", "**failed**")


def test_a_stop_reaches_all_accounts(organization):
    """One command of c7n-org disables every rule in every account, as the deployer."""
    assert organization.stopped.returncode == 0, organization.stopped.stderr
    disabled = dict.fromkeys(FUNCTIONS, "DISABLED")
    assert organization.states_then == {PRODUCTION: disabled, STAGING: disabled}


def test_ci_does_not_undo_a_stop(sandbox, organization):
    """One disabled rule is a stop: the next deployment makes no function there, not even a new one, and fails."""
    done, production = organization.again, place(SOUND[0])
    assert done.returncode == 1
    assert PROTECT_FUNCTION not in function_names(sandbox, PRODUCTION)
    assert states(sandbox, PRODUCTION)[CATCH_UP_FUNCTION] == "DISABLED"
    assert f"| {production} | iam-guard-" not in done.summary
    assert row(done.summary, place(SOUND[1]), "ok") == ""
    assert set(states(sandbox, STAGING).values()) == {"ENABLED"}


@pytest.mark.parametrize(("when", "result"), [("second", "ok"), ("again", "**failed**")])
def test_a_stopped_account_is_told_in_one_sentence(organization, when, result):
    """It says what is disabled and how to start again. A preview still says who would be denied there."""
    summary, production = getattr(organization, when).summary, place(SOUND[0])
    assert row(summary, production, result).startswith(
        f"stopped, since these rules are disabled: {CATCH_UP_FUNCTION}. To go on, run deploy/switch on, then this"
    )
    assert (f"| {production} | {FUNCTION} | acts; " in summary) is (when == "second")


# Over one account


@pytest.fixture(scope="module")
def alone(sandbox, repository, job):
    """An account without an accounts file: a pull request, and its merge."""
    folder, one = repository(), {"ACCOUNTS": "--this-account"}
    preview = job("preview", folder, ALONE, one)
    sandbox.create_role("app", account=ALONE)
    roles = job("preview", folder, ALONE, {**one, "POLICIES": f"policies/{REVOKE}-of-roles.yml"})
    undeployed = function_names(sandbox, ALONE)
    merged = job("deploy", folder, ALONE, one)
    return SimpleNamespace(**locals())


def test_this_account_is_the_account_of_the_jobs_credentials(sandbox, alone):
    """Preview and deployment work on one account alone, with the role that CI took."""
    assert alone.preview.returncode == 0, alone.preview.said
    assert row(alone.preview.summary, f"{ALONE} ({ALONE})", FUNCTION).endswith("| bob")
    assert alone.undeployed == []
    assert alone.merged.returncode == 0, alone.merged.said
    assert function_names(sandbox, ALONE) == FUNCTIONS


def test_the_guards_own_roles_are_nobodys_victims(alone):
    """A preview over roles names those alone that the guard may deny."""
    whom = row(alone.roles.summary, f"{ALONE} ({ALONE})", f"{FUNCTION}-of-roles").rpartition(" | ")[2]
    assert whom == "app", alone.roles.said


# Stopping


@pytest.fixture
def switch(sandbox, alone, workplace):
    """``switch("off")``: run deploy/switch as the deployer of an account; its rules are put back after."""
    put_back = kept.functions(ALONE, sandbox.region)

    def run_switch(*words, region="us-east-1"):
        environ = session(sandbox, ALONE, "iam-guard-deployer")
        environ |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        return run([SWITCH, *words], environ, workplace, workplace / "bin")

    yield run_switch
    put_back()


def states(sandbox, account):
    rules = sandbox.client("events", account=account).list_rules()["Rules"]
    return {
        rule["Name"]: rule["State"] for rule in rules if rule["Name"] not in ("iam-guard.root", STRANGERS)
    }


def test_one_command_stops_everything_and_starts_it_again(sandbox, switch):
    """It disables all rules of iam-guard, schedules too, and no other; and enables them."""
    sandbox.client("events", account=ALONE).put_rule(Name="another", ScheduleExpression="rate(1 hour)")
    off = switch("off")
    assert off.returncode == 0, off.stderr
    assert sorted(off.stdout.split()) == sorted(["DISABLED"] * len(FUNCTIONS) + FUNCTIONS)
    assert states(sandbox, ALONE) == dict.fromkeys(FUNCTIONS, "DISABLED") | {"another": "ENABLED"}
    assert switch("show").stdout == off.stdout
    on = switch("on", "--region", "us-east-1")
    assert on.returncode == 0, on.stderr
    assert states(sandbox, ALONE) == dict.fromkeys([*FUNCTIONS, "another"], "ENABLED")


def test_a_rule_that_cannot_be_switched_is_named_and_the_others_are_switched(sandbox, switch):
    """A rule that is still enabled ends in an error, so that nobody takes the guard for stopped."""
    sandbox.faults.append(Fault("events:DisableRule", "InternalException", times=1))
    done = switch("off")
    sandbox.faults.clear()
    left = [name for name, state in states(sandbox, ALONE).items() if state != "DISABLED"]
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"{left[0]} could not be switched."
    assert len(left) == 1


def test_where_there_is_nothing_to_switch_it_says_so(switch):
    """An account or a region without the guard is an error, not a success."""
    done = switch("off", region="eu-central-1")
    assert done.returncode == 1
    assert "There is no rule of iam-guard" in done.stderr


def test_a_stop_without_rights_is_an_error(sandbox, workplace, alone):
    """A role that may not list rules is not told that there are none."""
    environ = session(sandbox, ALONE, "iam-guard-reader")
    done = run([SWITCH, "off"], environ, workplace, workplace / "bin")
    assert done.returncode != 0
    assert "AccessDenied" in done.stderr


def test_an_account_whose_roles_are_of_an_older_version_is_told_to_update_them(sandbox, alone, job):
    """A role that may not list rules yet is no reason to deploy without looking."""
    sandbox.faults.append(Fault("events:ListRules", "AccessDeniedException"))
    done = job("deploy", alone.folder, ALONE, {"ACCOUNTS": "--this-account"})
    sandbox.faults.clear()
    assert row(done.summary, f"{ALONE} ({ALONE})", "**failed**").endswith(
        "ListRules operation: injected by the sandbox. Is deploy/access.yml of this version deployed there?"
    )
