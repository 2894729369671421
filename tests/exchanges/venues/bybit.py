"""Bybit spot, after its documentation: a code and a time in every answer, refusals mostly with a 200."""

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from tests.exchanges.venues.base import Quote, Venue, rows


class BybitVenue(Venue):
    """The REST server."""

    pages: ClassVar[Sequence[str]] = (
        "https://bybit-exchange.github.io/docs/v5/market/tickers",
        "https://bybit-exchange.github.io/docs/v5/market/instrument",
        "https://bybit-exchange.github.io/docs/v5/rate-limit",
        "https://bybit-exchange.github.io/docs/v5/error",
    )
    documented_limits: ClassVar[Sequence[tuple[float, float]]] = ((600, 5),)
    cooldown = 3.0

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes that it serves."""
        return [web.get("/v5/market/tickers", self.tickers), web.get("/v5/market/instruments-info", self.instruments)]

    def name_of(self, quote: Quote) -> str:
        """BTCUSDT."""
        return quote.symbol.upper()

    async def tickers(self, request: web.Request) -> web.Response:
        """Answer for one symbol, or for all."""
        assert request.query["category"] == "spot"
        if "symbol" not in request.query:
            found = [self.information(quote) for quote in self.quotes.values()]
            return self.answer(0, "OK", {"category": "spot", "list": found})
        quote = self.named(request.query["symbol"])
        if quote is None:
            return self.answer(10001, "Not supported symbols", {})
        return self.answer(0, "OK", {"category": "spot", "list": [self.information(quote)]})

    def information(self, quote: Quote) -> dict[str, str]:
        """Return one symbol's ticker."""
        price = Decimal(quote.price)
        return {
            "symbol": self.name_of(quote),
            "bid1Price": f"{price * Decimal('0.999'):f}",
            "bid1Size": "2",
            "ask1Price": f"{price * Decimal('1.001'):f}",
            "ask1Size": "1.862172",
            "lastPrice": quote.price,
            "prevPrice24h": quote.price,
            "price24hPcnt": "0.0068",
            "highPrice24h": quote.price,
            "lowPrice24h": quote.price,
            "turnover24h": quote.turnover,
            "volume24h": quote.volume,
            "usdIndexPrice": quote.price,
        }

    async def instruments(self, request: web.Request) -> web.Response:
        """Answer with every spot symbol; they come in one page."""
        assert request.query["category"] == "spot"
        listed = [
            {
                "symbol": self.name_of(quote),
                "baseCoin": quote.base.upper(),
                "quoteCoin": quote.quote.upper(),
                "innovation": "0",
                "status": "Trading" if quote.trading else "PreLaunch",
                "marginTrading": "none",
                "lotSizeFilter": {"basePrecision": "0.000001", "quotePrecision": "0.00000001", "minOrderQty": "0.1"},
                "priceFilter": {"tickSize": "0.00000001"},
            }
            for quote in self.quotes.values()
        ]
        return self.answer(0, "OK", {"category": "spot", "list": listed})

    def answer(self, code: int, said: str, result: object, status: int = 200) -> web.Response:
        """Answer, with the limit's headers."""
        body = {"retCode": code, "retMsg": said, "result": result, "retExtInfo": {}, "time": self.milliseconds}
        headers = {"X-Bapi-Limit": "50", "X-Bapi-Limit-Status": "49"}
        headers["X-Bapi-Limit-Reset-Timestamp"] = str(self.milliseconds)
        return rows(body, headers, status)

    def too_often(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """Code 10006 with a 200, and when the limit is reset."""
        answer = self.answer(10006, "Too many visits!", {})
        answer.headers["X-Bapi-Limit-Status"] = "0"
        answer.headers["X-Bapi-Limit-Reset-Timestamp"] = str(self.milliseconds + 3000)
        return answer

    def banned(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 403: for at least ten minutes."""
        return web.Response(status=403, text="403, access too frequent")

    def other_place(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 403 for an address in the USA: CloudFront's page, not Bybit's."""
        said = (
            "<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY><H1>403 ERROR</H1>"
            "<H2>The request could not be satisfied.</H2><HR>The Amazon CloudFront distribution is configured to block"
            " access from your country.</BODY></HTML>"
        )
        return web.Response(status=403, text=said, content_type="text/html")

    def forbidden(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 403 for any other cause."""
        return web.Response(status=403, text="403 Forbidden")

    def maintenance(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """Code 10016."""
        return self.answer(10016, "Internal system error", {})
