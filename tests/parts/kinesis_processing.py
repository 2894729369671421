"""A processor on a Kinesis stream, in this process, with a store of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aggregator.errors import StoreError
from aggregator.live.topics import Bus
from aggregator.models import Trade
from aggregator.observability.metrics import Metrics
from aggregator.trades.event_log.kinesis.address import parse_kinesis_url
from aggregator.trades.event_log.kinesis.client import KinesisClients
from aggregator.trades.event_log.kinesis.log import SOURCE, KinesisLog
from aggregator.trades.event_log.records import RecordParser
from aggregator.trades.features import Features
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import TradeStore
from aggregator.trades.processor import Processor
from aggregator.trades.rejection import Rejection
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts.kafka_processing import CATALOG, LATENESS, PATIENT


class Letters:
    """Dead letters in a list; while `keeps` is false, none of them is durable."""

    def __init__(self) -> None:
        self.letters: list[Rejection] = []
        self.keeps = True
        self._kept = 0

    def bury(self, rejections: Sequence[Rejection]) -> None:
        """As `DeadLetters.bury`."""
        self.letters += rejections

    @property
    def buried(self) -> int:
        """As `DurableDeadLetters.buried`."""
        return len(self.letters)

    @property
    def kept(self) -> int:
        """As `DurableDeadLetters.kept`."""
        if self.keeps:
            self._kept = len(self.letters)
        return self._kept


class _Into:
    def __init__(self, target: list) -> None:  # type: ignore[type-arg]  # of trades, or of features
        self._target = target

    def receive(self, values: Sequence[object]) -> None:
        self._target.extend(values)

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self) -> None:
        """Do nothing."""


class Processing:
    """A running processor, its log, and all that it has published and buried."""

    def __init__(self, url: str, store: TradeStore, now: Callable[[], float], most: int) -> None:
        address = parse_kinesis_url(url)
        self.buried = Letters()
        self.metrics = Metrics()
        parser = RecordParser(Parser(CATALOG.find, SOURCE), address.format)
        self.log = KinesisLog(KinesisClients(address), most, parser, self.buried, self.metrics.trades, LATENESS, now)
        bus = Bus([TRADES, FEATURES])
        self.trades: list[Trade] = []
        self.published: list[Features] = []
        bus.listen(TRADES, _Into(self.trades))
        bus.listen(FEATURES, _Into(self.published))
        self.processor = Processor(self.log, store, [], bus, self.metrics.trades, LATENESS, 10_000, now)
        self.is_killed = False

    async def until(self, condition: Callable[[], object], seconds: float = PATIENT) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def has_published(self, count: int) -> None:
        """Wait until so many trades are published."""
        await self.until(lambda: len(self.trades) >= count)

    @property
    def shards(self) -> int:
        """The number of shards that it reads."""
        return len(self.log.lags)

    def throttled(self, operation: str) -> float:
        """Return a count of the metrics."""
        found = self.metrics.registry.get_sample_value("trades_log_throttled_total", {"operation": operation})
        return found or 0.0


@asynccontextmanager
async def processing(
    url: str, store: TradeStore, now: Callable[[], float] = time.time, most: int = 200_000
) -> AsyncIterator[Processing]:
    """Run a processor on the stream; at the end it gives its leases back, unless it is killed."""
    one = Processing(url, store, now, most)
    try:
        await one.log.open()
    except StoreError:
        await one.log.close()
        raise
    task = asyncio.create_task(one.processor.run())
    try:
        yield one
        if not task.done() and not one.is_killed:
            await one.processor.drain(PATIENT)
    finally:
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if one.is_killed and one.log._consumer._task is not None:  # as a process that dies, without a goodbye
            one.log._consumer._task.cancel()
        await one.log.close()
    if isinstance(outcome, Exception):
        raise outcome
