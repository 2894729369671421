"""History's throughput and latency beside its foundation, in one run: `./test.sh bench history`.

| what                                     | against                                            | at least |
| ---------------------------------------- | -------------------------------------------------- | -------- |
| outbox -> DynamoDB Local, prices/s       | bare BatchWriteItem of 25, as many calls in flight | 0.8      |
| append to the outbox, p99, at 5,000/s    | a table that costs this machine nothing            | < 5 ms   |
| the same, DynamoDB Local on this machine | at the rate it sustains                            | -        |
| SQLite history, prices/s                 |                                                    | 20,000   |

The third figure has no bound: DynamoDB Local and the bench together need more than two cores, so appends wait for one.
A thread or a process of its own for sending does not help (measured: 14 to 21 ms); a table elsewhere does.

Rounds are interleaved and figures are medians. Machines are noisy, so compare the ratios.
"""

import asyncio
import gc
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreUnavailable
from aggregator.models import Price, Source, Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Table
from aggregator.stores.dynamodb.table import DynamoTable

# The bare loop must have as many calls in flight as the outbox; users cannot set that number.
from aggregator.stores.outbox import Outbox
from aggregator.stores.outbox_sender import BATCHES_IN_FLIGHT
from aggregator.stores.sqlite import SqliteHistory
from tests.bench.report import Figure, median_ratio
from tests.parts.dynamodb import DynamoServer

ROUNDS = 5
PRICES = 5000
RATE = 5000  # prices/s
TICK = 0.01  # seconds between appends: 50 prices each at that rate, as group commit makes them under load
APPEND_SECONDS = 10
TIERS = list(Tier)


def prices(count: int, start: float) -> list[Price]:
    """Return prices as the service makes them: a thousand assets with three sources each."""
    source = Source("exchange1", Decimal("77907.24"), Decimal("22183.5492"), start, Decimal("0.333333"))
    return [
        Price(
            asset=f"asset{number % 1000}",
            price=Decimal("77896.49245"),
            timestamp=start + number / 1000,
            tier=TIERS[number % 3],
            spread=Decimal("0.0002019346379"),
            updated_at=start,
            sources=(source, source, source),
        )
        for number in range(count)
    ]


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Return the duration of the awaitable in seconds."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


