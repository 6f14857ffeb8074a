"""Somebody walks through the page on organizations in ``make sandbox``: all guarded, one more, all stopped.

The commands are the page's own, run with the profile that the page names before them. Those of c7n-org over all
accounts are in test_organization.
"""

import re
from types import SimpleNamespace

import pytest
import stock_commands
from helpers import ROOT, ok
from test_serve import serving

FUNCTION = "iam-guard-revoke-unintended-iam-access"
CHAPTER = (ROOT / "docs/organization.md").read_text()
STOP = re.search(r"`(c7n-org run-script [^`]+)`", (ROOT / "docs/health.md").read_text())[1]
LIST, SETTINGS, DIFFERENCES, DEPLOY, STATUS = (
    re.search(rf"^\$ ({start}.*)", CHAPTER, re.M)[1]
    for start in (
        "c7n-org aws-accounts",
        "python deploy/accounts.py organization.yml$",
        "python deploy/accounts.py organization.yml differences.yml",
        "python deploy/ci.py dep",
        "python deploy/ci.py st",
    )
)
DEPENDED_ON = re.search(r"`(aws cloudformation describe-stack-set [^`]+)`", CHAPTER)[1]
(SCPS,) = re.findall(r"^\$ (for file in scp .*)", (ROOT / "docs/scp.md").read_text(), re.M)
NEW = (
    "aws organizations create-account --account-name research --email r@example.com",
    "aws organizations move-account --account-id {} --source-parent-id r-abcd"
    " --destination-parent-id ou-abcd-12345678",
)


def steps():
    """The commands of the chapter until everything is deployed, each with the profile that it is for."""
    elsewhere = ("$ c7n-org run", "$ c7n-org report", "$ for ", "$ python deploy/ci.py preview")
    profile = None
    for line in CHAPTER.split("## Containment and roles")[0].splitlines():
        profile = next(iter(re.findall(r"`export AWS_PROFILE=([\w-]+)`", line)), profile)
        if line.startswith("$ ") and not line.startswith(elsewhere):
            yield profile, line.removeprefix("$ ")


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """The output of the commands, from the first page on. An account joins when all others are guarded."""
    with serving(tmp_path_factory.mktemp("walk"), stock_commands.path("python"), copy=True) as account:

        def run(command, profile="iam-guard-deployer"):
            return account.run(f"export AWS_PROFILE={profile}; {command}")

        switch = "sed -i.bak 's/observe_users: {}/observe_users: {}/' iam-guard.yml".format
        ok(run(switch("false", "true")))  # as the page's first stage says
        done = {command: ok(run(command, profile)) for profile, command in steps()}
        first = done[STATUS]
        ok(run(NEW[0], "management"))
        ok(run(switch("true", "false")))
        response = run("aws sts get-caller-identity", "iam-guard-response")
        stack_set = run(DEPENDED_ON, "management")
        new = account.wait("the account research ").split()[4]
        ok(run(NEW[1].format(new), "management"))
        joined = [run(command) for command in (LIST, SETTINGS, STATUS, DEPLOY)]
        account.run("staging_bob aws iam create-user --user-name backdoor")
        account.wait(f"{FUNCTION} -> bob: revoked (managed)")
        account.wait("mail to security@example.com")
        smoke = account.run("staging_ada deploy/smoke-test --yes")
        own = f'{{account_id: "{new}", vars: {{observe_users: true}}}}'
        ok(run(f"echo 'accounts: [{own}]' > differences.yml; {DIFFERENCES}"))
        deployed = run(f"{DEPLOY} --accounts {new}")
        strangers = f"staging_ada aws events disable-rule --name {FUNCTION}"
        ok(account.run(strangers))
        ok(run(SCPS, "management"))
        refused = account.run(strangers)
        stop = run(STOP)
        stopped = run(STATUS)
        on_again = run("deploy/switch on", "iam-guard-response")
        ok(run(f"aws organizations remove-account-from-organization --account-id {new}", "management"))
        left = run(f"{LIST} && {DIFFERENCES}")
        return SimpleNamespace(**locals())


def functions(printed, account):
    """The rows of a status about an account."""
    return [row for row in printed.splitlines() if re.match(rf"\| [\w-]+ \({account}\) \| iam-guard-", row)]


def test_the_pages_commands_guard_all_accounts(walk):
    """Each of the four accounts has its functions, of which nothing is wrong."""
    for account in ("111122223333", "222233334444", "333344445555", "444455556666"):
        rows = functions(walk.first, account)
        assert len(rows) == 4
        assert all(row.endswith("| none |") for row in rows)


def test_an_account_that_joins_is_seen_and_does_not_act_at_once(walk):
    """Its functions are missing, and are deployed as soon as its own settings say whether they act."""
    *_, before, refused = walk.joined
    assert (before.returncode, refused.returncode) == (1, 1)
    assert all(row.endswith("| not deployed |") for row in functions(before.stdout, walk.new))
    assert walk.own in refused.stdout
    assert walk.deployed.returncode == 0, walk.deployed.stdout
    assert all("| observes (new); " in row for row in functions(walk.deployed.stdout, walk.new))
    assert not [row for row in functions(walk.stopped.stdout, walk.new) if "not deployed" in row]


def test_the_smoke_test_works_in_a_member(walk):
    """Its throw-away users are denied and taken out of the admin group."""
    assert walk.smoke.returncode == 0, walk.smoke.stdout


def test_what_the_page_refers_to_is_there(walk):
    """The response role can be taken as on-call, and the stack set's ARN is shown for ``DependsOn``."""
    assert ":assumed-role/iam-guard-response/" in ok(walk.response)
    assert ok(walk.stack_set).startswith('"arn:aws:cloudformation:us-east-1:999999999999:stackset/iam-guard:')


def test_one_command_stops_all(walk):
    """Then the status says so of every account, and fails."""
    assert walk.stop.returncode == 0, walk.stop.stderr
    assert walk.stopped.returncode == 1
    assert walk.stopped.stdout.count("its rule is disabled") == 5 * 4


def test_the_scps_are_attached_by_one_command(walk):
    """An admin of the unit may not stop the guard any more."""
    assert "not authorized to perform: events:DisableRule" in walk.refused.stderr


def test_the_responder_may_start_the_guard_again(walk):
    """In the account whose role it is."""
    assert walk.on_again.stdout.count("ENABLED") == 4, walk.on_again.stderr


def test_an_account_that_has_left_is_named(walk):
    """Its entry in the differences ends the command, with the likely cause."""
    assert (
        f"{walk.new} has no role, and is in no list before: has it left the organization?" in walk.left.stderr
    )
