"""Stock ``custodian`` and ``c7n-org``, each in a process of its own that is forked from one that has loaded them.

A command starts like the script that pip has installed, apart from loading c7n, which takes most of its time. The
pages' tests and the wheel's run the scripts themselves.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

#: What the process that the others are forked from loads. The plugin reads the environment when it is loaded, so
#: each command loads it by itself.
PRELOADED = ["c7n.cli", "c7n.commands", "c7n.policy", "c7n.resources.aws", "c7n_org.cli"]


def run(command, arguments, environ, cwd):
    """Run a command to its end.

    :param command: ``custodian`` or ``c7n-org``
    :returns: as :func:`subprocess.run` does, with the output as text
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder, name)) for name in ("stdout", "stderr")]
        process = context.Process(target=main, args=(command, arguments, environ, str(cwd), files))
        process.start()
        process.join()
        printed = [Path(file).read_text() for file in files]
    return subprocess.CompletedProcess([command, *arguments], process.exitcode, *printed)


def main(command, arguments, environ, cwd, files):
    """What the installed script does, with the environment, folder and files of a new process."""
    for descriptor, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    sys.argv = [command, *arguments]
    sys.path[0] = str(Path(sys.executable).parent)
    sys.exit((stock_main if command == "custodian" else org_main)())


def stock_main():
    from c7n.cli import main

    return main()


def org_main():
    from c7n_org.cli import cli

    return cli()
