"""Reading candles of trades for a response, with a bound on the trades that are read."""

import asyncio
import math
import time
from collections.abc import Callable

from aggregator.api.reads.bar_reader import READ_SECONDS
from aggregator.api.reads.history_reader import CLOCK_MARGIN, STORE_SECONDS
from aggregator.api.reads.trade_reader import StoredTrades, TradeRange, rest_of
from aggregator.api.routing.responses import NO_TRADES, RETRY_SOON, refuse, refuse_parameter
from aggregator.models import Trade
from aggregator.trades.candles import TradeCandle, TradeCandleBuilder
from aggregator.trades.ports import TradeReader

MOST_TRADES = 100_000  # for one response
_PAGE = 1000  # trades in one read; computing their candles takes a few milliseconds of the event loop


class TradeCandleReader:
    """Reads candles from the newest trade to the oldest. Raises the response 503 if the store fails or takes too long.

    One response reads at most MOST_TRADES trades. Raises the response 400 where that is not enough.
    """

    def __init__(
        self, reader: TradeReader, now: Callable[[], float] = time.time, store_seconds: float = STORE_SECONDS
    ) -> None:
        self._stored = StoredTrades(reader, store_seconds)
        self._now = now

    async def between(
        self, symbol: str, seconds: int, start: float, end: float, *, name: str = "start"
    ) -> list[TradeCandle]:
        """Return the candles of all trades from `start` to `end`, both inclusive. `name` is that of the parameter."""
        builder = TradeCandleBuilder(seconds)
        if not await self._read(builder, symbol, start, end, MOST_TRADES):
            raise refuse_parameter(f"{name} must be later: the range has more than {MOST_TRADES} trades of {symbol}")
        return builder.candles(whole=True)

    async def newest(
        self, symbol: str, seconds: int, start: float, end: float, count: int = MOST_TRADES
    ) -> list[TradeCandle]:
        """Return the newest `count` candles; fewer if there are no more, or if they have more than MOST_TRADES trades.

        `start` and `end` are inclusive. A candle of which only a part was read is left out.
        """
        builder = TradeCandleBuilder(seconds)
        whole = await self._read(builder, symbol, start, end, count)
        found = builder.candles(whole=whole)
        if not found and not whole:
            raise refuse_parameter(f"one interval has more than {MOST_TRADES} trades of {symbol}: choose a shorter one")
        return found[max(0, len(found) - count) :]

    async def newest_before(self, symbol: str, end: float) -> Trade | None:
        """Return the newest stored trade that is older than `end`; None if there is none."""
        window = TradeRange(symbol, 0.0, math.nextafter(end, -math.inf), newest_first=True)
        return next(iter(await self._stored.page(window, 1)), None) if end > 0 else None

    async def _read(self, builder: TradeCandleBuilder, symbol: str, start: float, end: float, count: int) -> bool:
        """Give trades to the builder until it has `count` candles; return whether the last candle is whole."""
        start, end = max(0.0, start), min(end, self._now() + CLOCK_MARGIN)
        if start > end:
            return True
        window = TradeRange(symbol, start, end, newest_first=True)
        try:
            async with asyncio.timeout(READ_SECONDS):
                for _ in range(0, MOST_TRADES, _PAGE):
                    trades = await self._stored.page(window, _PAGE)
                    builder.add(trades)
                    if len(trades) < _PAGE:
                        return True
                    if builder.complete >= count:
                        return False
                    window = rest_of(window, trades[-1])
                return not await self._stored.page(window, 1)
        except TimeoutError as error:
            raise refuse(503, NO_TRADES, RETRY_SOON) from error
