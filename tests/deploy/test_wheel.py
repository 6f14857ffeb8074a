"""The wheel, in an environment that has no other file of the project."""

import re
import subprocess
import sys
from pathlib import Path

import c7n
import pytest
import yaml
from helpers import POLICIES, ROOT, policies_of


def run(*command, **how):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The bin folder of a virtual environment with the package's wheel, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("wheel") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python", "--quiet")
    run(*pip, "install", "--no-compile", "--no-deps", ROOT)
    (site,) = (folder / "lib").glob("*/site-packages")
    (site / "dependencies.pth").write_text(str(Path(c7n.__file__).parents[1]))
    return folder / "bin"


def test_the_stock_commands_know_the_pack_right_after_pip_install(environment, tmp_path):
    """custodian and c7n-org know the plugin where nothing but the package was installed.

    ``c7n-org validate`` takes one file, so the test joins a policy for users and one for roles.
    """
    custodian, c7n_org = (
        (environment / "python", Path(sys.executable).with_name(name)) for name in ("custodian", "c7n-org")
    )
    files = (POLICIES / "restore-iam-access.yml", POLICIES / "revoke-unintended-iam-access-of-roles.yml")
    out = run(*custodian, "validate", *files, cwd=tmp_path)
    assert out.count("Configuration valid") == len(files)
    account = {"name": "a", "account_id": "111122223333", "role": "arn:aws:iam::111122223333:role/r"}
    (tmp_path / "accounts.yml").write_text(yaml.safe_dump({"accounts": [account]}))
    pack = {"policies": [policy for file in files for policy in policies_of(file)]}
    (tmp_path / "pack.yml").write_text(yaml.safe_dump(pack))
    out = run(*c7n_org, "validate", "-c", "accounts.yml", "-u", "pack.yml", cwd=tmp_path)
    assert "all policies are valid" in out


def test_the_wheel_requires_c7n_and_boto3_and_c7n_org_for_organizations(environment):
    """pip installs them with the package, and c7n-org with its extra ``org``."""
    code = "import importlib.metadata as found; print(*found.requires('c7n-iamguard'), sep='\\n')"
    required = run(environment / "python", "-c", code).splitlines()
    names = {re.match(r"[\w-]+", line)[0]: line for line in required if not re.search("extra == .test", line)}
    assert {name for name, line in names.items() if "extra" not in line} == {"boto3", "c7n"}
    assert re.search("extra == .org", names["c7n-org"])


def test_the_wheel_brings_all_that_an_operator_deploys_and_overwrites_nothing_of_theirs(
    environment, tmp_path
):
    """``python -m c7n_iamguard init`` copies settings, policies, templates and pages, and keeps what is there."""
    init = (environment / "python", "-m", "c7n_iamguard", "init", tmp_path / "guard")
    run(*init, cwd=tmp_path)
    for part in ("iam-guard.yml", "policies", "deploy", "docs"):
        files = [file for file in (ROOT / part, *(ROOT / part).rglob("*")) if file.is_file()]
        for file in (file for file in files if "__pycache__" not in file.parts):
            copied = tmp_path / "guard" / file.relative_to(ROOT)
            assert copied.read_bytes() == file.read_bytes()
            assert copied.stat().st_mode & 0o100 == file.stat().st_mode & 0o100
    (tmp_path / "guard/iam-guard.yml").write_text("admin_groups: [ours]\n")
    (tmp_path / "guard/deploy/switch").unlink()
    out = run(*init, cwd=tmp_path)
    assert out.splitlines() == [
        f"made {tmp_path / 'guard/deploy/switch'}",
        f"kept {tmp_path / 'guard/iam-guard.yml'}, which differs from this version's",
    ]
    assert (tmp_path / "guard/iam-guard.yml").read_text() == "admin_groups: [ours]\n"


def test_an_interpreter_starts_without_the_package_behind_its_hook(environment, tmp_path):
    """A hook that was left behind by a broken uninstallation does not stop any interpreter."""
    (site,) = (environment.parent / "lib").glob("*/site-packages")
    (site / "c7n_iamguard").rename(tmp_path / "c7n_iamguard")
    try:
        assert run(environment / "python", "-c", "print('started')").startswith("started")
    finally:
        (tmp_path / "c7n_iamguard").rename(site / "c7n_iamguard")
