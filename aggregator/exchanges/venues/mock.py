"""The mock exchange of mock_exchange/: numbers are JSON numbers, times are seconds.

REST: `GET /mock/ticker/btcusdt` for one, `GET /mock/tickers?symbols=btcusdt,ethusdt` for up to a thousand.

WebSocket: `/mock/ws`, each subscribed symbol once in a period that the mock exchange is started with. `sequence` grows
with each ticker. An unknown symbol is refused by itself. See mock_exchange/feed.py
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.decoding import at_most, by_symbol, decode, message
from aggregator.exchanges.dialect import (
    Answer,
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


class _Ticker(msgspec.Struct):
    symbol: str
    price: Decimal
    volume: Decimal
    timestamp: float


class _Batch(msgspec.Struct):
    tickers: list[_Ticker]


class _Rows(msgspec.Struct):
    tickers: list[msgspec.Raw]


_ticker = msgspec.json.Decoder(_Ticker)
_batch = msgspec.json.Decoder(_Batch)
_rows = msgspec.json.Decoder(_Rows)


class Mock(Dialect):
    """The REST dialect. The mock has no public address and no rate limit."""

    public_url = ""
    most_symbols = 1000

    def name(self, asset: Asset) -> str:
        """Return our symbol."""
        return asset.symbol

    def request(self, markets: Sequence[Market]) -> Request:
        """Ask for one ticker or several; our symbols are a-z and 0-9 only, so nothing has to be encoded."""
        if len(markets) == 1:
            return Request(f"/mock/ticker/{markets[0].symbol}")
        return Request("/mock/tickers?symbols=" + ",".join(market.symbol for market in markets))

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read `{"symbol":"btcusdt","price":79850.12,"volume":1234567.89,"timestamp":1696118400.123}`.

        Several come as `{"tickers":[…],"unknown":[…]}`. Where one of them is wrong, each is decoded by itself.
        """

        def ticker(found: _Ticker) -> Ticker:
            return Ticker(exchange, found.symbol, found.price, found.volume, found.timestamp)

        if len(markets) == 1:
            return {markets[0].symbol: ticker(decode(_ticker, answer.body))}
        try:
            found = _batch.decode(answer.body).tickers
        except (msgspec.DecodeError, UnicodeDecodeError):
            rows = decode(_rows, answer.body).tickers
            return by_symbol(rows, len(markets), lambda row: ticker(decode(_ticker, row)))
        return {one.symbol: ticker(one) for one in at_most(found, len(markets))}


class _PushedTicker(msgspec.Struct, tag_field="type", tag="ticker"):
    symbol: str
    price: Decimal
    volume: Decimal
    timestamp: float
    sequence: int


class _Subscribed(msgspec.Struct, tag_field="type", tag="subscribed"):
    symbols: list[str]


class _Unsubscribed(msgspec.Struct, tag_field="type", tag="unsubscribed"):
    symbols: list[str]


class _Error(msgspec.Struct, tag_field="type", tag="error"):
    msg: str
    symbol: str = ""


_frame = msgspec.json.Decoder(_PushedTicker | _Subscribed | _Unsubscribed | _Error)


class MockSocket(SocketDialect):
    """The part of the WebSocket dialect that tickers and trades share, which differ in the path.

    The mock has no public address; its feeds are at the address of its REST server.
    """

    public_url = ""
    most_symbols = 1000
    most_together = 200
    pause = 0.01

    def spell(self, asset: Asset) -> str:
        """Return our symbol."""
        return asset.symbol

    def subscribe(self, names: Sequence[str]) -> str:
        """Return a subscribe message."""
        return message({"op": "subscribe", "symbols": names})

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return an unsubscribe message."""
        return message({"op": "unsubscribe", "symbols": names})


class MockPush(MockSocket, PushDialect):
    """The WebSocket dialect of tickers."""

    path = "/mock/ws"

    def read(self, frame: str) -> Sequence[News]:
        """Read `{"type":"ticker","symbol":"btcusdt","price":…,"volume":…,"timestamp":…,"sequence":7}`."""
        found = decode(_frame, frame)
        if isinstance(found, _PushedTicker):
            return (Pushed(found.symbol, found.price, found.volume, found.timestamp, found.sequence),)
        if not isinstance(found, _Error):
            return ()
        if not found.symbol:
            raise Undecodable(found.msg[:200])
        return (Refused(found.symbol, found.msg[:200]),)
