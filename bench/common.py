"""What the parts share: the sandbox, stock commands that are watched, processor time, medians."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

import moto.backends

from sandbox import Sandbox

ROOT = Path(__file__).parent.parent
#: As from Lambda to IAM: seconds per API call and per new connection.
LATENCY = (0.020, 0.040)
SAMPLING_SECONDS = 0.25


def say(text):
    """Progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def sandbox():
    """A sandbox whose moto doesn't list its own folders at every call, so that less of the time is moto's."""
    logging.getLogger("moto").setLevel(logging.ERROR)  # not what it cannot do with our stack's alarms
    modules = tuple(moto.backends.list_of_moto_modules())
    with patch.object(moto.backends, "list_of_moto_modules", lambda: modules), Sandbox() as box:
        yield box


@dataclass
class Finished:
    """A command that has ended, with what all its processes took together.

    :param cpu: seconds of processor time
    :param memory: the most MB at any time
    """

    output: str
    seconds: float
    cpu: float
    memory: float


def command(box, *arguments, **environ):
    """Run a stock command of this environment in the sandbox.

    :param arguments: the command, without its output folder
    :param environ: environment variables, beside those that bind it to the sandbox
    :returns: :class:`Finished`
    :raises RuntimeError: where its status is not 0
    """
    name, *arguments = map(str, arguments)
    arguments = [str(Path(sys.executable).parent / name), *arguments]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        started, ended, samples = time.perf_counter(), threading.Event(), []
        process = subprocess.Popen(
            [*arguments, "-s", folder],
            env={**box.environ(), **environ},
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        watch = threading.Thread(target=watch_memory, args=(process.pid, ended, samples))
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watch.join()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}\n{text[-5000:]}")
    return Finished(text, seconds, usage.ru_utime + usage.ru_stime, max(samples, default=0))


def watch_memory(session, ended, samples):
    """Note the MB that a session's processes use together, shared pages once, until they have ended."""
    while not ended.wait(SAMPLING_SECONDS):
        samples.append(sum(map(proportional_memory, session_members(session))))


def session_members(session):
    """The processes of a session, by the sixth field of their /proc/PID/stat."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            yield folder


def proportional_memory(folder):
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_seconds(pid):
    """The processor time that a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(seconds):
    """The median of some seconds, in milliseconds."""
    return round(median(seconds) * 1000, 1)
