"""The functions' archives: with bytecode for their Python, always the same; and what a start leaves out."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from c7n import mu
from c7n.config import Config
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from helpers import FUNCTION, POLICIES, REVOKE, ROOT, SETTINGS, ok, policies_of, stock
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends

from c7n_iamguard.function import archive

OWN = "python{}.{}".format(*sys.version_info)
OTHER = "python3.12" if OWN == "python3.13" else "python3.13"
ACCOUNT = "300000000021"
WITH_FUNCTIONS = [
    policy for file in sorted(POLICIES.glob("*.yml")) for policy in policies_of(file) if "mode" in policy
]
PACK = """
import sys, c7n
from c7n_iamguard.function import archive
with open(sys.argv[1], "wb") as file:
    file.write(archive.pack(("c7n_iamguard",), "python{}.{}".format(*sys.version_info)))
print(c7n.__file__, archive.__file__)
"""
START = """
import json, sys
listed = []
sys.addaudithook(lambda name, details: name == "os.listdir" and listed.append(str(details[0])))
from c7n_iamguard import handler
handler.run(json.loads(sys.argv[2]), type("Context", (), {"invoked_function_arn": sys.argv[1]}))
print(json.dumps(listed))
"""


def policy_file(folder):
    """The main policy's file, for functions of the Python that custodian runs on."""
    policies = policies_of(POLICIES / f"{REVOKE}.yml")
    for policy in policies:
        policy["mode"]["runtime"] = OWN
    (folder / "policy.yml").write_text(yaml.safe_dump({"policies": policies}))
    return folder / "policy.yml"


def deploy(sandbox, folder):
    """Deploy it with stock custodian."""
    environ, file = sandbox.environ(account=ACCOUNT), policy_file(folder)
    ok(stock("custodian", "run", "-s", folder / "out", "-r", sandbox.region, file, environ=environ))


def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def names_in(packed):
    return zipfile.ZipFile(io.BytesIO(packed)).namelist()


def mode_of(policy):
    """The execution mode of a policy that is not deployed."""
    load_resources(("aws.iam-user", "aws.iam-role"))
    options = Config.empty(account_id=ACCOUNT, region="us-east-1")
    (made,) = PolicyCollection.from_data({"policies": [policy]}, options)
    return made.get_execution_mode()


# What is in an archive


@pytest.fixture(scope="module")
def function(sandbox, tmp_path_factory):
    """The main function, deployed for the Python that custodian runs on."""
    sandbox.deploy(account=ACCOUNT)
    sandbox.client("iam", account=ACCOUNT).create_group(GroupName="admins")
    sandbox.create_user("alice", groups=["admins"], account=ACCOUNT)
    deploy(sandbox, tmp_path_factory.mktemp("own"))
    return lambda_backends[ACCOUNT][sandbox.region].get_function(FUNCTION)


def test_the_sources_stay_for_tracebacks(function):
    """Every source of the plugin is in the archive as it is installed."""
    archived = zipfile.ZipFile(io.BytesIO(function.code_bytes))
    for file in (ROOT / "c7n_iamguard").rglob("*.py"):
        assert archived.read(file.relative_to(ROOT).as_posix()) == file.read_bytes()


def test_the_archive_is_small(function):
    """With bytecode and all of c7n it is smaller than 3 MB, without what the runtime brings along."""
    assert len(function.code_bytes) < 3_000_000
    folders = {name.split("/")[0] for name in names_in(function.code_bytes)}
    assert folders == {"c7n", "c7n_iamguard", "config.json"}


def test_a_function_for_another_python_has_no_bytecode(caplog):
    """Custodian says in one line which versions differ and how to fix it."""
    caplog.set_level("INFO", "c7n_iamguard")
    assert not [name for name in names_in(archive.pack((), OTHER)) if name.endswith(".pyc")]
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert f"functions for {OTHER} get no bytecode from custodian on Python {OWN[6:]}" in record.getMessage()
    assert f"run custodian on Python {OTHER[6:]}, or write runtime: {OWN}" in record.getMessage()


