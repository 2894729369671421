"""Binance spot. Numbers are texts, times are milliseconds, `volume` and `v` are in base units.

REST: `GET /api/v3/ticker/24hr?symbol=BTCUSDT`, or `symbols=[…]` for several. One unknown symbol refuses the whole call:
HTTP 400 with code -1121. Each call has a weight, an address may use 6000 a minute, and each answer tells how much is
used. `closeTime` is the end of the 24 hours that the statistics cover, and moves on with the pair's trades: for a pair
without trades it is minutes old although the answer is new. Such a ticker is `too_old` for a tier with a shorter
interval, which is right: its price is as old as that.
See developers.binance.com/docs/binance-spot-api-docs/rest-api (limits, market-data-endpoints)

WebSocket: `<symbol>@ticker` about once a second, wrapped by the combined stream. There are no sequence numbers: each
ticker is complete, and the event time `E` orders them. The venue accepts a subscription to a pair that is not traded,
and never pushes it. A connection ends after 24 hours; a client may send five messages a second. Before it shuts a
server down, the venue sends `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":…}}` and wants the client to
open a new connection at once.
See developers.binance.com/docs/binance-spot-api-docs/web-socket-streams (Server Shutdown)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from aggregator.errors import ExchangeError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.decoding import (
    Milliseconds,
    by_symbol,
    decodable,
    decode,
    in_path,
    message,
    reported,
    unsigned,
)
from aggregator.exchanges.dialect import (
    Answer,
    Bucket,
    DayStatistics,
    Dialect,
    Market,
    News,
    PushDialect,
    Pushed,
    Request,
    Shutdown,
    SocketDialect,
    Tickers,
)
from aggregator.models import Asset, Ticker

_NEARLY_ALL = (
    0.95 * 6000
)  # of a minute's weight, used by all clients at our address; the remainder is left to the others
_KINDS: dict[int, type[ExchangeError]] = {-1121: NotListed, -1003: RateLimited, -1008: Maintenance}


class _Ticker(msgspec.Struct, rename="camel"):
    symbol: str
    last_price: Decimal
    volume: Decimal
    close_time: Milliseconds


class _Listed(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str


class _Listing(msgspec.Struct):
    symbols: list[_Listed]


class _Error(msgspec.Struct):
    code: int
    msg: str = ""


_ticker = msgspec.json.Decoder(_Ticker)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_listing = msgspec.json.Decoder(_Listing)
_error = msgspec.json.Decoder(_Error)


class Binance(Dialect):
    """The REST dialect."""

    public_url = "https://api.binance.com"
    most_symbols = 20  # a call for twenty weighs as much as a call for one
    rate_limit = Bucket(90, 600)
    listing = Request("/api/v3/exchangeInfo?permissions=SPOT&showPermissionSets=false")
    listing_cost = 20
    listing_start = re.compile(rb'"symbols"\s*:\s*\[')
    statistics = Request("/api/v3/ticker/24hr?type=MINI")
    statistics_cost = 80

    def name(self, asset: Asset) -> str:
        """Return BTCUSDT."""
        return asset.symbol.upper()

    def request(self, markets: Sequence[Market]) -> Request:
        """Ask for the 24-hour statistics of one symbol or several."""
        if len(markets) == 1:
            return Request(f"/api/v3/ticker/24hr?symbol={in_path(markets[0].name)}")
        names = ",".join(f'"{market.name}"' for market in markets)
        return Request(f"/api/v3/ticker/24hr?symbols={in_path(f'[{names}]')}")

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read one ticker, or a list of tickers where several markets were asked for."""

        def read(body: bytes | msgspec.Raw) -> Ticker:
            found = decode(_ticker, body)
            return Ticker(exchange, found.symbol.lower(), found.last_price, found.volume, found.close_time / 1000)

        if len(markets) == 1:
            return {markets[0].symbol: read(answer.body)}
        rows = by_symbol(decode(_rows, answer.body), len(markets), read)
        return {symbol.lower(): ticker for symbol, ticker in rows.items()}

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the exchange information."""
        return [
            Market.listed(one.symbol, one.base_asset, one.quote_asset, trading=one.status == "TRADING")
            for one in decode(_listing, answer.body).symbols
        ]

    def read_statistics(self, answer: Answer) -> Iterable[DayStatistics]:
        """Read the statistics of all symbols."""
        rows = decode(_rows, answer.body)
        return [DayStatistics(one.symbol, one.volume, one.last_price) for one in decodable(_ticker, rows)]

    def cost(self, count: int) -> float:
        """Return the call's weight."""
        return 2 if count <= self.most_symbols else 80

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:
        """Read `{"code":-1121,"msg":"Invalid symbol."}`."""
        try:
            error = decode(_error, body)
        except Undecodable:
            return None
        return reported(_KINDS, error.code, f"HTTP {status}: {error.code} {error.msg:.200}")

    def pause(self, headers: Mapping[str, str], now: float) -> float | None:
        """Return the rest of the minute when its weight is nearly used up: the count restarts with each minute."""
        used = unsigned(headers.get("X-MBX-USED-WEIGHT-1M", ""))
        return 60 - now % 60 if used is not None and used >= _NEARLY_ALL else None


