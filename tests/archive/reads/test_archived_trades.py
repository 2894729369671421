"""GET /trades/{asset} reaches into the archive for times that the store does not keep."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aggregator.archive.datasets import TRADES
from aggregator.archive.layout import MANIFEST
from aggregator.archive.reads.archive_reads import ArchiveReads
from aggregator.archive.reads.archived_trades import ArchivedTrades
from aggregator.archive.storages.address import FolderAddress
from aggregator.errors import StoreUnavailable
from aggregator.models import Trade, encode_as_strings, trade_key
from aggregator.stores.trades.memory import MemoryTrades
from tests.parts.asgi import get
from tests.parts.examples import NOW
from tests.parts.lake import write_lake
from tests.parts.trade_api import TradeApi, sold, trade

RETENTION = 3600.0
STEP = 50  # seconds between two trades; 5 trades have the same time
OLDEST = NOW - 3 * RETENTION
TRADES_MADE = [trade(n, f"{100 + n % 9}.5", timestamp=OLDEST + n // 5 * STEP) for n in range(5 * 3 * 72)]


def archive(folder: Path, trades: Sequence[Trade]) -> FolderAddress:
    """Write an archive."""
    rows: list[dict[str, Any]] = msgspec.json.decode(encode_as_strings(trades))
    write_lake(folder, TRADES, rows)
    return FolderAddress(folder)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> FolderAddress:
    """Return an archive of all but the last half hour."""
    return archive(tmp_path_factory.mktemp("lake"), [one for one in TRADES_MADE if one.timestamp < NOW - 1800])


Readers = Callable[..., ArchivedTrades]


@pytest.fixture
def reader_of() -> Iterator[Readers]:
    """Return a function that makes a reader of an archive and a store, of an empty one by default."""
    with ExitStack() as stack:

        def make(address: FolderAddress, store: Any = None, seconds: float = 60, most_files: int = 600) -> Any:
            reads = ArchiveReads(address, seconds, most_files)
            stack.callback(reads.close)
            store = store or MemoryTrades(RETENTION, lambda: NOW)
            return ArchivedTrades(store, reads, RETENTION, lambda: NOW, 60)

        yield make


@pytest.fixture
async def api(address: FolderAddress, reader_of: Readers) -> TradeApi:
    """Serve the trades of the last hour from memory, and the others from the archive."""
    return TradeApi(reader_of(address, await store_of(TRADES_MADE)))


async def store_of(trades: Sequence[Trade]) -> MemoryTrades:
    """Return a store that keeps trades for an hour."""
    store = MemoryTrades(RETENTION, lambda: NOW)
    await store.add(trades)
    return store


def keys(rows: Sequence[dict[str, Any]]) -> list[tuple[float, str, str]]:
    """Return the key of each row."""
    return [(float(row["timestamp"]), row["venue"], row["id"]) for row in rows]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_have_each_trade_once(api: TradeApi, order: str) -> None:
    """Through archive and store in one row of pages, also where a page ends between trades of the same time."""
    start = OLDEST + 1800
    rows = await api.pages(f"/trades/btcusdt?start={start!r}&order={order}&limit=333")
    expected = sorted((one for one in TRADES_MADE if one.timestamp >= start), key=trade_key, reverse=order == "desc")
    assert keys(rows) == [trade_key(one) for one in expected]


async def test_a_range_before_what_is_kept(api: TradeApi) -> None:
    """An end before it is enough to reach the archive."""
    end = NOW - 2 * RETENTION
    newest = max((one for one in TRADES_MADE if one.timestamp <= end), key=trade_key)
    (row,) = (await api.get(f"/trades/btcusdt?end={end!r}&limit=1"))["trades"]
    assert keys([row]) == [trade_key(newest)]


async def test_the_archive_costs_nothing_unasked(tmp_path: Path, reader_of: Readers) -> None:
    """Without start and end, or within what is kept, it is not read: here it could not be."""
    (tmp_path / "trades/year=2023/month=11/day=14").mkdir(parents=True)
    reader = reader_of(FolderAddress(tmp_path), await store_of(TRADES_MADE[-5:]))
    api = TradeApi(reader)
    for query in ("", f"?start={NOW - 1800!r}", f"?start={NOW - 9999!r}&limit=2"):
        assert (await api.get(f"/trades/btcusdt{query}"))["trades"]


async def test_every_field_comes_back(tmp_path: Path, reader_of: Readers) -> None:
    """The digits, the side and the number of a trade are those that were archived, without zeros behind them."""
    old = [sold(trade(1, "0.000000012345678901", "3.5", OLDEST + 0.123456), 77), trade(2, "100", None, OLDEST + 1)]
    reader = reader_of(archive(tmp_path, old))
    found = await reader.trades("btcusdt", OLDEST, OLDEST + 10, 10, newest_first=False)
    assert found == old
    assert [f"{one.price:f}" for one in found] == ["0.000000012345678901", "100"]
    assert await reader.trades("ethusdt", OLDEST, OLDEST + 10, 10, newest_first=False) == []


async def test_digits_that_do_not_fit(tmp_path: Path, reader_of: Readers) -> None:
    """They come from the column `exact`."""
    row = {"asset": "btcusdt", "timestamp": OLDEST, "price": "1E-25", "volume": "1", "venue": "v", "id": "1"}
    write_lake(tmp_path, TRADES, [{**row, "late": True}])
    reader = reader_of(FolderAddress(tmp_path))
    (found,) = await reader.trades("btcusdt", OLDEST, OLDEST, 10, newest_first=False)
    assert (found.price, found.late) == (Decimal("1e-25"), True)


async def test_a_range_may_be_too_long(address: FolderAddress, reader_of: Readers) -> None:
    """A page that would open too many files is refused with 400, which names the parameter."""
    reader = reader_of(address, most_files=3)
    answer = await get(TradeApi(reader).app, f"/trades/ethusdt?start={OLDEST!r}")
    told = "start must be later, or end earlier: more than 3 files of the archive would be read"
    assert (answer.status, answer.json["msg"]) == (400, told)


def spoil(folder: Path, pattern: str) -> None:
    """Overwrite a file."""
    next(folder.rglob(pattern)).write_bytes(b"{")


async def test_an_archive_that_cannot_be_read(tmp_path: Path, reader_of: Readers) -> None:
    """503 says that the trades cannot be read now."""
    address = archive(tmp_path, TRADES_MADE[:5])
    spoil(tmp_path, "*.parquet")
    api = TradeApi(reader_of(address))
    answer = await get(api.app, f"/trades/btcusdt?start={OLDEST!r}")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    spoil(tmp_path, MANIFEST)
    assert (await get(api.app, f"/trades/btcusdt?start={OLDEST!r}")).status == 503


async def test_reads_have_bounds(address: FolderAddress, reader_of: Readers) -> None:
    """In time and in number. A reader that gives up ends its read, and the next one is answered."""
    hurried = reader_of(address, seconds=0.0)
    with pytest.raises(StoreUnavailable, match="more than 0 s"):
        await hurried.trades("btcusdt", OLDEST, NOW, 10, newest_first=False)
    reader = reader_of(address)
    calls = [reader.trades("btcusdt", OLDEST, NOW, 700, newest_first=False) for _ in range(30)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in results if isinstance(one, StoreUnavailable)]
    assert str(refused[0]) == "too many reads of the archive"
    assert len([one for one in results if isinstance(one, list) and len(one) == 700]) == len(results) - len(refused)
    assert len(await reader.trades("btcusdt", OLDEST, NOW, 10, newest_first=False)) == 10