def test_a_package_in_which_something_does_not_compile_is_deployed(tmp_path, monkeypatch, caplog):
    """A source with an error stays without bytecode, and a warning names it."""
    package = tmp_path / "half_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "template.py").write_text("this is no Python (")
    monkeypatch.syspath_prepend(tmp_path)
    names = [name for name in names_in(archive.pack((package.name,), OWN)) if name.startswith(package.name)]
    bytecode = f"half_a_package/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    assert names == ["half_a_package/__init__.py", bytecode, "half_a_package/template.py"]
    assert "half_a_package/template.py" in caplog.text


def test_every_function_of_the_pack_gets_bytecode_and_no_other():
    """The function of a policy that has nothing to do with the guard is c7n's own."""
    for policy in WITH_FUNCTIONS:
        assert mode_of(policy).policy_lambda is archive.CompiledPolicyLambda
    event = {"source": "iam.amazonaws.com", "event": "CreateUser", "ids": "requestParameters.userName"}
    mode = {"type": "cloudtrail", "role": "some", "events": [event]}
    policy = {"name": "stock", "resource": "aws.iam-user", "mode": mode}
    assert mode_of(policy).policy_lambda is mu.PolicyLambda


# Always the same


def test_deploying_again_changes_nothing(sandbox, function, tmp_path):
    """Neither custodian nor c7n-org uploads a function again that custodian has uploaded."""
    iam = sandbox.client("iam", account=ACCOUNT)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": sandbox.account}}
    role = iam.create_role(RoleName="anything", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    allowed = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    iam.put_role_policy(RoleName="anything", PolicyName="anything", PolicyDocument=allowed)
    account = {"name": "a", "account_id": ACCOUNT, "role": role, "regions": [sandbox.region]}
    accounts = {"vars": yaml.safe_load(SETTINGS.read_text()), "accounts": [account]}
    (tmp_path / "accounts.yml").write_text(yaml.safe_dump(accounts))
    sandbox.calls.clear()
    deploy(sandbox, tmp_path)
    files = ("-c", tmp_path / "accounts.yml", "-u", tmp_path / "policy.yml", "-s", tmp_path / "out")
    ok(stock("c7n-org", "run", *files, environ=sandbox.environ()))
    calls = [call.action for call in sandbox.calls if call.service == "lambda"]
    assert calls.count("GetFunction") >= 2
    assert not [name for name in calls if name.startswith(("Create", "Update"))]


def test_the_archive_depends_on_the_files_alone(tmp_path):
    """It is the same from another folder, in another process, and with what else lies in the plugin's folder."""
    for package in ("c7n", "c7n_iamguard"):
        source, ignored = sys.modules[package].__path__[0], shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, tmp_path / package, ignore=ignored)
    own = tmp_path / "c7n_iamguard"
    for stranger in (own / ".env", own / "iam" / "library.so"):
        stranger.write_text("SECRET=1")
    (own / "linked.py").symlink_to(__file__)
    libraries = Path(sys.modules["boto3"].__path__[0]).parent
    environ = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(libraries)]),
        "PYTHONHASHSEED": "7",
        "PYTHONPYCACHEPREFIX": str(tmp_path / "cache"),
        "PYTHONOPTIMIZE": "2",
    }
    command = [sys.executable, "-S", "-c", PACK, tmp_path / "packed.zip"]
    said = ok(subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True))
    assert said.split() == [f"{tmp_path}/c7n/__init__.py", f"{tmp_path}/c7n_iamguard/function/archive.py"]
    packed = (tmp_path / "packed.zip").read_bytes()
    assert packed == archive.pack(("c7n_iamguard",), OWN)
    assert names_in(packed) == sorted(names_in(packed))


def test_what_an_installation_does_not_list_is_left_out(tmp_path, monkeypatch):
    """A source that somebody has put beside the installed ones is no part of the plugin."""
    monkeypatch.setattr(archive.metadata, "files", lambda name: [Path("c7n_iamguard/event.py")])
    (tmp_path / "c7n_iamguard").mkdir()
    for name in ("event.py", "settings.py"):
        (tmp_path / "c7n_iamguard" / name).touch()
    archive.leave_out_strangers(tmp_path)
    assert [file.name for file in (tmp_path / "c7n_iamguard").iterdir()] == ["event.py"]


def test_a_process_compiles_once(monkeypatch):
    """Two functions of one process are packed and compiled once, and each carries its own policy."""
    times = []
    monkeypatch.setattr(archive, "compile_sources", times.append)
    archive.pack.cache_clear()
    for name in ("one", "two"):
        policy = {**WITH_FUNCTIONS[0], "name": name}
        policy["mode"] = {**policy["mode"], "runtime": OWN}
        made = archive.CompiledPolicyLambda(mode_of(policy).policy)
        config = json.loads(made.get_archive().get_reader().read("config.json"))
        assert [policy["name"] for policy in config["policies"]] == [name]
    archive.pack.cache_clear()
    assert len(times) == 1


# What a start uses, and what it leaves out


def test_the_function_starts_from_its_bytecode_and_looks_into_few_folders(sandbox, function, tmp_path):
    """It revokes although its sources are garbage; botocore lists the folders of the services in use alone."""
    key = sandbox.create_user("bob", account=ACCOUNT)
    sandbox.pending.clear()
    sandbox.client("iam", key, ACCOUNT).create_user(UserName="bobs-friend")
    event = sandbox.pending.pop()
    zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(tmp_path)
    for file in tmp_path.rglob("*.py"):
        file.write_text("this is no Python (")
    role = sandbox.functions.credentials(function.role, ACCOUNT, sandbox.region)
    environ = sandbox.environ(role, ACCOUNT) | function.environment_vars
    environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(sandbox.functions.runtime())])
    command = [sys.executable, "-S", "-c", START, function.function_arn, json.dumps(event)]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True)
    ok(done)
    attached = iam_backends[ACCOUNT]["aws"].users["bob"].managed_policies
    assert f"arn:aws:iam::{ACCOUNT}:policy/DenyIAMAccess" in attached
    found = [re.search(r"botocore/data/([^/]+)$", folder) for folder in json.loads(done.stdout)]
    services = {match[1] for match in found if match}
    assert "iam" in services
    assert len(services) < 5
