"""The second attempt that ./test.sh gives: to tests that start processes, and to few of them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.process import ROOT

TESTS = """
import pathlib

import pytest


def fail_once(name):
    seen = pathlib.Path(__file__).with_name(name)
    if not seen.exists():
        seen.touch()
        raise AssertionError(f"the first attempt of {name}")


@pytest.mark.real
@pytest.mark.parametrize("number", range(5))
def test_with_processes(number):
    fail_once(f"real-{number}")


def test_without():
    fail_once("unit")
"""


@pytest.mark.real
@pytest.mark.skipif(
    importlib.util.find_spec("pytest_rerunfailures") is None, reason="pytest-rerunfailures is not installed"
)
@pytest.mark.parametrize(
    ("options", "summary"),
    [
        (("--max-suite-reruns", "3", "--rerun-show-tracebacks"), "3 failed, 3 passed, 3 rerun"),
        pytest.param((), "6 failed", marks=pytest.mark.long),
    ],
)
def test_three_tests_that_start_processes(tmp_path: Path, options: tuple[str, ...], summary: str) -> None:
    """With the option, three tests marked `real` get one, whose first failure is shown; other tests get none."""
    (tmp_path / "test_flaky.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml", "--rootdir", "."]
    command += ["-p", "no:cacheprovider", *options, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert summary in done.stdout.splitlines()[-1], done.stdout
    assert done.stdout.count("RERUN ") == (3 if options else 0)
    for number in range(5):
        assert f"the first attempt of real-{number}" in done.stdout
