"""The processor: takes micro-batches from the event log, stores them, measures them, and publishes them.

    log -> store (durable, new ones only) -> features of each asset -> topics trades and features -> acknowledged

While one batch is being stored, the one before it is measured and published.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from aggregator.live.topics import Publisher
from aggregator.models import Trade
from aggregator.observability.metrics.durations import Durations
from aggregator.observability.metrics.trades import STAGES, TradeMetrics
from aggregator.trades.analytic import Analytic
from aggregator.trades.asset_states import AssetStates
from aggregator.trades.features import AssetFeatures, Features
from aggregator.trades.latencies import LatencyWindow
from aggregator.trades.minute_closes import NO_CLOSES, Closes
from aggregator.trades.ports import (
    Appended,
    Backlog,
    DurableDeadLetters,
    Latencies,
    PartitionLag,
    Receipt,
    SavedWindows,
    TradeLog,
    TradeStore,
)
from aggregator.trades.receipts import receipts_of
from aggregator.trades.republication import ToPublish
from aggregator.trades.saved_windows import PACE, Pace, WindowSaver
from aggregator.trades.takeover import Takeover
from aggregator.trades.topics import FEATURES, TRADES
from aggregator.trades.trade_writes import TradeWrites


class Processor:
    """Processes the trades of one log. `lateness` is in seconds, `most` bounds the trades of one asset's window.

    At its start it measures the stored trades of `assets` again. The analytics take each trade after it is published.
    `saved` keeps the windows of partitions for their next owner, at `pace`. `closes` get the features of each minute.
    `dead_letters` get the trades that the store refuses.
    """

    def __init__(
        self,
        log: TradeLog,
        store: TradeStore,
        assets: Sequence[str],
        publisher: Publisher,
        metrics: TradeMetrics,
        lateness: float,
        most: int,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        analytics: Sequence[Analytic] = (),
        saved: SavedWindows | None = None,
        pace: Pace = PACE,
        closes: Closes = NO_CLOSES,
        dead_letters: DurableDeadLetters | None = None,
    ) -> None:
        self._log = log
        self._writes = TradeWrites(store, metrics, dead_letters, now, clock)
        self._assets = assets
        self._publisher = publisher
        self._metrics = metrics
        self._lateness = lateness
        self._now = now
        self._clock = clock
        self._newest: dict[str, float] = {}  # the newest time of each asset in the log
        self._quotes: dict[str, Trade] = {}
        self._features: dict[str, Features] = {}
        operators: dict[str, AssetFeatures] = {}
        self._states = AssetStates(
            lateness, most, now, self._newest, self._quotes, operators, self._features, analytics, closes
        )
        self.saver = None if saved is None else WindowSaver(saved, self._states, pace)
        """Saves windows; its `run` must run beside that of the processor."""

        self._takeover = Takeover(store, self._states, self._writes.retried, self.saver)
        self._ingest = LatencyWindow(clock)
        self._durations = Durations(metrics.ingest_seconds)
        self._counters: dict[str, tuple[Callable[[float], None], Callable[[float], None]]] = {}
        self._stages = {stage: metrics.stage_seconds.labels(stage).inc for stage in STAGES[2:]}

    def features(self, asset: str) -> Features | None:
        """As `LiveTrades.features`."""
        return self._features.get(asset)

    def quote(self, asset: str) -> Trade | None:
        """As `LiveTrades.quote`."""
        return self._quotes.get(asset)

    @property
    def backlog(self) -> Backlog:
        """As `LiveTrades.backlog`."""
        return self._log.backlog

    @property
    def lags(self) -> Sequence[PartitionLag]:
        """As `LiveTrades.lags`."""
        return self._log.lags

    @property
    def trouble(self) -> str:
        """As `LiveTrades.trouble`."""
        return self._writes.trouble or self._log.trouble

    @property
    def latencies(self) -> Latencies:
        """As `LiveTrades.latencies`."""
        p50, p99 = self._ingest.percentiles(0.5, 0.99)
        return Latencies(p50, p99, self._writes.latency.percentiles(0.99)[0])

    def report(self) -> None:
        """Set the gauges; to be called before each scrape."""
        backlog = self.backlog
        self._metrics.backlog.set(backlog.trades)
        self._metrics.backlog_seconds.set(backlog.seconds)
        self._durations.flush()
        self._metrics.partition_records.clear()
        self._metrics.partition_seconds.clear()
        for lag in self.lags:
            self._metrics.partition_records.labels(lag.partition).set(lag.records)
            self._metrics.partition_seconds.labels(lag.partition).set(lag.seconds)

    async def run(self) -> None:
        """Measure the stored trades again, then process the log; never returns. Meanwhile trades wait in the log."""
        await self._takeover.rebuild(self._assets)
        before: tuple[Sequence[Appended], Sequence[Trade], Sequence[Trade]] | None = None
        while True:
            batch = await self._log.next_batch() if before is None else self._log.waiting_batch()
            is_read = bool(batch)
            if not self._takeover.is_ready_for(batch):
                if before is not None:
                    await self._finish(*before)
                before, batch = None, await self._takeover.prepare(batch)
            trades = self._marked(batch)
            storing = asyncio.create_task(self._writes.add(trades)) if trades else None
            if before is not None:
                await asyncio.sleep(0)  # the write begins in its thread
                await self._finish(*before)
            new = await storing if storing is not None else ()
            before = (batch, trades, new) if is_read else None
            await self._writes.slow_down()

    async def _finish(self, batch: Sequence[Appended], trades: Sequence[Trade], new: Sequence[Trade]) -> None:
        """Publish and acknowledge what this process still owns of a stored batch."""
        republication = self._takeover.republication
        as_stored = await republication.as_stored(batch, trades, new)
        owned = await self._log.owned(batch)
        self._takeover.name_saved(owned)
        if len(owned) < len(batch):
            assets = {trade.asset for one in owned for trade in one.trades}
            trades = [trade for trade in trades if trade.asset in assets]
            new = [trade for trade in new if trade.asset in assets]
        if trades:
            self._publish(owned, trades, republication.to_publish(owned, trades, new, as_stored))
        else:
            self._log.commit(owned, [Receipt(0, 0)] * len(owned))
        self._takeover.save(owned)

    async def drain(self, patience: float) -> None:
        """Wait at most `patience` seconds until all trades that the log has read are stored."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._log.drained()

    def _marked(self, batch: Sequence[Appended]) -> list[Trade]:
        """Return the trades of a batch, the late ones marked."""
        newest, lateness = self._newest, self._lateness
        trades: list[Trade] = []
        for appended in batch:
            for trade in appended.trades:
                known = newest.get(trade.asset)
                if known is None or trade.timestamp > known:
                    newest[trade.asset] = trade.timestamp
                elif trade.timestamp < known - lateness:
                    trade = msgspec.structs.replace(trade, late=True)  # noqa: PLW2901  # this is the trade from now on
                trades.append(trade)
        return trades

    def _publish(self, batch: Sequence[Appended], trades: Sequence[Trade], to_publish: ToPublish) -> None:
        """Measure new trades, publish them and the features of their assets, and acknowledge the batch."""
        started, new = self._clock(), to_publish.published
        features, measured, late = self._states.measure_new(to_publish.measured, to_publish.again)
        if len(to_publish.measured) < len(new):
            features += self._features_again(to_publish, {one.asset for one in features})
        until = self._clock()
        self._stages["windows"](until - started)
        self._publisher.publish(TRADES, new)
        self._publisher.publish(FEATURES, features)
        self._acknowledge(batch, trades, new)
        self._metrics.late.inc(late)
        self._stages["publish"](self._clock() - until)
        if measured:
            published = self._clock()
            self._states.analyse(measured)
            self._stages["analytics"](self._clock() - published)

    def _features_again(self, to_publish: ToPublish, published: set[str]) -> list[Features]:
        """Return the features of assets with published trades that are in windows already, as after a takeover.

        `published` are the assets whose features are published anyway.
        """
        measured = set(map(id, to_publish.measured))
        assets = dict.fromkeys(trade.asset for trade in to_publish.published if id(trade) not in measured)
        return [self._features[asset] for asset in assets if asset in self._features and asset not in published]

    def _acknowledge(self, batch: Sequence[Appended], trades: Sequence[Trade], new: Sequence[Trade]) -> None:
        """Acknowledge the appends of a batch, and count what became of their trades."""
        now, receipts = self._clock(), receipts_of(batch, trades, new)
        accepted: dict[str, int] = {}  # by source
        duplicates: dict[str, int] = {}
        for appended, receipt in zip(batch, receipts, strict=True):
            seconds, number = now - appended.arrived, len(appended.trades)
            accepted[appended.source] = accepted.get(appended.source, 0) + receipt.accepted
            if receipt.duplicates:
                duplicates[appended.source] = duplicates.get(appended.source, 0) + receipt.duplicates
            self._ingest.add(seconds, number)
            self._durations.add(seconds, number)
        for source, one in accepted.items():
            self._count(source, one, duplicates.get(source, 0))
        self._log.commit(batch, receipts)

    def _count(self, source: str, accepted: int, again: int) -> None:
        if source not in self._counters:
            metrics = self._metrics
            self._counters[source] = metrics.ingested.labels(source).inc, metrics.duplicates.labels(source).inc
        ingested, duplicates = self._counters[source]
        ingested(accepted)
        if again:
            duplicates(again)
