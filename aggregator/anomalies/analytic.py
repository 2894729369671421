"""The analytic that finds unusual trades: passes samples to the worker process, and its findings to the writer."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

from aggregator.anomalies.child import Child, WorkerLost
from aggregator.anomalies.event import ANOMALIES, Anomaly, stored_anomaly
from aggregator.anomalies.messages import AssetState, Batch, Figures, Finding
from aggregator.anomalies.sample import SIZE
from aggregator.anomalies.waiting import Chunk, Waiting
from aggregator.errors import StoreError
from aggregator.observability.metrics.anomalies import AnomalyMetrics
from aggregator.resilience.backoff import Backoff
from aggregator.trades.analytic import Measured
from aggregator.trades.ports import EventReader

INTERVAL = 0.5  # seconds; trades of one asset that are scored together cost less than those scored alone
_QUIET_SECONDS = 2.0  # between two batches without a trade: the worker has fitted meanwhile
_READ_SECONDS = 2.0
_MOST_READ = 1000
_LONGEST_PAUSE = 30.0
_NO_STATE = AssetState(0, "")


class AnomalyWriter(Protocol):
    """Stores anomalies, then publishes them."""

    @property
    def waiting(self) -> int:
        """The number of anomalies that are not stored yet."""

    def put(self, values: Sequence[Anomaly], /) -> None:
        """Add anomalies to those that wait to be stored."""


class Anomalies:
    """`aggregator.trades.analytic.Analytic`. The worker is started with the first trade whose features are all known.

    `stored` has the anomalies that were found before. `folder` keeps the models. `budget` is the share of a core that
    fits may take. Trades wait at most `interval` seconds, or longer while the worker is busy.
    """

    def __init__(
        self,
        writer: AnomalyWriter,
        stored: EventReader,
        metrics: AnomalyMetrics,
        folder: Path,
        budget: float,
        interval: float = INTERVAL,
    ) -> None:
        self._writer = writer
        self._stored = stored
        self._metrics = metrics
        self._folder = folder
        self._budget = budget
        self._interval = interval
        self._waiting = Waiting()
        self._owned: set[str] = set()
        self._states: dict[int, AssetState] = {}
        self._child: Child | None = None
        self._is_ending = False
        self._answered = asyncio.Event()  # nothing that the worker was asked waits for its reply
        self._answered.set()
        self.pid: int | None = None
        """The id of the worker process, while there is one."""

    @property
    def is_settled(self) -> bool:
        """As `Analytic.is_settled`."""
        return not self._writer.waiting

    async def load(self, assets: Sequence[str]) -> None:
        """As `Analytic.load`; the worker reads the files."""
        self._owned.update(assets)
        self._waiting.load(assets)

    def take(self, measured: Sequence[Measured]) -> None:
        """As `Analytic.take`."""
        dropped = self._waiting.add(measured)
        if dropped:
            self._metrics.dropped.inc(dropped)

    def forget(self, asset: str) -> None:
        """As `Analytic.forget`."""
        self._owned.discard(asset)
        self._waiting.forget(asset)

    def state(self, asset: str) -> AssetState:
        """Return the state of an asset's model."""
        return self._states.get(self._waiting.number(asset), _NO_STATE)

    def report(self) -> None:
        """Set the gauges; to be called before each scrape."""
        self._metrics.waiting.set(len(self._waiting))

    async def run(self) -> None:
        """Score what comes until `drain`. A worker that ends by itself is started again, with the saved models."""
        backoff = Backoff(_LONGEST_PAUSE, first=1.0)
        while not self._is_ending:
            while not len(self._waiting):  # noqa: ASYNC110  # trades are looked for at intervals anyway
                await asyncio.sleep(self._interval)
            started = time.monotonic()
            try:
                await self._with_worker()
            except WorkerLost as error:
                if self._is_ending:
                    return
                structlog.get_logger().warning("anomaly_worker_lost", error=str(error))
                self._metrics.restarts.inc()
            if time.monotonic() - started > _LONGEST_PAUSE:
                backoff = Backoff(_LONGEST_PAUSE, first=1.0)
            await backoff.pause()

    async def drain(self, patience: float) -> None:
        """End the worker, and write what it has found: its reply may be on the way, and it scores no trade twice.

        Trades that are not scored then are measured again, and scored, after a restart. Once the worker has ended, its
        last findings have `patience` seconds.
        """
        self._is_ending = True
        if self._child is not None:
            await self._child.end()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._answered.wait()

    async def _with_worker(self) -> None:
        """Start a worker, and use it for as long as it answers. Raises WorkerLost."""
        child = self._child = await Child.start(self._folder, self._budget)
        self.pid = child.pid
        self._states.clear()
        try:
            owned = [self._waiting.number(asset) for asset in sorted(self._owned)]
            names = self._waiting.names
            reply = await child.ask(Batch(names, [], owned))
            self._note(reply.states, reply.figures)
            await self._exchange(child, len(names))
        finally:
            self.pid = self._child = None
            await child.end()

    async def _exchange(self, child: Child, named: int) -> None:
        """Send what waits, chunk by chunk; `named` is the number of assets that the worker knows the names of."""
        asked = time.monotonic()
        while not self._is_ending:
            await asyncio.sleep(self._interval)
            while self._waiting.has_changes or time.monotonic() - asked > _QUIET_SECONDS:
                if self._is_ending:
                    return
                chunk, names = self._waiting.take(), self._waiting.names
                asked = time.monotonic()
                await self._score(child, chunk, names[named:])
                named = len(names)

    async def _score(self, child: Child, chunk: Chunk, new_names: list[str]) -> None:
        """Have a chunk scored, and write what is found. Raises WorkerLost."""
        self._answered.clear()
        try:
            reply = await child.ask(chunk.batch(new_names))
            self._note(reply.states, reply.figures)
            await self._publish(chunk, reply.findings)
        except WorkerLost:
            self._metrics.dropped.inc(len(chunk.trades))
            raise
        finally:
            self._answered.set()

    def _note(self, states: dict[int, AssetState], figures: Figures) -> None:
        self._states |= states
        metrics = self._metrics
        metrics.scored.inc(figures.scored)
        metrics.scoring_seconds.inc(figures.scoring_seconds)
        metrics.fits.labels("fitted").inc(figures.fits)
        metrics.fits.labels("failed").inc(figures.fit_failures)
        metrics.fit_seconds.inc(figures.fit_seconds)
        metrics.models.set(figures.models)
        metrics.fits_waiting.set(figures.fits_waiting)

    async def _publish(self, chunk: Chunk, findings: Sequence[Finding]) -> None:
        """Write findings. One of a trade that is measured again may be stored, and was published then."""
        found = [(_anomaly(chunk, one), chunk.live[one.row]) for one in findings]
        again = [anomaly for anomaly, is_live in found if not is_live]
        known = await self._known(again) if again else set()
        self._writer.put([anomaly for anomaly, _ in found if _key(anomaly) not in known])

    async def _known(self, anomalies: Sequence[Anomaly]) -> set[tuple[str, float, str]]:
        """Return the keys of those that are stored; none of an asset that cannot be read now."""
        by_asset: dict[str, list[float]] = {}
        for one in anomalies:
            by_asset.setdefault(one.asset, []).append(one.timestamp)
        known: set[tuple[str, float, str]] = set()
        try:
            async with asyncio.timeout(_READ_SECONDS):
                for asset, times in by_asset.items():
                    stored = await self._stored.events(
                        ANOMALIES.name, asset, min(times), max(times), _MOST_READ, newest_first=False
                    )
                    known |= {(one.asset, one.timestamp, one.id) for one in stored}
        except (StoreError, TimeoutError) as error:
            structlog.get_logger().warning("anomalies_not_read", error=str(error) or "took too long")
        return known


def _key(anomaly: Anomaly) -> tuple[str, float, str]:
    event = stored_anomaly(anomaly)
    return event.asset, event.timestamp, event.id


def _anomaly(chunk: Chunk, finding: Finding) -> Anomaly:
    trade, first = chunk.trades[finding.row], finding.row * SIZE
    return Anomaly(
        trade.asset,
        trade.timestamp,
        trade.id,
        trade.venue,
        finding.score,
        finding.threshold,
        tuple(chunk.samples[first : first + SIZE]),
        finding.version,
    )
