"""Calls about trades and what is computed from them."""

from rt_price_aggregator_client.calls.history import Order, in_range
from rt_price_aggregator_client.models import (
    Aggregations,
    AnomalyPage,
    Features,
    Quote,
    SentimentPage,
    Trade,
    TradePage,
)
from rt_price_aggregator_client.parameters import Time, parameters, path
from rt_price_aggregator_client.request import Pages, Request, answer, get, then

_page = then(answer(TradePage), lambda page: (page.trades, page.next))
_last = then(answer(TradePage), lambda page: page.trades)
_quote = answer(Quote)
_aggregations = answer(Aggregations)
_features = answer(Features)
_anomalies = answer(AnomalyPage)
_sentiment = answer(SentimentPage)


def trades(
    asset: str, *, start: Time | None = None, end: Time | None = None, order: Order = "desc", page_size: int = 1000
) -> Pages[Trade]:
    """Iterate over the stored trades from `start` to `end`, both included, newest first or with `order="asc"`."""
    target = path("trades", asset)
    return Pages(lambda cursor: get(target, _page, in_range(start, end, order, page_size, cursor)))


def last_trades(asset: str, limit: int = 10) -> Request[list[Trade]]:
    """Return the newest trades, at most 100, newest first."""
    return get(path("query"), _last, parameters(symbol=asset, limit=limit))


def quote(asset: str) -> Request[Quote]:
    """Return the last trade. Raises NotFound before the first one."""
    return get(path("quotes", asset), _quote)


def aggregations(asset: str) -> Request[Aggregations]:
    """Return VWAP, mean, z-score of the volume, momentum and frequency, as floats. None where not known yet."""
    return get(path("aggregations", asset), _aggregations)


def features(asset: str) -> Request[Features]:
    """Return the figures of `aggregations`, with those that are not known yet in `warming_up`."""
    return get(path("features", asset), _features)


def anomalies(asset: str, *, hours: int = 24, limit: int = 100) -> Request[AnomalyPage]:
    """Return the unusual trades of the last hours, newest first, and the state of the asset's model."""
    return get(path("anomalies", asset), _anomalies, parameters(hours=hours, limit=limit))


def sentiment(asset: str, *, hours: int = 24) -> Request[SentimentPage]:
    """Return the newest 50 headlines of the last hours with their sentiment, and a summary."""
    return get(path("sentiment", asset), _sentiment, parameters(hours=hours))
