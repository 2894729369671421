"""Calls about paper trading."""

from rt_price_aggregator_client.calls.history import Order, in_range
from rt_price_aggregator_client.models import (
    ClosedPage,
    ClosedPosition,
    ClosedTotals,
    OpenPosition,
    OpenPositions,
    Signal,
    SignalPage,
)
from rt_price_aggregator_client.parameters import Time, parameters, path
from rt_price_aggregator_client.request import Pages, Request, answer, get, then

_signals = then(answer(SignalPage), lambda page: (page.signals, page.next))
_positions = then(answer(OpenPositions), lambda found: found.positions)
_closed = then(answer(ClosedPage), lambda page: (page.positions, page.next))
_totals = then(answer(ClosedPage), lambda page: page.totals)


def signals(
    asset: str, *, start: Time | None = None, end: Time | None = None, order: Order = "desc", page_size: int = 1000
) -> Pages[Signal]:
    """Iterate over the paper strategy's signals from `start` to `end`, newest first or with `order="asc"`."""
    target = path("signals", asset)
    return Pages(lambda cursor: get(target, _signals, in_range(start, end, order, page_size, cursor)))


def positions(asset: str | None = None) -> Request[list[OpenPosition]]:
    """Return the open paper positions, of an asset or of all."""
    return get(path("positions"), _positions, parameters(asset=asset))


def closed_positions(asset: str | None = None, *, page_size: int = 1000) -> Pages[ClosedPosition]:
    """Iterate over the closed paper positions, newest first."""

    def page(cursor: str | None) -> Request[tuple[list[ClosedPosition], str | None]]:
        return get(path("positions", "closed"), _closed, parameters(asset=asset, limit=page_size, cursor=cursor))

    return Pages(page)


def closed_totals(asset: str | None = None) -> Request[ClosedTotals]:
    """Return how many paper positions were closed and won, and the profit by quote currency."""
    return get(path("positions", "closed"), _totals, parameters(asset=asset, limit=1))
