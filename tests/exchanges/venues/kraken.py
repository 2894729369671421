"""Kraken spot, after its documentation: names of its own, no times, and errors within a 200.

Of several pairs, one that is unknown refuses all. Answers go by Kraken's own key for a pair, whichever of its names was
asked for.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from tests.exchanges.venues.base import Quote, Venue, rows
from tests.exchanges.venues.sockets import Feed

_NAMES = {"btc": "xbt", "doge": "xdg"}
_OLD = {"btc": "XXBT", "doge": "XXDG", "eth": "XETH", "usd": "ZUSD", "eur": "ZEUR"}  # the first ones have a letter more
_OLD_KEYS = {"btcusd", "ethusd", "btceur"}


class KrakenVenue(Venue):
    """The REST server."""

    pages: ClassVar[Sequence[str]] = (
        "https://docs.kraken.com/api/docs/rest-api/get-ticker-information",
        "https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs",
        "https://docs.kraken.com/api/docs/guides/spot-errors",
        "https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits",
    )
    documented_limits: ClassVar[Sequence[tuple[float, float]]] = ((1, 1),)

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes that it serves."""
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
        """Answer with errors and status 200."""
        return rows({"error": list(said)})

    def too_often(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """EAPI:Rate limit exceeded."""
        return self.error("EAPI:Rate limit exceeded")

    def throttled(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """EService:Throttled, with the time of its end."""
        return self.error(f"EService: Throttled: {round(self.now()) + 42}")

    def maintenance(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """EService."""
        return self.error("EService:Unavailable")

    def _by_other_name(self, name: str) -> Quote | None:
        return next((quote for quote in self.quotes.values() if self.other_name_of(quote) == name), None)


class KrakenFeed(Feed):
    """Sends a status first, a snapshot on subscription, and heartbeats; numbers are JSON numbers.

    Written from:
    - https://docs.kraken.com/api/docs/websocket-v2/ticker, .../heartbeat and .../status
    """

    tells_time = True  # which it has not always done
    push_path = "/v2"
    polled = KrakenVenue

    async def greet(self, socket: web.WebSocketResponse) -> None:
        """Send the status."""
        data = {"api_version": "v2", "connection_id": 12393906104898154338, "system": "online", "version": "2.0.4"}
        await socket.send_str(json.dumps({"channel": "status", "type": "update", "data": [data]}))

    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """Subscribe and unsubscribe, with a receipt for each pair."""
        params: dict[str, list[str]] = asked["params"]  # type: ignore[assignment]  # an object
        for name in params["symbol"]:
            await self._serve(socket, str(asked["method"]), name)

    async def _serve(self, socket: web.WebSocketResponse, method: str, name: str) -> None:
        wanted, times = self.wanted[socket], {"time_in": self.stamp(), "time_out": self.stamp()}
        if name in self.unlisted:
            refusal = {"error": f"Currency pair not supported {name}", "method": method, "success": False}
            await socket.send_str(json.dumps(refusal | {"symbol": name} | times))
            return
        result = {"channel": "ticker", "snapshot": True, "symbol": name}
        await socket.send_str(json.dumps({"method": method, "result": result, "success": True} | times))
        if method == "unsubscribe":
            wanted.remove(name)
            return
        wanted.append(name)
        if not self.beats_only:
            await socket.send_str(self.ticker(name, "snapshot"))

    def ticker(self, name: str, kind: str) -> str:
        """Return a ticker message."""
        time_told = f',"timestamp":"{self.stamp()}"' if self.tells_time else ""
        return (
            f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{name}","bid":0.10025,"bid_qty":740.0,'
            f'"ask":0.10036,"ask_qty":1361.44813783,"last":{self.price_of(name)},"volume":{self.volume},"vwap":0.10148,'
            f'"low":0.09979,"high":0.10285,"change":-0.00017,"change_pct":-0.17{time_told}}}]}}'
        )

    def beat(self, name: str) -> str:  # noqa: ARG002  # one for all
        """Return a heartbeat message."""
        return '{"channel":"heartbeat"}'
