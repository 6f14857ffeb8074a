"""The functions' archives: with bytecode for their Python, always the same; and what a start leaves out."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest
import yaml
from c7n import mu
from c7n.config import Config
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from helpers import FUNCTION, POLICIES, REVOKE, ROOT, SETTINGS, function_mode, policies_of
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends

from c7n_iamguard.function import archive

OWN = "python{}.{}".format(*sys.version_info)
OTHER = "python3.12" if OWN == "python3.13" else "python3.13"
ACCOUNT, OTHER_ACCOUNT, NEWER_ACCOUNT = "300000000021", "300000000022", "300000000023"
#: The flags of bytecode that Python uses without a look at the source, https://peps.python.org/pep-0552/
UNCHECKED_HASH = (1).to_bytes(4, "little")
GARBAGE = b"this is no Python ("
#: What c7n adds to the packages. Nothing imports it.
MADE = {"config.json"}
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
seen = {"compile": [], "os.listdir": []}
def look(name, details):
    if name in seen:
        seen[name].append(str(details[-1]))
sys.addaudithook(look)
from c7n_iamguard import handler
for event in sys.argv[2:]:
    handler.run(json.loads(event), type("Context", (), {"invoked_function_arn": sys.argv[1]}))
print(json.dumps(seen))
"""


# Help


def policy_file(folder, runtime):
    """The main policy's file, for functions of another runtime."""
    policies = policies_of(POLICIES / f"{REVOKE}.yml")
    for policy in policies:
        policy["mode"]["runtime"] = runtime
    (folder / "policy.yml").write_text(yaml.safe_dump({"policies": policies}))
    return folder / "policy.yml"


def run(*command, environ, cwd=ROOT):
    """What a command printed, which has to succeed."""
    done = subprocess.run([*map(str, command)], env=environ, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def custodian(sandbox, account, file, folder, python=sys.executable):
    """Deploy a policy file with stock custodian."""
    command = [Path(python).parent / "custodian", "run", "--vars-file", SETTINGS, "-s", folder / "out"]
    return run(*command, "-r", sandbox.region, file, environ=sandbox.environ(account=account))


def prepare(sandbox, account):
    """What a deployment needs: the stack, and an admin group with a member."""
    sandbox.deploy(account=account)
    sandbox.client("iam", account=account).create_group(GroupName="admins")
    sandbox.create_user("alice", groups=["admins"], account=account)


def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def function_of(sandbox, account):
    return lambda_backends[account][sandbox.region].get_function(FUNCTION)


def uploaded(sandbox, account):
    """The archive of the main function."""
    return zipfile.ZipFile(io.BytesIO(function_of(sandbox, account).code_bytes))


def bytecode_of(source, runtime=OWN):
    """Where Python looks for a source's bytecode first."""
    folder, _, name = source.rpartition("/")
    tag = runtime.replace("python", "cpython-").replace(".", "")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def sources(archived):
    return [name for name in archived.namelist() if name.endswith(".py") and name not in MADE]


def with_garbage(archived):
    """The bytes of an archive in which each source is replaced by garbage."""
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as into:
        for name in archived.namelist():
            into.writestr(name, GARBAGE if name in sources(archived) else archived.read(name))
    return changed.getvalue()


def event_of(sandbox, user, account):
    """EventBridge's event of a call to IAM that a new user has just made."""
    key = sandbox.create_user(user, account=account)
    sandbox.pending.clear()
    sandbox.client("iam", key, account).create_user(UserName=f"{user}s-friend")
    return sandbox.pending.pop()


def is_revoked(user, account):
    attached = iam_backends[account]["aws"].users[user].managed_policies
    return f"arn:aws:iam::{account}:policy/DenyIAMAccess" in attached


def start(sandbox, account, code, folder, *events, python=sys.executable, libraries=None):
    """Start the main function from an archive, and hand it events.

    :returns: the files that were compiled, and the folders that were listed
    """
    zipfile.ZipFile(io.BytesIO(code)).extractall(folder)
    function = function_of(sandbox, account)
    role = sandbox.functions.credentials(function.role, account, sandbox.region)
    environ = sandbox.environ(role, account) | function.environment_vars
    environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(libraries or sandbox.functions.runtime())])
    arguments = [function.function_arn, *map(json.dumps, events)]
    said = run(python, "-S", "-c", START, *arguments, environ=environ, cwd=folder)
    return json.loads(next(line for line in said.splitlines() if line.startswith('{"compile"')))


def mode_of(policy):
    """The execution mode of a policy that is not deployed."""
    load_resources(("aws.iam-user", "aws.iam-role"))
    options = Config.empty(account_id=ACCOUNT, region="us-east-1")
    (made,) = PolicyCollection.from_data({"policies": [policy]}, options)
    return made.get_execution_mode()


def runs(python):
    """Whether an interpreter starts. pyenv has some that only say which version to choose."""
    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


# What is in an archive


