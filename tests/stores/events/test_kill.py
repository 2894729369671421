"""Processes that are killed while they write events and positions into SQLite."""

import asyncio
import re
import sys
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.parts.process import ROOT, Process
from tests.stores.events.parts import CALL, closed, event, opened, position

pytestmark = pytest.mark.real

PARTS = [sys.executable, "-m", "tests.stores.events.parts"]


async def _killed(path: Path, work: str, line: str) -> int:
    """Start a process, kill it once it has printed a line; return the last number that it printed."""
    process = Process([*PARTS, work, str(path)], cwd=ROOT)
    await asyncio.to_thread(process.wait_for_line, line)
    process.stop(SIGKILL)
    return int(re.findall(r"(\d+)\.", process.output)[-1])


async def test_events_of_a_killed_process(tmp_path: Path) -> None:
    """All that it acknowledged are there, and of the call under way all or nothing; putting them again adds none."""
    path = tmp_path / "events.db"
    acknowledged = await _killed(path, "put", r"stored 2000\.")
    async with opened(f"sqlite:///{path}") as stores:
        found = await stores.all()
        assert len(found) in (acknowledged, acknowledged + CALL)
        await stores.put(*(event(number) for number in range(acknowledged + CALL)))
        assert await stores.all() == [event(number) for number in range(acknowledged + CALL)]


async def test_positions_of_a_killed_process(tmp_path: Path) -> None:
    """Those that it closed are closed, once; the same calls again change nothing, and go on where it was killed."""
    path = tmp_path / "events.db"
    acknowledged = await _killed(path, "trade", r"closed 300\.")
    async with opened(f"sqlite:///{path}") as stores:
        assert len(await stores.open_ones("btcusdt")) <= 1
        for number in range(acknowledged):
            assert not await stores.opens(position(number))
            assert not await stores.closes(closed(position(number)))
        is_closed = len(await stores.closed_pages(None, 1000)) > acknowledged
        assert await stores.opens(position(acknowledged)) is not is_closed
        assert await stores.closes(closed(position(acknowledged))) is not is_closed
        expected = [closed(position(number)) for number in range(acknowledged + 1)]
        assert await stores.closed_pages("btcusdt", 100) == expected[::-1]
