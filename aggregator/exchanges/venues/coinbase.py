"""Coinbase Exchange. Numbers are texts, `volume` and `volume_24h` cover 24 hours in base units.

REST: `GET /products/BTC-USD/ticker`, one product a call; an unknown product is 404. The answer does not repeat the
product. `time` is that of the last trade, so pricing leaves a pair that rarely trades out as too old. An address has a
bucket of 15 calls that is refilled at 10 a second; our bucket of 5 keeps every second below 15.
See docs.cdp.coinbase.com/exchange/rest-api (rate-limits)

WebSocket: a `ticker` at every trade (one for several that are close together) and a `heartbeat` each second. `time` is
that of the trade. `sequence` counts all events of a product, so on this channel it grows but has gaps; a lost ticker
shows in the heartbeat, which has the number of the product's newest trade. One wrong product invalidates the whole
subscription message, so each product has its own.
See docs.cdp.coinbase.com/exchange/websocket-feed (channels, errors)
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from aggregator.errors import ExchangeError, Maintenance, Undecodable
from aggregator.exchanges.decoding import (
    decodable,
    decode,
    in_path,
    joined,
    joined_or_empty,
    message,
    unix_seconds,
)
from aggregator.exchanges.dialect import (
    Answer,
    Beat,
    Bucket,
    DayStatistics,
    Dialect,
    Market,
    News,
    PushDialect,
    Pushed,
    Refused,
    Request,
    SocketDialect,
    Tickers,
)
from aggregator.models import Asset, Ticker

_UNAVAILABLE = 503


class _Ticker(msgspec.Struct):
    price: Decimal
    volume: Decimal
    time: datetime


class _Product(msgspec.Struct):
    id: str
    status: str
    trading_disabled: bool = False


class _Volume(msgspec.Struct):
    id: str
    spot_volume_24hour: Decimal


_ticker = msgspec.json.Decoder(_Ticker)
_products = msgspec.json.Decoder(list[_Product])
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_volume = msgspec.json.Decoder(_Volume)


class Coinbase(Dialect):
    """The REST dialect."""

    public_url = "https://api.exchange.coinbase.com"
    most_symbols = 1
    rate_limit = Bucket(10, 5)
    listing = Request("/products")
    listing_start = re.compile(rb"\A\s*\[")
    statistics = Request("/products/volume-summary")

    def name(self, asset: Asset) -> str:
        """Return BTC-USD."""
        return joined(asset, "-")

    def request(self, markets: Sequence[Market]) -> Request:
        """Ask for the product's ticker."""
        return Request(f"/products/{in_path(markets[0].name)}/ticker")

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the ticker of the one product."""
        found, symbol = decode(_ticker, answer.body), markets[0].symbol
        return {symbol: Ticker(exchange, symbol, found.price, found.volume, unix_seconds(found.time))}

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the products."""
        return [_market(one) for one in decode(_products, answer.body)]

    def read_statistics(self, answer: Answer) -> Iterable[DayStatistics]:
        """Read the volumes of all products; this answer has no prices."""
        rows = decode(_rows, answer.body)
        return [DayStatistics(one.id, one.spot_volume_24hour) for one in decodable(_volume, rows)]

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:  # noqa: ARG002  # the status is enough
        """Return Maintenance for a 503."""
        return Maintenance(f"HTTP {status}") if status == _UNAVAILABLE else None


def _market(product: _Product) -> Market:
    base, _, quote = product.id.partition("-")
    trading = product.status == "online" and not product.trading_disabled
    return Market.listed(product.id, base, quote, trading=trading)


class _Kind(msgspec.Struct):
    type: str


class _PushedTicker(msgspec.Struct):
    product_id: str
    price: Decimal
    volume_24h: Decimal
    time: datetime
    sequence: int
    trade_id: int


class _Heartbeat(msgspec.Struct):
    product_id: str
    last_trade_id: int


class _Error(msgspec.Struct):
    message: str
    reason: str = ""


_kind = msgspec.json.Decoder(_Kind)
_pushed = msgspec.json.Decoder(_PushedTicker)
_heartbeat = msgspec.json.Decoder(_Heartbeat)
_error = msgspec.json.Decoder(_Error)


class CoinbaseSocket(SocketDialect):
    """The part of the WebSocket dialect that tickers and trades share. `channels` are subscribed to together."""

    channels: Sequence[str]
    public_url = "wss://ws-feed.exchange.coinbase.com"
    path = ""
    most_symbols = 100
    most_together = 1
    pause = 0.05

    def spell(self, asset: Asset) -> str:
        """Return BTC-USD."""
        return joined_or_empty(asset, "-")

    def subscribe(self, names: Sequence[str]) -> str:
        """Return a subscribe message."""
        return message({"type": "subscribe", "product_ids": names, "channels": self.channels})

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return an unsubscribe message."""
        return message({"type": "unsubscribe", "product_ids": names, "channels": self.channels})


class CoinbasePush(CoinbaseSocket, PushDialect):
    """The WebSocket dialect of tickers."""

    channels = ("ticker", "heartbeat")

    def read(self, frame: str) -> Sequence[News]:
        """Read `{"type":"ticker","product_id":"BTC-USD","price":"…","volume_24h":"…",…}`, a heartbeat or an error."""
        kind = kind_of(frame)
        if kind == "ticker":
            found = decode(_pushed, frame)
            seconds = unix_seconds(found.time)
            return (Pushed(found.product_id, found.price, found.volume_24h, seconds, found.sequence, found.trade_id),)
        return other_news(kind, frame)


def kind_of(frame: str) -> str:
    """Return the type of a message. Raises Undecodable."""
    return decode(_kind, frame).type


def other_news(kind: str, frame: str) -> Sequence[Beat | Refused]:
    """Read a heartbeat, an error or a receipt. Raises Undecodable for any other message."""
    if kind == "heartbeat":
        beat = decode(_heartbeat, frame)
        return (Beat(beat.product_id, beat.last_trade_id),)
    if kind == "error":
        error = decode(_error, frame)
        name = error.reason.partition(" ")[0]  # "BTC-XYZ is not a valid product"
        return (Refused(name, (error.reason or error.message)[:200]),)
    if kind == "subscriptions":
        return ()
    raise Undecodable(f"a message of type {kind[:32]!r}")