@pytest.fixture(scope="module")
def compiled(sandbox, tmp_path_factory):
    """The main function's archive, deployed for the Python that custodian runs on."""
    folder = tmp_path_factory.mktemp("own")
    prepare(sandbox, ACCOUNT)
    custodian(sandbox, ACCOUNT, policy_file(folder, OWN), folder)
    return uploaded(sandbox, ACCOUNT)


def test_sources_have_their_bytecode_beside_them(compiled):
    """Python uses it without a look at the source. Resources of other services than IAM have none."""
    with_bytecode = {name for name in sources(compiled) if bytecode_of(name) in compiled.namelist()}
    assert {"c7n/policy.py", "c7n/resources/iam.py", "c7n_iamguard/handler.py"} <= with_bytecode
    assert {name.rpartition("/")[0] for name in {*sources(compiled)} - with_bytecode} == {"c7n/resources"}
    for name in with_bytecode:
        assert compiled.read(bytecode_of(name))[:8] == MAGIC_NUMBER + UNCHECKED_HASH, name


def test_the_sources_stay_for_tracebacks(compiled):
    """Every source of the plugin is in the archive as it is installed."""
    for file in (ROOT / "c7n_iamguard").rglob("*.py"):
        assert compiled.read(file.relative_to(ROOT).as_posix()) == file.read_bytes()


def test_the_archive_is_small(sandbox, compiled):
    """With bytecode and all of c7n it is smaller than 3 MB, without what the runtime brings along."""
    assert len(function_of(sandbox, ACCOUNT).code_bytes) < 3_000_000
    assert {name.split("/")[0] for name in compiled.namelist()} == {"c7n", "c7n_iamguard", *MADE}


def test_a_function_for_another_python_has_no_bytecode(sandbox, tmp_path):
    """Custodian says in one line which versions differ and how to fix it, and the function works."""
    prepare(sandbox, OTHER_ACCOUNT)
    said = custodian(sandbox, OTHER_ACCOUNT, policy_file(tmp_path, OTHER), tmp_path)
    assert not [name for name in uploaded(sandbox, OTHER_ACCOUNT).namelist() if name.endswith(".pyc")]
    (line,) = [line for line in said.splitlines() if "bytecode" in line]
    assert ":INFO " in line
    assert f"functions for {OTHER} get no bytecode from custodian on Python {OWN[6:]}" in line
    assert f"run custodian on Python {OTHER[6:]}, or write runtime: {OWN}" in line
    event = event_of(sandbox, "bob", OTHER_ACCOUNT)
    assert sandbox.functions.attempt(FUNCTION, event, OTHER_ACCOUNT).outcome == "succeeded"
    assert is_revoked("bob", OTHER_ACCOUNT)


def test_a_package_in_which_something_does_not_compile_is_deployed(tmp_path, monkeypatch, caplog):
    """A source with an error stays without bytecode, and a warning names it."""
    package = tmp_path / "half_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "template.py").write_bytes(GARBAGE)
    monkeypatch.syspath_prepend(tmp_path)
    packed = zipfile.ZipFile(io.BytesIO(archive.pack(("half_a_package",), OWN)))
    names = [name for name in packed.namelist() if name.startswith("half_a_package/")]
    init = "half_a_package/__init__.py"
    assert names == [init, bytecode_of(init), "half_a_package/template.py"]
    assert "half_a_package/template.py" in caplog.text


@pytest.mark.parametrize("policy", WITH_FUNCTIONS, ids=lambda policy: policy["name"])
def test_every_function_of_the_pack_gets_bytecode(policy):
    """Each policy of the pack that has a function is deployed by the same class."""
    assert mode_of(policy).policy_lambda is archive.CompiledPolicyLambda


def test_a_policy_without_the_guard_is_deployed_as_before():
    """The function of a policy that has nothing to do with the guard is c7n's own."""
    event = {"source": "iam.amazonaws.com", "event": "CreateUser", "ids": "requestParameters.userName"}
    mode = {"type": "cloudtrail", "role": "some", "events": [event]}
    policy = {"name": "stock", "resource": "aws.iam-user", "mode": mode}
    assert mode_of(policy).policy_lambda is mu.PolicyLambda


# Always the same


