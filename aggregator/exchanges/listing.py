"""Which pairs an exchange trades, by its own listing. Before one was read, whatever it is asked for is tried."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from aggregator.errors import NotListed
from aggregator.exchanges.dialect import Market
from aggregator.models import Asset
from aggregator.prices.tiers import is_symbol

_LONGEST_NAME = 64


class Listing:
    """One exchange's, as last read. `name` spells a pair where there is none."""

    def __init__(self, name: Callable[[Asset], str]) -> None:
        self._name = name
        self._markets: Mapping[str, Market] | None = None

    @property
    def size(self) -> int | None:
        """How many pairs are traded; None before a listing was read."""
        return None if self._markets is None else sum(market.trading for market in self._markets.values())

    def replace(self, markets: Iterable[Market]) -> None:
        """Know these and no others; of two of the same symbol, the one that is traded. An empty one says nothing."""
        found: dict[str, Market] = {}
        for market in markets:
            known = found.get(market.symbol)
            if is_symbol(market.symbol) and _is_name(market.name) and (known is None or not known.trading):
                found[market.symbol] = market
        if found:
            self._markets = found

    def trades(self, symbol: str) -> bool | None:
        """Whether the pair is traded there; None before a listing was read."""
        if self._markets is None:
            return None
        market = self._markets.get(symbol)
        return market is not None and market.trading

    def sort(self, assets: Sequence[Asset]) -> tuple[list[Market], dict[str, NotListed]]:
        """Return whom to ask for, and why not for the others, by symbol."""
        markets: list[Market] = []
        others: dict[str, NotListed] = {}
        for asset in assets:
            try:
                markets.append(self._market(asset))
            except NotListed as error:
                others[asset.symbol] = error
        return markets, others

    def _market(self, asset: Asset) -> Market:
        if self._markets is None:
            return Market(asset.symbol, self._name(asset))
        market = self._markets.get(asset.symbol)
        if market is None:
            raise NotListed("not in its listing")
        if not market.trading:
            raise NotListed("in its listing, but not traded now")
        return market


def _is_name(text: str) -> bool:
    """Whether it may stand in every call: Kraken's and Coinbase's names have some ten characters."""
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable()
