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
from c7n import mu
from c7n.config import Config
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from helpers import FUNCTION, POLICIES, ROOT, case, ok, policies_of, revoked, unzipped

from c7n_iamguard.function import archive

OWN = "python{}.{}".format(*sys.version_info)
OTHER = "python3.12" if OWN == "python3.13" else "python3.13"
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


def names_in(packed):
    return zipfile.ZipFile(io.BytesIO(packed)).namelist()


def mode_of(policy, **options):
    """The execution mode of a policy that is not deployed."""
    load_resources(("aws.iam-user", "aws.iam-role"))
    options = Config.empty(account_id="111122223333", region="us-east-1", **options)
    (made,) = PolicyCollection.from_data({"policies": [policy]}, options)
    return made.get_execution_mode()


@pytest.fixture(scope="module")
def packed():
    """The plugin and c7n, for the Python that custodian runs on."""
    return archive.pack(("c7n_iamguard",), OWN)


def test_the_archive_is_small_and_has_the_sources_for_tracebacks(packed):
    """With bytecode and all of c7n it is smaller than 3 MB, without what the runtime brings along."""
    assert len(packed) < 3_000_000
    assert {name.split("/")[0] for name in names_in(packed)} == {"c7n", "c7n_iamguard"}
    archived = zipfile.ZipFile(io.BytesIO(packed))
    for file in (ROOT / "c7n_iamguard").rglob("*.py"):
        assert archived.read(file.relative_to(ROOT).as_posix()) == file.read_bytes()


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


def test_the_archive_depends_on_the_files_alone(packed, tmp_path):
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
    assert (tmp_path / "packed.zip").read_bytes() == packed
    assert names_in(packed) == sorted(names_in(packed))


def test_what_an_installation_does_not_list_is_left_out(tmp_path, monkeypatch):
    """A source that somebody has put beside the installed ones is no part of the plugin."""
    monkeypatch.setattr(archive.metadata, "files", lambda name: [Path("c7n_iamguard/event.py")])
    (tmp_path / "c7n_iamguard").mkdir()
    for name in ("event.py", "settings.py"):
        (tmp_path / "c7n_iamguard" / name).touch()
    archive.leave_out_strangers(tmp_path)
    assert [file.name for file in (tmp_path / "c7n_iamguard").iterdir()] == ["event.py"]


def test_a_process_compiles_once(packed, monkeypatch):
    """Functions share what is packed, and each carries its own policy, without the command's options."""
    monkeypatch.setattr(archive, "compile_sources", pytest.fail)
    for name in ("one", "two"):
        policy = {**WITH_FUNCTIONS[0], "name": name}
        policy["mode"] = {**policy["mode"], "runtime": OWN}
        made = archive.CompiledPolicyLambda(mode_of(policy, output_dir="s3://logs").policy)
        config = json.loads(made.get_archive().get_reader().read("config.json"))
        assert [policy["name"] for policy in config["policies"]] == [name]
        assert config["execution-options"] == {}


def test_the_function_starts_from_its_bytecode_and_looks_into_few_folders(fresh, packed, tmp_path):
    """It revokes although its sources are garbage; botocore lists the folders of the services in use alone."""
    code = unzipped(fresh, FUNCTION, tmp_path)
    zipfile.ZipFile(io.BytesIO(packed)).extractall(tmp_path)
    for file in tmp_path.rglob("*.py"):
        file.write_text("this is no Python (")
    command = [sys.executable, "-S", "-c", START, code.arn, json.dumps(case("revoked-create-user"))]
    done = subprocess.run(command, env=code.environ, cwd=tmp_path, capture_output=True, text=True)
    ok(done)
    assert revoked(fresh, "bob") == ["managed"]
    found = [re.search(r"botocore/data/([^/]+)$", folder) for folder in json.loads(done.stdout)]
    services = {match[1] for match in found if match}
    assert "iam" in services
    assert len(services) < 5
