"""Coinbase Exchange pushes a `ticker` at every trade, of which those close together are one, and `heartbeat`s.

Texts for numbers; `time` is that of the trade, `volume_24h` in base units. `sequence` counts everything that happens to
a product, so on this channel it only grows; whether a ticker was lost is told by the heartbeat of every second, with
the product's newest trade. One wrong product spoils its whole subscription, so each has its own.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.push.dialect import Beat, News, Pushed, Refused, decoded
from aggregator.models import Asset


class _Kind(msgspec.Struct):
    type: str


class _Ticker(msgspec.Struct):
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
_ticker = msgspec.json.Decoder(_Ticker)
_heartbeat = msgspec.json.Decoder(_Heartbeat)
_error = msgspec.json.Decoder(_Error)


class CoinbasePush:
    """The push dialect."""

    public_url = "wss://ws-feed.exchange.coinbase.com"
    path = ""
    most_symbols = 100
    most_together = 1
    pause = 0.05

    def spell(self, asset: Asset) -> str:
        """Return the product's id, which needs to know base from quote."""
        return f"{asset.base}-{asset.quote}".upper() if asset.base and asset.quote else ""

    def subscribe(self, names: Sequence[str]) -> str:
        """Return subscribe."""
        return _request("subscribe", names)

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return unsubscribe."""
        return _request("unsubscribe", names)

    def read(self, frame: str) -> Sequence[News]:
        """Read `{"type":"ticker","product_id":"BTC-USD","price":"…","volume_24h":"…",…}`, a heartbeat or an error."""
        kind = decoded(_kind, frame).type
        if kind == "ticker":
            return (_pushed(decoded(_ticker, frame)),)
        if kind == "heartbeat":
            beat = decoded(_heartbeat, frame)
            return (Beat(beat.product_id, beat.last_trade_id),)
        if kind == "error":
            error = decoded(_error, frame)
            name = error.reason.partition(" ")[0]  # "BTC-XYZ is not a valid product"
            return (Refused(name, (error.reason or error.message)[:200]),)
        if kind == "subscriptions":
            return ()
        raise Undecodable(f"a message of type {kind[:32]!r}")


def _pushed(said: _Ticker) -> Pushed:
    if said.time.tzinfo is None:
        raise Undecodable("a time without its zone")
    return Pushed(said.product_id, said.price, said.volume_24h, said.time.timestamp(), said.sequence, said.trade_id)


def _request(kind: str, names: Sequence[str]) -> str:
    request = {"type": kind, "product_ids": list(names), "channels": ["ticker", "heartbeat"]}
    return msgspec.json.encode(request).decode()
