"""Trades of OKX spot. Numbers and times (milliseconds) are texts, `sz` is in base units, `side` is that of the taker.

WebSocket: the channel `trades-all`, one trade in a message. (The channel `trades` sums up the trades of one taker's
order at one price under the id of the last one, so its ids are not those of the REST interface.) It is at the path of
the business channels.

REST: `GET /api/v5/market/trades?instId=BTC-USDT&limit=500`, newest first, 100 calls in 2 seconds.
See www.okx.com/docs-v5/en (order-book-trading-market-data-ws-all-trades-channel, …-market-data-get-trades)
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from aggregator.exchanges.decoding import MillisecondsText, TradeId, check_pair, decode, executions, in_path
from aggregator.exchanges.dialect import Answer, Execution, Executions, Market, Request, TradeDialect, TradeNews
from aggregator.exchanges.venues.okx import OkxSocket, event_news
from aggregator.models import Side


class _Trade(msgspec.Struct, rename="camel"):
    inst_id: str
    trade_id: TradeId
    px: Decimal
    sz: Decimal
    side: Side
    ts: MillisecondsText


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]


_trade = msgspec.json.Decoder(_Trade)
_answer = msgspec.json.Decoder(_Answer)


class OkxTrades(OkxSocket, TradeDialect):
    """The dialect of trades."""

    path = "/ws/v5/business"
    channel = "trades-all"
    silence = 60.0  # our pings are answered every 20 seconds
    most_recent = 500

    def read(self, frame: str) -> Sequence[TradeNews]:
        """Read `{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":…,"tradeId":…,…}]}`."""
        found = self.frame(frame)
        if found is None:
            return ()
        if found.event:
            return event_news(found)
        return _executions(found.data, found.arg.inst_id)

    def recent(self, market: Market) -> Request:
        """Ask for the newest trades."""
        return Request(f"/api/v5/market/trades?instId={in_path(market.name)}&limit={self.most_recent}")

    def read_recent(self, market: Market, answer: Answer) -> Executions:
        """Read `{"code":"0","data":[{"instId":"BTC-USDT","side":"sell","sz":"…","px":"…","tradeId":"…",…},…]}`."""
        return _executions(decode(_answer, answer.body).data[::-1], market.name)


def _executions(rows: list[msgspec.Raw], name: str) -> Executions:
    def execution(trade: _Trade) -> Execution:
        check_pair(trade.inst_id, name)
        return Execution(name, trade.px, trade.sz, int(trade.ts) / 1000, trade.trade_id, trade.side)

    return executions(_trade, rows, execution)
