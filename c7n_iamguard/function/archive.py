"""The archive of a function, with bytecode, so that a cold start compiles nothing.

A function cannot write to its own folder. So without bytecode in the archive, Python would compile c7n at every
cold start, which takes a third of its time. Bytecode serves one minor version of Python, so the archive has it
only if the deploying Python is the policy's runtime. It is ``unchecked-hash``: Python does not compare it with the
source. The sources stay, for tracebacks.

The same files give the same archive on any machine, so that deploying again changes nothing. So the files are
sorted, and a process of its own compiles them: bytecode depends a little on what the process has loaded.

All of c7n stays in the archive, because the action ``copy-related-tag`` loads any resource that a policy names.
But the resources of other services get no bytecode, which would double the archive's size.
"""

import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from c7n.mu import PolicyLambda, PythonPackageArchive, custodian_archive

log = logging.getLogger("c7n_iamguard")

#: The modules of ``c7n/resources`` that c7n loads for IAM's resources, with the actions that it has for all.
RESOURCES = ("__init__", "aws", "ec2", "iam", "resource_map", "securityhub", "sfn", "ssm")
WITHOUT_BYTECODE = rf"c7n[/\\]resources[/\\](?!({'|'.join(RESOURCES)})\.py$)"


class CompiledPolicyLambda(PolicyLambda):
    """c7n's function of a policy. Its archive has the same files, and their bytecode."""

    def __init__(self, policy):
        # Not c7n's own __init__, which packs the same files again for every function.
        self.policy = policy
        with TemporaryDirectory() as folder:
            file = Path(folder) / "packed.zip"
            file.write_bytes(pack(tuple(self.packages or ()), self.runtime))
            self.archive = PythonPackageArchive(cache_file=file)

    def get_archive(self):
        """The archive with the policy, closed.

        It has none of Custodian's options for metrics, logs, tracing and output: the function's role has no rights
        for them, so that every event would fail.
        """
        config = {"execution-options": {}, "policies": [self.policy.data]}
        self.archive.add_contents("config.json", json.dumps(config, indent=2))
        return self.archive.close()


@cache
def pack(packages, runtime):
    """c7n and other packages, with bytecode for a runtime such as ``python3.13``, as a zip file's bytes."""
    with TemporaryDirectory() as folder:
        code = Path(folder).resolve() / "code"
        custodian_archive(packages).close().get_reader().extractall(code)
        leave_out_strangers(code)
        if sys.implementation.cache_tag == runtime.replace("python", "cpython-").replace(".", ""):
            compile_sources(code)
        else:
            own = "{}.{}".format(*sys.version_info)
            log.info(
                "functions for %s get no bytecode from custodian on Python %s, so that they start slower; "
                "run custodian on Python %s, or write runtime: python%s in their policies",
                *(runtime, own, runtime.removeprefix("python"), own),
            )
        archive = PythonPackageArchive()
        for name in sorted(path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()):
            archive.add_file(code / name, name)
    return archive.close().get_bytes()


def leave_out_strangers(code):
    """Delete from the copied plugin all but its own sources, such as keys, libraries and links."""
    package = Path(__file__).parents[1]
    sources = {path for path in package.rglob("*.py") if not path.is_symlink()}
    names = {path.relative_to(package.parent).as_posix() for path in sources}
    with suppress(metadata.PackageNotFoundError):
        listed = {file.as_posix() for file in metadata.files("c7n-iamguard") or ()}
        names = names & listed or names  # an editable install lists none
    for path in (code / package.name).rglob("*"):
        if path.is_file() and path.relative_to(code).as_posix() not in names:
            path.unlink()


def compile_sources(folder):
    """Compile the sources in a folder, except for those that are no valid Python, such as templates."""
    # Python 3.10 writes a set in the order of its hashes, hence the fixed seed. Another of Python's variables puts
    # bytecode elsewhere.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    python = [sys.executable, "-s", "-S", "-W", "ignore"]
    mode = ["--invalidation-mode", "unchecked-hash"]
    done = subprocess.run(  # noqa: S603  Python itself, on files that are about to be deployed
        [*python, "-m", "compileall", "-q", "-x", WITHOUT_BYTECODE, *mode, "-s", folder, folder],
        cwd=folder.parent,  # no module there has the name of one of Python's own
        env={**environ, "PYTHONHASHSEED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        log.warning("not all sources could be compiled: %s", done.stdout.strip())
