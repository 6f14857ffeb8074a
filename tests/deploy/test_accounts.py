"""iam-guard.yml, and deploy/accounts.py, which makes c7n-org's accounts file of it."""

import datetime
import json
import shutil
import subprocess

import jsonschema
import pytest
import stock_commands
import yaml
from helpers import ROOT, ok
from test_scp import STRANGERS, lets

from sandbox.server import DEPLOY

SETTINGS = yaml.safe_load((ROOT / "iam-guard.yml").read_text())
PRODUCTION, STAGING, _ = yaml.safe_load((DEPLOY / "accounts.example.yml").read_text())["accounts"]


@pytest.fixture
def folder(tmp_path):
    """A clone of the repository, as far as the command needs it."""
    shutil.copy(ROOT / "iam-guard.yml", tmp_path)
    (tmp_path / "deploy").mkdir()
    for name in ("accounts.py", "accounts.example.yml", "scp.json"):
        shutil.copy(DEPLOY / name, tmp_path / "deploy")
    return tmp_path


@pytest.fixture
def write(folder):
    """``write({"organization.yml": …}, settings)``: run the command over lists of accounts."""

    def run(lists, **settings):
        (folder / "iam-guard.yml").write_text(yaml.safe_dump(SETTINGS | settings))
        for name, accounts in lists.items():
            text = accounts if isinstance(accounts, str) else yaml.safe_dump({"accounts": accounts})
            (folder / name).write_text(text)
        command = [stock_commands.path("python"), "deploy/accounts.py", *lists]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    return run


@pytest.fixture
def vars_of(folder):
    """``vars_of()``: each account's vars, by its name, as c7n-org's own loader makes them of the written file."""

    def load():
        from c7n_org import cli

        found = yaml.safe_load((folder / "accounts.yml").read_text())
        jsonschema.validate(found, cli.CONFIG_SCHEMA)
        return {account["name"]: account["vars"] for account in cli.accounts_iterator(found)}

    return load


def tagged(**tags):
    """An account as ``c7n-org aws-accounts`` writes it."""
    return STAGING | {"tags": ["path:/", *(f"{k}:{v}" for k, v in tags.items())], "vars": tags}


# The settings


def test_the_settings_are_shipped_as_the_design_has_them():
    """Admins and administrators of Identity Center are meant, nobody is exempt; users act, the rest observes."""
    assert SETTINGS == {
        "admin_groups": ["admins"],
        "admin_roles": ["AWSReservedSSO_AdministratorAccess_*"],
        "exempt": [],
        "self_service": [],
        "observe_users": False,
        "observe_roles": True,
        "observe_people": True,
        "observe_containment": True,
        "runbook": "",
    }


def test_git_keeps_the_settings(folder):
    """The file is part of the repository, and what names a company's accounts is not."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "iam-guard.yml" not in ignored
    assert {"accounts.yml", "organization.yml"} < set(ignored)


# What c7n-org gets


def test_all_accounts_have_the_settings_with_their_types(write, vars_of):
    """Lists, booleans and days arrive in every account as what they are in iam-guard.yml."""
    exempt = ["AIDAEXAMPLEBREAKGLASS", {"id": "AIDAEXAMPLEOFAGUEST00", "until": datetime.date(2026, 12, 31)}]
    ok(write({"organization.yml": [PRODUCTION]}, exempt=exempt, observe_users=True))
    assert vars_of() == {"production": SETTINGS | {"exempt": exempt, "observe_users": True}}


def test_a_later_list_changes_accounts_and_wins_over_their_tags(write, vars_of):
    """What was written by hand is an input of its own, so a list that AWS gives anew loses nothing of it."""
    differences = [
        {"account_id": STAGING["account_id"], "vars": {"admin_groups": ["ops"], "observe_roles": False}},
        PRODUCTION,
    ]
    for _ in range(2):
        ok(write({"organization.yml": [tagged(admin_groups="devs")], "differences.yml": differences}))
        assert vars_of() == {
            "staging": SETTINGS | {"admin_groups": ["ops"], "observe_roles": False},
            "production": SETTINGS,
        }


def test_a_tag_sets_the_admin_group_and_nothing_else(write, vars_of):
    """A group's name becomes a list of one. All other tags are dropped, and printed if they look like settings."""
    bad = {key: "true" for key in SETTINGS if key != "admin_groups"} | {"Admin_Group": "x", "observe": "true"}
    done = write({"organization.yml": [PRODUCTION, tagged(admin_groups="devs", team="shop", **bad)]})
    printed = ok(done).splitlines()
    assert vars_of() == {"production": SETTINGS, "staging": SETTINGS | {"admin_groups": ["devs"]}}
    for key in bad:
        assert f"The tag {key} sets nothing, since a tag may set admin_groups alone: staging" in printed
    assert not [line for line in printed if "team" in line]


