"""Deploy the guard to a sandbox as operators do: with CloudFormation, then with stock ``custodian run``."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from c7n_iamguard.admins.options import GROUP_ID

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "policies" / "revoke-unintended-iam-access.yml"
ROLES_POLICY = ROOT / "policies" / "revoke-unintended-iam-access-of-roles.yml"
SETTINGS = ROOT / "iam-guard.yml"
CONTAIN_ROLE = "role: iam-guard-contain"
#: Lines of custodian that tell no reason.
SUMMARY = re.compile(r":INFO | had errors while |:ERROR Found \d+ errors")


class DeploymentFailed(Exception):
    """The guard could not be deployed. Its text is what ``custodian`` said, headed by the line that tells why."""


def setting(key):
    return yaml.safe_load(SETTINGS.read_bytes()).get(key)


def admin_groups():
    """The names of the admin groups; ids are left out."""
    return [name for name in setting("admin_groups") if not GROUP_ID.fullmatch(name)]


def settings_with(folder, roles=(), **changes):
    """The path of a copy of the settings in a folder, with more roles meant to use IAM, and other values."""
    settings = yaml.safe_load(SETTINGS.read_bytes())
    settings["admin_roles"] = [*settings["admin_roles"], *roles]
    copy = Path(folder) / SETTINGS.name
    copy.write_text(yaml.safe_dump({**settings, **changes}, sort_keys=False))
    return copy


def contains(policies):
    return any(CONTAIN_ROLE in Path(policy).read_text() for policy in policies)


def deploy_stacks(sandbox, policies):
    sandbox.deploy()
    if contains(policies):
        sandbox.deploy(ROOT / "deploy" / "contain.yml", "iam-guard-contain")


def deploy_policies(sandbox, policies, show=lambda line: None, settings=SETTINGS):
    """Run stock ``custodian run`` on policy files, with a settings file.

    :param show: is called with each line that a person at the command line would see
    :raises DeploymentFailed: where custodian fails, or deploys no rule
    """
    with tempfile.TemporaryDirectory(prefix="sandbox-output-") as output:
        arguments = ["run", "--vars-file", shown_path(settings), "-s", output, *map(shown_path, policies)]
        show(f"$ custodian {' '.join(arguments)}")
        run = subprocess.run(
            [Path(sys.executable).parent / "custodian", *arguments],
            env=sandbox.environ(),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    said = run.stdout + run.stderr
    if run.returncode:
        status = f"custodian run ended with status {run.returncode}, and said:"
        raise DeploymentFailed(f"{reason_in(said)}\n{status}\n{said}".rstrip())
    if not sandbox.client("events").list_rules(NamePrefix="iam-guard-")["Rules"]:
        raise DeploymentFailed(f"custodian run deployed no rule\n{said}".rstrip())
    for line in said.splitlines():
        show(line.partition(":INFO ")[2] or line)


def reason_in(said):
    """The last line of what custodian said that tells why it failed."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith((" ", "Traceback "))]
    lines = [line.split(":ERROR ")[-1] for line in lines if not SUMMARY.search(line)]
    return lines[-1] if lines else "custodian said nothing"


def shown_path(policy):
    """A policy file's path, relative to the project where it lies in it."""
    path = Path(policy).resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
