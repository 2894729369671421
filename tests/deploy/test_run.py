"""./run.sh, with a fake `aggregator` command that prints its arguments."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts.process import ROOT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Create a folder like the repository's, with a ready environment."""
    shutil.copy(ROOT / "run.sh", tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/venv.sh").write_text("ensure_venv() { :; }\n")
    command = tmp_path / ".venv/bin/aggregator"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$* | $AGGREGATOR_SYMBOLS_FILE | $AGGREGATOR_EXCHANGES"\n')
    command.chmod(0o755)
    return tmp_path


def called(home: Path, *flags: str, **settings: str) -> str:
    """Run the script from another folder; return the call that it makes."""
    environment = {"PATH": os.environ["PATH"]} | {f"AGGREGATOR_{name.upper()}": text for name, text in settings.items()}
    done = subprocess.run(
        [str(home / "run.sh"), *flags],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout.strip()


def test_run_sh_starts_mock_exchanges(home: Path) -> None:
    """Without AGGREGATOR_EXCHANGES (or with an empty one) it runs the demo, and passes flags on."""
    assert called(home, "--port", "0") == f"demo --port 0 | {home}/symbols.csv |"
    assert called(home, exchanges="") == f"demo | {home}/symbols.csv |"


def test_run_sh_serves_the_named_exchanges(home: Path) -> None:
    """With AGGREGATOR_EXCHANGES it serves these exchanges."""
    said = called(home, exchanges="binance,coinbase,kraken", symbols_file="mine.csv")
    assert said == "serve | mine.csv | binance,coinbase,kraken"
