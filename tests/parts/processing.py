"""A processor on a log of trades, in this process, with a store of its own; and records to send it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

from prometheus_client import CollectorRegistry

from aggregator.live.topics import Bus
from aggregator.models import Trade, encode
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import assign
from aggregator.trades.analytic import Analytic
from aggregator.trades.features import Features
from aggregator.trades.market_pb2 import MarketUpdate
from aggregator.trades.ports import SavedWindows, TradeLog, TradeStore
from aggregator.trades.processor import Processor
from aggregator.trades.rejection import Rejection
from aggregator.trades.saved_windows import Pace
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts.examples import CADENCE

ASSETS = [f"asset{number}" for number in range(40)]
CATALOG = assign([(asset, "", "") for asset in ASSETS], 1, 0, CADENCE)
LATENESS = 5.0
ALWAYS = Pace(trades=1, least_seconds=0, most_seconds=0, age_seconds=0)
PATIENT = 60.0  # seconds; a limit for a busy machine, no promise


def trade(number: int, asset: str = "", timestamp: float = 0.0, price: object = None, volume: object = 1) -> Trade:
    """Return a trade; its id is its number, its time a microsecond per number after `timestamp`, now by default."""
    return Trade(
        asset or ASSETS[number % len(ASSETS)],
        Decimal(str(price if price is not None else 100 + number % 7)),
        Decimal(str(volume)),
        round((timestamp or int(time.time()) - 10) + (number * 1e-6 if not timestamp else 0), 6),
        "venue",
        str(number),
    )


def as_json(one: Trade) -> tuple[str, bytes]:
    """Return the key and value of a record in JSON."""
    return one.asset, encode(one)


def as_protobuf(number: int, asset: str, timestamp_ns: int) -> tuple[str, bytes]:
    """Return the key and value of a record in protobuf."""
    update = MarketUpdate(
        ticker=asset.upper(), price=100.5 + number % 7, volume=1 + number % 3, timestamp_ns=timestamp_ns
    )
    return asset, update.SerializeToString()


class Buried:
    """Dead letters in a list. While `keeps` is false, no more of them become durable."""

    def __init__(self) -> None:
        self.letters: list[Rejection] = []
        self.keeps = True
        self._kept = 0

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

    def bury(self, rejections: Sequence[Rejection]) -> None:
        """As `DeadLetters.bury`."""
        self.letters += rejections


class Into:
    """A listener of a topic that adds its values to a list."""

    def __init__(self, target: list) -> None:  # type: ignore[type-arg]  # of trades, or of features
        self._target = target

    def receive(self, values: Sequence[object]) -> None:
        """Add them."""
        self._target.extend(values)

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self) -> None:
        """Do nothing."""


class Processing:
    """A processor and all that it has published. A subclass sets its log, then calls `begin`."""

    def __init__(self) -> None:
        self.buried = Buried()
        self.metrics = Metrics(CollectorRegistry())
        self.trades: list[Trade] = []
        self.published: list[Features] = []

    def begin(
        self,
        log: TradeLog,
        store: TradeStore,
        now: Callable[[], float],
        saved: SavedWindows | None = None,
        assets: Sequence[str] = (),
        analytics: Sequence[Analytic] = (),
    ) -> None:
        """Make the processor of the log; `saved` keeps its windows after each batch.

        At its start it measures the stored trades of `assets`.
        """
        bus = Bus([TRADES, FEATURES])
        bus.listen(TRADES, Into(self.trades))
        bus.listen(FEATURES, Into(self.published))
        self.processor = Processor(
            log,
            store,
            assets,
            bus,
            self.metrics.trades,
            LATENESS,
            10_000,
            now,
            analytics=analytics,
            saved=saved,
            pace=ALWAYS,
        )

    async def until(self, condition: Callable[[], object], seconds: float = PATIENT) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def has_published(self, count: int) -> None:
        """Wait until so many trades are published."""
        await self.until(lambda: len(self.trades) >= count)


@asynccontextmanager
async def running(one: Processing, is_killed: Callable[[], bool] = lambda: False) -> AsyncIterator[None]:
    """Run the processor for the block; at its end wait until all that was read is committed, unless it is killed."""
    task, saver = asyncio.create_task(one.processor.run()), one.processor.saver
    saving = None if saver is None else asyncio.create_task(saver.run())
    try:
        yield
        if not task.done() and not is_killed():
            await one.processor.drain(PATIENT)
    finally:
        tasks = [task] if saving is None else [task, saving]
        for each in tasks:
            each.cancel()
        outcome = (await asyncio.gather(*tasks, return_exceptions=True))[0]
    if isinstance(outcome, Exception):
        raise outcome