class Elsewhere:
    """A table on another machine: it accepts every batch after ten milliseconds without CPU time here."""

    name, batch = "dynamodb", 25

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Accept all prices."""
        assert len(prices) <= 25
        await asyncio.sleep(0.01)
        return []

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Not called in this bench."""
        raise StoreUnavailable(str(symbols))

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Not called in this bench."""
        raise StoreUnavailable(f"{symbol} {start} {end} {limit} {newest_first}")

    async def close(self) -> None:
        """Nothing to close."""


class Bench:
    """The measurements, on one DynamoDB Local and one folder."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint = endpoint
        self.folder = folder
        self.start = 1_760_000_000.0

    def some(self, count: int = PRICES) -> list[Price]:
        """Return prices that no earlier round has used."""
        self.start += 100_000
        return prices(count, self.start)

    async def table(self) -> DynamoTable:
        """Open a new table."""
        table = DynamoTable(f"bench-{uuid.uuid4()}", "us-east-1", self.endpoint, Metrics(CollectorRegistry()))
        await table.open()
        return table

    async def bare(self, table: DynamoTable) -> float:
        """Write prices as fast as the table accepts them; return prices/s."""
        waiting = self.some()
        batches = [waiting[first : first + 25] for first in range(0, len(waiting), 25)]

        async def worker() -> None:
            while batches:
                assert await table.put(batches.pop()) == []

        return PRICES / await timed(lambda: asyncio.gather(*(worker() for _ in range(BATCHES_IN_FLIGHT))))

    async def through_outbox(self, table: DynamoTable, path: Path) -> float:
        """Append the same number to the outbox, 50 at a time, and wait until the table has them; return prices/s."""
        outbox = Outbox(path, 1 << 30, table, Metrics(CollectorRegistry()))
        await outbox.open()
        waiting = self.some()

        async def work() -> None:
            for first in range(0, PRICES, 50):
                await outbox.write(waiting[first : first + 50])
            await outbox.drain(300)

        async with asyncio.TaskGroup() as group:
            running = group.create_task(outbox.run())
            seconds = await timed(work)
            running.cancel()
        await outbox._file.close()  # close() would also close the table, which later rounds use
        return PRICES / seconds

    async def append_seconds(self, table: Table, path: Path, rate: float) -> list[float]:
        """Append `rate` prices/s while the outbox sends; return the durations of the appends, sorted."""
        outbox = Outbox(path, 1 << 30, table, Metrics(CollectorRegistry()))
        await outbox.open()
        batch, took = round(rate * TICK), []
        waiting = self.some(batch * round(APPEND_SECONDS / TICK))
        gc.collect()
        gc.freeze()  # the bench's own rows wait here, and reading them is not part of the measurement
        async with asyncio.TaskGroup() as group:
            running = group.create_task(outbox.run())
            begun = time.perf_counter()
            for number in range(len(waiting) // batch):
                await asyncio.sleep(max(0.0, begun + number * TICK - time.perf_counter()))
                part = waiting[number * batch : (number + 1) * batch]
                took.append(await timed(lambda part=part: outbox.write(part)))  # type: ignore[misc]  # a default argument has no type
            running.cancel()
        await outbox._file.close()  # close() would also close the table, which later rounds use
        return sorted(took)

    async def sqlite(self, path: Path) -> float:
        """Write 20,000 prices in batches of 500; return prices/s."""
        history = SqliteHistory(path)
        await history.open()
        waiting = self.some(20_000)

        async def work() -> None:
            for first in range(0, len(waiting), 500):
                await history.write(waiting[first : first + 500])

        seconds = await timed(work)
        await history.close()
        return len(waiting) / seconds


async def measure(endpoint: str, folder: Path) -> list[Figure]:
    """Run all measurements; return the figures."""
    bench = Bench(endpoint, folder)
    bare, piped, sqlite = [], [], []
    table = await bench.table()
    await bench.bare(table)  # warm-up of the JVM
    for number in range(ROUNDS):
        bare.append(await bench.bare(table))
        piped.append(await bench.through_outbox(table, folder / f"outbox{number}.db"))
        sqlite.append(await bench.sqlite(folder / f"history{number}.db"))
    sustained = min(RATE, statistics.median(piped))
    steady = await bench.append_seconds(table, folder / "steady.db", sustained)
    elsewhere = await bench.append_seconds(Elsewhere(), folder / "elsewhere.db", RATE)
    await table.close()
    return [
        Figure("bare BatchWriteItem of 25, four in flight", statistics.median(bare), "prices/s"),
        Figure("outbox -> DynamoDB Local", statistics.median(piped), "prices/s"),
        Figure("  against bare BatchWriteItem", median_ratio(piped, bare), "", ">= 0.8"),
        Figure(
            f"append, p99, at {RATE}/s, table elsewhere", 1000 * elsewhere[int(0.99 * len(elsewhere))], "ms", "<= 5"
        ),
        Figure(f"append, p50, at {sustained:.0f}/s, table here", 1000 * steady[len(steady) // 2], "ms"),
        Figure(f"append, p99, at {sustained:.0f}/s, table here", 1000 * steady[int(0.99 * len(steady))], "ms"),
        Figure("SQLite history", statistics.median(sqlite), "prices/s", ">= 20000"),
    ]


def run() -> list[Figure]:
    """Measure on a private DynamoDB Local and folder."""
    server = DynamoServer()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return uvloop.run(measure(server.endpoint, Path(folder)))
        finally:
            server.stop()
