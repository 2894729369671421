"""Binance spot, after its documentation.

An unknown symbol refuses the whole call; weights go by the number of symbols, and a 429 that is not heeded ends in a
418, both with Retry-After.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from tests.exchanges.venues.base import Quote, Venue, rows
from tests.exchanges.venues.sockets import Feed

_DAY = 86_400_000


class BinanceVenue(Venue):
    """`limit` is the weight allowed a minute; `used` is the weight spent so far, which a test may set."""

    pages: ClassVar[Sequence[str]] = (
        "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints",
        "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-endpoints",
        "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits",
        "https://developers.binance.com/docs/binance-spot-api-docs/errors",
    )
    documented_limits: ClassVar[Sequence[tuple[float, float]]] = ((6000, 60),)
    cooldown = 23.0
    limit = 6000
    used = 0

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes that it serves."""
        return [web.get("/api/v3/ticker/24hr", self.ticker), web.get("/api/v3/exchangeInfo", self.info)]

    def name_of(self, quote: Quote) -> str:
        """BTCUSDT."""
        return quote.symbol.upper()

    async def ticker(self, request: web.Request) -> web.Response:
        """Answer for `symbol` with one, for `symbols` (a JSON list) with a list, without either with all."""
        if "symbol" not in request.query and "symbols" not in request.query:
            return self.spend(80, [self.statistics(quote) for quote in self.quotes.values()])
        names = [request.query["symbol"]] if "symbol" in request.query else json.loads(request.query["symbols"])
        weight = 2 if len(names) <= 20 else 40 if len(names) <= 100 else 80
        found = [self.named(name) for name in names]
        if self.used + weight > self.limit:
            return self.too_often(request)
        if None in found:
            return self.spend(weight, {"code": -1121, "msg": "Invalid symbol."}, 400)
        bodies = [self.statistics(quote) for quote in found if quote is not None]
        return self.spend(weight, bodies[0] if "symbol" in request.query else bodies)

    async def info(self, _: web.Request) -> web.Response:
        """Answer with every symbol."""
        return self.spend(20, {"timezone": "UTC", "serverTime": self.milliseconds, **self.information()})

    def information(self) -> dict[str, object]:
        """Return the limits and symbols."""
        minute = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.limit}
        symbols = [
            {
                "symbol": self.name_of(quote),
                "status": "TRADING" if quote.trading else "BREAK",
                "baseAsset": quote.base.upper(),
                "baseAssetPrecision": 8,
                "quoteAsset": quote.quote.upper(),
                "quotePrecision": 8,
                "quoteAssetPrecision": 8,
                "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
                "icebergAllowed": True,
                "ocoAllowed": True,
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
                "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.00000001", "tickSize": "0.00000001"}],
                "permissions": [],
                "permissionSets": [["SPOT", "MARGIN"]],
            }
            for quote in self.quotes.values()
        ]
        return {"rateLimits": [minute], "exchangeFilters": [], "symbols": symbols}

    def statistics(self, quote: Quote) -> dict[str, object]:
        """Return all fields of the 24-hour statistics of one pair."""
        price = Decimal(quote.price)
        return {
            "symbol": self.name_of(quote),
            "priceChange": "0.00000000",
            "priceChangePercent": "0.000",
            "weightedAvgPrice": quote.price,
            "prevClosePrice": quote.price,
            "lastPrice": quote.price,
            "lastQty": "0.10000000",
            "bidPrice": f"{price * Decimal('0.999'):f}",
            "bidQty": "1.00000000",
            "askPrice": f"{price * Decimal('1.001'):f}",
            "askQty": "1.00000000",
            "openPrice": quote.price,
            "highPrice": quote.price,
            "lowPrice": quote.price,
            "volume": quote.volume,
            "quoteVolume": quote.turnover,
            "openTime": self.milliseconds - _DAY,
            "closeTime": self.milliseconds,
            "firstId": 28385,
            "lastId": 28460,
            "count": 76,
        }

    def too_often(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 429, code -1003."""
        said = f"Too much request weight used; current limit is {self.limit} request weight per 1 MINUTE."
        return rows({"code": -1003, "msg": said}, {"Retry-After": "23"}, 429)

    def banned(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 418, for hours."""
        until = self.milliseconds + 7_200_000
        said = (
            f"Way too much request weight used; IP banned until {until}. Please use WebSocket Streams for live updates."
        )
        return rows({"code": -1003, "msg": said}, {"Retry-After": "7200"}, 418)

    def other_place(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 451, code 0."""
        said = (
            "Service unavailable from a restricted location according to 'b. Eligibility' in"
            " https://www.binance.com/en/terms. Please contact customer service if you believe you received this"
            " message in error."
        )
        return rows({"code": 0, "msg": said}, status=451)

    def maintenance(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 503, code -1008 or none."""
        return rows({"code": -1008, "msg": "Server is currently overloaded with other requests."}, status=503)

    def spend(self, weight: int, body: object, status: int = 200) -> web.Response:
        """Answer with the header of the weight used so far."""
        self.used += weight
        return rows(body, {"X-MBX-USED-WEIGHT": str(self.used), "X-MBX-USED-WEIGHT-1M": str(self.used)}, status)


class BinanceFeed(Feed):
    """Sends receipts with a null result; accepts a pair that it does not trade, and never pushes it.

    Written from:
    - https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams (combined streams, individual symbol
      ticker streams, error messages)
    """

    polled = BinanceVenue
    push_path = "/stream"

    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """SUBSCRIBE and UNSUBSCRIBE."""
        names = [str(name).removesuffix("@ticker") for name in asked["params"]]  # type: ignore[attr-defined]  # a list
        wanted = self.wanted[socket]
        if asked["method"] == "SUBSCRIBE":
            wanted += [name for name in names if name not in self.unlisted]
        else:
            wanted[:] = [name for name in wanted if name not in names]
        await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))

    def ticker(self, name: str, kind: str) -> str:  # noqa: ARG002  # they have no kinds here
        """Return a 24hrTicker event in the wrapping of the combined stream."""
        millis = int(self.now() * 1000)
        return (
            f'{{"stream":"{name}@ticker","data":{{"e":"24hrTicker","E":{millis},"s":"{name.upper()}","p":"0.0015",'
            f'"P":"250.00","w":"0.0018","x":"0.0009","c":"{self.price_of(name)}","Q":"10","b":"0.0024","B":"10",'
            f'"a":"0.0026",'
            f'"A":"100","o":"0.0010","h":"0.0025","l":"0.0010","v":"{self.volume}","q":"18","O":{millis - 86400000},'
            f'"C":{millis},"F":0,"L":{self.trades},"n":18151}}}}'
        )
