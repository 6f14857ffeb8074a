"""``make``: what it refuses, and how it sets up its virtual environment."""

import os
import re
import subprocess
import sys

import pytest
from helpers import ROOT

#: A Python whose environments install nothing: pip writes down what it was asked, and ends with PIP_STATUS.
PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    rm -rf "$4"
    mkdir -p "$4/bin"
    printf '#!/bin/sh\\necho "$@" >> pip.log\\nexit ${PIP_STATUS:-0}\\n' > "$4/bin/python"
    exec chmod +x "$4/bin/python"
fi
exec %s "$@"
"""


@pytest.fixture
def venv(tmp_path):
    """``venv(…)``: run the set-up script on ``.venv`` of an empty project, and count the installations."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "python").write_text(PYTHON % sys.executable)
    (tmp_path / "python").chmod(0o755)

    def run(*requirements, python="./python", status="0"):
        command = [ROOT / ".ci" / "venv", ".venv", python, "--editable", ".", *requirements]
        environ, log = {"PATH": "/usr/bin:/bin", "PIP_STATUS": status}, tmp_path / "pip.log"
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
        done.installations = len(log.read_text().splitlines()) if log.exists() else 0
        return done

    return run


def make(*words):
    """Run make as a person would, also if make runs the tests: make tells its children that they are children."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *words], cwd=ROOT, env=environ, capture_output=True, text=True)


@pytest.mark.parametrize("word", ["events=log.json", "ADMINS=alice", "ROLES=ci", "REPORT=report.html"])
def test_a_variable_that_would_be_ignored_is_refused(word):
    """If it is misspelt, or of a replay without events, one line says what there is, and nothing is run."""
    done = make("--dry-run", "demo", word)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert word.partition("=")[0] in line
    assert "EVENTS" in line


def test_the_files_of_a_replay_reach_it_as_they_were_written():
    """The shell does not expand patterns: a folder's names can be more than a command line holds."""
    done = make("--dry-run", "demo", "EVENTS=logs/*.gz more", "ADMINS=a,b", "ROLES=c", "REPORT=r.html")
    assert done.stdout.splitlines()[-1].endswith(
        "set -f; .venv/bin/python -m sandbox replay logs/*.gz more --admin a,b --admin-role c --report r.html"
    )


@pytest.mark.parametrize("problem", ["3.10.2 or newer, and ./old is 3.9.18", "./missing is not to be found"])
def test_a_python_that_will_not_do_is_refused_before_anything_is_made(venv, tmp_path, problem):
    """Too old or not there: one line says which Python is needed, and there is no folder afterwards."""
    old = tmp_path / "old"
    version = "import sys; sys.version_info=(3, 9, 18); exec(sys.argv[2])"
    old.write_text(PYTHON % f"{sys.executable} -c '{version}'")
    old.chmod(0o755)
    done = venv(python=next(word for word in problem.split() if word.startswith("./")))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert problem in line
    assert not (tmp_path / ".venv").exists()


def test_the_first_run_says_how_long_it_takes_and_a_second_installs_nothing(venv):
    """The first run announces itself; a second one is silent and leaves everything alone."""
    first, second = venv(), venv()
    assert "about a minute" in first.stdout
    assert (second.returncode, second.stdout, second.stderr, second.installations) == (0, "", "", 1)


@pytest.mark.parametrize("half_made", [True, False])
def test_an_environment_that_is_half_made_or_another_pythons_is_made_anew(venv, tmp_path, half_made):
    """After an installation that failed, or with another Python, the next run starts from an empty folder."""
    assert venv(status=str(int(half_made))).returncode == half_made
    (tmp_path / ".venv" / "leftover").touch()
    if not half_made:
        ready = tmp_path / ".venv" / ".ready"
        ready.write_text(ready.read_text().replace("Python 3.", "Python 4."))
    done = venv()
    assert (done.returncode, done.installations) == (0, 2)
    assert not (tmp_path / ".venv" / "leftover").exists()


def test_changed_requirements_are_installed_into_the_same_environment(venv, tmp_path):
    """A change of pyproject.toml, or of what is asked for, is installed, and nothing is removed."""
    venv()
    (tmp_path / ".venv" / "leftover").touch()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    venv()
    assert venv("c7n==0.9.53").installations == 3
    assert (tmp_path / ".venv" / "leftover").exists()


def test_the_oldest_versions_are_those_of_pyproject():
    """``make oldest`` installs exactly the lower bounds of what operators bring along."""
    install = make("--dry-run", "oldest").stdout.splitlines()[0]
    command = install.partition("$(")[2].removesuffix(")")
    found = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True).stdout.split()
    bounds = re.findall(r'"((?:boto3|c7n|c7n-org)>=[\d.]+)', (ROOT / "pyproject.toml").read_text())
    assert found == sorted({bound.replace(">=", "==") for bound in bounds})
    assert len(found) == 3
