"""Calls about the service itself."""

from rt_price_aggregator_client.errors import InvalidAnswer
from rt_price_aggregator_client.models import Asset, AssetList, ExchangeReport, ExchangeReports, Health, Readiness
from rt_price_aggregator_client.parameters import path
from rt_price_aggregator_client.request import Answer, Request, answer, decoder, get, then

_assets = then(answer(AssetList), lambda found: found.assets)
_exchanges = answer(ExchangeReports)
_exchange = answer(ExchangeReport)
_health = answer(Health)
_ready = answer(Readiness)
_not_ready = decoder(Readiness)
_UNAVAILABLE = 503


def assets() -> Request[list[Asset]]:
    """Return all assets with tier, rank and number of exchanges."""
    return get(path("assets"), _assets)


def exchanges() -> Request[ExchangeReports]:
    """Return how each exchange does: state, tickers left out, distance from our prices, feed, rate limit."""
    return get(path("exchanges"), _exchanges)


def exchange(name: str) -> Request[ExchangeReport]:
    """Return how one exchange does. Raises NotFound for an unknown name."""
    return get(path("exchanges", name), _exchange)


def health() -> Request[Health]:
    """Return how the process does: status, trades that wait, latencies in seconds."""
    return Request("GET", path("health"), _health, headers={"Accept": "application/json"})


def ready() -> Request[Readiness]:
    """Return whether the service is ready, and the reasons why not. A service that is not ready is no error."""
    return get(path("ready"), _readiness)


def _readiness(found: Answer) -> Readiness:
    if found.status == _UNAVAILABLE:
        try:
            return _not_ready(found.body)
        except InvalidAnswer:
            pass  # overloaded: an error like any other
    return _ready(found)
