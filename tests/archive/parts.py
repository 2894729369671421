"""Parts of the tests of the archive: trades, an archiver on a folder, and what its files have."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from aggregator.archive.datasets import TRADES, Dataset
from aggregator.archive.duck import connect
from aggregator.archive.sources import StoredTrades, line_reader
from aggregator.archive.storages.address import ArchiveAddress, FolderAddress
from aggregator.archive.storages.registry import open_storage
from aggregator.archive.writes.archiver import Archiver, Channel
from aggregator.archive.writes.inspection import Problem, StoreCheck, check_day, days_of
from aggregator.archive.writes.marked_trades import MarkedTrades
from aggregator.archive.writes.marker import Marker
from aggregator.archive.writes.marks import Marks, Range, read_ranges
from aggregator.archive.writes.writer import PART_ROWS
from aggregator.models import Trade
from aggregator.observability.metrics.archive import ArchiveMetrics
from aggregator.trades.ports import TradeStore

HOUR = 1_795_003_200.0  # 2026-11-18T12:00:00Z


def trade_at(at: float, asset: str = "btcusdt", price: str = "100.25", number: int = 0, volume: str = "0.5") -> Trade:
    """Return a trade `at` seconds after HOUR."""
    return Trade(asset, Decimal(price), Decimal(volume), HOUR + at, "okx", f"{asset}-{at}-{number}")


class Clock:
    """Unix seconds that a test sets: `at` seconds after HOUR."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        """Return unix seconds."""
        return HOUR + self.at


class Archive:
    """A store whose trades are archived. `inner` is the same store without marks."""

    def __init__(
        self, inner: TradeStore, store: MarkedTrades, marks: Marks, marker: Marker, archiver: Archiver, clock: Clock
    ) -> None:
        self.inner = inner
        self.store = store
        self.marks = marks
        self.marker = marker
        self.archiver = archiver
        self.clock = clock
        self.channel = Channel(StoredTrades(store, line_reader(inner)), marker)

    async def archive_at(self, at: float) -> None:
        """Archive what is due `at` seconds after HOUR."""
        self.clock.at = at
        await self.archiver.archive_due()


@asynccontextmanager
async def archiving(
    store: TradeStore,
    address: ArchiveAddress,
    folder: Path,
    clock: Clock | None = None,
    seconds: int = 300,
    part_rows: int = PART_ROWS,
) -> AsyncIterator[Archive]:
    """Yield an open archive of the trades of a store, which the caller opens and closes."""
    clock = clock or Clock()
    marks = Marks(folder / "archive.db")
    await marks.open()
    marker = Marker(marks, TRADES, seconds, clock.now)
    marked = MarkedTrades(store, marker)
    archiver = Archiver(
        open_storage(address, folder / "archive.tmp"),
        partial(connect, address),
        [Channel(StoredTrades(marked, line_reader(store)), marker)],
        ArchiveMetrics(CollectorRegistry()),
        clock.now,
        part_rows=part_rows,
    )
    try:
        yield Archive(store, marked, marks, marker, archiver, clock)
    finally:
        await archiver.close()
        await marks.close()


def files_of(lake: Path, dataset: Dataset = TRADES) -> list[str]:
    """Return the paths of the Parquet files in a folder, without the year, month and day."""
    return sorted("/".join(one.parts[-2:]) for one in (lake / dataset.name).rglob("*.parquet"))


def archived(
    lake: Path | ArchiveAddress, columns: Sequence[str] = ("asset", "epoch_us(timestamp)", "venue", "id")
) -> list[tuple[object, ...]]:
    """Return columns of all trades in a folder or at an address, in the order of their keys."""
    address = FolderAddress(lake) if isinstance(lake, Path) else lake
    connection = connect(address)
    try:
        rows: list[tuple[object, ...]] = connection.execute(
            "FROM read_parquet(?, hive_partitioning=true)"
            f" SELECT {', '.join(columns)} ORDER BY asset, timestamp, venue, id",
            [f"{address.root}/trades/**/*.parquet"],
        ).fetchall()
    finally:
        connection.close()
    return rows


def ids_at(address: ArchiveAddress) -> list[object]:
    """Return the ids of all archived trades in order."""
    connection = connect(address)
    try:
        files = f"{address.root}/trades/**/*.parquet"
        found = connection.execute("SELECT id FROM read_parquet(?) ORDER BY id", [files])
        return [row[0] for row in found.fetchall()]
    finally:
        connection.close()


async def problems(
    address: ArchiveAddress,
    folder: Path,
    store: TradeStore | None,
    marks: Marks | None = None,
    assets: Sequence[str] = ("btcusdt",),
) -> list[Problem]:
    """Return what differs between manifests, files and the store, if there is one.

    Ranges that `marks` has wait for the archive. The storage stays open: the archiver of this process has the same
    folder for its work.
    """

    async def pending() -> set[Range]:
        return set() if marks is None else await read_ranges(marks.path, "trades")

    storage, connection = open_storage(address, folder / "look"), connect(address)
    storage.open()
    try:
        found = [one for day in days_of(storage, TRADES) for one in check_day(storage, connection, TRADES, day)]
        if store is not None:
            check = StoreCheck(storage, connection, StoredTrades(store), assets, pending, 300)
            found += [one async for one in check.problems(0)]
    finally:
        connection.close()
    return found


def keys(trades: Sequence[Trade]) -> list[tuple[object, ...]]:
    """Return the keys of trades as `archived` does."""
    return sorted((one.asset, round(one.timestamp * 1e6), one.venue, one.id) for one in trades)
