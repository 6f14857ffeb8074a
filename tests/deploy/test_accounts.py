"""iam-guard.yml, and deploy/accounts.py, which makes c7n-org's accounts file of it."""

import datetime
import json
import shutil
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from helpers import ROOT
from test_scp import STRANGERS, lets

from deploy import accounts
from sandbox.server import DEPLOY

SETTINGS = yaml.safe_load((ROOT / "iam-guard.yml").read_text())
PRODUCTION, STAGING, _ = yaml.safe_load((DEPLOY / "accounts.example.yml").read_text())["accounts"]


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """``refused({"organization.yml": …}, **settings)``: what the command says of lists of accounts; 0 if it writes.

    It runs in a folder with as much of the repository as it needs.
    """
    monkeypatch.chdir(tmp_path)
    Path("deploy").mkdir()
    shutil.copy(DEPLOY / "scp.json", "deploy")

    def run(lists, **settings):
        Path("iam-guard.yml").write_text(yaml.safe_dump(SETTINGS | settings))
        for name, found in lists.items():
            Path(name).write_text(found if isinstance(found, str) else yaml.safe_dump({"accounts": found}))
        monkeypatch.setattr(sys, "argv", ["accounts.py", *lists])
        return accounts.main()

    return run


@pytest.fixture
def write(refused, capsys):
    """``write(…)``: what the command prints as it writes the accounts file."""

    def run(*lists, **settings):
        assert refused(*lists, **settings) == 0
        return capsys.readouterr().out

    return run


def vars_of():
    """Each account's vars, by its name, as c7n-org's own loader makes them of the written file."""
    from c7n_org import cli

    found = yaml.safe_load(Path("accounts.yml").read_text())
    jsonschema.validate(found, cli.CONFIG_SCHEMA)
    return {account["name"]: account["vars"] for account in cli.accounts_iterator(found)}


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


def test_git_keeps_the_settings():
    """The file is part of the repository, and what names a company's accounts is not."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "iam-guard.yml" not in ignored
    assert {"accounts.yml", "organization.yml"} < set(ignored)


# What c7n-org gets


def test_all_accounts_have_the_settings_with_their_types(write):
    """Lists, booleans and days arrive in every account as what they are in iam-guard.yml."""
    exempt = ["AIDAEXAMPLEBREAKGLASS", {"id": "AIDAEXAMPLEOFAGUEST00", "until": datetime.date(2026, 12, 31)}]
    write({"organization.yml": [PRODUCTION]}, exempt=exempt, observe_users=True)
    assert vars_of() == {"production": SETTINGS | {"exempt": exempt, "observe_users": True}}


def test_a_later_list_changes_accounts_and_wins_over_their_tags(write):
    """What was written by hand is an input of its own, so a list that AWS gives anew loses nothing of it."""
    differences = [
        {"account_id": STAGING["account_id"], "vars": {"admin_groups": ["ops"], "observe_roles": False}},
        PRODUCTION,
    ]
    for _ in range(2):
        write({"organization.yml": [tagged(admin_groups="devs")], "differences.yml": differences})
        assert vars_of() == {
            "staging": SETTINGS | {"admin_groups": ["ops"], "observe_roles": False},
            "production": SETTINGS,
        }


def test_a_tag_sets_the_admin_group_and_nothing_else(write):
    """A group's name becomes a list of one. All other tags are dropped, and printed if they look like settings."""
    bad = {key: "true" for key in SETTINGS if key != "admin_groups"} | {"Admin_Group": "x", "observe": "true"}
    lists = {"organization.yml": [PRODUCTION, tagged(admin_groups="devs", team="shop", **bad)]}
    printed = write(lists).splitlines()
    assert vars_of() == {"production": SETTINGS, "staging": SETTINGS | {"admin_groups": ["devs"]}}
    for key in bad:
        assert f"The tag {key} sets nothing, since a tag may set admin_groups alone: staging" in printed
    assert not [line for line in printed if "team" in line]


# What is refused

