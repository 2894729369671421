"""Trades for tests, and a store of trades that a test can close and open again."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from prometheus_client import CollectorRegistry

from aggregator.models import Side, Trade, TradeKey, trade_key
from aggregator.observability.metrics import Metrics
from aggregator.stores.trades.definition import TradeStoreParts
from aggregator.stores.trades.dynamodb_table import TradeTable
from aggregator.stores.trades.outbox import TradeOutbox
from aggregator.stores.trades.postgres_table import PostgresTrades
from aggregator.stores.trades.registry import trade_store
from aggregator.trades.ports import TradeStore
from tests.parts import postgres
from tests.parts.dynamodb import PATIENT_SECONDS
from tests.parts.examples import NOW
from tests.parts.postgres import PASSWORD, PostgresServer

HOUR = 3600.0
RETENTION = 87_600 * HOUR  # ten years: DynamoDB Local deletes what has expired by the machine's clock
ALWAYS = (0.0, NOW * 2)

Open = Callable[[], Awaitable[TradeStore]]


def trade(
    number: int = 0,
    *,
    asset: str = "btcusdt",
    timestamp: float | None = None,
    price: str = "79450.12",
    volume: str | None = "0.25",
    venue: str = "coinbase",
    trade_id: str | None = None,
    side: Side | None = Side.BUY,
    sequence: int | None = 7,
    late: bool = False,
) -> Trade:
    """Return a trade; trades of different numbers are a second apart."""
    return Trade(
        asset=asset,
        price=Decimal(price),
        volume=None if volume is None else Decimal(volume),
        timestamp=NOW + number if timestamp is None else timestamp,
        venue=venue,
        id=f"id{number}" if trade_id is None else trade_id,
        side=side,
        sequence=sequence,
        late=late,
    )


def naive(
    trades: Sequence[Trade],
    asset: str,
    start: float,
    end: float,
    limit: int,
    *,
    newest_first: bool,
    after: TradeKey | None = None,
) -> list[Trade]:
    """Answer as `TradeReader.trades`, from a list that has each key once."""
    ours = [one for one in trades if one.asset == asset and start <= one.timestamp <= end]
    if after is not None:
        ours = [one for one in ours if (trade_key(one) < after if newest_first else trade_key(one) > after)]
    return sorted(ours, key=trade_key, reverse=newest_first)[:limit]


async def pages(store: TradeStore, size: int, *, newest_first: bool, asset: str = "btcusdt") -> list[Trade]:
    """Return all trades of an asset, read in pages."""
    found: list[Trade] = []
    after: TradeKey | None = None
    while page := await store.trades(asset, *ALWAYS, size, newest_first=newest_first, after=after):
        assert len(page) <= size
        found += page
        after = trade_key(page[-1])
    return found


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


class Opened:
    """A store of trades that a test can close and open again. `now` is the store's clock."""

    def __init__(self, open_store: Open, *, runs: bool, drains: bool) -> None:
        self.store: TradeStore
        self._open_store = open_store
        self._runs = runs
        self._drains = drains
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the store, and run it unless it is to send nothing."""
        self.store = await self._open_store()
        if self._runs:
            self._running = asyncio.create_task(self.store.run())

    async def close(self) -> None:
        """Close the store."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self.store.close()

    async def reopen(self) -> None:
        """Close the store and open it again."""
        await self.close()
        await self.open()

    async def add(self, *trades: Trade) -> list[Trade]:
        """Add trades, and wait until the remote table has them where reads are to find them there."""
        added = list(await self.store.add(trades))
        if self._drains:
            assert isinstance(self.store, TradeOutbox)
            assert await self.store.drain(60) == 0
        return added


def by_url(url: str, folder: Path, now: Callable[[], float]) -> Open:
    """Return a function that opens the store of a URL."""

    async def open_store() -> TradeStore:
        metrics = Metrics(CollectorRegistry())
        parts = TradeStoreParts(RETENTION, folder / "trades-outbox.db", 1 << 30, metrics, now)
        created = trade_store(url).create(url, parts)
        for step in created.open_steps:
            await step.run()
        return created.store

    return open_store


def in_dynamodb(endpoint: str, folder: Path, now: Callable[[], float], most_bytes: int = 1 << 30) -> Open:
    """Return a function that opens an outbox and its table, whose reads wait for however slow DynamoDB Local is."""
    name = f"trades-{uuid.uuid4()}"

    async def open_store() -> TradeStore:
        metrics = Metrics(CollectorRegistry())
        table = TradeTable(name, "us-east-1", endpoint, metrics, RETENTION, now, PATIENT_SECONDS)
        await table.open()
        outbox = TradeOutbox(folder / "trades-outbox.db", most_bytes, table, RETENTION, metrics, now)
        await outbox.open()
        return outbox

    return open_store


def in_postgres(server: PostgresServer, now: Callable[[], float]) -> Open:
    """Return a function that opens the store in a new database; its reads wait for however busy the machine is."""
    address = server.address(server.new_database())

    async def open_store() -> TradeStore:
        patience = postgres.PATIENT_SECONDS
        store = PostgresTrades(address, PASSWORD, RETENTION, now, patience, patience)
        await store.open()
        return store

    return open_store


@asynccontextmanager
async def opened(open_store: Open, *, runs: bool = False, drains: bool = False) -> AsyncIterator[Opened]:
    """Open a store for the block."""
    found = Opened(open_store, runs=runs, drains=drains)
    await found.open()
    yield found
    await found.close()
