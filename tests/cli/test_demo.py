"""The mock exchanges of `aggregator demo`."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from pathlib import Path

import pytest

from aggregator.cli import demo

_TALKS = """
import pathlib, sys
print("http://127.0.0.1:1", flush=True)
sys.stderr.write("x" * (1 << 20))
sys.stderr.flush()
pathlib.Path(sys.argv[1]).touch()
sys.stdin.read()
"""


async def test_an_exchange_that_complains_much_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its stderr is a pipe of 64 kB: where nobody reads it, the exchange waits for ever."""

    async def start(name: str, *_: str | Path) -> Process:
        command = (sys.executable, "-S", "-c", _TALKS, str(tmp_path / name))
        return await create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)

    monkeypatch.setattr(demo, "_start", start)
    async with demo.mock_exchanges(Path("symbols.csv"), 0, 0):
        async with asyncio.timeout(60):
            while not all((tmp_path / name).exists() for name in demo.NAMES):
                await asyncio.sleep(0.01)
