"""Writes of micro-batches to the store: tried again while it is away, and without the trades that it refuses."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from aggregator.errors import RowsRefused, StoreError
from aggregator.models import Trade, encode
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.resilience.backoff import Backoff
from aggregator.trades.latencies import LatencyWindow
from aggregator.trades.ports import DurableDeadLetters, TradeStore
from aggregator.trades.rejection import REFUSED, Rejection

T = TypeVar("T")

_SLOW_SECONDS = 0.1  # mean of the last store writes, beyond which consumption pauses
_SLOW_WRITES = 10
_SLOW_TRADES = 2000  # a write of more may take longer in proportion
_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE = 2.0  # seconds between two attempts to store a batch
_LOOK_SECONDS = 0.05  # between two looks whether dead letters are kept


class TradeWrites:
    """The writes of one processor. `now` is unix seconds.

    Without `dead_letters`, a write is tried again until the store takes it, also one that it refuses.
    """

    def __init__(
        self,
        store: TradeStore,
        metrics: TradeMetrics,
        dead_letters: DurableDeadLetters | None,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._dead_letters = dead_letters
        self._now = now
        self._clock = clock
        self._last: deque[float] = deque(maxlen=_SLOW_WRITES)
        self._stage = metrics.stage_seconds.labels("store").inc
        self.latency = LatencyWindow(clock)
        """The durations of the writes."""

        self.trouble = ""
        """Why the store takes no trades at present; empty while it does."""

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Store trades, however long the store is away; return the new ones.

        A trade that the store will never take is a dead letter, and is not returned; the others are stored.
        """
        letters = self._dead_letters
        if letters is None:
            return await self.retried(lambda: self._timed(trades))
        refused: list[Rejection] = []
        new = await self._add_most(trades, refused)
        if refused:
            letters.bury(refused)
            await _until_kept(letters)
        return new

    async def retried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work`, which uses the store, however long the store is away.

        Raises RowsRefused where there are dead letters.
        """
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            try:
                result = await work()
            except StoreError as error:
                if isinstance(error, RowsRefused) and self._dead_letters is not None:
                    self._recover()
                    raise
                if not self.trouble:
                    structlog.get_logger().warning("trades_not_stored", store=self._store.name, error=str(error))
                self.trouble = str(error)
                await backoff.pause()
                continue
            self._recover()
            return result

    async def slow_down(self) -> None:
        """Pause where the store has been slow; meanwhile trades wait in the log."""
        if len(self._last) == _SLOW_WRITES and sum(self._last) > _SLOW_SECONDS * _SLOW_WRITES:
            self._last.clear()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _add_most(self, trades: Sequence[Trade], refused: list[Rejection]) -> Sequence[Trade]:
        """Store all trades but those that the store refuses, which are found by halving, and added to `refused`."""
        try:
            return await self.retried(lambda: self._timed(trades))
        except RowsRefused as error:
            if len(trades) == 1:
                refused.append(Rejection(0, REFUSED, str(error), encode(trades[0]), self._store.name, self._now()))
                return ()
            half = len(trades) // 2
            first = await self._add_most(trades[:half], refused)
            return [*first, *await self._add_most(trades[half:], refused)]

    async def _timed(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        started = self._clock()
        new = await self._store.add(trades)
        seconds = self._clock() - started
        self._last.append(seconds / max(1.0, len(trades) / _SLOW_TRADES))
        self.latency.add(seconds, 1)
        self._metrics.store_seconds.observe(seconds)
        self._metrics.batch.observe(len(trades))
        self._stage(seconds)
        return new

    def _recover(self) -> None:
        if self.trouble:
            structlog.get_logger().info("trades_stored_again", store=self._store.name)
            self.trouble = ""


async def _until_kept(letters: DurableDeadLetters) -> None:
    """Wait until all dead letters are durable: then the log may forget their records."""
    number = letters.buried
    while letters.kept < number:  # noqa: ASYNC110  # dead letters announce nothing
        await asyncio.sleep(_LOOK_SECONDS)
