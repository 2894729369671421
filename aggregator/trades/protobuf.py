"""Trades as protobuf: one `marketdata.MarketUpdate`, or `marketdata.MarketUpdates` with several (proto/market.proto).

A body says by the parameter of its Content-Type which of the two it is:
`application/x-protobuf; messageType=marketdata.MarketUpdates`. Without the parameter, a body that has a price, volume
or time itself is one update; any other body is a batch. This is exact: a batch has field 1 only, and an update without
a price is no trade.
"""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError

from aggregator.trades.market_pb2 import MarketUpdate, MarketUpdates

MOST_UPDATES = 1_000  # in a body, as for any other format of POST /ingest
_Message = TypeVar("_Message", MarketUpdate, MarketUpdates)
_LEAST, _MOST, _HALF = 1.0, 4e9, 0.5  # for `seconds_of`
_BATCH_BY_TYPE = {"marketdata.marketupdate": False, "marketdata.marketupdates": True}


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


def decode(body: bytes, batch: bool | None) -> Sequence[MarketUpdate]:  # noqa: FBT001  # three cases: yes, no, not said
    """Return the updates of a body, in their order, at least one. `batch` None: by the rule at the top of this module.

    They are not checked: a price may be NaN or infinite; a field that was not sent is empty or 0. Raises ValueError
    with the reason; TooManyUpdates for more than MOST_UPDATES.
    """
    if not body:
        raise ValueError("the body is empty")
    if batch is None:
        update = _update_or_none(body)
        return _batch(body) if update is None else [update]
    return _batch(body) if batch else [_parsed(MarketUpdate, body, "a marketdata.MarketUpdate")]


def seconds_of(nanoseconds: int) -> float:
    """Return unix seconds, rounded to microseconds: `round(nanoseconds / 1e9, 6)` in a fifth of its time."""
    seconds = nanoseconds / 1e9
    microseconds = seconds * 1e6
    whole = int(microseconds)
    rest = microseconds - whole
    # The product is exact to 1/4 in this range, so only a half may be on either side.
    if _LEAST <= seconds < _MOST and rest != _HALF:
        return (whole + (rest > _HALF)) / 1e6
    return round(seconds, 6)


def raw_of(update: MarketUpdate) -> bytes:
    """Return an update as bytes, in the order of its fields: the same for the same update, alone and in a batch."""
    raw: bytes = update.SerializeToString(deterministic=True)
    return raw


def _update_or_none(body: bytes) -> MarketUpdate | None:
    """Return the body as an update; None if it is none, or has no field but a ticker."""
    try:
        update = MarketUpdate.FromString(body)
    except DecodeError:
        return None
    return update if update.price or update.volume or update.timestamp_ns else None


def _batch(body: bytes) -> Sequence[MarketUpdate]:
    updates: Sequence[MarketUpdate] = _parsed(MarketUpdates, body, "marketdata.MarketUpdates").updates
    if not updates:
        raise ValueError("the body has no marketdata.MarketUpdate")
    if len(updates) > MOST_UPDATES:
        raise TooManyUpdates(f"the body has {len(updates)} updates; at most {MOST_UPDATES} are allowed")
    return updates


def _parsed(kind: type[_Message], body: bytes, name: str) -> _Message:
    try:
        found: _Message = kind.FromString(body)
    except DecodeError as error:
        raise ValueError(f"the body cannot be decoded as {name}") from error
    return found
