"""GET /prices/{asset}/history, /at and /candles reach into the archive for times that the history does not keep."""

import math
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.prices.candles import CandlesRoute
from aggregator.archive.datasets import PRICES, TRADES
from aggregator.archive.reads.archive_reads import ArchiveReads
from aggregator.archive.reads.archived_history import ArchivedHistory
from aggregator.archive.reads.archived_trades import ArchivedTrades
from aggregator.archive.reads.pages import microseconds
from aggregator.archive.sources import price_lines
from aggregator.archive.storages.address import FolderAddress
from aggregator.models import LeftOut, Price, Reason, Source, Tier, Trade, encode_as_strings
from aggregator.observability.metrics import Metrics
from aggregator.stores.sqlite import SqliteHistory
from aggregator.stores.trades.memory import MemoryTrades
from tests.api.prices.history_parts import CATALOG, Parts
from tests.archive.sql_scene import rows_of
from tests.parts.asgi import get
from tests.parts.examples import NOW
from tests.parts.lake import write_lake

RETENTION = 3600.0
OLDEST = NOW - 2 * RETENTION
STEP = 25.0000003  # seconds between two prices: no multiple of the archive's microsecond
ASSET = "a0"
SOURCE = Source("coinbase", Decimal(1000), Decimal(5), 0.0, Decimal(1))
LEFT_OUT = LeftOut("kraken", Reason.OUTLIER, "far", Decimal(2))


def made(number: int, asset: str = ASSET) -> Price:
    """Return the price of a number, at a time between two microseconds."""
    at = OLDEST + number * STEP
    return Price(
        asset, Decimal("1000.5") + number % 9, at, Tier.HOT, Decimal("0.001"), at + 0.5, (SOURCE,), (LEFT_OUT,)
    )


MADE = [made(number) for number in range(int(2 * RETENTION / STEP))]
SEAM = NOW - 1800  # the history has an hour, the archive all but the last half hour
EXPECTED = [math.floor(one.timestamp * 1e6 + 0.5) / 1e6 for one in MADE]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> FolderAddress:
    """Return an archive of prices and trades."""
    folder = tmp_path_factory.mktemp("lake")
    old = [one for one in MADE if one.timestamp < SEAM]
    write_lake(folder, PRICES, rows_of(price_lines(old)))
    write_lake(folder, TRADES, rows_of(b"\n".join(map(encode_as_strings, _trades(OLDEST, SEAM)))))
    return FolderAddress(folder)


def _trades(start: float, end: float) -> list[Trade]:
    return [
        Trade(ASSET, Decimal(100 + n % 7), Decimal(2), start + n * 60, "okx", f"t{start + n * 60}")
        for n in range(int((end - start) / 60))
    ]


class Scene(Parts):
    """The routes over a history and an archive; `most_files` bounds a page."""

    def __init__(self, history: SqliteHistory, trades: MemoryTrades, address: FolderAddress, most_files: int) -> None:
        self.reads = ArchiveReads(address, 60, most_files)
        self._sqlite = history
        both = ArchivedHistory(history, self.reads, RETENTION, lambda: NOW, 60)
        super().__init__(history, both)
        archived = ArchivedTrades(trades, self.reads, RETENTION, lambda: NOW, 60)
        routes = CandlesRoute(CATALOG, both, lambda: NOW, 60, archived).routes()
        self.candles = build(routes, Metrics(CollectorRegistry()))

    async def expire(self) -> None:
        """Delete what the history keeps no longer."""
        await self._sqlite.expire()

    async def of_candles(self, query: str) -> Sequence[dict[str, Any]]:
        """Return candles."""
        answer = await get(self.candles, f"/prices/{ASSET}/candles?{query}")
        assert answer.status == 200, answer.text
        found: Sequence[dict[str, Any]] = answer.json["candles"]
        return found


