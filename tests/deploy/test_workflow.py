"""The form of the workflow for CI, and what deploy/ci.py refuses. What they do to accounts is in test_ci."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy import ci
from sandbox.server import DEPLOY

TEXT = (DEPLOY / "github-actions.yml").read_text()
WORKFLOW = yaml.load(TEXT, yaml.BaseLoader)  # noqa: S506  the key "on" stays a text
JOBS = WORKFLOW["jobs"]


def test_an_invalid_policy_ends_the_job_before_it_has_credentials():
    """Validation comes before credentials are taken, in both jobs."""
    for name, job in JOBS.items():
        steps = [step.get("name") or step["uses"].partition("@")[0] for step in job["steps"]]
        assert steps.index("Validate") < steps.index("aws-actions/configure-aws-credentials"), name


def test_jobs_have_the_least_permissions_and_no_secrets():
    """The token can read the repository and prove who the job is, and nothing else; there are no secrets."""
    assert WORKFLOW["permissions"] == {}
    for job in JOBS.values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in TEXT
    assert "pull_request_target" not in TEXT


def test_pull_requests_of_forks_are_skipped():
    """Code of strangers is not run with the reader's credentials."""
    condition = JOBS["preview"]["if"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition


def test_a_deployment_is_started_by_a_push_at_night_or_by_hand_and_on_main_alone():
    """Accounts that join wait for no commit, nor does anybody after a stop. No other branch is deployed."""
    started = WORKFLOW["on"]
    assert set(started) == {"pull_request", "push", "schedule", "workflow_dispatch"}
    assert started["push"] == {"branches": ["main"]}
    assert JOBS["deploy"]["if"] == "github.ref == 'refs/heads/main'"


@pytest.mark.parametrize("constraints", ["c7n==0.9.53\n", None])
def test_versions_are_those_of_the_repositorys_constraints_if_it_has_any(tmp_path, constraints):
    """A new release of c7n does not change the functions by itself. The file may be missing."""
    python, file = tmp_path / "bin" / "python", tmp_path / "constraints.txt"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@"\ncat "$5"\n')
    python.chmod(0o755)
    if constraints:
        file.write_text(constraints)
    environ = {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    for step in (step for job in JOBS.values() for step in job["steps"] if step.get("name") == "Install"):
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]], env=environ, cwd=tmp_path, capture_output=True, text=True
        )
        command = "-m pip install --constraint constraints.txt .[org]\n"
        assert (done.returncode, done.stdout) == (0, command + (constraints or "")), done.stderr


# What ci.py refuses before it starts anything

SETTINGS = {"admin_groups": ["admins"], "observe_users": False}
PRODUCTION = {
    "name": "production",
    "account_id": "222233334444",
    "role": "arn:aws:iam::222233334444:role/iam-guard-deployer",
    "regions": ["us-east-1"],
}


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """``refused("deploy", …)``: what ci.py says, in a folder of its own, of a command that it refuses."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "broken.yml": "policies: [",
        "empty.yml": "",
        "bare.yml": "policies: [{name: bare, mode: {type: cloudtrail}}]",
        "main.yml": "policies: [{name: a, resource: aws.iam-user, mode: {type: cloudtrail}}]",
        "pull.yml": "policies: [{name: a}]",
        "iam-guard.yml": yaml.safe_dump(SETTINGS),
    }.items():
        Path(name).write_text(text)

    def run_refused(*arguments):
        assert ci.main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run_refused


def test_a_stage_is_some_of_the_accounts(refused):
    """Those of a name or id, or those of a tag such as a unit's path; a stage without an account is refused."""
    staging = PRODUCTION | {"name": "staging", "account_id": "333344445555", "tags": ["path:/workloads"]}
    Path("accounts.yml").write_text(yaml.safe_dump({"vars": SETTINGS, "accounts": [PRODUCTION, staging]}))
    names = [(["production"], None), (["222233334444,333344445555"], None), (None, ["path:/workloads"])]
    found = [[one["name"] for one in ci.accounts_in("accounts.yml", None, *stage)] for stage in names]
    assert found == [["production"], ["production", "staging"], ["staging"]]
    assert refused("deploy", "-a", "stagin", "main.yml") == "accounts.yml has no such account"
    assert refused("deploy", "-t", "path:/labs", "main.yml") == "accounts.yml has no such account"


AGAIN = "run python deploy/accounts.py again"
REGION = "AWS_REGION is not set: name the region that gets IAM's events, such as us-east-1"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("-c acounts.yml main.yml", "acounts.yml: No such file or directory"),
        ("--this-account main.yml", REGION),
        ("--this-account main.yml broken.yml", "broken.yml is not YAML: while parsing"),
        ("--this-account main.yml empty.yml", "empty.yml has no policy that is deployed as a function"),
        ("--this-account main.yml pull.yml", "pull.yml has no policy that is deployed as a function"),
        ("--this-account main.yml bare.yml", "bare.yml: the policy bare needs a resource"),
    ],
)
def test_a_mistaken_command_is_refused_in_one_sentence(refused, command, said):
    """Nothing is deployed to the account of the credentials instead, and nothing of the files before it."""
    assert refused("deploy", *command.split()).startswith(said)


@pytest.mark.parametrize(
    ("settings", "change", "problem"),
    [
        ({}, {"regions": []}, ": production does not have one role and one region"),
        ({}, {"role": ["arn:aws:iam::1:role/a"]}, ": production does not have one role and one region"),
        ({}, {"account_id": 7}, ": accounts: 0: account_id: 7 is not of type 'string'"),
        ({"observe_users": True}, {}, f" has other settings than iam-guard.yml: {AGAIN}"),
    ],
)
def test_an_accounts_file_that_would_be_misread_is_refused(refused, settings, change, problem):
    """One line names the account, or says that somebody has edited iam-guard.yml and not written the file anew."""
    found = {"vars": SETTINGS | settings, "accounts": [PRODUCTION | change]}
    Path("accounts.yml").write_text(yaml.safe_dump(found))
    assert refused("preview", "--role", "iam-guard-reader", "main.yml") == f"accounts.yml{problem}"


@pytest.mark.parametrize("role", ["iam-guard-deployer", PRODUCTION["role"]])
def test_a_preview_takes_another_role_than_a_plain_name_or_an_arn(refused, role):
    """The reader's role is the account's, however the accounts file names the deployer's."""
    found = {"vars": SETTINGS, "accounts": [PRODUCTION | {"role": role}]}
    Path("accounts.yml").write_text(yaml.safe_dump(found))
    (account,) = ci.accounts_in("accounts.yml", "iam-guard-reader")
    assert account["role"] == f"arn:aws:iam::{PRODUCTION['account_id']}:role/iam-guard-reader"
