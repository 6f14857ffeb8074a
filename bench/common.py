"""The tools of all parts: the sandbox, stock commands that are watched, processor time, medians."""

import logging
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sandbox import Sandbox

ROOT = Path(__file__).parent.parent
#: As from Lambda to IAM: seconds per API call and per new connection.
LATENCY = (0.020, 0.040)
DELAYS = "{:.0f} ms per API call and {:.0f} ms per new connection".format(
    *(1000 * delay for delay in LATENCY)
)


def say(text):
    print(text, file=sys.stderr, flush=True)


def sandbox():
    """A sandbox that says nothing of what moto cannot do with our stack's alarms."""
    logging.getLogger("moto").setLevel(logging.ERROR)
    return Sandbox()


@dataclass
class Finished:
    """A command that has ended.

    :param cpu: seconds of processor time of all its processes together
    """

    output: str
    seconds: float
    cpu: float


def command(box, *arguments, **environ):
    """Run a stock command of this environment in the sandbox.

    :param arguments: the command, without its output folder
    :raises RuntimeError: where its status is not 0
    """
    name, *arguments = map(str, arguments)
    arguments = [str(Path(sys.executable).parent / name), *arguments]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        started, env = time.perf_counter(), {**box.environ(), **environ}
        process = subprocess.Popen(
            [*arguments, "-s", folder], env=env, cwd=ROOT, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}\n{text[-5000:]}")
    return Finished(text, seconds, usage.ru_utime + usage.ru_stime)


def cpu_seconds(pid):
    """The processor time that a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(seconds):
    """The median of some seconds, in milliseconds."""
    return round(median(seconds) * 1000, 1)