def test_deploying_again_changes_nothing(sandbox, compiled, tmp_path):
    """Neither custodian nor c7n-org uploads a function again that custodian has uploaded."""
    file, iam = policy_file(tmp_path, OWN), sandbox.client("iam", account=ACCOUNT)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": sandbox.account}}
    role = iam.create_role(RoleName="anything", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    allowed = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    iam.put_role_policy(RoleName="anything", PolicyName="anything", PolicyDocument=allowed)
    account = {"name": "a", "account_id": ACCOUNT, "role": role, "regions": [sandbox.region]}
    accounts = {"vars": yaml.safe_load(SETTINGS.read_text()), "accounts": [account]}
    (tmp_path / "accounts.yml").write_text(yaml.safe_dump(accounts))
    sandbox.calls.clear()
    custodian(sandbox, ACCOUNT, file, tmp_path)
    c7n_org = Path(sys.executable).parent / "c7n-org"
    command = [c7n_org, "run", "-c", tmp_path / "accounts.yml", "-u", file, "-s", tmp_path / "out"]
    run(*command, environ=sandbox.environ())
    calls = [call.action for call in sandbox.calls if call.service == "lambda"]
    assert calls.count("GetFunction") >= 2
    assert not [name for name in calls if name.startswith(("Create", "Update"))]


def test_the_archive_depends_on_the_files_alone(tmp_path):
    """It is the same from another folder, in another process, and with what else lies in the plugin's folder."""
    for package in ("c7n", "c7n_iamguard"):
        source = Path(sys.modules[package].__path__[0])
        for file in source.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                target = tmp_path / package / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
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
    said = run(sys.executable, "-S", "-c", PACK, tmp_path / "packed.zip", environ=environ, cwd=tmp_path)
    assert said.split() == [f"{tmp_path}/c7n/__init__.py", f"{tmp_path}/c7n_iamguard/function/archive.py"]
    assert (tmp_path / "packed.zip").read_bytes() == archive.pack(("c7n_iamguard",), OWN)
    names = zipfile.ZipFile(tmp_path / "packed.zip").namelist()
    assert names == sorted(names)


def test_a_process_compiles_once(monkeypatch):
    """Two functions of one process are packed and compiled once, and each carries its own policy."""
    times = []
    monkeypatch.setattr(archive, "compile_sources", times.append)
    archive.pack.cache_clear()
    for name in ("one", "two"):
        policy = {**WITH_FUNCTIONS[0], "name": name}
        policy["mode"] = {**policy["mode"], "runtime": OWN}
        function = archive.CompiledPolicyLambda(mode_of(policy).policy)
        config = json.loads(function.get_archive().get_reader().read("config.json"))
        assert [policy["name"] for policy in config["policies"]] == [name]
    archive.pack.cache_clear()
    assert len(times) == 1


# What a start uses, and what it leaves out


def test_the_function_runs_from_its_bytecode(sandbox, compiled):
    """It revokes although its sources are garbage."""
    event, client = event_of(sandbox, "bob", ACCOUNT), sandbox.client("lambda", account=ACCOUNT)
    code = function_of(sandbox, ACCOUNT).code_bytes
    client.update_function_code(FunctionName=FUNCTION, ZipFile=with_garbage(compiled))
    try:
        attempt = sandbox.functions.attempt(FUNCTION, event, ACCOUNT)
    finally:
        client.update_function_code(FunctionName=FUNCTION, ZipFile=code)
    assert attempt.outcome == "succeeded", attempt.log
    assert is_revoked("bob", ACCOUNT)


@pytest.fixture(scope="module")
def seen(sandbox, compiled, tmp_path_factory):
    """What Python compiles and lists in a process that starts the main function and handles an event."""
    code, folder = function_of(sandbox, ACCOUNT).code_bytes, tmp_path_factory.mktemp("task")
    return start(sandbox, ACCOUNT, code, folder, event_of(sandbox, "carol", ACCOUNT))


def test_nothing_is_compiled(seen):
    """All that the function imports, with its first event, has bytecode."""
    assert not [name for name in seen["compile"] if re.search(r"/c7n(_iamguard)?/", name)]


def test_botocore_does_not_look_into_the_folder_of_every_service(seen):
    """botocore lists the folders of the services that the function talks to, and no others."""
    found = [re.search(r"botocore/data/([^/]+)$", folder) for folder in seen["os.listdir"]]
    services = {match[1] for match in found if match}
    assert "iam" in services
    assert len(services) < 5


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """A Python of the runtime that the pack names, with the plugin installed as its users do it."""
    (runtime,) = {function_mode(policy)["runtime"] for policy in WITH_FUNCTIONS}
    if runtime == OWN:
        pytest.skip(f"the tests run on {runtime} already")
    versions = Path("~/.pyenv/versions").expanduser().glob(f"{runtime.removeprefix('python')}.*/bin/python")
    found = [name for name in (*versions, shutil.which(runtime)) if name and runs(name)]
    if not found:
        pytest.skip(f"there is no {runtime}")
    folder = tmp_path_factory.mktemp("newer")
    run(found[0], "-m", "venv", folder, environ=os.environ)
    pip = [folder / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "install", ROOT, environ=os.environ)
    return folder / "bin/python"


def test_the_pack_as_it_is_runs_from_bytecode_on_its_own_runtime(sandbox, newer, tmp_path):
    """Deployed by custodian on the runtime's Python, the main function revokes with garbage for sources."""
    prepare(sandbox, NEWER_ACCOUNT)
    said = custodian(sandbox, NEWER_ACCOUNT, POLICIES / f"{REVOKE}.yml", tmp_path, newer)
    assert "bytecode" not in said
    (libraries,) = newer.parent.parent.glob("lib/*/site-packages")
    code, event = with_garbage(uploaded(sandbox, NEWER_ACCOUNT)), event_of(sandbox, "bob", NEWER_ACCOUNT)
    start(sandbox, NEWER_ACCOUNT, code, tmp_path / "task", event, python=newer, libraries=libraries)
    assert is_revoked("bob", NEWER_ACCOUNT)
