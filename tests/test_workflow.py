"""The workflow for CI, deploy/github-actions.yml: its form, and its steps, run by the shells of CI."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import FUNCTION, ROOT

from c7n_iamguard import __version__
from sandbox.server import DEPLOY

FILE = DEPLOY / "github-actions.yml"
TEXT = FILE.read_text()
WORKFLOW = yaml.load(TEXT, yaml.BaseLoader)  # noqa: S506  the key "on" stays a text
JOBS = WORKFLOW["jobs"]
ACCOUNT = "161616161616"
SHELLS = {
    "bash": ["bash", "-e", "{0}"],
    "python": [sys.executable, "{0}"],
}


@pytest.fixture(scope="module")
def account(sandbox):
    """An account whose stack trusts CI, with an admin and a user who is none."""
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    sandbox.deploy(
        account=ACCOUNT,
        CentralAccount=ACCOUNT,  # the sandbox has no OIDC provider; test_roles shows what the trust asks for
        OidcProviderArn=provider,
        OidcSubject="repo:example/guard:ref:refs/heads/main",
        OidcPreviewSubject="repo:example/guard:pull_request",
    )
    sandbox.client("iam", account=ACCOUNT).create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=ACCOUNT)
    sandbox.create_user("bob", account=ACCOUNT)
    return ACCOUNT


@pytest.fixture
def job(sandbox, account, tmp_path):
    """``job(name)``: run a job's own steps as the role that it takes; its last step, and its summary."""

    def run(name):
        steps = JOBS[name]["steps"]
        (taken,) = (
            step["with"]["role-to-assume"] for step in steps if "role-to-assume" in step.get("with", {})
        )
        role = {"IAM_GUARD_READER": "reader", "IAM_GUARD_DEPLOYER": "deployer"}[
            re.search(r"vars\.(\w+)", taken)[1]
        ]
        arn = f"arn:aws:iam::{account}:role/iam-guard-{role}"
        sts = sandbox.client("sts", account=account)
        keys = sts.assume_role(RoleArn=arn, RoleSessionName="GitHubActions")["Credentials"]
        environ = sandbox.environ(keys, account) | WORKFLOW["env"]
        environ |= {"GITHUB_STEP_SUMMARY": "summary.md"}
        environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environ["PATH"]))
        for link in ("policies", "deploy"):
            if not (tmp_path / link).exists():
                (tmp_path / link).symlink_to(ROOT / link)
        summary = tmp_path / "summary.md"
        summary.write_text("")
        done = None
        for step in steps:
            if "run" not in step or step["name"] == "Install":
                continue
            script = tmp_path / "script"
            script.write_text(step["run"])
            command = [word.format(script) for word in SHELLS[step.get("shell", "bash")]]
            done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
            if done.returncode:
                break
        return done, summary.read_text()

    return run


def functions(sandbox):
    return [
        f["FunctionName"] for f in sandbox.client("lambda", account=ACCOUNT).list_functions()["Functions"]
    ]


def test_a_pull_request_says_who_would_be_revoked_and_what_would_change(sandbox, job):
    """Before the first deployment, the summary names the users and the new functions; nothing is deployed."""
    done, summary = job("preview")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| bob" in summary
    assert "ada" not in summary
    assert f"| {FUNCTION} | new, version {__version__} |" in summary
    assert functions(sandbox) == []


def test_main_is_deployed_and_a_pull_request_says_what_it_changes_then(sandbox, job):
    """After a deployment, an unchanged pull request changes nothing; another memory size is named."""
    done, _ = job("deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert FUNCTION in functions(sandbox)
    _, summary = job("preview")
    assert f"| {FUNCTION} | nothing |" in summary
    sandbox.client("lambda", account=ACCOUNT).update_function_configuration(
        FunctionName=FUNCTION, MemorySize=128
    )
    _, summary = job("preview")
    assert f"| {FUNCTION} | MemorySize |" in summary
    job("deploy")
    _, summary = job("preview")
    assert summary.count("| nothing |") == 2


def test_an_invalid_policy_ends_the_job_before_it_has_credentials():
    """Validation comes before credentials are taken, in both jobs."""
    for name, job in JOBS.items():
        steps = [step.get("name") or step["uses"].partition("@")[0] for step in job["steps"]]
        assert steps.index("Validate") < steps.index("aws-actions/configure-aws-credentials"), name


def test_actions_are_pinned_by_commit():
    """Every action is named by a full commit, with its version beside it."""
    uses = re.findall(r"uses: (.*)", TEXT)
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in uses)


def test_jobs_have_the_least_permissions_and_no_secrets():
    """The token can read the repository and prove who the job is, and nothing else; there are no secrets."""
    assert WORKFLOW["permissions"] == {}
    for job in JOBS.values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in TEXT
    assert "pull_request_target" not in TEXT


def test_the_workflow_follows_its_schema():
    """GitHub's own JSON schema of workflows accepts the file."""
    command = [
        Path(sys.executable).parent / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    done = subprocess.run([*command, FILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
