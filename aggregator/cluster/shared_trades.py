"""The last trades and features of all processes on one Redis, as one process knows them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from aggregator.errors import StoreUnavailable
from aggregator.live.topics import Bus
from aggregator.models import Trade
from aggregator.stores.redis.last_trades import LastTradesStore
from aggregator.trades.features import Features
from aggregator.trades.newest_trades import NewestTrades
from aggregator.trades.topics import FEATURES, TRADES

_SOON, _LATER = 1.0, 10.0  # seconds between two reads of the hashes; longer each time
_SETTLE_SECONDS = 1.0


class SharedTrades:
    """`aggregator.trades.ports.LastTrades` from the topics trades and features, and from the hashes in Redis.

    The topics have every change while the feed is connected; the hashes have the rest: what has changed before. They
    are read when the feed connects, and a second later once more, because a value is in its hash up to 500 ms after it
    was published. Later reads, at most ten seconds apart, find what a processor has computed without publishing it.
    """

    def __init__(
        self, store: LastTradesStore, bus: Bus, assets: Sequence[str], now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._names = assets
        self._newest = NewestTrades(frozenset(assets))
        self._now = now
        self._connected = asyncio.Event()  # since the last read began
        self._settled = asyncio.Event()
        self.features, self.quote = self._newest.features, self._newest.quote
        bus.listen(TRADES, _TradeListener(self))
        bus.listen(FEATURES, _FeatureListener(self))

    def take(self, trades: Sequence[Trade], features: Sequence[Features]) -> None:
        """Keep the values that are newer than the known ones."""
        now = self._now()
        self._newest.take_trades(trades, now)
        self._newest.take_features(features, now)

    def connected(self) -> None:
        """Read the hashes: what was published while there was no connection is missing."""
        self._settled.clear()
        self._connected.set()

    async def read(self) -> None:
        """Read the hashes once. Raises StoreUnavailable."""
        self._connected.clear()
        self.take(*await self._store.read(self._names))
        if not self._connected.is_set():
            self._settled.set()

    async def settled(self) -> None:
        """Wait until the hashes have been read since the feed has connected, for a second at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._settled.wait()

    async def run(self) -> None:
        """Read the hashes when the feed connects, and from time to time; never returns."""
        pause = _SOON
        while True:
            try:
                await self.read()
            except StoreUnavailable as error:
                structlog.get_logger().debug("last_trades_not_read", error=str(error))
                pause = _SOON
            try:
                async with asyncio.timeout(pause):
                    await self._connected.wait()
                pause = _SOON
            except TimeoutError:
                pause = min(2 * pause, _LATER)


class _Listener:
    def __init__(self, shared: SharedTrades) -> None:
        self._shared = shared
        self.connected = shared.connected

    def disconnected(self) -> None:
        """Do nothing: what is known stays the last that is known."""


class _TradeListener(_Listener):
    def receive(self, trades: Sequence[Trade]) -> None:
        """Take trades."""
        self._shared.take(trades, ())


class _FeatureListener(_Listener):
    def receive(self, values: Sequence[Features]) -> None:
        """Take features."""
        self._shared.take((), values)
