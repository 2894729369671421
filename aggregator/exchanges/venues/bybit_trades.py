"""Trades of Bybit spot. Numbers are texts, times are milliseconds, volumes are in base units, sides are the taker's.

WebSocket: the topic `publicTrade.BTCUSDT`, with up to 1,024 trades in a message. `T` is the time of the trade,
`seq` the cross sequence.

REST: `GET /v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60`, which is the most for spot; `execId` is
the id of the topic.
See bybit-exchange.github.io/docs/v5 (websocket/public/trade, market/recent-trade)
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.decoding import (
    Count,
    Milliseconds,
    MillisecondsText,
    TradeId,
    check_pair,
    decode,
    executions,
    in_path,
)
from aggregator.exchanges.dialect import Answer, Execution, Executions, Market, Request, TradeDialect, TradeNews
from aggregator.exchanges.venues.bybit import BybitSocket, frame_of, refusals
from aggregator.models import Side

_TheirSide = Literal["Buy", "Sell"]
_CountText = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")]


class _Trade(msgspec.Struct):
    T: Milliseconds
    s: str
    S: _TheirSide
    v: Decimal
    p: Decimal
    i: TradeId
    seq: Count | None = None


class _Recent(msgspec.Struct, rename="camel"):
    exec_id: TradeId
    symbol: str
    price: Decimal
    size: Decimal
    side: _TheirSide
    time: MillisecondsText
    seq: _CountText | None = None


class _List(msgspec.Struct):
    list: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    result: _List


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_trade = msgspec.json.Decoder(_Trade)
_answer = msgspec.json.Decoder(_Answer)
_recent = msgspec.json.Decoder(_Recent)


class BybitTrades(BybitSocket, TradeDialect):
    """The dialect of trades."""

    topic = "publicTrade."
    silence = 60.0  # our pings are answered every 20 seconds
    most_recent = 60

    def read(self, frame: str) -> Sequence[TradeNews]:
        """Read `{"topic":"publicTrade.BTCUSDT","ts":…,"data":[{"T":…,"s":"BTCUSDT","S":"Buy","v":"…","p":"…",…}]}`."""
        found = frame_of(frame)
        if not found.data:
            return refusals(found)
        name = found.topic.removeprefix(self.topic)
        if name == found.topic:
            raise Undecodable(f"a message of the topic {name[:64]!r}")

        def execution(trade: _Trade) -> Execution:
            check_pair(trade.s, name)
            return Execution(name, trade.p, trade.v, trade.T / 1000, trade.i, _side(trade.S), trade.seq)

        return executions(_trade, decode(_rows, found.data), execution)

    def recent(self, market: Market) -> Request:
        """Ask for the newest trades."""
        return Request(f"/v5/market/recent-trade?category=spot&symbol={in_path(market.name)}&limit={self.most_recent}")

    def read_recent(self, market: Market, answer: Answer) -> Executions:
        """Read `{"retCode":0,"result":{"list":[{"execId":"…","symbol":"BTCUSDT","price":"…","size":"…",…},…]},…}`."""

        def execution(trade: _Recent) -> Execution:
            check_pair(trade.symbol, market.name)
            sequence = None if trade.seq is None else int(trade.seq)
            seconds, side = int(trade.time) / 1000, _side(trade.side)
            return Execution(market.name, trade.price, trade.size, seconds, trade.exec_id, side, sequence)

        return executions(_recent, decode(_answer, answer.body).result.list[::-1], execution)


def _side(side: _TheirSide) -> Side:
    return Side.BUY if side == "Buy" else Side.SELL
