"""The topic of prices, and what streams show of a price."""

from aggregator.live.topics import Topic
from aggregator.models import Asset, CurrentPrice, Price, encode, price_body
from aggregator.newest import NewestPrices
from aggregator.prices.tiers import Catalog


def _asset(price: Price) -> str:
    return price.asset


PRICES = Topic("prices", "price", Price, asset=_asset, shown=CurrentPrice)


class PricePresenter:
    """Shows a price as GET /prices/{asset} does.

    A price is not shown in two cases: this process has shown it before (an emptied cache was filled again from
    history), or has seen a newer one, which the client of a subscriber may have read elsewhere.
    """

    def __init__(self, catalog: Catalog, newest: NewestPrices) -> None:
        self._catalog = catalog
        self._newest = newest
        self._shown: dict[str, float] = {}  # timestamp of each asset's last event

    def body(self, asset: Asset, value: Price, now: float) -> bytes | None:
        """Return the JSON of the price; None if it must not be shown."""
        self._newest.at_least(value)
        newest = self._newest.known(asset.symbol)
        if newest is None or newest.timestamp != value.timestamp:
            return None
        if self._shown.get(asset.symbol) == newest.timestamp:
            return None
        self._shown[asset.symbol] = newest.timestamp
        return encode(price_body(newest, asset.tier, now, self._catalog.cadence[asset.tier].stale_after))
