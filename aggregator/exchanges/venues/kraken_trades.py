"""Trades of Kraken.

WebSocket (v2): the channel `trade`, with the trades of one moment in a message. Numbers are JSON numbers, `qty` is in
base units, `side` is that of the taker, `timestamp` is RFC 3339 with microseconds. `trade_id` counts the trades of the
pair, and is the same in both interfaces. There is a heartbeat each second where there is nothing else.

REST: `GET /0/public/Trades?pair=XXBTZUSD&count=1000`, oldest first. A row is [price, volume, time, b or s (the taker
bought or sold), m or l, text, trade_id]; the time is in seconds with up to nine decimals, of which the first six are
read, so that a trade has one time in both interfaces.
See docs.kraken.com/api (docs/websocket-v2/trade, docs/rest-api/get-recent-trades)
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.decoding import Count, decode, executions, in_path, unix_seconds
from aggregator.exchanges.dialect import Answer, Execution, Executions, Market, Request, TradeDialect, TradeNews
from aggregator.exchanges.venues.kraken import KrakenSocket, frame_of, refusals
from aggregator.models import Side

_CURSOR = "last"  # beside the pair in an answer
_MICRO, _LATEST = 1_000_000, 10**10  # unix seconds
_SIDES = {"b": Side.BUY, "s": Side.SELL}


class _Trade(msgspec.Struct):
    symbol: str
    side: Side
    price: Decimal
    qty: Decimal
    trade_id: Count
    timestamp: datetime


class _Recent(msgspec.Struct, array_like=True):
    price: Decimal
    volume: Decimal
    time: Decimal
    side: Literal["b", "s"]
    kind: str
    misc: str
    trade_id: Count


class _Answer(msgspec.Struct):
    result: dict[str, msgspec.Raw]


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_trade = msgspec.json.Decoder(_Trade)
_answer = msgspec.json.Decoder(_Answer)
_recent = msgspec.json.Decoder(_Recent)


class KrakenTrades(KrakenSocket, TradeDialect):
    """The dialect of trades."""

    channel = "trade"
    silence = 10.0  # there is a heartbeat each second
    most_recent = 1000

    def read(self, frame: str) -> Sequence[TradeNews]:
        """Read `{"channel":"trade","type":"update","data":[{"symbol":"MATIC/USD","side":"sell","price":…,…}]}`."""
        found = frame_of(frame)
        if found.channel != self.channel:
            return refusals(found)
        return executions(_trade, decode(_rows, found.data), _execution)

    def recent(self, market: Market) -> Request:
        """Ask for the newest trades."""
        return Request(f"/0/public/Trades?pair={in_path(market.name)}&count={self.most_recent}")

    def read_recent(self, market: Market, answer: Answer) -> Executions:
        """Read `{"error":[],"result":{"XXBTZUSD":[["30243.4","0.345",1688669597.827737,"b","m","",61044952],…],…}}`."""
        rows = [row for key, row in decode(_answer, answer.body).result.items() if key != _CURSOR]
        if len(rows) != 1:
            raise Undecodable(f"the trades of {len(rows)} pairs instead of one")

        def execution(trade: _Recent) -> Execution:
            seconds, side = _seconds(trade.time), _SIDES[trade.side]
            return Execution(market.name, trade.price, trade.volume, seconds, str(trade.trade_id), side, trade.trade_id)

        return executions(_recent, decode(_rows, rows[0]), execution)


def _seconds(time: Decimal) -> float:
    """Return unix seconds to the microsecond. Raises Undecodable."""
    if not time.is_finite() or not 0 <= time < _LATEST:
        raise Undecodable("the time is not in unix seconds")
    return int(time * _MICRO) / _MICRO


def _execution(trade: _Trade) -> Execution:
    seconds = unix_seconds(trade.timestamp)
    return Execution(trade.symbol, trade.price, trade.qty, seconds, str(trade.trade_id), trade.side, trade.trade_id)
