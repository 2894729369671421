"""OKX spot, after its documentation: texts for everything, and a code in every answer."""

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from tests.exchanges.venues.base import Quote, Venue, rows


class OkxVenue(Venue):
    """The REST server."""

    pages: ClassVar[Sequence[str]] = (
        "https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-ticker",
        "https://www.okx.com/docs-v5/en/#public-data-rest-api-get-instruments",
        "https://www.okx.com/docs-v5/en/#error-code-rest-api-public",
    )
    documented_limits: ClassVar[Sequence[tuple[float, float]]] = ((20, 2),)

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes that it serves."""
        return [
            web.get("/api/v5/market/ticker", self.ticker),
            web.get("/api/v5/market/tickers", self.tickers),
            web.get("/api/v5/public/instruments", self.instruments),
        ]

    def name_of(self, quote: Quote) -> str:
        """BTC-USDT."""
        return f"{quote.base}-{quote.quote}".upper()

    async def ticker(self, request: web.Request) -> web.Response:
        """Answer for one instrument."""
        quote = self.named(request.query["instId"])
        if quote is None:
            said = "Instrument ID, Instrument ID code, or Spread ID doesn't exist."
            return rows({"code": "51001", "data": [], "msg": said})
        return self.data(self.information(quote))

    async def tickers(self, request: web.Request) -> web.Response:
        """Answer for all."""
        assert request.query["instType"] == "SPOT"
        return self.data(*(self.information(quote) for quote in self.quotes.values()))

    def information(self, quote: Quote) -> dict[str, str]:
        """Return one instrument's ticker."""
        price = Decimal(quote.price)
        return {
            "instType": "SPOT",
            "instId": self.name_of(quote),
            "last": quote.price,
            "lastSz": "0.1",
            "askPx": f"{price * Decimal('1.001'):f}",
            "askSz": "11",
            "bidPx": f"{price * Decimal('0.999'):f}",
            "bidSz": "5",
            "open24h": quote.price,
            "high24h": quote.price,
            "low24h": quote.price,
            "volCcy24h": quote.turnover,
            "vol24h": quote.volume,
            "ts": str(self.milliseconds),
            "sodUtc0": quote.price,
            "sodUtc8": quote.price,
        }

    async def instruments(self, request: web.Request) -> web.Response:
        """Answer with every spot instrument."""
        assert request.query["instType"] == "SPOT"
        return self.data(
            *(
                {
                    "instType": "SPOT",
                    "instId": self.name_of(quote),
                    "uly": "",
                    "baseCcy": quote.base.upper(),
                    "quoteCcy": quote.quote.upper(),
                    "settleCcy": "",
                    "ctVal": "",
                    "expTime": "",
                    "lever": "10",
                    "listTime": "1548133413000",
                    "lotSz": "0.00000001",
                    "minSz": "0.00001",
                    "state": "live" if quote.trading else "suspend",
                    "stk": "",
                    "tickSz": "0.00000001",
                }
                for quote in self.quotes.values()
            )
        )

    def data(self, *found: dict[str, str]) -> web.Response:
        """Answer with code 0."""
        return rows({"code": "0", "msg": "", "data": list(found)})

    def too_often(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 429, code 50011."""
        return rows({"code": "50011", "data": [], "msg": "Too Many Requests"}, status=429)

    def maintenance(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 503, code 50001."""
        said = "Service temporarily unavailable. Please try again later."
        return rows({"code": "50001", "data": [], "msg": said}, status=503)
