"""Events and positions as DynamoDB items. Pure.

Attributes: topic_asset (S, partition), time_id (S, sort), timestamp (N), id (S), body (S, JSON) and, of events,
expires_at (N, unix seconds).

| item                       | partition             | sort                                |
| -------------------------- | --------------------- | ----------------------------------- |
| event                      | `anomalies#btcusdt`   | nanoseconds in 20 digits, `#`, id   |
| open position              | `:open`               | the asset                           |
| closed position, of all    | `:closed`             | nanoseconds of its exit, `#`, id    |
| closed position, of assets | `:closed#btcusdt`     | nanoseconds of its exit, `#`, id    |
| id of a closed position    | `:closed_id#` and id  | `-`                                 |

No name of a topic begins with a colon. Numbers with decimals are texts in the body. A time in nanoseconds is exact, so
the order of `time_id` is that of time and id.
"""

from fractions import Fraction
from typing import Any

import msgspec

from aggregator.errors import StoreRefused
from aggregator.stores.events.definition import LATEST
from aggregator.strategy.ports import Position
from aggregator.trades.ports import StoredEvent

Item = dict[str, dict[str, Any]]

PARTITION, SORT = "topic_asset", "time_id"
OPEN = ":open"
_CLOSED, _CLOSED_ID = ":closed", ":closed_id#"
_ONLY = "-"
_BILLION = 10**9

_position = msgspec.json.Decoder(Position)


def event_partition(topic: str, asset: str) -> str:
    """Return the partition of a topic's events of an asset."""
    return f"{topic}#{asset}"


def closed_partition(asset: str | None) -> str:
    """Return the partition of the closed positions of an asset; of all assets, if None."""
    return _CLOSED if asset is None else f"{_CLOSED}#{asset}"


def sort_key(timestamp: float, one: str) -> str:
    """Return the sort key of a time and an id."""
    return f"{_nanoseconds(timestamp):020d}#{one}"


def sort_range(start: float, end: float) -> tuple[str, str]:
    """Return the lowest and the highest sort key with start <= timestamp <= end; the highest first if there is none."""
    return (f"{_nanoseconds(start):020d}", f"{_nanoseconds(end):020d}$") if end >= 0 else ("1", "0")


def event_item(topic: str, event: StoredEvent, retention: float) -> Item:
    """Return the item of an event; it expires `retention` seconds after the time of the event."""
    return {
        PARTITION: {"S": event_partition(topic, event.asset)},
        SORT: {"S": sort_key(event.timestamp, event.id)},
        "timestamp": {"N": repr(float(event.timestamp))},
        "id": {"S": event.id},
        "body": {"S": event.body.decode()},
        "expires_at": {"N": str(int(event.timestamp + retention))},
    }


def event_of(item: Item) -> StoredEvent:
    """Return the event of an item. Raises StoreRefused for an item that is no event."""
    try:
        return StoredEvent(
            asset=item[PARTITION]["S"].partition("#")[2],
            timestamp=float(item["timestamp"]["N"]),
            id=item["id"]["S"],
            body=item["body"]["S"].encode(),
        )
    except (KeyError, ValueError) as error:
        raise StoreRefused(f"DynamoDB: an item that is no event: {error!r}") from error


def open_item(position: Position) -> Item:
    """Return the item of an open position."""
    return _item(OPEN, position.asset, position)


def open_key(asset: str) -> Item:
    """Return the key of the open position of an asset."""
    return {PARTITION: {"S": OPEN}, SORT: {"S": asset}}


def closed_items(position: Position) -> list[Item]:
    """Return the items of a closed position: in the list of all, in that of its asset, and its id."""
    sort = sort_key(position.exit_time or 0.0, position.id)
    places = [(closed_partition(None), sort), (closed_partition(position.asset), sort)]
    return [*(_item(partition, one, position) for partition, one in places), closed_id_key(position.id)]


def closed_id_key(one: str) -> Item:
    """Return the key of the item which says that a position is closed."""
    return {PARTITION: {"S": f"{_CLOSED_ID}{one}"}, SORT: {"S": _ONLY}}


def position_of(item: Item) -> Position:
    """Return the position of an item. Raises StoreRefused for an item that is no position."""
    try:
        return _position.decode(item["body"]["S"])
    except (KeyError, msgspec.DecodeError) as error:
        raise StoreRefused(f"DynamoDB: an item that is no position: {error!r}") from error


def _item(partition: str, sort: str, position: Position) -> Item:
    return {
        PARTITION: {"S": partition},
        SORT: {"S": sort},
        "id": {"S": position.id},
        "body": {"S": msgspec.json.encode(position).decode()},
    }


def _nanoseconds(seconds: float) -> int:
    return int(Fraction(max(0.0, min(LATEST, seconds))) * _BILLION)