@pytest.fixture
async def scene(address: FolderAddress, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """Serve the prices and trades of the last hour from stores, and the others from the archive."""
    history = SqliteHistory(tmp_path / "prices.db", RETENTION, lambda: NOW)
    await history.open()
    await history.write([one for one in MADE if one.timestamp >= NOW - RETENTION - 600])  # not yet deleted
    trades = MemoryTrades(RETENTION, lambda: NOW)
    await trades.add(_trades(NOW - RETENTION, NOW))
    one = Scene(history, trades, address, getattr(request, "param", 600))
    yield one
    one.reads.close()
    await history.close()


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_have_each_price_once(scene: Scene, order: str) -> None:
    """Through archive and history in one row of pages, where both have the prices of some time."""
    rows = await scene.pages(f"/prices/{ASSET}/history?start={OLDEST!r}&order={order}&limit=100")
    assert [float(row["timestamp"]) for row in rows] == sorted(EXPECTED, reverse=order == "desc")


async def test_pages_that_end_at_each_price(scene: Scene) -> None:
    """Also where a page ends at a price that both have."""
    start, end = NOW - RETENTION - 300, NOW - RETENTION + 100
    rows = await scene.pages(f"/prices/{ASSET}/history?start={start!r}&end={end!r}&limit=1")
    assert [float(row["timestamp"]) for row in rows[::-1]] == [at for at in EXPECTED if start <= at <= end]


async def test_every_field_comes_back(scene: Scene) -> None:
    """An archived price has the sources and amounts of the stored one."""
    target = f"/prices/{ASSET}/history?end={OLDEST + STEP!r}&order=asc&limit=1&sources=true"
    (row,) = (await scene.get(target))["prices"]
    first = MADE[0]
    assert (float(row["price"]), float(row["spread"]), row["degraded"]) == (1000.5, 0.001, True)
    assert (row["sources"][0]["exchange"], row["left_out"][0]["reason"]) == ("coinbase", "outlier")
    assert float(row["updated_at"]) == pytest.approx(first.updated_at, abs=1e-6)


async def test_the_price_at_a_time(scene: Scene) -> None:
    """Before what is kept, and right after it, where the price before it is in the archive only."""
    await scene.expire()
    for at in (OLDEST + 1000.5, NOW - RETENTION + 1):
        found = await scene.get(f"/prices/{ASSET}/at?time={at!r}")
        assert float(found["timestamp"]) == max(one for one in EXPECTED if one <= at)
    missing = await get(scene.app, f"/prices/a1/at?time={NOW!r}")
    assert missing.status == 404
    assert (await get(scene.app, f"/prices/{ASSET}/at?time={OLDEST - 1!r}")).status == 404


async def test_candles_of_prices(scene: Scene) -> None:
    """Candles of an old range count each price once."""
    candles = await scene.of_candles(f"interval=1h&start={OLDEST!r}&end={NOW!r}")
    assert sum(one["count"] for one in candles) == len([at for at in EXPECTED if at <= NOW])


async def test_candles_of_trades(scene: Scene) -> None:
    """Likewise of trades, with a start and without one."""
    expected = len(_trades(OLDEST, NOW))
    for query in (f"interval=1h&start={OLDEST!r}&end={NOW!r}", "interval=1h"):
        candles = await scene.of_candles(f"{query}&source=trades")
        assert sum(one["count"] for one in candles) == expected
        assert {one["volume"] for one in candles[1:-1]} == {120}


@pytest.mark.parametrize("scene", [3], indirect=True)
async def test_a_range_may_be_too_long(scene: Scene) -> None:
    """A page that would open too many files is refused with 400, which names the parameter."""
    answer = await get(scene.app, f"/prices/a1/history?start={OLDEST!r}")
    told = "start must be later, or end earlier: more than 3 files of the archive would be read"
    assert (answer.status, answer.json["msg"]) == (400, told)


async def test_the_archive_costs_nothing_unasked(scene: Scene) -> None:
    """Without a time, or within what is kept, the archive is not read: here it could not be."""
    scene.reads.close()
    for query in ("", f"?start={NOW - 1800!r}", f"?start={OLDEST!r}&limit=5"):
        assert (await scene.get(f"/prices/{ASSET}/history{query}"))["prices"]


@pytest.mark.parametrize("offset", range(50))
def test_microseconds(offset: int) -> None:
    """A time that is the float next to a microsecond is that one; the next float is behind it."""
    at = 1_795_241_427_047_123 + offset * 1_000_003
    exact = at / 1e6
    assert (microseconds(exact), microseconds(exact, is_end=True)) == (at, at)
    assert microseconds(math.nextafter(exact, math.inf)) == at + 1
    assert microseconds(math.nextafter(exact, 0), is_end=True) == at - 1
