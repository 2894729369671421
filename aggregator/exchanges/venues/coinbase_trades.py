"""Trades of Coinbase Exchange. Numbers are texts, times are RFC 3339 with microseconds, `size` is in base units.

WebSocket: the channel `matches`, one `match` for each trade, and a `last_match` when a product is subscribed to. `side`
is that of the maker's order. `sequence` counts all events of the product. The channel `heartbeat` has the number of the
product's newest trade each second, which shows lost trades.

REST: `GET /products/BTC-USD/trades?limit=1000`, newest first, with the ids of the channel; `side` is the maker's, too.
See docs.cdp.coinbase.com/exchange (websocket-feed/channels, rest-api/products/get-product-trades)
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from aggregator.exchanges.decoding import Count, decode, executions, in_path, opposite, unix_seconds
from aggregator.exchanges.dialect import Answer, Execution, Executions, Market, Request, TradeDialect, TradeNews
from aggregator.exchanges.venues.coinbase import CoinbaseSocket, kind_of, other_news
from aggregator.models import Side


class _Recent(msgspec.Struct):
    trade_id: Count
    price: Decimal
    size: Decimal
    side: Side
    time: datetime


class _Match(_Recent):
    product_id: str
    sequence: Count


_match = msgspec.json.Decoder(_Match)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_recent = msgspec.json.Decoder(_Recent)


class CoinbaseTrades(CoinbaseSocket, TradeDialect):
    """The dialect of trades."""

    channels = ("matches", "heartbeat")
    silence = 10.0  # there is a heartbeat each second
    most_recent = 1000

    def read(self, frame: str) -> Sequence[TradeNews]:
        """Read `{"type":"match","trade_id":10,"sequence":50,"product_id":"BTC-USD","size":"…","price":"…",…}`."""
        kind = kind_of(frame)
        if kind in ("match", "last_match"):
            return executions(_match, [msgspec.Raw(frame)], lambda one: _execution(one.product_id, one, one.sequence))
        return other_news(kind, frame)

    def recent(self, market: Market) -> Request:
        """Ask for the newest trades."""
        return Request(f"/products/{in_path(market.name)}/trades?limit={self.most_recent}")

    def read_recent(self, market: Market, answer: Answer) -> Executions:
        """Read `[{"time":"2014-11-07T22:19:28.578544Z","trade_id":74,"price":"…","size":"…","side":"buy"},…]`."""
        return executions(_recent, decode(_rows, answer.body)[::-1], lambda one: _execution(market.name, one))


def _execution(name: str, trade: _Recent, sequence: int | None = None) -> Execution:
    seconds, taker = unix_seconds(trade.time), opposite(trade.side)
    return Execution(name, trade.price, trade.size, seconds, str(trade.trade_id), taker, sequence)
