"""Coinbase Exchange, after its documentation. One product a call; times are RFC 3339 with microseconds."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from tests.exchanges.venues.base import Quote, Venue, rows
from tests.exchanges.venues.sockets import Feed


class CoinbaseVenue(Venue):
    """The REST server."""

    pages: ClassVar[Sequence[str]] = (
        "https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-ticker",
        "https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-all-known-trading-pairs",
        "https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-all-product-volume",
        "https://docs.cdp.coinbase.com/exchange/rest-api/requests",
        "https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits",
    )
    documented_limits: ClassVar[Sequence[tuple[float, float]]] = ((15, 1), (615, 60))

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes that it serves."""
        return [
            web.get("/products", self.products),
            web.get("/products/volume-summary", self.volumes),
            web.get("/products/{id}/ticker", self.ticker),
        ]

    def name_of(self, quote: Quote) -> str:
        """BTC-USDT."""
        return f"{quote.base}-{quote.quote}".upper()

    async def ticker(self, request: web.Request) -> web.Response:
        """Answer for one product, without its name."""
        quote = self.named(request.match_info["id"])
        if quote is None:
            return rows({"message": "NotFound"}, status=404)
        price = Decimal(quote.price)
        return rows(
            {
                "trade_id": 86326522,
                "price": quote.price,
                "size": "0.00698254",
                "time": f"{datetime.fromtimestamp(self.now(), UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
                "bid": f"{price * Decimal('0.999'):f}",
                "ask": f"{price * Decimal('1.001'):f}",
                "volume": quote.volume,
                "rfq_volume": "0.123456",
                "conversions_volume": "0",
            }
        )

    async def volumes(self, _: web.Request) -> web.Response:
        """Answer with the volumes of every product, without prices."""
        return rows(
            [
                {
                    "id": self.name_of(quote),
                    "base_currency": quote.base.upper(),
                    "quote_currency": quote.quote.upper(),
                    "display_name": f"{quote.base}/{quote.quote}".upper(),
                    "market_types": ["spot"],
                    "spot_volume_24hour": quote.volume,
                    "spot_volume_30day": "3567890.12",
                    "rfq_volume_24hour": "0",
                    "rfq_volume_30day": "0",
                    "conversion_volume_24hour": "0",
                    "conversion_volume_30day": "0",
                }
                for quote in self.quotes.values()
            ]
        )

    async def products(self, _: web.Request) -> web.Response:
        """Answer with every product."""
        return rows(
            [
                {
                    "id": self.name_of(quote),
                    "base_currency": quote.base.upper(),
                    "quote_currency": quote.quote.upper(),
                    "quote_increment": "0.00000001",
                    "base_increment": "0.00000001",
                    "display_name": f"{quote.base}/{quote.quote}".upper(),
                    "min_market_funds": "1",
                    "margin_enabled": False,
                    "post_only": False,
                    "limit_only": False,
                    "cancel_only": False,
                    "status": "online" if quote.trading else "delisted",
                    "status_message": "",
                    "trading_disabled": not quote.trading,
                    "fx_stablecoin": False,
                    "auction_mode": False,
                }
                for quote in self.quotes.values()
            ]
        )

    def too_often(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 429, without Retry-After."""
        return rows({"message": "Public rate limit exceeded"}, status=429)

    def maintenance(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a Fault
        """HTTP 503."""
        return rows({"message": "ServiceUnavailable"}, status=503)


class CoinbaseFeed(Feed):
    """Sends a ticker on subscription and at every trade, and heartbeats. A wrong product refuses the whole message.

    Written from:
    - https://docs.cdp.coinbase.com/exchange/websocket-feed/overview and .../channels (ticker, heartbeat, errors)
    """

    polled = CoinbaseVenue

    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """Subscribe and unsubscribe."""
        names: list[str] = asked["product_ids"]  # type: ignore[assignment]  # a list
        wanted = self.wanted[socket]
        bad = next((name for name in names if name in self.unlisted), None)
        if bad is not None:
            reason = f"{bad} is not a valid product"
            await socket.send_str(json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason}))
            return
        if asked["type"] == "subscribe":
            wanted += names
        else:
            wanted[:] = [name for name in wanted if name not in names]
        channels = [{"name": name, "product_ids": wanted} for name in ("ticker", "heartbeat")]
        await socket.send_str(json.dumps({"type": "subscriptions", "channels": channels}))
        if asked["type"] == "subscribe" and not self.beats_only:
            self.lose_tickers = False
            for name in names:
                await socket.send_str(self.ticker(name, "snapshot"))

    def ticker(self, name: str, kind: str, trade: int = 0) -> str:  # noqa: ARG002  # they have no kinds here
        """Return a ticker message; `sequence` counts all events, so it is far ahead of the trades."""
        trade = trade or self.trades
        return (
            f'{{"type":"ticker","sequence":{trade * 37},"product_id":"{name}","price":"{self.price_of(name)}",'
            f'"open_24h":"1310.79","volume_24h":"{self.volume}","low_24h":"1280.52","high_24h":"1313.8",'
            '"volume_30d":"245532.79269678","best_bid":"1285.04","best_bid_size":"0.46688654","best_ask":"1285.27",'
            f'"best_ask_size":"1.56637040","side":"buy","time":"{self.stamp()}","trade_id":{trade},"last_size":"11.4"}}'
        )

    def beat(self, name: str) -> str:
        """Return a heartbeat message."""
        return json.dumps(
            {
                "type": "heartbeat",
                "last_trade_id": self.trades,
                "product_id": name,
                "sequence": self.trades * 37,
                "time": self.stamp(),
            }
        )
