"""Registration of stores of events and positions, and the bounds on what they keep."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from pydantic import SecretStr

from aggregator.errors import StoreRefused
from aggregator.observability.metrics import Metrics
from aggregator.stores.definition import OpenStep
from aggregator.strategy.ports import PositionStore
from aggregator.trades.ports import EventStore, StoredEvent

LATEST = 10**10  # seconds: the first timestamp that no store keeps
_MOST_BODY = 300_000  # bytes; DynamoDB takes 400 KB with names and keys
_MOST_ID = 900  # bytes; DynamoDB takes 1,024 in a sort key


class CreatedEventStores(NamedTuple):
    """Stores that are not open yet. The steps open them, in this order; `events.close` closes both."""

    events: EventStore
    positions: PositionStore
    open_steps: Sequence[OpenStep]


class EventStoreParts(msgspec.Struct, frozen=True):
    """The parts that the stores may use in addition to their URL. `retention` is in seconds, by the time of an event.

    Closed positions are kept for good.
    """

    retention: float
    metrics: Metrics
    now: Callable[[], float]
    postgres_password: SecretStr = SecretStr("")


class EventStoreKind(msgspec.Struct, frozen=True):
    """A kind of stores of events; the fields are those of `aggregator.stores.definition.HistoryStore`."""

    example: str
    form: str
    check: Callable[[str], object]
    create: Callable[[str, EventStoreParts], CreatedEventStores]


def check_events(events: Sequence[StoredEvent]) -> None:
    """Raise StoreRefused for an event that not every store can keep: a wrong time, or too long an id or body."""
    for event in events:
        if not 0 <= event.timestamp < LATEST:
            raise StoreRefused(f"the time of event {event.id[:100]} is not from 0 to {LATEST} s")
        if len(event.id.encode()) > _MOST_ID or len(event.body) > _MOST_BODY:
            raise StoreRefused(f"event {event.id[:100]} is too long: {len(event.body)} bytes")