GONE = "has no role, and is in no list before: has it left the organization? Then take it out of"
REGION = "regions does not name one region, the one that gets IAM's events"


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        ({"vars": {"observe": True}}, ": vars: there is no observe, did you mean observe_users?"),
        ({"var": {}}, ": there is no var, did you mean vars?"),
        ({"zzz": {}}, ": there is no zzz"),
        ({"account_id": 333344445555}, ": account_id cannot be 333344445555"),
        ({"account_id": "3333"}, ": account_id is not 12 digits in quotes"),
        ({"account_id": "222233334444"}, ": account_id 222233334444 is there twice"),
        ({"role": ""}, f" {GONE} organization.yml"),
        ({"regions": []}, f": {REGION}"),
        ({"regions": [1]}, ": regions cannot be [1]"),
        ("vars: {}\naccounts: []", " has settings of all accounts: write them into iam-guard.yml"),
        ("accounts: [{}]\nacounts: []", ": there is no acounts, did you mean accounts?"),
        ("accounts: []", " names no accounts"),
        ("accounts: [shop]", ": account 1 is no mapping of keys to values"),
        ("", " is no mapping of keys to values"),
    ],
)
def test_a_mistake_in_a_list_is_refused_in_one_sentence(refused, listed, sentence):
    """It names the file, the account and the key; nothing is written."""
    where, found = "organization.yml", listed
    if isinstance(listed, dict):
        where, found = f"{where}: staging", [PRODUCTION, STAGING | listed]
    assert refused({"organization.yml": found}) == where + sentence
    assert not Path("accounts.yml").exists()


def test_a_mistake_in_a_file_is_refused_in_one_sentence(refused):
    """It says which file, and what about it: a setting that there is not, or a key that is there twice."""
    said = refused({"organization.yml": [STAGING]}, observe_user=True)
    assert said == "iam-guard.yml: there is no observe_user, did you mean observe_users?"
    said = refused({"organization.yml": "accounts: []\naccounts: []"})
    assert said.startswith("organization.yml is not YAML: accounts is there twice in ")
    assert not Path("accounts.yml").exists()


def test_a_difference_of_an_account_that_is_in_no_list_is_refused(refused):
    """A mistaken account id leaves no account with the settings that were not meant for it."""
    other = {"account_id": "333344445556", "vars": {"observe_users": True}}
    said = refused({"organization.yml": [STAGING], "differences.yml": [other]})
    assert said == f"differences.yml: 333344445556 {GONE} differences.yml"


def test_an_accounts_file_by_hand_is_not_overwritten(refused):
    """Only what the command has written itself, it writes anew."""
    Path("accounts.yml").write_text("accounts: []")
    said = refused({"organization.yml": [STAGING]})
    assert said == "accounts.yml is not by this command: rename it, and name it as a list"
    assert Path("accounts.yml").read_text() == "accounts: []"


# The SCP


def test_the_scp_keeps_the_admin_groups_of_all_accounts(write):
    """Settings' and accounts' own groups are kept, under any path; other groups are not, and a line says so."""
    by_hand = STAGING | {"vars": {"admin_groups": ["devs"]}}
    printed = write({"organization.yml": [PRODUCTION, by_hand]}, admin_groups=["ops", "admins"])
    assert "deploy/scp.json names ops, admins, devs now: if it is attached, attach it anew" in printed
    scps = [json.loads(Path("deploy/scp.json").read_text())]

    def kept(group):
        call = ("iam:AddUserToGroup", f"arn:aws:iam::222233334444:group/{group}")
        return not lets(STRANGERS[0], *call, scps=scps)

    assert all(kept(group) for group in ("ops", "admins", "devs", "team/devs"))
    assert not any(kept(group) for group in ("developers", "noops", "other"))


@pytest.mark.parametrize("groups", [["admins"], [], ["AGPAEXAMPLEOFAGROUP00", "admins"]])
def test_the_scp_is_left_alone_without_other_names(write, groups):
    """As shipped, settings and SCP agree; without a group, or with an id, there is nothing to write."""
    printed = write({"organization.yml": [PRODUCTION]}, admin_groups=groups)
    assert Path("deploy/scp.json").read_text() == (DEPLOY / "scp.json").read_text()
    assert ("name AGPAEXAMPLEOFAGROUP00 there by hand" in printed) == (len(groups) == 2)
