"""The JavaScript client: its JSDoc types hold, and its tests pass in Node against the real service."""

import os
import shutil
import subprocess

import pytest

from tests.clients.conftest import KEY
from tests.parts import generators
from tests.parts.process import ROOT
from tests.parts.service import Service

TESTS = ROOT / "tests/clients/javascript/client.test.mjs"
node = shutil.which("node") or "node"


@pytest.mark.skipif(bool(generators.missing()), reason=f"{generators.missing()}; see the header")
def test_types() -> None:
    """TypeScript's compiler finds no mistake in the modules and their comments."""
    run = [node, str(generators.TSC), "--project", str(ROOT / "clients/javascript")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.real
@pytest.mark.skipif(shutil.which("node") is None, reason="no Node; see the header")
def test_against_the_service(service: Service) -> None:
    """Answers, pages, ingest, errors, and a stream over lost connections."""
    environment = os.environ | {"SERVICE_URL": service.url, "SERVICE_KEY": KEY}
    run = [node, "--test", "--test-timeout=60000", str(TESTS)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped 0" in done.stdout
