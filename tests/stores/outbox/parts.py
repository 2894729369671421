"""An outbox in front of a scripted table in memory, which can fail in ways that DynamoDB Local cannot be told to.

tests/stores/test_contract.py tests the outbox with DynamoDB Local, and tests/chaos with real outages.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.models import Price, Tier
from aggregator.observability.metrics import Metrics
from aggregator.stores.outbox import Outbox
from tests.parts.examples import NOW, price
from tests.parts.limits import allowed


class ScriptedTable:
    """A table in memory that can be away, take half of a batch, refuse an asset, or hold a batch back."""

    name = "dynamodb"

    def __init__(self, batch: int = 25) -> None:
        self.batch = batch
        self.items: dict[tuple[str, float], Price] = {}
        self.calls: list[list[Price]] = []
        self.away = False
        self.take_half = False
        self.refuses = ""
        self.let = asyncio.Event()
        self.let.set()

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Take a batch as DynamoDB does, or fail as told."""
        assert 0 < len(prices) <= self.batch
        assert len({(one.asset, one.timestamp) for one in prices}) == len(prices), "DynamoDB refuses doubled keys"
        self.calls.append(list(prices))
        await self.let.wait()
        if self.away:
            raise StoreUnavailable("away")
        if any(one.asset == self.refuses for one in prices):
            raise StoreRefused("ValidationException")
        cut = (len(prices) + 1) // 2 if self.take_half else len(prices)
        self.items |= {(one.asset, one.timestamp): one for one in prices[:cut]}
        return list(prices[cut:])

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Answer from the prices that were taken."""
        if self.away:
            raise StoreUnavailable("away")
        ours = sorted((one for one in self.items.values() if one.asset in symbols), key=lambda one: one.timestamp)
        return {one.asset: one for one in ours}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Answer from the prices that were taken."""
        if self.away:
            raise StoreUnavailable("away")
        ours = [one for one in self.items.values() if one.asset == symbol and start <= one.timestamp <= end]
        return sorted(ours, key=lambda one: one.timestamp, reverse=newest_first)[:limit]

    async def close(self) -> None:
        """There is nothing to close."""


class Parts:
    """An outbox with a file, in front of a table in memory."""

    def __init__(self, path: Path, most_bytes: int = 1 << 30, batch: int = 25) -> None:
        self.path = path
        self.table = ScriptedTable(batch)
        self.metrics = Metrics(CollectorRegistry())
        self.outbox = Outbox(path, most_bytes, self.table, self.metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the outbox in the background."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.outbox.run())
            yield
            task.cancel()

    async def rows(self) -> int:
        """Return how many rows wait."""
        return (await self.outbox._file.size()).rows

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(allowed(20)):
        while not await condition():
            await asyncio.sleep(0.01)


async def emptied(parts: Parts) -> None:
    """Wait until no row waits."""

    async def nothing_waits() -> bool:
        return await parts.rows() == 0

    await until(nothing_waits)


def many(count: int, asset: str = "btcusdt", tier: Tier = Tier.HOT, start: float = NOW) -> list[Price]:
    """Return so many prices of one asset, a second apart."""
    return [price(asset, start + number, amount=str(number + 1), tier=tier) for number in range(count)]
