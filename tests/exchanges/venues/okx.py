"""OKX spot, after its documentation: texts for everything, and a code in every answer."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from tests.exchanges.venues.base import Quote, Venue, rows
from tests.exchanges.venues.sockets import Feed


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


class OkxFeed(Feed):
    """Answers each argument of a message by itself, a subscription also with a ticker. `ping` and `pong` are texts.

    Written from:
    - https://www.okx.com/docs-v5/en/#overview-websocket-subscribe, ...-unsubscribe, ...-notification and ...-connect
    - https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-tickers-channel
    - https://www.okx.com/docs-v5/en/#error-code-websocket-public
    """

    polled = OkxVenue
    push_path = "/ws/v5/public"

    def decoded(self, text: str) -> dict[str, object]:
        """Return a message; the text `ping` as an operation of that name."""
        return {"op": "ping"} if text == "ping" else super().decoded(text)

    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """Subscribe, unsubscribe, ping."""
        if asked["op"] == "ping":
            await socket.send_str("pong")
            return
        for arg in asked["args"]:  # type: ignore[attr-defined]  # a list
            assert arg["channel"] == "tickers"
            await self._serve(socket, str(asked["op"]), arg["instId"])

    async def _serve(self, socket: web.WebSocketResponse, operation: str, name: str) -> None:
        wanted, arg = self.wanted[socket], {"channel": "tickers", "instId": name}
        if name in self.unlisted:
            said = (
                f"Wrong URL or channel:tickers,instId:{name} doesn't exist. Please use the correct URL, channel and"
                " parameters referring to API document."
            )
            await socket.send_str(json.dumps({"event": "error", "msg": said, "code": "60018", "connId": "accb8e21"}))
            return
        await socket.send_str(json.dumps({"event": operation, "arg": arg, "connId": "accb8e21"}))
        if operation == "unsubscribe":
            wanted.remove(name)
            return
        if name not in wanted:
            wanted.append(name)
        if not self.beats_only:
            await socket.send_str(self.ticker(name, "snapshot"))

    def ticker(self, name: str, kind: str) -> str:  # noqa: ARG002  # they have no kinds here
        """Return a push of the tickers channel."""
        return (
            f'{{"arg":{{"channel":"tickers","instId":"{name}"}},"data":[{{"instType":"SPOT","instId":"{name}",'
            f'"last":"{self.price_of(name)}","lastSz":"0.1","askPx":"8888.88","askSz":"5","bidPx":"9999.99",'
            f'"bidSz":"5","open24h":"9000","high24h":"10000","low24h":"8888.88","volCcy24h":"2222",'
            f'"vol24h":"{self.volume}","sodUtc0":"2222","sodUtc8":"2222","ts":"{int(self.now() * 1000)}"}}]}}'
        )
