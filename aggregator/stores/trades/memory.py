"""`memory://`: trades in the memory of the process. They are gone when it ends."""

import asyncio
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence

from aggregator.models import Trade, TradeKey, trade_key
from aggregator.stores.trades.definition import CreatedTradeStore, TradeStoreKind, TradeStoreParts, nothing_longer

_URL = "memory://"
_SWEEP_SECONDS = 10.0


class MemoryTrades:
    """`aggregator.trades.ports.TradeStore` in memory. `retention` is in seconds, by the time of a trade.

    Trades from `keep_from()` on are kept longer, as in TradeStoreParts.
    """

    name = "memory"

    def __init__(
        self,
        retention: float,
        now: Callable[[], float] = time.time,
        keep_from: Callable[[], float] = nothing_longer,
    ) -> None:
        self._retention = retention
        self._now = now
        self._keep_from = keep_from
        self._keys: dict[str, list[TradeKey]] = {}  # by asset, in order
        self._trades: dict[str, dict[TradeKey, Trade]] = {}

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`."""
        return [trade for trade in trades if self._add(trade)]

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`."""
        keys, trades = self._keys.get(asset, []), self._trades.get(asset, {})
        first = bisect_left(keys, start, key=_time)
        last = bisect_right(keys, end, key=_time)
        if after is not None and newest_first:
            last = min(last, bisect_left(keys, after))
        elif after is not None:
            first = max(first, bisect_right(keys, after))
        page = keys[max(first, last - limit) : last][::-1] if newest_first else keys[first : min(last, first + limit)]
        return [trades[key] for key in page]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`."""
        return {asset: self._trades[asset][self._keys[asset][-1]] for asset in assets if self._keys.get(asset)}

    async def run(self) -> None:
        """Delete old trades every ten seconds; never returns."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._expire(min(self._now() - self._retention, self._keep_from()))

    async def ping(self) -> None:
        """Do nothing: memory is always there."""

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _add(self, trade: Trade) -> bool:
        trades, key = self._trades.setdefault(trade.asset, {}), trade_key(trade)
        if key in trades:
            return False
        trades[key] = trade
        insort(self._keys.setdefault(trade.asset, []), key)
        return True

    def _expire(self, before: float) -> None:
        for asset, keys in self._keys.items():
            old = bisect_left(keys, before, key=_time)
            for key in keys[:old]:
                del self._trades[asset][key]
            del keys[:old]


def _time(key: TradeKey) -> float:
    return key.timestamp


def _check(url: str) -> None:
    if url != _URL:
        raise ValueError(f"must be {_URL}")


def _create(_: str, parts: TradeStoreParts) -> CreatedTradeStore:
    return CreatedTradeStore(MemoryTrades(parts.retention, parts.now, parts.keep_from), [])


MEMORY = TradeStoreKind(example=_URL, form=_URL, check=_check, create=_create)
