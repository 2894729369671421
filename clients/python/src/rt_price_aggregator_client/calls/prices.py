"""Calls about prices."""

from collections.abc import Iterable

from rt_price_aggregator_client.models import (
    Price,
    PriceList,
    PriceSources,
    RefreshedPrice,
    SparklineList,
)
from rt_price_aggregator_client.parameters import parameters, path
from rt_price_aggregator_client.request import Request, answer, get

_price = answer(Price)
_prices = answer(PriceList)
_sources = answer(PriceSources)
_refreshed = answer(RefreshedPrice)
_sparklines = answer(SparklineList)


def price(asset: str, *, details: bool = False) -> Request[Price]:
    """Return the current price; with `details`, also the change, high, low and volume of 24 hours.

    Raises NotFound for an asset that is not listed, and Unavailable where no current price is known.
    """
    return get(path("prices", asset), _price, parameters(details=details or None))


def prices(
    assets: Iterable[str] | None = None, *, tier: str | None = None, details: bool = False
) -> Request[PriceList]:
    """Return the prices of up to 1000 assets, or of a tier: `hot`, `medium` or `cold`.

    An asset without a price is in `missing` with the reason.
    """
    return get(path("prices"), _prices, parameters(assets=assets, tier=tier, details=details or None))


def sources(asset: str) -> Request[PriceSources]:
    """Return the price with each exchange's ticker and weight, or the reason why it was left out."""
    return get(path("prices", asset, "sources"), _sources)


def sparklines(assets: Iterable[str]) -> Request[SparklineList]:
    """Return the last price of each half hour of the last 24 hours, of up to 200 assets. Prices are floats."""
    return get(path("sparklines"), _sparklines, parameters(assets=assets))


def refresh(asset: str) -> Request[RefreshedPrice]:
    """Ask the exchanges for a new price now. Needs an API key where the service has keys.

    Raises RateLimited within a second of the last refresh (after the retries), and NoNewPrice where no exchange
    gives a usable price.
    """
    return Request("POST", path("refresh", asset), _refreshed)
