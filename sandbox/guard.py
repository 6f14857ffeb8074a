"""The guard in a sandbox, deployed as operators do it: CloudFormation, then stock ``custodian run``."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from c7n.config import Config
from c7n.policy import PolicyCollection
from c7n.resources import load_resources

from c7n_iamguard.settings import GROUP_NAME

ROOT = Path(__file__).parent.parent
POLICY = ROOT / "policies" / "revoke-unintended-iam-access.yml"
ROLES_POLICY = ROOT / "policies" / "revoke-unintended-iam-access-of-roles.yml"
CONTAIN_ROLE = "role: iam-guard-contain"
FILTER = "admin-group-member"
GROUPS = ["admins"]  # if the policy file names none
#: Lines of custodian that tell no reason.
SUMMARY = re.compile(r":INFO | had errors while |:ERROR Found \d+ errors")


class DeploymentFailed(Exception):
    """The guard could not be deployed. Its text is what ``custodian`` said, headed by the line that tells why."""


def admin_groups(sandbox, policies=(POLICY,)):
    """The names of the admin groups, as the guard's own filter understands what the policy files say.

    :returns: ``admins`` alone where a file is wrong, so that it is custodian who says what is wrong
    """
    load_resources(("aws.iam-user", "aws.iam-role"))
    options = Config.empty(account_id=sandbox.account, region=sandbox.region)
    try:
        files = [yaml.safe_load(Path(policy).read_bytes()) for policy in policies]
        data = {"policies": [policy for file in files for policy in file["policies"]]}
        found = PolicyCollection.from_data(data, options)
        filters = [item for one in found for item in one.resource_manager.iter_filters()]
        names = [name for item in filters if item.type == FILTER for name in item.group_names]
    except Exception:
        return GROUPS
    return [name for name in dict.fromkeys(names) if GROUP_NAME.fullmatch(str(name))] or GROUPS


def with_admin_roles(policy, roles, folder):
    """A copy of a policy file in a folder, with more roles on its list of those that are meant to use IAM."""
    data = yaml.safe_load(Path(policy).read_bytes())
    for found in data["policies"]:
        metadata = found.get("metadata", {})
        if "admin-roles" in metadata:
            metadata["admin-roles"] = [*metadata["admin-roles"], *roles]
    copy = Path(folder) / Path(policy).name
    copy.write_text(yaml.safe_dump(data, sort_keys=False))
    return copy


def contains(policies):
    """Whether any of these policy files takes calls back."""
    return any(CONTAIN_ROLE in Path(policy).read_text() for policy in policies)


def deploy_stacks(sandbox, policies):
    """Create the stacks that policy files need."""
    sandbox.deploy()
    if contains(policies):
        sandbox.deploy(ROOT / "deploy" / "contain.yml", "iam-guard-contain")


def deploy(sandbox, policy=POLICY, show=lambda line: None):
    """Create the stack of ``deploy/account.yml``, and deploy a policy file into it.

    :param show: is called with each line that a person at the command line would see
    :raises DeploymentFailed: where custodian fails, or deploys no rule
    """
    sandbox.deploy()
    deploy_policies(sandbox, [policy], show)


def deploy_policies(sandbox, policies, show=lambda line: None):
    """Run stock ``custodian run`` on policy files, as :func:`deploy` does."""
    with tempfile.TemporaryDirectory(prefix="sandbox-output-") as output:
        arguments = ["run", "--output-dir", output, *map(shown_path, policies)]
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
    if not sandbox.client("events").list_rules()["Rules"]:
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


def table(rows):
    """Rows of texts as the lines of a table; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = (
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return [head, "-" * (sum(widths) + 2 * (len(widths) - 1)), *body]