_STREAM = "@ticker"
_SHUTDOWN = "serverShutdown"


class _PushedTicker(msgspec.Struct):
    E: Milliseconds
    s: str
    c: Decimal
    v: Decimal


class _Frame(msgspec.Struct):
    stream: str = ""
    data: _PushedTicker | None = None
    id: int | None = None
    code: int | None = None
    msg: str = ""
    error: Any = None


class _Event(msgspec.Struct, frozen=True):
    e: str = ""


class _Announcement(msgspec.Struct):
    """An event with or without the wrapping of the combined stream."""

    data: _Event = _Event()
    e: str = ""


_frame = msgspec.json.Decoder(_Frame)
_announcement = msgspec.json.Decoder(_Announcement)


class BinanceSocket(SocketDialect):
    """The part of the WebSocket dialect that tickers and trades share. `stream` ends the names of its streams."""

    stream: str
    public_url = "wss://stream.binance.com:9443"
    path = "/stream"
    most_symbols = 1024
    most_together = 50
    pause = 0.5

    def spell(self, asset: Asset) -> str:
        """Return btcusdt: the names of streams are in lower case."""
        return asset.symbol

    def subscribe(self, names: Sequence[str]) -> str:
        """Return a SUBSCRIBE message."""
        return message({"method": "SUBSCRIBE", "params": [name + self.stream for name in names], "id": 1})

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return an UNSUBSCRIBE message."""
        return message({"method": "UNSUBSCRIBE", "params": [name + self.stream for name in names], "id": 1})


class BinancePush(BinanceSocket, PushDialect):
    """The WebSocket dialect of tickers."""

    stream = _STREAM

    def read(self, frame: str) -> Sequence[News | Shutdown]:
        """Read `{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":…,"s":"BTCUSDT","c":"…","v":"…",…}}`."""
        if is_shutdown(frame):
            return (Shutdown(),)
        found = decode(_frame, frame)
        if found.data is None:
            if found.id is None or found.code is not None or found.error is not None:
                raise Undecodable(found.msg or "neither a ticker nor a receipt")
            return ()
        ticker, name = found.data, found.stream.removesuffix(_STREAM)
        if name != ticker.s.lower():
            raise Undecodable(f"a ticker of {ticker.s[:32]!r} on the stream of another pair")
        return (Pushed(name, ticker.c, ticker.v, ticker.E / 1000, ticker.E),)


def is_shutdown(frame: str) -> bool:
    """Whether the frame announces that the venue shuts a server down."""
    if _SHUTDOWN not in frame:
        return False
    found = decode(_announcement, frame)
    return _SHUTDOWN in (found.data.e, found.e)
