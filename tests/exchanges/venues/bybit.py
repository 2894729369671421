"""Bybit spot, after its documentation: a code and a time in every answer, refusals mostly with a 200."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from tests.exchanges.venues.base import Quote, Venue, rows
from tests.exchanges.venues.sockets import Feed

_MOST_ARGS = 10  # in a message, for spot
_PREFIX = "tickers."


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


class BybitFeed(Feed):
    """Sends a snapshot on subscription and then at every change. One bad topic refuses the whole message.

    The documentation gives no text for a refusal; these texts are those that clients of the venue report.

    Written from:
    - https://bybit-exchange.github.io/docs/v5/ws/connect (limits of arguments, heartbeat, subscribing)
    - https://bybit-exchange.github.io/docs/v5/websocket/public/ticker (spot)
    """

    polled = BybitVenue
    push_path = "/v5/public/spot"

    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """Subscribe, unsubscribe, ping."""
        operation, wanted = str(asked["op"]), self.wanted[socket]
        names = [str(topic).removeprefix(_PREFIX) for topic in asked.get("args", ())]  # type: ignore[attr-defined]  # a list
        said = self._refusal(names, wanted) if operation == "subscribe" else ""
        answer = {"success": not said, "ret_msg": said or operation, "conn_id": "2324d924", "op": operation}
        if operation == "ping":
            answer["ret_msg"] = "pong"
        await socket.send_str(json.dumps(answer))
        if operation == "unsubscribe":
            wanted[:] = [name for name in wanted if name not in names]
        if operation != "subscribe" or said:
            return
        wanted += names
        for name in names if not self.beats_only else []:
            await socket.send_str(self.ticker(name, "snapshot"))

    def _refusal(self, names: Sequence[str], wanted: Sequence[str]) -> str:
        """Return why the whole subscription is refused; empty if it is not."""
        if len(names) > _MOST_ARGS:
            return f"args size >{_MOST_ARGS}"
        reasons = [f"Invalid symbol :[{_PREFIX}{name}]" for name in names if name in self.unlisted]
        reasons += [f"error:already subscribed,topic:{_PREFIX}{name}" for name in names if name in wanted]
        return reasons[0] if reasons else ""

    def ticker(self, name: str, kind: str) -> str:  # noqa: ARG002  # spot has snapshots only
        """Return a push of the ticker topic."""
        return (
            f'{{"topic":"{_PREFIX}{name}","ts":{int(self.now() * 1000)},"type":"snapshot","cs":{self.trades * 37},'
            f'"data":{{"symbol":"{name}","lastPrice":"{self.price_of(name)}","highPrice24h":"21426.99",'
            f'"lowPrice24h":"20575","prevPrice24h":"20704.93","volume24h":"{self.volume}",'
            '"turnover24h":"141946527.22907118","price24hPcnt":"0.0196","usdIndexPrice":"21120.2400136"}}'
        )
