"""The archive of a function, with bytecode, so that a cold start compiles nothing.

Python keeps the bytecode of what it imports in ``__pycache__``. A function cannot write to its own folder, so
without bytecode in the archive it compiles c7n anew at every cold start, which takes a quarter of its time.

Bytecode serves one minor version of Python, so the archive has it only if the deploying Python is of the
version that the policy names as its runtime. It is ``unchecked-hash``: Python uses it without a look at the
source. The sources stay, for tracebacks.

The same files give the same archive, on any machine and in any process, so that deploying again changes
nothing. That is why the files are sorted, and why a process of its own compiles them: the bytecode that
Python writes depends a little on what the process has loaded.

All of c7n stays in the archive, because the action ``copy-related-tag`` loads any resource that a policy names.
But c7n's modules for the resources of other services get no bytecode, which would double the archive's size.
"""

import logging
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from tempfile import TemporaryDirectory

from c7n.mu import PolicyLambda, PythonPackageArchive, custodian_archive

log = logging.getLogger("c7n_iamguard")

#: The modules of ``c7n/resources`` that c7n loads for IAM's resources, with the actions that it has for all.
RESOURCES = ("__init__", "aws", "ec2", "iam", "resource_map", "securityhub", "sfn", "ssm")
WITHOUT_BYTECODE = rf"c7n[/\\]resources[/\\](?!({'|'.join(RESOURCES)})\.py$)"


#: What c7n would carry into the function from the command line.
OUTPUT_OPTIONS = ("log_group", "tracer", "output_dir", "metrics_enabled")


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

        Custodian's options for output, metrics, logs and tracing stay with the command: the function's role has no
        rights for them, so that every event would fail.
        """
        options = self.policy.options
        given = {key: options[key] for key in OUTPUT_OPTIONS}
        options.update(dict.fromkeys(OUTPUT_OPTIONS, ""))
        try:
            return super().get_archive()
        finally:
            options.update(given)


@cache
def pack(packages, runtime):
    """c7n and other packages, with their bytecode, as the bytes of a zip file.

    A process may deploy hundreds of functions. It packs and compiles once.

    :param packages: the names of the packages beside c7n
    :param runtime: what the functions run on, such as ``python3.13``
    """
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
    """Delete from the copied plugin what is no source of its own: keys, libraries, links, files that somebody left.

    The distribution lists the sources; that of an editable install lists none, and all count.
    """
    package = Path(__file__).parents[1]
    sources = {path for path in package.rglob("*.py") if not path.is_symlink()}
    names = {path.relative_to(package.parent).as_posix() for path in sources}
    with suppress(PackageNotFoundError):
        listed = {file.as_posix() for file in metadata.files("c7n-iamguard") or ()}
        names = names & listed or names
    for path in (code / package.name).rglob("*"):
        if path.is_file() and path.relative_to(code).as_posix() not in names:
            path.unlink()


def compile_sources(folder):
    """Compile the sources in a folder, each under its path in there, into ``__pycache__`` beside it.

    A source that cannot be compiled, such as a template, stays without bytecode, too.
    """
    # Python 3.10 writes a set in the order of its hashes, hence the fixed seed. Python's other variables, one
    # of which puts bytecode elsewhere, are not passed on.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    python = [sys.executable, "-s", "-S", "-W", "ignore"]
    mode = ["--invalidation-mode", "unchecked-hash"]
    done = subprocess.run(  # noqa: S603  Python itself, on files that are about to be deployed
        [*python, "-m", "compileall", "-q", "-x", WITHOUT_BYTECODE, *mode, "-s", folder, folder],
        cwd=folder.parent,  # which has no module that could be taken for one of Python's own
        env={**environ, "PYTHONHASHSEED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        log.warning("not all sources could be compiled: %s", done.stdout.strip())
