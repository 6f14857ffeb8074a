"""The form of the workflow for CI, deploy/github-actions.yml. What its steps do is in test_ci."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from sandbox.server import DEPLOY

FILE = DEPLOY / "github-actions.yml"
TEXT = FILE.read_text()
WORKFLOW = yaml.load(TEXT, yaml.BaseLoader)  # noqa: S506  the key "on" stays a text
JOBS = WORKFLOW["jobs"]


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


def test_pull_requests_of_forks_are_skipped():
    """Code of strangers is not run with the reader's credentials."""
    condition = JOBS["preview"]["if"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition


def test_the_workflow_has_no_finding_of_zizmor():
    """The auditor of workflows has nothing to say, not even of style."""
    command = [Path(sys.executable).parent / "zizmor", "--quiet", "--offline", "--persona", "pedantic", FILE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_workflow_follows_its_schema():
    """GitHub's own JSON schema of workflows accepts the file."""
    command = [
        Path(sys.executable).parent / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    done = subprocess.run([*command, FILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
