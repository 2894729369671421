"""Trades from a store to files: each once, whatever comes when."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.duck import connect
from aggregator.archive.storages.address import FolderAddress
from aggregator.errors import StoreError, StoreUnavailable
from aggregator.models import Side, Trade
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.archive import parts
from tests.archive.parts import HOUR, Archive, Clock, archived, archiving, files_of, keys, trade_at


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    """Archive the trades of a SQLite store."""
    clock = Clock()
    store = SqliteTrades(tmp_path / "trades.db", 172_800, clock.now)
    await store.open()
    async with archiving(store, FolderAddress(tmp_path / "lake"), tmp_path, clock) as one:
        yield one
    await store.close()


async def test_a_complete_range_is_a_file(archive: Archive, tmp_path: Path) -> None:
    """Trades of two ranges of a batch that crosses the hour; the range of now waits until it is over."""
    trades = [trade_at(at, asset) for asset in ("ethusdt", "btcusdt") for at in (-1.0, 0.0, 299.999999, 300.0)]
    await archive.store.add(trades)
    await archive.archive_at(309)
    assert files_of(tmp_path / "lake") == ["hour=11/55-60.parquet"]
    await archive.archive_at(310)
    assert files_of(tmp_path / "lake") == ["hour=11/55-60.parquet", "hour=12/00-05.parquet"]
    assert archived(tmp_path / "lake") == keys([one for one in trades if one.timestamp < HOUR + 300])
    assert list(archive.marker.pending) == [(int(HOUR) + 300, int(HOUR) + 600)]


async def test_a_late_trade_is_merged_with_its_file(archive: Archive, tmp_path: Path) -> None:
    """Also when the store has lost the range meanwhile."""
    first = [trade_at(1), trade_at(2)]
    await archive.store.add(first)
    await archive.archive_at(400)
    archive.clock.at = 200_000  # two days later the store shows none of them
    late = trade_at(1.5)
    assert await archive.store.trades("btcusdt", 0, 1e10, 10, newest_first=False) == []
    store = MemoryTrades(1e9)
    await store.add([late])
    async with archiving(store, FolderAddress(tmp_path / "lake"), tmp_path, archive.clock) as other:
        await other.marks.mark("trades", [(int(HOUR), int(HOUR) + 300)], ["btcusdt"])
        await other.archiver.archive_due()
    assert archived(tmp_path / "lake") == keys([*first, late])


async def test_a_trade_stored_during_a_write_keeps_the_mark(archive: Archive, tmp_path: Path) -> None:
    """The range is written again, and the mark goes then."""
    await archive.store.add([trade_at(1)])
    archive.clock.at = 400
    one = int(HOUR), int(HOUR) + 300
    version = await archive.marker.settle(one)
    await archive.store.add([trade_at(2)])
    assert version is not None
    await archive.marker.clear(one, version)
    assert list(archive.marker.pending) == [one]
    await archive.archiver.archive_due()
    assert not archive.marker.pending
    assert archived(tmp_path / "lake") == keys([trade_at(1), trade_at(2)])


class SlowTrades(MemoryTrades):
    """A store whose writes wait for `go`."""

    def __init__(self) -> None:
        super().__init__(1e9)
        self.go = asyncio.Event()
        self.fails = False

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Wait, then store or fail."""
        await self.go.wait()
        if self.fails:
            raise StoreUnavailable("away")
        return await super().add(trades)


async def test_the_archiver_waits_for_a_write_under_way(tmp_path: Path) -> None:
    """Its trades are in the file."""
    store = SlowTrades()
    async with archiving(store, FolderAddress(tmp_path / "lake"), tmp_path) as archive:
        writing = asyncio.create_task(archive.store.add([trade_at(1)]))
        while not archive.marker.pending:
            await asyncio.sleep(0)
        work = asyncio.create_task(archive.archive_at(400))
        done, _ = await asyncio.wait([work], timeout=0.1)
        assert not done
        store.go.set()
        await asyncio.gather(writing, work)
        assert archived(tmp_path / "lake") == keys([trade_at(1)])


async def test_a_flush_writes_open_ranges(archive: Archive, tmp_path: Path) -> None:
    """Their trades that come after it are merged when the range is over."""
    await archive.store.add([trade_at(1)])
    archive.clock.at = 2
    await archive.archiver.flush()
    assert archived(tmp_path / "lake") == keys([trade_at(1)])
    assert not archive.marker.pending
    await archive.store.add([trade_at(3)])
    await archive.archive_at(400)
    assert archived(tmp_path / "lake") == keys([trade_at(1), trade_at(3)])


async def test_a_flush_has_a_bound(tmp_path: Path) -> None:
    """A write that does not end is left to the next start, which finds its mark."""
    async with archiving(SlowTrades(), FolderAddress(tmp_path / "lake"), tmp_path) as archive:
        writing = asyncio.create_task(archive.store.add([trade_at(1)]))
        while not archive.marker.pending:
            await asyncio.sleep(0)
        await archive.archiver.flush(0.05)
        assert len(archive.marker.pending) == 1
        writing.cancel()
        await asyncio.wait([writing])


async def test_a_failed_write_keeps_the_mark(tmp_path: Path) -> None:
    """The store may carry it out later."""
    store = SlowTrades()
    store.go.set()
    store.fails = True
    async with archiving(store, FolderAddress(tmp_path / "lake"), tmp_path) as archive:
        archive.clock.at = 400
        with pytest.raises(StoreUnavailable):
            await archive.store.add([trade_at(1)])
        await archive.archiver.archive_due()
        assert len(archive.marker.pending) == 1
        await MemoryTrades.add(store, [trade_at(1)])
        await archive.archive_at(800)
        assert not archive.marker.pending
        assert archived(tmp_path / "lake") == keys([trade_at(1)])


