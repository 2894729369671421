"""Events, positions and stores for tests.

python -m tests.stores.events.parts put events.db        puts events without end
python -m tests.stores.events.parts trade events.db      opens and closes positions without end
"""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry

from aggregator.errors import StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.stores.events.definition import CreatedEventStores, EventStoreParts
from aggregator.stores.events.registry import event_store
from aggregator.strategy.ports import Position
from aggregator.trades.ports import EventStore, StoredEvent
from tests.parts.examples import NOW
from tests.parts.limits import allowed
from tests.parts.postgres import PASSWORD

T = TypeVar("T")

DAY = 86_400.0
RETENTION = 3650 * DAY  # DynamoDB Local deletes what has expired by the machine's clock
ALWAYS = (0.0, NOW * 2)
CALL = 50  # events of a call of the process that is killed


def event(number: int = 0, *, asset: str = "btcusdt", timestamp: float | None = None, body: str = "{}") -> StoredEvent:
    """Return an event; events of different numbers are a second apart."""
    return StoredEvent(asset, NOW + number if timestamp is None else timestamp, f"id{number}", body.encode())


def position(number: int = 0, asset: str = "btcusdt") -> Position:
    """Return an open position."""
    return Position(f"{asset}-{number}", asset, Decimal("0.1"), Decimal("79450.12345678901"), NOW + number)


def closed(opened: Position, *, seconds: float = 10, profit: str = "1.25") -> Position:
    """Return the position after its exit."""
    return Position(
        opened.id,
        opened.asset,
        opened.quantity,
        opened.entry_price,
        opened.entry_time,
        opened.entry_price + 5,
        opened.entry_time + seconds,
        Decimal(profit),
        "gain",
    )


async def retried(call: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a call that is made again while the store is unavailable, as callers do."""
    async with asyncio.timeout(allowed(30)):
        while True:
            try:
                return await call()
            except StoreUnavailable:
                await asyncio.sleep(0.02)


class Opened:
    """Stores of one URL, which a test can connect to a second time."""

    def __init__(self, url: str, now: Callable[[], float], stack: AsyncExitStack) -> None:
        self.url = url
        self._now = now
        self._stack = stack
        self.metrics = Metrics(CollectorRegistry())
        self.stores: CreatedEventStores

    @property
    def is_memory(self) -> bool:
        """Whether there is one connection only."""
        return self.url == "memory://"

    @property
    def events(self) -> EventStore:
        """The events."""
        return self.stores.events

    async def open(self) -> "Opened":
        """Open the stores."""
        self.stores = await self.connect()
        return self

    async def connect(self) -> CreatedEventStores:
        """Return a connection of its own to the same stores; the one that there is, in memory."""
        if self.is_memory and hasattr(self, "stores"):
            return self.stores
        parts = EventStoreParts(RETENTION, self.metrics, self._now, PASSWORD)
        created = event_store(self.url).create(self.url, parts)
        for step in created.open_steps:
            await retried(step.run)
        self._stack.push_async_callback(created.events.close)
        return created

    async def put(self, *events: StoredEvent, topic: str = "anomalies") -> None:
        """Put events."""
        await retried(lambda: self.events.put(topic, events))

    async def all(self, topic: str = "anomalies", asset: str = "btcusdt") -> list[StoredEvent]:
        """Return all events of an asset, oldest first."""
        return await retried(lambda: self.events.events(topic, asset, *ALWAYS, 10_000, newest_first=False))

    async def pages(self, size: int, *, newest_first: bool) -> list[StoredEvent]:
        """Return all events of an asset, read in pages."""
        found: list[StoredEvent] = []
        after: tuple[float, str] | None = None
        while page := await self._page(size, after, newest_first=newest_first):
            assert len(page) <= size
            found += page
            after = page[-1].timestamp, page[-1].id
        return found

    async def _page(self, size: int, after: tuple[float, str] | None, *, newest_first: bool) -> list[StoredEvent]:
        return await retried(
            lambda: self.events.events("anomalies", "btcusdt", *ALWAYS, size, newest_first=newest_first, after=after)
        )

    async def closed_pages(self, asset: str | None, size: int) -> list[Position]:
        """Return all closed positions, read in pages."""
        found: list[Position] = []
        after: tuple[float, str] | None = None
        while page := await self._closed_page(asset, size, after):
            assert len(page) <= size
            found += page
            after = page[-1].exit_time or 0, page[-1].id
        return found

    async def _closed_page(self, asset: str | None, size: int, after: tuple[float, str] | None) -> Sequence[Position]:
        return await retried(lambda: self.stores.positions.closed(asset, size, after))

    async def opens(self, one: Position) -> bool:
        """Open a position."""
        return await retried(lambda: self.stores.positions.open(one))

    async def closes(self, one: Position) -> bool:
        """Close a position."""
        return await retried(lambda: self.stores.positions.close_position(one))

    async def open_ones(self, *assets: str) -> list[Position]:
        """Return the open positions of assets."""
        return await retried(lambda: self.stores.positions.open_positions(assets))


@asynccontextmanager
async def opened(url: str, now: Callable[[], float] = lambda: NOW) -> AsyncIterator[Opened]:
    """Open stores for the block."""
    async with AsyncExitStack() as stack:
        yield await Opened(url, now, stack).open()


def new_table() -> str:
    """Return the name of a table that does not exist."""
    return f"events-{uuid.uuid4()}"


async def _put(one: Opened) -> None:
    number = 0
    while True:
        await one.put(*(event(number + more) for more in range(CALL)))
        number += CALL
        print(f"stored {number}.", flush=True)  # noqa: T201  # the test reads it


async def _trade(one: Opened) -> None:
    number = 0
    while True:
        await one.opens(position(number))
        await one.closes(closed(position(number)))
        number += 1
        print(f"closed {number}.", flush=True)  # noqa: T201  # the test reads it


async def _endless(work: Callable[[Opened], Awaitable[None]], path: Path) -> None:
    async with opened(f"sqlite:///{path}") as one:
        await work(one)


if __name__ == "__main__":
    asyncio.run(_endless(_put if sys.argv[1] == "put" else _trade, Path(sys.argv[2])))
