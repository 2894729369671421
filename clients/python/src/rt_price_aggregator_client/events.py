"""Items of a stream: the values of topics, snapshots of them, and gaps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from rt_price_aggregator_client.errors import NOT_DECODED, InvalidAnswer
from rt_price_aggregator_client.models import (
    Alert,
    Anomaly,
    Features,
    LiveTrade,
    Missing,
    Price,
    SentimentItem,
    Signal,
)
from rt_price_aggregator_client.request import decoder
from rt_price_aggregator_client.sse import ServerSentEvent

TopicValue = Price | LiveTrade | Features | Anomaly | Signal | SentimentItem | Alert


class Snapshot(msgspec.Struct, frozen=True):
    """The current values of a topic, at the start of a stream and after a gap; several for more than 1000 values."""

    topic: str
    values: Sequence[TopicValue]
    missing: Sequence[Missing] = ()
    """Assets that the stream was asked for and that are not listed."""


class Gap(msgspec.Struct, frozen=True):
    """Some events were missed and will not come. A snapshot follows as soon as the service has one."""

    msg: str
    topics: Sequence[str] = ()
    """The topics with missed events; empty in a stream of one topic."""


class OtherEvent(msgspec.Struct, frozen=True):
    """An event of a topic that this version of the client does not know."""

    name: str
    data: Any


class End(msgspec.Struct, frozen=True):
    """The service ends the connection. Streams reconnect, and do not yield it."""

    msg: str


StreamEvent = TopicValue | Snapshot | Gap | OtherEvent
_MODELS: Mapping[str, tuple[str, type[Any]]] = {
    "prices": ("price", Price),
    "trades": ("trade", LiveTrade),
    "features": ("feature", Features),
    "anomalies": ("anomaly", Anomaly),
    "signals": ("signal", Signal),
    "sentiment": ("sentiment_item", SentimentItem),
    "alerts": ("alert", Alert),
}
TOPICS = tuple(_MODELS)
_EVENTS: Mapping[str, Callable[[bytes], Any]] = {
    "gap": decoder(Gap),
    "end": decoder(End),
    **{event: decoder(model) for event, model in _MODELS.values()},
}
_LISTS: Mapping[str, Callable[[bytes], Any]] = {
    topic: msgspec.json.Decoder(list[model], strict=False).decode  # type: ignore[valid-type] # a type at run time
    for topic, (_, model) in _MODELS.items()
}
_parts = decoder(dict[str, msgspec.Raw])
_any = decoder(object)
_missing = msgspec.json.Decoder(list[Missing])


def read(event: ServerSentEvent) -> StreamEvent | End:
    """Return the value of an event. Raises InvalidAnswer if it is not what the contract says."""
    if event.name == "snapshot":
        return _snapshot(event.data)
    decode = _EVENTS.get(event.name)
    if decode is None:
        return OtherEvent(event.name, _any(event.data))
    found: StreamEvent | End = decode(event.data)
    return found


def _snapshot(data: bytes) -> Snapshot | OtherEvent:
    parts = _parts(data)
    missing = parts.pop("missing", None)
    for topic, values in parts.items():
        if topic in _LISTS:
            try:
                return Snapshot(topic, _LISTS[topic](values), _missing.decode(missing) if missing else ())
            except NOT_DECODED as error:
                raise InvalidAnswer(f"no snapshot of {topic}: {error}") from error
    return OtherEvent("snapshot", _any(data))
