"""Calls about stored prices."""

from typing import Literal

from rt_price_aggregator_client.models import (
    Candle,
    CandleList,
    HistoryPage,
    HistorySourcesPage,
    StoredPrice,
    StoredPriceSources,
)
from rt_price_aggregator_client.parameters import Parameters, Time, parameters, path
from rt_price_aggregator_client.request import Pages, Request, answer, get, then

Order = Literal["asc", "desc"]
Interval = Literal["1m", "5m", "15m", "1h", "4h", "1d"]
_page = then(answer(HistoryPage), lambda page: (page.prices, page.next))
_sources_page = then(answer(HistorySourcesPage), lambda page: (page.prices, page.next))
_stored = answer(StoredPrice)
_stored_sources = answer(StoredPriceSources)
_candles = then(answer(CandleList), lambda found: found.candles)


def history(
    asset: str, *, start: Time | None = None, end: Time | None = None, order: Order = "desc", page_size: int = 1000
) -> Pages[StoredPrice]:
    """Iterate over the stored prices from `start` to `end`, both included, newest first or with `order="asc"`.

    One request per `page_size` prices, at most 1000, is made when the iteration comes there.
    """
    target = path("prices", asset, "history")
    return Pages(lambda cursor: get(target, _page, in_range(start, end, order, page_size, cursor)))


def history_with_sources(
    asset: str, *, start: Time | None = None, end: Time | None = None, order: Order = "desc", page_size: int = 100
) -> Pages[StoredPriceSources]:
    """Iterate as `history` does, over prices with the ticker and weight of each exchange."""
    target, more = path("prices", asset, "history"), parameters(sources=True)
    return Pages(lambda cursor: get(target, _sources_page, in_range(start, end, order, page_size, cursor) + more))


def price_at(asset: str, time: Time) -> Request[StoredPrice]:
    """Return the stored price at a time, or the last one before it. Raises NotFound before the first one."""
    return get(path("prices", asset, "at"), _stored, parameters(time=time))


def price_at_with_sources(asset: str, time: Time) -> Request[StoredPriceSources]:
    """Return the price as `price_at` does, with the ticker and weight of each exchange."""
    return get(path("prices", asset, "at"), _stored_sources, parameters(time=time, sources=True))


def candles(
    asset: str,
    interval: Interval = "1m",
    *,
    start: Time | None = None,
    end: Time | None = None,
    source: Literal["prices", "trades"] | None = None,
) -> Request[list[Candle]]:
    """Return open, high, low, close and count of each interval, oldest first; by default the last 500 intervals.

    With `source="trades"`, they are made of trades and have `volume` and `vwap`.
    """
    query = parameters(interval=interval, start=start, end=end, source=source)
    return get(path("prices", asset, "candles"), _candles, query)


def in_range(start: Time | None, end: Time | None, order: Order, limit: int, cursor: str | None) -> Parameters:
    """Return the parameters of a page. A cursor contains range and order, so it comes without them."""
    if cursor is not None:
        return parameters(limit=limit, cursor=cursor)
    return parameters(start=start, end=end, order=order, limit=limit)
