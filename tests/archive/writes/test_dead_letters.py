"""Dead letters of trades and of outlets end in the archive, where SQL finds them."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.datasets import TRADES
from aggregator.archive.storages.address import FolderAddress
from aggregator.archive.writes.archiver import Archiver
from aggregator.cli.main import main
from aggregator.models import Trade
from aggregator.observability.metrics import Metrics
from aggregator.outlets.outbox.dead_letters import MOST_RETRIES, DeadLetterRetry
from aggregator.outlets.outbox.queue_file import QueueFile, queued
from aggregator.stores.trades.dead_letters import TradeDeadLetters
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.rejection import Rejection
from aggregator.trades.validation import InvalidTrade
from tests.archive.parts import HOUR, Clock, archiving
from tests.outlets.recording import event, until
from tests.parts.lake import write_lake
from tests.stores.trades.test_dead_letters import Log

_RETRY = 900.0 + 1


def unlisted(_: bytes, __: float) -> Trade:
    """Refuse a record, as its asset is not listed."""
    raise InvalidTrade("asset", "the asset xyz is not listed")


async def bury_trades(path: Path, archive: Archiver, clock: Clock) -> None:
    """Let a record of an asset that is never listed fail five times, and one that cannot be read wait a day."""
    letters = TradeDeadLetters(path, Metrics().trades, clock.now)
    letters.archive = archive
    await letters.open()
    letters.bury(
        [
            Rejection(0, "asset", "the asset xyz is not listed", b'{"asset":"xyz"}', "kafka", clock.now(), "t/0/17"),
            Rejection(1, "malformed", "no JSON", b"\xff{", "ingest", clock.now()),
        ]
    )
    running = asyncio.create_task(letters.run())
    await until(lambda: letters.kept == 2)
    running.cancel()
    for _ in range(MOST_RETRIES):
        await letters.archive_due()
        clock.at += _RETRY
        await letters.retry_due(unlisted, Log())
    await letters.archive_due()  # 15 minutes after the last attempt at the earliest
    clock.at += _RETRY
    await letters.archive_due()
    clock.at += 86_400
    await letters.archive_due()
    await letters.close()


async def bury_event(path: Path, archive: Archiver, clock: Clock) -> None:
    """Let an outlet refuse an event for the last time."""
    file = QueueFile(path, 1 << 20)
    await file.open()
    record = queued("ops", event(7, topic="alerts"))
    await file.append([msgspec.structs.replace(record, retries=MOST_RETRIES)])
    (row,) = await file.waiting("ops", 0, 10)
    await file.move_to_dead_letters(row, "status 410", clock.now())
    assert await DeadLetterRetry(file, clock.now, archive).retry_due() == 1
    assert await file.dead_letters(0, 10) == []
    await file.close()


async def archive_both(folder: Path) -> None:
    """Archive dead letters of both kinds, though no trade was ever archived."""
    clock = Clock()
    async with archiving(MemoryTrades(1e9), FolderAddress(folder / "lake"), folder, clock) as archive:
        await bury_event(folder / "outlets.db", archive.archiver, clock)
        await bury_trades(folder / "letters.db", archive.archiver, clock)


def test_dead_letters_are_archived_and_queried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is there once, with the reason, what was sent, and the times; conditions on `timestamp` choose files."""
    asyncio.run(archive_both(tmp_path))
    capsys.readouterr()  # what was logged

    def ask(query: str) -> list[dict[str, object]]:
        assert main(["sql", query, "--from", f"{tmp_path}/lake", "--format", "json"]) == 0, capsys.readouterr().err
        found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return found

    outlet, malformed, unlisted = ask(
        "SELECT *, epoch(timestamp) AS last, epoch(first_failed) AS first FROM dead_letters ORDER BY kind, code DESC"
    )
    assert [outlet[name] for name in ("kind", "source", "asset", "reason")] == [
        "outlet",
        "ops",
        "btcusdt",
        "status 410",
    ]
    assert (outlet["retries"], outlet["last"], '"number":7' in str(outlet["raw"])) == (MOST_RETRIES, HOUR, True)
    assert (malformed["source"], malformed["raw"], malformed["retries"]) == ("ingest", "\ufffd{", 0)
    assert (unlisted["source"], unlisted["raw"], unlisted["attempts"]) == ("kafka:t/0/17", '{"asset":"xyz"}', 6)
    assert (unlisted["first"], unlisted["last"]) == (HOUR, HOUR + MOST_RETRIES * _RETRY)
    assert ask("SELECT count(*) AS n FROM dead_letters WHERE timestamp >= '2026-11-19'") == [{"n": 0}]
    assert ask("SELECT count(*) AS n FROM dead_letters d JOIN trades t ON t.asset = d.asset") == [{"n": 0}]
    assert len(list((tmp_path / "lake/dead-letters/2026/11/18").iterdir())) == 3


def test_without_dead_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The view of an archive is empty."""
    trade = {"asset": "btcusdt", "timestamp": HOUR, "price": "1", "volume": "1", "venue": "kraken", "id": "1"}
    write_lake(tmp_path, TRADES, [trade])
    assert main(["sql", "SELECT count(*) AS n FROM dead_letters", "--from", str(tmp_path), "--format", "csv"]) == 0
    assert capsys.readouterr().out == "n\n0\n"
