"""Trades of the mock exchange: numbers are JSON numbers, times are seconds with microseconds, sides are the taker's.

WebSocket: `/mock/trades`, with the messages of the tickers' feed; a frame has one trade or several.

REST: `GET /mock/trades?symbols=btcusdt&limit=1000`, oldest first, the newest 1,000 at most.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.decoding import TradeId, check_pair, decode, executions, in_path
from aggregator.exchanges.dialect import (
    Answer,
    Execution,
    Executions,
    Market,
    Refused,
    Request,
    TradeDialect,
    TradeNews,
)
from aggregator.exchanges.venues.mock import MockSocket
from aggregator.models import Side

_RECEIPTS = ("subscribed", "unsubscribed")


class _Trade(msgspec.Struct):
    id: TradeId
    symbol: str
    price: Decimal
    volume: Decimal
    side: Side
    timestamp: float


class _Frame(msgspec.Struct):
    trades: list[msgspec.Raw] | None = None
    type: str = ""
    symbol: str = ""
    msg: str = ""


class _Answer(msgspec.Struct):
    trades: list[msgspec.Raw]


_trade = msgspec.json.Decoder(_Trade)
_frame = msgspec.json.Decoder(_Frame)
_answer = msgspec.json.Decoder(_Answer)


class MockTrades(MockSocket, TradeDialect):
    """The dialect of trades."""

    path = "/mock/trades"
    silence = 60.0
    most_recent = 1000

    def read(self, frame: str) -> Sequence[TradeNews]:
        """Read `{"trades":[{"id":"123","symbol":"btcusdt","price":1.5,"volume":0.25,"side":"buy",…},…]}`."""
        found = decode(_frame, frame)
        if found.trades is not None:
            return executions(_trade, found.trades, _execution)
        if found.type in _RECEIPTS:
            return ()
        if found.type != "error" or not found.symbol:
            raise Undecodable(found.msg or "neither trades nor an answer")
        return (Refused(found.symbol, found.msg[:200]),)

    def recent(self, market: Market) -> Request:
        """Ask for the newest trades."""
        return Request(f"/mock/trades?symbols={in_path(market.name)}&limit={self.most_recent}")

    def read_recent(self, market: Market, answer: Answer) -> Executions:
        """Read `{"trades":[…]}`."""

        def execution(trade: _Trade) -> Execution:
            check_pair(trade.symbol, market.name)
            return _execution(trade)

        return executions(_trade, decode(_answer, answer.body).trades, execution)


def _execution(trade: _Trade) -> Execution:
    return Execution(trade.symbol, trade.price, trade.volume, trade.timestamp, trade.id, trade.side)
