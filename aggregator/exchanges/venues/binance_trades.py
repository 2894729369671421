"""Trades of Binance spot. Numbers are texts, times are milliseconds.

WebSocket: `<symbol>@trade`, one event for each trade, wrapped by the combined stream. `T` is the time of the trade (`E`
that of the event), `q` its volume in base units. `m` tells whether the buyer was the maker: then the taker sold.

REST: `GET /api/v3/trades?symbol=BTCUSDT&limit=1000`, weight 25, with the ids of the stream. (`aggTrades` numbers
groups of trades, in another series.)
See developers.binance.com/docs/binance-spot-api-docs (web-socket-streams, rest-api/market-data-endpoints)
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.decoding import Count, Milliseconds, check_pair, decode, executions, in_path
from aggregator.exchanges.dialect import (
    Answer,
    Execution,
    Executions,
    Market,
    Request,
    Shutdown,
    TradeDialect,
    TradeNews,
)
from aggregator.exchanges.venues.binance import BinanceSocket, is_shutdown
from aggregator.models import Side

_STREAM = "@trade"


class _Frame(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    id: int | None = None
    code: int | None = None
    msg: str = ""
    error: Any = None


class _Trade(msgspec.Struct):
    s: str
    t: Count
    p: Decimal
    q: Decimal
    T: Milliseconds
    m: bool


class _Recent(msgspec.Struct, rename="camel"):
    id: Count
    price: Decimal
    qty: Decimal
    time: Milliseconds
    is_buyer_maker: bool


_frame = msgspec.json.Decoder(_Frame)
_trade = msgspec.json.Decoder(_Trade)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_recent = msgspec.json.Decoder(_Recent)


class BinanceTrades(BinanceSocket, TradeDialect):
    """The dialect of trades."""

    stream = _STREAM
    silence = 300.0  # the stream has nothing but trades, and pings that the connection answers
    most_recent = 1000
    recent_cost = 25

    def read(self, frame: str) -> Sequence[TradeNews]:
        """Read `{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":12345,"p":"…","q":"…",…}}`."""
        if is_shutdown(frame):
            return (Shutdown(),)
        found = decode(_frame, frame)
        if not found.data:
            if found.id is None or found.code is not None or found.error is not None:
                raise Undecodable(found.msg or "neither a trade nor a receipt")
            return ()
        name = found.stream.removesuffix(_STREAM)

        def execution(trade: _Trade) -> Execution:
            check_pair(trade.s.lower(), name)
            return Execution(name, trade.p, trade.q, trade.T / 1000, str(trade.t), _taker(trade.m))

        return executions(_trade, [found.data], execution)

    def recent(self, market: Market) -> Request:
        """Ask for the newest trades."""
        return Request(f"/api/v3/trades?symbol={in_path(market.name)}&limit={self.most_recent}")

    def read_recent(self, market: Market, answer: Answer) -> Executions:
        """Read `[{"id":28457,"price":"…","qty":"…","time":1499865549590,"isBuyerMaker":true,…},…]`."""

        def execution(trade: _Recent) -> Execution:
            seconds, side = trade.time / 1000, _taker(trade.is_buyer_maker)
            return Execution(market.name, trade.price, trade.qty, seconds, str(trade.id), side)

        return executions(_recent, decode(_rows, answer.body), execution)


def _taker(buyer_is_maker: bool) -> Side:  # noqa: FBT001  # the venue's flag
    return Side.SELL if buyer_is_maker else Side.BUY
