"""Kraken spot, after its documentation: names of its own, no times, and errors within a 200.

Of several pairs, one that is unknown refuses all. Answers go by Kraken's own key for a pair, whichever of its names was
asked for.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from tests.exchanges.venues.base import Quote, Venue, rows

_NAMES = {"btc": "xbt", "doge": "xdg"}
_OLD = {"btc": "XXBT", "doge": "XXDG", "eth": "XETH", "usd": "ZUSD", "eur": "ZEUR"}  # the first ones have a letter more
_OLD_KEYS = {"btcusd", "ethusd", "btceur"}


class KrakenVenue(Venue):
    """See `pages`."""

    pages: ClassVar[Sequence[str]] = (
        "https://docs.kraken.com/api/docs/rest-api/get-ticker-information",
        "https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs",
        "https://docs.kraken.com/api/docs/guides/spot-errors",
        "https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits",
    )

    def routes(self) -> Sequence[web.RouteDef]:
        """Return what it serves."""
        return [web.get("/0/public/Ticker", self.ticker), web.get("/0/public/AssetPairs", self.pairs)]

    def name_of(self, quote: Quote) -> str:
        """XXBTZUSD for the oldest pairs, XBTUSDT for all others."""
        if quote.symbol in _OLD_KEYS:
            return _OLD[quote.base] + _OLD[quote.quote]
        return self.other_name_of(quote)

    def other_name_of(self, quote: Quote) -> str:
        """XBTUSD."""
        return (_NAMES.get(quote.base, quote.base) + quote.quote).upper()

    async def ticker(self, request: web.Request) -> web.Response:
        """Answer for pairs, separated by commas, or for all."""
        if "pair" not in request.query:
            every = {self.name_of(quote): self.information(quote) for quote in self.quotes.values()}
            return rows({"error": [], "result": every})
        result = {}
        for name in request.query["pair"].split(","):
            quote = self.named(name) or self._by_other_name(name)
            if quote is None:
                return self.error("EQuery:Unknown asset pair")
            result[self.name_of(quote)] = self.information(quote)
        return rows({"error": [], "result": result})

    def information(self, quote: Quote) -> dict[str, object]:
        """Return one pair's ticker."""
        price = Decimal(quote.price)
        return {
            "a": [f"{price * Decimal('1.001'):f}", "1", "1.000"],
            "b": [f"{price * Decimal('0.999'):f}", "1", "1.000"],
            "c": [quote.price, "0.00080000"],
            "v": ["0.5", quote.volume],
            "p": [quote.price, quote.price],
            "t": [3907, 10056],
            "l": [quote.price, quote.price],
            "h": [quote.price, quote.price],
            "o": quote.price,
        }

    async def pairs(self, _: web.Request) -> web.Response:
        """Answer with every pair."""
        result = {
            self.name_of(quote): {
                "altname": self.other_name_of(quote),
                "wsname": f"{_NAMES.get(quote.base, quote.base)}/{quote.quote}".upper(),
                "aclass_base": "currency",
                "base": _OLD.get(quote.base, quote.base.upper()),
                "aclass_quote": "currency",
                "quote": _OLD.get(quote.quote, quote.quote.upper()),
                "pair_decimals": 8,
                "cost_decimals": 5,
                "lot_decimals": 8,
                "lot_multiplier": 1,
                "leverage_buy": [],
                "leverage_sell": [],
                "fees": [[0, 0.4]],
                "fees_maker": [[0, 0.25]],
                "fee_volume_currency": "ZUSD",
                "margin_call": 80,
                "margin_stop": 40,
                "ordermin": "0.0001",
                "costmin": "0.5",
                "tick_size": "0.1",
                "status": "online" if quote.trading else "cancel_only",
            }
            for quote in self.quotes.values()
        }
        return rows({"error": [], "result": result})

    def error(self, *said: str) -> web.Response:
        """Answer with errors, which is a 200."""
        return rows({"error": list(said)})

    def too_often(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """EAPI."""
        return self.error("EAPI:Rate limit exceeded")

    def throttled(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """EService, with the time until which."""
        return self.error(f"EService: Throttled: {round(self.now()) + 42}")

    def maintenance(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """EService."""
        return self.error("EService:Unavailable")

    def _by_other_name(self, name: str) -> Quote | None:
        return next((quote for quote in self.quotes.values() if self.other_name_of(quote) == name), None)