async def test_marks_survive_a_restart(archive: Archive, tmp_path: Path) -> None:
    """Ranges that were marked and not archived are archived by the next process."""
    await archive.store.add([trade_at(1)])
    await archive.marks.close()
    store = archive.store
    async with archiving(store, FolderAddress(tmp_path / "lake"), tmp_path, archive.clock) as other:
        await other.archive_at(400)
    assert archived(tmp_path / "lake") == keys([trade_at(1)])


async def test_every_digit_is_kept(archive: Archive, tmp_path: Path) -> None:
    """In DECIMAL(38,18) where it fits; else as text in `exact`. Times are exact to the microsecond."""
    prices = {
        "1": None,
        "0.1": None,
        "1E-7": None,
        "1234567890": None,
        "123456789.1": None,
        "0.123456789": None,
        "0.123456789012345678": None,
        "99999999999999999999.123456789012345678": None,
        "0.1234567890123456789": '{"price":"0.1234567890123456789"}',
        "1E-30": '{"price":"1E-30"}',
        "123456789012345678901.5": '{"price":"123456789012345678901.5"}',
        "1E+20": '{"price":"1E+20"}',
        "1E+3": None,
    }
    trades = [trade_at(number + 0.000001, price=price) for number, price in enumerate(prices)]
    await archive.store.add(trades)
    await archive.archive_at(400)
    found = archived(tmp_path / "lake", ["price", "exact", "epoch_us(timestamp)"])
    for (price, exact, at), one in zip(found, trades, strict=True):
        assert exact == prices[str(one.price)], one
        assert at == round(one.timestamp * 1e6)
        if exact is None:
            assert price == one.price
    assert found[-4][0] == Decimal(0)
    assert [row[0] for row in found[-3:-1]] == [None, None]


async def test_every_column_is_kept(archive: Archive, tmp_path: Path) -> None:
    """Unknown volumes and sides are null."""
    full = Trade("btcusdt", Decimal("1.5"), None, HOUR + 1, 'o"k\\x', "ü\t1", Side.SELL, 2**63 - 1, late=True)
    await archive.store.add([full, trade_at(2)])
    await archive.archive_at(400)
    columns = ["volume", "venue", "id", "side", "sequence_number", "late", "year", "month", "day", "hour"]
    assert archived(tmp_path / "lake", columns) == [
        (None, 'o"k\\x', "ü\t1", "sell", 2**63 - 1, True, 2026, 11, 18, 12),
        (Decimal("0.5"), "okx", "btcusdt-2-0", None, None, False, 2026, 11, 18, 12),
    ]


async def test_a_small_file_is_written_once(archive: Archive, tmp_path: Path) -> None:
    """The first content stays; where a file cannot be written, False tells, and nothing is raised."""
    path = "dead-letters/2026/11/30/outlet-desk-1.json"
    assert await archive.archiver.put_file(path, b"first")  # it opens the archive
    assert await archive.archiver.put_file(path, b"second")
    assert (tmp_path / "lake" / path).read_bytes() == b"first"
    (tmp_path / "lake" / "dead-letters" / "2027").touch()
    assert not await archive.archiver.put_file(path.replace("2026", "2027"), b"blocked")


async def test_a_broken_file_holds_up_its_range_only(archive: Archive, tmp_path: Path) -> None:
    """Its range waits for a repair, and all later ones are written."""
    await archive.store.add([trade_at(1)])
    await archive.archive_at(400)
    (file,) = (tmp_path / "lake").rglob("*.parquet")
    file.write_bytes(b"broken")
    await archive.store.add([trade_at(2), trade_at(301)])  # the first comes late
    for _ in range(2):
        with pytest.raises(StoreError):
            await archive.archive_at(1000)
    assert files_of(tmp_path / "lake") == ["hour=12/00-05.parquet", "hour=12/05-10.parquet"]
    assert list(archive.marker.pending) == [(int(HOUR), int(HOUR) + 300)]
    file.unlink()
    (tmp_path / "lake/trades/year=2026/month=11/day=18/_manifest.json").unlink()
    await archive.archive_at(1400)
    assert archived(tmp_path / "lake") == keys([trade_at(1), trade_at(2), trade_at(301)])


async def test_the_connection_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection keeps the credentials of S3 that it was made with, and those of a role expire after some hours."""
    made, real = list[object](), time.monotonic

    def counted(address: FolderAddress) -> object:
        made.append(address)
        return connect(address)

    monkeypatch.setattr(parts, "connect", counted)
    async with archiving(MemoryTrades(1e9), FolderAddress(tmp_path / "lake"), tmp_path) as archive:
        for number, (later, connections) in enumerate(((0, 1), (10, 1), (300, 2), (310, 2)), 1):
            monkeypatch.setattr(time, "monotonic", lambda later=later: real() + later)
            await archive.store.add([trade_at(number)])
            await archive.archive_at(1000 * number)
            assert len(made) == connections


async def test_an_old_event_is_no_lag(tmp_path: Path) -> None:
    """The range of an event that comes long after its end waits since then. After a restart: since its end."""
    store, lake = SlowTrades(), FolderAddress(tmp_path / "lake")
    store.go.set()
    store.fails = True
    async with archiving(store, lake, tmp_path) as archive:
        archive.clock.at = 4000
        with pytest.raises(StoreUnavailable):
            await archive.store.add([trade_at(1)])
        assert archive.archiver.lag == 0
        await archive.archiver.archive_due()  # keeps the mark of the write that failed
        archive.clock.at = 4020
        assert archive.archiver.lag == 20
    async with archiving(store, lake, tmp_path, archive.clock) as later:
        assert later.archiver.lag == 4020 - 300 - 10
