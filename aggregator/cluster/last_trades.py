"""Writes the last trade and the newest features of each asset into Redis, from where other processes read them."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import structlog

from aggregator.errors import StoreUnavailable
from aggregator.models import Trade
from aggregator.resilience.backoff import Backoff
from aggregator.stores.redis.last_trades import LastTradesStore
from aggregator.trades.features import Features
from aggregator.trades.ports import LastTrades

T = TypeVar("T", Trade, Features)

_WRITE_SECONDS = 0.5  # between two writes; with 1,000 busy assets, one takes some 30 ms of CPU time
_CHECK_SECONDS = 2.0  # between two comparisons of all assets with what was written
_LONGEST_PAUSE = 1.0  # seconds between attempts while Redis is away
_LAST_SECONDS = 1.0  # for what waits when the process stops


class LastTradesWriter:
    """Writes what the processor of this process knows, at most every 500 ms, and again after Redis has lost it.

    `changed` returns the assets that may have changed since its last call. All assets are compared every two seconds:
    a processor that starts computes features from the store without publishing them.
    """

    def __init__(
        self, store: LastTradesStore, live: LastTrades, assets: Collection[str], changed: Callable[[], set[str]]
    ) -> None:
        self._store = store
        self._live = live
        self._assets = assets
        self._changed = changed
        self._to_write: set[str] = set()
        self._trades: dict[str, Trade] = {}  # as they were last written
        self._features: dict[str, Features] = {}
        self.trouble = ""
        """The reason why values are not written at present; empty while they are."""

    async def run(self) -> None:
        """Write for ever, and once more when cancelled."""
        backoff = Backoff(_LONGEST_PAUSE)
        checked = -_CHECK_SECONDS
        try:
            while True:
                await asyncio.sleep(_WRITE_SECONDS)
                is_check = time.monotonic() - checked >= _CHECK_SECONDS
                try:
                    await self.write(is_check=is_check)
                except StoreUnavailable as error:
                    if not self.trouble:
                        structlog.get_logger().warning("last_trades_not_written", error=str(error))
                    self.trouble = str(error)
                    await backoff.pause()
                    continue
                if self.trouble:
                    structlog.get_logger().info("last_trades_written_again")
                    backoff, self.trouble = Backoff(_LONGEST_PAUSE), ""
                checked = time.monotonic() if is_check else checked
        finally:
            await self._write_last()

    async def write(self, *, is_check: bool) -> None:
        """Write what has changed; with `is_check`, compare all assets, and the sizes of the hashes."""
        self._to_write |= self._changed()
        if is_check:
            self._to_write |= set(self._assets)
        assets = self._to_write
        trades = _unlike(self._trades, ((asset, self._live.quote(asset)) for asset in assets))
        features = _unlike(self._features, ((asset, self._live.features(asset)) for asset in assets))
        if not trades and not features and not (is_check and self._trades):
            self._to_write = set()
            return
        sizes = await self._store.write(trades, features)
        self._to_write = set()
        self._trades |= {trade.asset: trade for trade in trades}
        self._features |= {value.asset: value for value in features}
        if sizes[0] < len(self._trades) or sizes[1] < len(self._features):  # Redis was emptied: write all of it again
            self._trades, self._features = {}, {}
            self._to_write = set(self._assets)

    async def _write_last(self) -> None:
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self.write(is_check=False)
        except (StoreUnavailable, TimeoutError) as error:
            structlog.get_logger().debug("last_trades_not_written", error=str(error))


def _unlike(written: dict[str, T], found: Iterable[tuple[str, T | None]]) -> list[T]:
    """Return the values that are not those that were written."""
    return [value for asset, value in found if value is not None and written.get(asset) is not value]
