"""Encoding of invented trades as records of a topic: JSON as `POST /ingest` reads it, or `marketdata.MarketUpdate`."""

from collections.abc import Callable

import msgspec

from aggregator.cli.produce.market import MadeTrade
from aggregator.trades.market_pb2 import MarketUpdate

VENUE = "produce"

Encode = Callable[[MadeTrade, int, str], bytes]
"""Takes a trade, its time in unix microseconds, and its id; returns the value of the record."""


class _Record(msgspec.Struct, gc=False):
    asset: str
    price: float
    volume: int
    timestamp: float
    venue: str
    id: str
    side: str


_json = msgspec.json.Encoder()


def as_json(trade: MadeTrade, at: int, identity: str) -> bytes:
    """Return a trade as a JSON object."""
    side = "buy" if trade.is_buy else "sell"
    return _json.encode(_Record(trade.asset, trade.price, trade.volume, at / 1e6, VENUE, identity, side))


def as_protobuf(trade: MadeTrade, at: int, identity: str) -> bytes:  # noqa: ARG001  # the message has no id
    """Return a trade as a `marketdata.MarketUpdate`, which has no id, venue or side."""
    update = MarketUpdate(ticker=trade.asset, price=trade.price, volume=trade.volume, timestamp_ns=at * 1000)
    encoded: bytes = update.SerializeToString()
    return encoded


ENCODERS: dict[str, Encode] = {"json": as_json, "protobuf": as_protobuf}


class Times:
    """Times of trades in unix microseconds, each later than the one before.

    The service identifies a trade without an id by its other fields, so two trades must not share a microsecond.
    """

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: int) -> int:
        """Return the time of a trade that is made at `now`, in unix nanoseconds."""
        self._last = max(now // 1000, self._last + 1)
        return self._last
