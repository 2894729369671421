"""Runs `aggregator` commands that end by themselves, as forks: see `tests/parts/forks.py`."""

import subprocess
import tempfile
from collections.abc import Mapping

from tests.parts import forks
from tests.parts.process import ROOT

SECONDS = 600  # time limit for a command on a loaded machine; not a promise


def run_command(*arguments: object, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `aggregator` with these arguments and this environment in the root of the project, without input."""
    words = list(map(str, arguments))
    request = forks.Start("aggregator", words, dict(environment), str(ROOT))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = forks.started(request, out.fileno(), errors.fileno())
        try:
            code = child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(words, code, out.read().decode(), errors.read().decode())