# What is refused

GONE = "has it left the organization? Then take it out of"
NO_REGION = ": regions does not name one region, the one that gets IAM's events"
REFUSED = {
    "an unknown var": (
        {"vars": {"observe": True}},
        ": vars: there is no observe, did you mean observe_users?",
    ),
    "an unknown key": ({"var": {}}, ": there is no var, did you mean vars?"),
    "a key like no other": ({"zzz": {}}, ": there is no zzz"),
    "an id that is a number": ({"account_id": 333344445555}, ": account_id cannot be 333344445555"),
    "an id that is none": ({"account_id": "3333"}, ": account_id is not 12 digits in quotes"),
    "an account twice": ({"account_id": "222233334444"}, ": account_id 222233334444 is there twice"),
    "no role": ({"role": ""}, f" has no role, and is in no list before: {GONE} organization.yml"),
    "no region": ({"regions": []}, NO_REGION),
    "a region that is no text": ({"regions": [1]}, ": regions cannot be [1]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_in_a_list_is_refused_in_one_sentence(write, folder, case):
    """It names the file, the account and the key; nothing is written."""
    change, sentence = REFUSED[case]
    done = write({"organization.yml": [PRODUCTION, STAGING | change]})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"organization.yml: staging{sentence}\n"
    assert not (folder / "accounts.yml").exists()


def test_an_unknown_setting_is_refused_in_one_sentence(write, folder):
    """It names the file, the key and the one that was meant; nothing is written."""
    done = write({"organization.yml": [STAGING]}, observe_user=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "iam-guard.yml: there is no observe_user, did you mean observe_users?\n"
    assert not (folder / "accounts.yml").exists()


TEXTS = {
    "vars": ("vars: {}\naccounts: []", " has settings of all accounts: write them into iam-guard.yml"),
    "no accounts": ("accounts: []", " names no accounts"),
    "nothing": ("", " is no mapping of keys to values"),
    "an account that is none": ("accounts: [shop]", ": account 1 is no mapping of keys to values"),
    "a key twice": ("accounts: []\naccounts: []", " is not YAML: accounts is there twice in "),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_file_that_is_no_list_is_refused_in_one_sentence(write, case):
    """It says which file, and what about it."""
    text, sentence = TEXTS[case]
    done = write({"organization.yml": text})
    assert done.returncode == 1
    assert done.stderr.startswith(f"organization.yml{sentence}")
    assert done.stderr.count("\n") == 1


def test_a_difference_of_an_account_that_is_in_no_list_is_refused(write):
    """A mistaken account id leaves no account with the settings that were not meant for it."""
    other = {"account_id": "333344445556", "vars": {"observe_users": True}}
    done = write({"organization.yml": [STAGING], "differences.yml": [other]})
    said = f"333344445556 has no role, and is in no list before: {GONE} differences.yml\n"
    assert done.stderr == f"differences.yml: {said}"


def test_an_accounts_file_by_hand_is_not_overwritten(write, folder):
    """Only what the command has written itself, it writes anew."""
    (folder / "accounts.yml").write_text("accounts: []")
    done = write({"organization.yml": [STAGING]})
    assert done.stderr == "accounts.yml is not by this command: rename it, and name it as a list\n"
    assert (folder / "accounts.yml").read_text() == "accounts: []"


# The SCP


def test_the_scp_keeps_the_admin_groups_of_all_accounts(write, folder):
    """Settings' and accounts' own groups are kept, under any path; other groups are not, and a line says so."""
    scp, by_hand = folder / "deploy/scp.json", STAGING | {"vars": {"admin_groups": ["devs"]}}
    done = write({"organization.yml": [PRODUCTION, by_hand]}, admin_groups=["ops", "admins"])
    assert "deploy/scp.json names ops, admins, devs now: if it is attached, attach it anew" in ok(done)

    def kept(group):
        call = ("iam:AddUserToGroup", f"arn:aws:iam::222233334444:group/{group}")
        return not lets(STRANGERS[0], *call, scps=[json.loads(scp.read_text())])

    assert all(kept(group) for group in ("ops", "admins", "devs", "team/devs"))
    assert not any(kept(group) for group in ("developers", "noops", "other"))


@pytest.mark.parametrize("groups", [["admins"], [], ["AGPAEXAMPLEOFAGROUP00", "admins"]])
def test_the_scp_is_left_alone_without_other_names(write, folder, groups):
    """As shipped, settings and SCP agree; without a group, or with an id, there is nothing to write."""
    before = (folder / "deploy/scp.json").read_text()
    printed = ok(write({"organization.yml": [PRODUCTION]}, admin_groups=groups))
    assert (folder / "deploy/scp.json").read_text() == before
    assert ("name AGPAEXAMPLEOFAGROUP00 there by hand" in printed) == (len(groups) == 2)
