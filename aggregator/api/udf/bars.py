"""Bars as TradingView's UDF has them: columns, of prices or of trades."""

import math
from decimal import Decimal

from msgspec import UNSET
from starlette.responses import Response as HttpResponse

from aggregator.api.reads.bar_reader import ceiling
from aggregator.api.reads.trade_candles import TradeCandleReader
from aggregator.api.routing.responses import answer
from aggregator.api.udf.schema import UdfBars, UdfNoData
from aggregator.models import Price, Trade
from aggregator.prices.bars import Bars


async def traded_columns(
    trades: TradeCandleReader, symbol: str, seconds: int, begin: float, end: float, count: int | None
) -> HttpResponse:
    """Return bars of trades: the newest `count` before `end`, or those that begin from `begin` on and before `end`."""
    first, last = ceiling(max(0.0, begin), seconds), math.nextafter(ceiling(end, seconds), -math.inf)
    if count is not None:
        found, older = await trades.newest(symbol, seconds, 0.0, last, count), None
    else:
        found = await trades.between(symbol, seconds, first, last, name="from")
        older = None if found else await trades.newest_before(symbol, first)
    if not found:
        return _no_data(next_time(older, seconds))
    starts = tuple(int(one.start) for one in found)
    prices = (tuple(float(getattr(one, name)) for one in found) for name in ("open", "high", "low", "close"))
    sums = (tuple(_float(getattr(one, name)) for one in found) for name in ("volume", "vwap"))
    return answer(UdfBars("ok", starts, *prices, *sums))


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)


def next_time(older: Price | Trade | None, seconds: int) -> int | None:
    """Return the beginning of the bar that has this price or trade."""
    return None if older is None else int(older.timestamp) // seconds * seconds


def _no_data(following: int | None) -> HttpResponse:
    return answer(UdfNoData("no_data", UNSET if following is None else following))


def columns(bars: Bars, following: int | None) -> HttpResponse:
    """Return bars of prices as columns; without any, `following` is the beginning of the next older one."""
    if not len(bars):
        return _no_data(following)
    prices = (tuple(column) for column in (bars.opens, bars.highs, bars.lows, bars.closes))
    return answer(UdfBars("ok", tuple(bars.starts), *prices))
