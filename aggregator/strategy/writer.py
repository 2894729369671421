"""Writes what the strategy opens and closes: the position, then its signal, then the topic of signals.

The store of positions decides: it has one open position an asset, and the same one twice is one. A signal is made of
the position, so it is stored and published only where the position was taken, and is the same in every process.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import structlog

from aggregator.errors import StoreError, StoreRefused
from aggregator.live.topics import Publisher
from aggregator.observability.metrics.events import EventMetrics
from aggregator.observability.metrics.strategy import StrategyMetrics
from aggregator.observability.trouble_log import TroubleLog
from aggregator.resilience.backoff import Backoff
from aggregator.strategy.ports import Position, PositionStore
from aggregator.strategy.signals import SIGNALS, Signal, signal_of, stored_signal
from aggregator.trades.ports import EventStore

T = TypeVar("T")

MOST_WAITING = 10_000
_AT_ONCE = 64  # positions, each of another asset
_LONGEST_PAUSE = 2.0  # seconds between two attempts


class PositionWriter:
    """Writes opened and closed positions in the background, those of an asset in their order.

    While the store is away, it tries again; at most `most_waiting` positions wait. When they are more, those of the
    asset that waits longest are dropped and counted. `lost` gets each asset whose positions were dropped, or not taken
    by the store: its state has to be read again.
    """

    def __init__(
        self,
        positions: PositionStore,
        events: EventStore,
        publisher: Publisher,
        metrics: StrategyMetrics,
        event_metrics: EventMetrics,
        lost: Callable[[str], None],
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._positions = positions
        self._events = events
        self._publisher = publisher
        self._metrics = metrics
        self._store_errors = event_metrics.store_errors
        self._stored = event_metrics.stored.labels(SIGNALS.name)
        self._dropped = event_metrics.dropped.labels(SIGNALS.name)
        self._gauge = event_metrics.waiting.labels(SIGNALS.name)
        self._lost = lost
        self._most = most_waiting
        self._waiting: OrderedDict[str, deque[Position]] = OrderedDict()  # by asset, the one that waits longest first
        self._count = 0
        self._arrived, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._trouble = TroubleLog("paper_positions_not_stored", "paper_positions_stored_again")

    @property
    def waiting(self) -> int:
        """The number of positions that are not written yet."""
        return self._count

    def put(self, position: Position) -> None:
        """Add a position that was opened or closed. Returns at once, never raises."""
        self._waiting.setdefault(position.asset, deque()).append(position)
        self._changed(1)
        if self._count > self._most:
            self._drop(next(iter(self._waiting)))
        self._idle.clear()
        self._arrived.set()

    def forget(self, asset: str) -> None:
        """Write no more of what waits of an asset: its trades are about to be measured again."""
        self._changed(-len(self._waiting.pop(asset, ())))

    async def restore(self, position: Position) -> None:
        """Store and publish the last signal of a stored position where it is missing. Raises StoreError.

        A process that was killed may have written the position only.
        """
        event = stored_signal(signal_of(position))
        time = event.timestamp
        found = await self._events.events(SIGNALS.name, event.asset, time, time, 10, newest_first=True)
        if all(one.id != event.id for one in found):
            await self._events.put(SIGNALS.name, [event])
            self._publish([signal_of(position)])

    async def run(self) -> None:
        """Write what comes; never returns."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._write([one[0] for one in islice(self._waiting.values(), _AT_ONCE)])
            self._idle.set()

    async def drain(self, patience: float) -> None:
        """Wait at most `patience` seconds until everything is written; what is left then is dropped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._idle.wait()
        if self._count:
            structlog.get_logger().error("paper_signals_dropped", count=self._count)
            for asset in list(self._waiting):
                self._drop(asset)

    async def _write(self, batch: Sequence[Position]) -> None:
        """Write the first position that waits of each of some assets."""
        taken = await asyncio.gather(*(self._retried(self._refusable(one)) for one in batch))
        kept = [one for one, is_taken in zip(batch, taken, strict=True) if is_taken]
        signals = [signal_of(one) for one in kept]
        if signals and await self._retried(self._refusable_events(signals)):
            self._publish(signals)
        for one, is_taken in zip(batch, taken, strict=True):
            self._done(one)
            if not is_taken:
                self.forget(one.asset)
                self._lost(one.asset)

    def _refusable(self, position: Position) -> Callable[[], Awaitable[bool]]:
        async def write() -> bool:
            if position.exit_time is None:
                return await self._positions.open(position)
            if await self._positions.close_position(position):
                return True
            # The same close may have been written by an attempt that was told of an error.
            newest = await self._positions.closed(position.asset, 1)
            return [(one.id, one.exit_time) for one in newest] == [(position.id, position.exit_time)]

        return write

    def _refusable_events(self, signals: Sequence[Signal]) -> Callable[[], Awaitable[bool]]:
        async def write() -> bool:
            await self._events.put(SIGNALS.name, [stored_signal(one) for one in signals])
            return True

        return write

    def _publish(self, signals: Sequence[Signal]) -> None:
        self._publisher.publish(SIGNALS, signals)
        self._stored.inc(len(signals))
        log = structlog.get_logger()
        for one in signals:
            self._metrics.signals.labels(one.side, one.reason).inc()
            if one.profit is not None:
                self._metrics.closed.labels("won" if one.profit > 0 else "lost").inc()
            log.debug("paper_signal", asset=one.asset, side=one.side, reason=one.reason, price=str(one.price))

    def _done(self, position: Position) -> None:
        """Take a position off those that wait, unless they were forgotten meanwhile."""
        waiting = self._waiting.get(position.asset)
        if waiting and waiting[0] is position:
            waiting.popleft()
            self._changed(-1)
            if waiting:
                self._waiting.move_to_end(position.asset)
            else:
                del self._waiting[position.asset]

    def _drop(self, asset: str) -> None:
        self._dropped.inc(len(self._waiting[asset]))
        self.forget(asset)
        self._lost(asset)

    def _changed(self, number: int) -> None:
        self._count += number
        self._gauge.set(self._count)

    async def _retried(self, write: Callable[[], Awaitable[bool]]) -> bool:
        """Return the result of `write`, however long the store is away; False where the store refuses it for good."""
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            try:
                result = await write()
            except StoreError as error:
                self._store_errors.labels(error.reason).inc()
                if isinstance(error, StoreRefused):
                    structlog.get_logger().error("paper_position_refused", error=str(error))
                    return False
                self._trouble.report(str(error))
                await backoff.pause()
            else:
                self._trouble.report("")
                return result
