"""The page's modules without document or network, run by Node's test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts.process import ROOT

HERE = Path(__file__).parent / "logic"


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_logic(file: Path) -> None:
    """Formatting, order, scales, recent prices and loading pass their JavaScript tests."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node; see the header")
    run = subprocess.run(
        [node, "--test", str(file)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
