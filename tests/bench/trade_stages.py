"""What each stage of the trade stream costs, in us a trade: `.venv/bin/python -m tests.bench.trade_stages [trades]`.

Each stage runs alone, in this process, over the same trades of 1,000 assets: batches of 1,000, one trade of each asset.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import uvloop
from prometheus_client import CollectorRegistry

from aggregator.live.fanout import Fanout
from aggregator.live.subscriber import EVERYTHING
from aggregator.live.topics import Bus, Topic
from aggregator.models import Asset, Tier, Trade
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import Catalog
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.event_log.memory import MemoryLog
from aggregator.trades.features import AssetFeatures, Features
from aggregator.trades.ingest import Parser
from aggregator.trades.processor import Processor
from aggregator.trades.topics import FEATURES, TRADES
from tests.bench.report import Figure, table
from tests.bench.trade_generator import Bodies, Load, assets
from tests.parts.examples import CADENCE

TRADES_IN_ALL = 200_000
_BATCH = 1000
_SECONDS = 600  # of event time: the windows are full for the second half
_LATENESS, _WINDOW = 5.0, 10_000  # as the settings have them
_RETENTION = 172_800.0
_MOST_SUBSCRIBERS, _KEPT = 10, 1000

T = TypeVar("T")

Batches = Sequence[Sequence[Trade]]


class Clock:
    """CPU seconds of this process, all threads, spent in `measuring` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        """Add the time of the block."""
        started = time.process_time()
        yield
        self.seconds += time.process_time() - started


class Stages:
    """The stages over the same trades; each method returns CPU seconds."""

    def __init__(self, trades: int) -> None:
        self._number = trades
        start = time.time() - _SECONDS - 60
        load = Load("calls", 0, size=_BATCH, event_rate=trades / _SECONDS, event_start=start)
        bodies = Bodies(assets(), load)
        self._bodies = [bodies.of(number, 0) for number in range(trades // _BATCH)]
        self._catalog = Catalog(
            {asset: Asset(asset, "", "", Tier.COLD, rank) for rank, asset in enumerate(assets(), 1)}, CADENCE
        )
        self._batches: Batches = []
        self._features: Sequence[Sequence[Features]] = []

    def parse(self) -> float:
        """From lines to trades."""
        clock, parser, now = Clock(), Parser(self._catalog.find), time.time()
        with clock.measuring():
            self._batches = [parser.lines(body, now).trades for body in self._bodies]
        assert sum(map(len, self._batches)) == self._number
        return clock.seconds

    def store(self) -> float:
        """Into the SQLite store, with the moves into its sorted table."""
        with tempfile.TemporaryDirectory() as folder:
            return uvloop.run(_store(Path(folder), self._batches))

    def windows(self) -> float:
        """Into the windows, and the features of each asset after its trade of a batch, as the processor does."""
        clock, now = Clock(), time.time()
        operators = {asset: AssetFeatures(asset, _WINDOW, _LATENESS) for asset in assets()}
        found: list[list[Features]] = []
        with clock.measuring():
            for batch in self._batches:
                features = []
                for trade in batch:
                    operator = operators[trade.asset]
                    operator.update(trade)
                    features.append(operator.values(now))
                found.append(features)
        self._features = found
        return clock.seconds

    def process(self) -> float:
        """Through log and processor, with the windows, but into no store and to no stream."""
        return uvloop.run(_process(self._batches))

    def publish(self, topic: Topic[T], values: Sequence[Sequence[T]], subscribers: int) -> float:
        """To the topic's streams. A subscriber takes its events after every batch, as one that keeps up does."""
        return uvloop.run(_publish(self._catalog, topic, values, subscribers))

    def figures(self) -> list[Figure]:
        """Run all stages, in the order that they have in the service."""
        us = 1e6 / self._number
        figures = [
            Figure("stages alone: parse lines", us * self.parse(), "us"),
            Figure("  store in SQLite", us * self.store(), "us"),
            Figure("  windows and features", us * self.windows(), "us"),
            Figure("  log and processor, with windows, without store and streams", us * self.process(), "us"),
        ]
        for number in (0, 1):
            figures += [
                Figure(
                    f"  publish trades, {number} subscribers", us * self.publish(TRADES, self._batches, number), "us"
                ),
                Figure(
                    f"  publish features, {number} subscribers",
                    us * self.publish(FEATURES, self._features, number),
                    "us",
                ),
            ]
        return figures


class _NoStore(MemoryTrades):
    """A store that takes every trade and keeps none."""

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Return all trades as new."""
        return trades


async def _process(batches: Batches) -> float:
    clock, log, metrics = Clock(), MemoryLog(_BATCH), Metrics(CollectorRegistry()).trades
    processor = Processor(log, _NoStore(_RETENTION), [], Bus([TRADES, FEATURES]), metrics, _LATENESS, _WINDOW)
    running = asyncio.create_task(processor.run())
    for batch in batches:
        with clock.measuring():
            await log.append(batch)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return clock.seconds


async def _store(folder: Path, batches: Batches) -> float:
    clock, store = Clock(), SqliteTrades(folder / "trades.db", _RETENTION)
    await store.open()
    for batch in batches:
        with clock.measuring():
            new = await store.add(batch)
        assert len(new) == len(batch)
    await store.close()
    return clock.seconds


async def _publish(catalog: Catalog, topic: Topic[T], values: Sequence[Sequence[T]], subscribers: int) -> float:
    clock, bus = Clock(), Bus([topic])
    fanout = Fanout(bus, catalog, Metrics(CollectorRegistry()), _MOST_SUBSCRIBERS, _KEPT, current=True)
    fanout.serve_rest()
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(fanout.new_subscriber("sse", topics=[topic.name])) for _ in range(subscribers)]
        for stream in streams:
            fanout.follow(stream, {topic.name: EVERYTHING})
        for some in values:
            with clock.measuring():
                bus.publish(topic, some)
                for stream in streams:
                    b"".join(event.sse for event in stream.drain().events)
                await asyncio.sleep(0)  # the wake-ups of the fan-out
    return clock.seconds


def run(trades: int = TRADES_IN_ALL) -> list[Figure]:
    """Measure all stages."""
    return Stages(trades).figures()


if __name__ == "__main__":
    sys.stdout.write(table("stages of a trade", run(*map(int, sys.argv[1:2]))) + "\n")
