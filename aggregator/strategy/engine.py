"""The paper strategy as an analytic: evaluates each measured trade, and has positions and signals written.

The state of an asset is its open position and the time of its last signal. Both are read from the stored positions, so
trades that are measured again after a start make the signals that a killed process had not stored, and no other.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import inf

import structlog

from aggregator.errors import StoreError
from aggregator.live.topics import Publisher
from aggregator.observability.metrics.events import EventMetrics
from aggregator.observability.metrics.strategy import StrategyMetrics
from aggregator.resilience.backoff import Backoff
from aggregator.strategy.ports import Position, PositionStore
from aggregator.strategy.rules import AssetStrategy, Rules
from aggregator.strategy.writer import MOST_WAITING, PositionWriter
from aggregator.trades.analytic import Measured
from aggregator.trades.ports import EventStore

_AT_ONCE = 16  # assets whose positions are read at once
_RESTORED_SECONDS = 86_400  # age up to which a missing signal of a stored position is made again


class PaperStrategy:
    """`Analytic` that trades on paper: no order is sent anywhere. `now` is unix seconds."""

    def __init__(
        self,
        rules: Rules,
        positions: PositionStore,
        events: EventStore,
        publisher: Publisher,
        metrics: StrategyMetrics,
        event_metrics: EventMetrics,
        now: Callable[[], float],
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._rules = rules
        self._positions = positions
        self._metrics = metrics
        self._now = now
        self._states: dict[str, AssetStrategy] = {}
        self._lost: dict[str, None] = {}  # assets whose state has to be read again
        self._has_lost = asyncio.Event()
        self._writer = PositionWriter(positions, events, publisher, metrics, event_metrics, self._lose, most_waiting)

    @property
    def is_settled(self) -> bool:
        """As `Analytic.is_settled`."""
        return not self._writer.waiting

    async def load(self, assets: Sequence[str]) -> None:
        """As `Analytic.load`."""
        for asset in assets:
            self._writer.forget(asset)
        found = await self._read(assets)
        self._states.update(found)
        for asset in assets:
            self._lost.pop(asset, None)

    def take(self, measured: Sequence[Measured]) -> None:
        """As `Analytic.take`."""
        states = self._states
        for one in measured:
            trade = one.trade
            state = states.get(trade.asset)
            if state is None:
                self._lose(trade.asset)
                continue
            position = state.take(trade, one.features.price_momentum)
            if position is not None:
                self._writer.put(position)

    def forget(self, asset: str) -> None:
        """As `Analytic.forget`. What waits to be written stays."""
        self._states.pop(asset, None)
        self._lost.pop(asset, None)

    def report(self) -> None:
        """Set the gauges; to be called before each scrape."""
        self._metrics.open.set(sum(one.position is not None for one in self._states.values()))

    @property
    def waiting(self) -> int:
        """The number of positions that are not written yet."""
        return self._writer.waiting

    async def run(self) -> None:
        """Write what comes, and read the state of lost assets again; never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run())
            group.create_task(self._reload())

    async def drain(self, patience: float) -> None:
        """Wait at most `patience` seconds until everything is written."""
        await self._writer.drain(patience)

    def _lose(self, asset: str) -> None:
        """Stop the strategy of an asset until its state is read again."""
        self._states.pop(asset, None)
        self._lost[asset] = None
        self._has_lost.set()

    async def _reload(self) -> None:
        backoff = Backoff()
        while True:
            await self._has_lost.wait()
            assets = list(self._lost)[:_AT_ONCE]
            try:
                found = await self._read(assets)
            except StoreError:
                await backoff.pause()
                continue
            backoff = Backoff()
            for asset in assets:
                if asset in self._lost:  # else it was loaded or forgotten meanwhile
                    del self._lost[asset]
                    self._states[asset] = found[asset]
                    self._metrics.reloaded.inc()
                    structlog.get_logger().warning("paper_positions_read_again", asset=asset)
            if not self._lost:
                self._has_lost.clear()

    async def _read(self, assets: Sequence[str]) -> dict[str, AssetStrategy]:
        """Return the state of each asset, and restore signals that a killed process did not store."""
        found: dict[str, AssetStrategy] = {}
        for first in range(0, len(assets), _AT_ONCE):
            some = assets[first : first + _AT_ONCE]
            opened = {one.asset: one for one in await self._positions.open_positions(some)}
            states = await asyncio.gather(*(self._state(asset, opened.get(asset)) for asset in some))
            found.update(zip(some, states, strict=True))
        return found

    async def _state(self, asset: str, opened: Position | None) -> AssetStrategy:
        if opened is not None:
            await self._restore(opened, opened.entry_time)
            return AssetStrategy(self._rules, opened, opened.entry_time)
        for closed in await self._positions.closed(asset, 1):
            since = closed.exit_time or -inf
            await self._restore(closed, since)
            return AssetStrategy(self._rules, None, since)
        return AssetStrategy(self._rules)

    async def _restore(self, position: Position, time: float) -> None:
        if time > self._now() - _RESTORED_SECONDS:
            await self._writer.restore(position)
