"""Trades as protobuf: one `marketdata.MarketUpdate`, or `marketdata.MarketUpdates` with several (proto/market.proto).

A body says by the parameter of its Content-Type which of the two it is:
`application/x-protobuf; messageType=marketdata.MarketUpdates`. Without the parameter, a body that has a price, volume
or time itself is one update; any other body is a batch. This is exact: a batch has field 1 only, and an update without
a price is no trade.
"""

from decimal import Decimal
from typing import NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from aggregator.trades.market_pb2 import MarketUpdate, MarketUpdates

MOST_UPDATES = 1_000  # in a body, as for any other format of POST /ingest
_Message = TypeVar("_Message", MarketUpdate, MarketUpdates)
_BATCH_BY_TYPE = {"marketdata.marketupdate": False, "marketdata.marketupdates": True}


class Record(NamedTuple):
    """One update, not yet checked. `price` may be NaN or infinite; a field that was not sent is empty or 0.

    `timestamp` is unix seconds, rounded to microseconds. `raw` is the update as bytes, in the order of its fields, so
    the same update gives the same bytes alone and in a batch.
    """

    symbol: str
    price: Decimal
    volume: Decimal
    timestamp: float
    raw: bytes


class TooManyUpdates(ValueError):
    """A batch of more than MOST_UPDATES updates."""


def batch_of(content_type: str) -> bool | None:
    """Return whether a Content-Type header promises a batch; None where it does not say.

    Raises ValueError for a message type that is neither of the two.
    """
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "messagetype":
            found = _BATCH_BY_TYPE.get(value.strip().strip('"').lower())
            if found is None:
                raise ValueError("messageType must be marketdata.MarketUpdate or marketdata.MarketUpdates")
            return found
    return None


def decode(body: bytes, batch: bool | None) -> list[Record]:  # noqa: FBT001  # three cases: yes, no, not said
    """Return the updates of a body, in their order, at least one. `batch` None: by the rule at the top of this module.

    Raises ValueError with the reason; TooManyUpdates for more than MOST_UPDATES.
    """
    if not body:
        raise ValueError("the body is empty")
    if batch is None:
        batch = not _is_update(body)
    return _batch(body) if batch else [_record(_parsed(MarketUpdate, body, "a marketdata.MarketUpdate"))]


def _is_update(body: bytes) -> bool:
    try:
        update = MarketUpdate.FromString(body)
    except DecodeError:
        return False
    return bool(update.price or update.volume or update.timestamp_ns)


def _batch(body: bytes) -> list[Record]:
    updates = _parsed(MarketUpdates, body, "marketdata.MarketUpdates").updates
    if not updates:
        raise ValueError("the body has no marketdata.MarketUpdate")
    if len(updates) > MOST_UPDATES:
        raise TooManyUpdates(f"the body has {len(updates)} updates; at most {MOST_UPDATES} are allowed")
    return [_record(update) for update in updates]


def _parsed(kind: type[_Message], body: bytes, name: str) -> _Message:
    try:
        found: _Message = kind.FromString(body)
    except DecodeError as error:
        raise ValueError(f"the body cannot be decoded as {name}") from error
    return found


def _record(update: MarketUpdate) -> Record:
    return Record(
        update.ticker,
        Decimal(repr(update.price)),
        Decimal(update.volume),
        round(update.timestamp_ns / 1e9, 6),
        update.SerializeToString(deterministic=True),
    )
