"""Topics, and the bus that passes their values to the listeners of this process.

A topic is declared once, such as `PRICES` in `aggregator.live.price_topic`, and listed where the process creates its
bus (`aggregator.runtime.process`). Streams and Redis then serve it without code of its own.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from types import GenericAlias
from typing import Generic, Never, Protocol, TypeVar, cast

import msgspec

from aggregator.models import Asset, encode, encode_as_strings

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_NAME = re.compile("[a-z][a-z_]{0,30}")
_RESERVED = ("assets", "end", "error", "gap", "missing", "msg", "snapshot", "subscribed", "tiers", "topics", "type")


class Retention(msgspec.Struct, frozen=True):
    """Bounds on the events that a process keeps for streams that resume. The oldest are dropped first.

    `events` is their number; None means the setting STREAM_REPLAY. `size` is the sum of their bytes; None: no bound.
    """

    events: int | None = None
    size: int | None = None


class AnyTopic(Protocol):
    """A topic for code that serves topics of any type."""

    @property
    def name(self) -> str:
        """The name in requests, in snapshots and of Redis' channel, such as `prices`."""

    @property
    def event(self) -> str:
        """The name of one event in streams, such as `price`."""

    @property
    def shown(self) -> type[object]:
        """The msgspec type of an event's JSON, for the OpenAPI document."""

    @property
    def retention(self) -> Retention:
        """The bounds on the events that are kept."""

    def with_strings(self, shown: bytes) -> bytes:
        """Return a JSON array of events with decimals as strings."""

    def apply(self, function: "TopicFunction", /) -> None:
        """Call `function` with the topic in its own type."""


class Topic(Generic[T]):
    """A kind of values that processes exchange and streams send.

    - `schema`: the msgspec type of a value. Processes exchange JSON arrays of it.
    - `asset`: the symbol of the asset that a value is about. Streams select by it and by the asset's tier.
    - `key`: the newest value replaces older ones of the same key when a subscriber is slow; the asset, if None.
    - `shown`: the msgspec type of an event's JSON; `schema`, if None. Give the fan-out a `Presenter` that makes it.

    Raises ValueError for a name that a field or an event of the streams has already.
    """

    def __init__(
        self,
        name: str,
        event: str,
        schema: type[T],
        *,
        asset: Callable[[T], str],
        key: Callable[[T], str] | None = None,
        shown: type[object] | None = None,
        retention: Retention = Retention(),  # noqa: B008  # it is frozen
    ) -> None:
        for one in (name, event):
            if not _NAME.fullmatch(one) or one in _RESERVED:
                raise ValueError(f"a topic's name and event must match {_NAME.pattern}, but not {', '.join(_RESERVED)}")
        self.name = name
        self.event = event
        self.asset = asset
        self.key = asset if key is None else key
        self.shown: type[object] = schema if shown is None else shown
        self.retention = retention
        self._decoder: msgspec.json.Decoder[list[T]] = msgspec.json.Decoder(GenericAlias(list, (schema,)))
        self._shown: msgspec.json.Decoder[object] = msgspec.json.Decoder(GenericAlias(list, (self.shown,)))

    def encode(self, values: Sequence[T]) -> bytes:
        """Return the values as a JSON array."""
        return encode(values)

    def decode(self, raw: bytes) -> list[T]:
        """Return the values of a JSON array. Raises msgspec.DecodeError for anything else."""
        return self._decoder.decode(raw)

    def body(self, asset: Asset, value: T, now: float) -> bytes:  # noqa: ARG002  # a Presenter
        """Return a value's JSON as streams send it: all of its fields."""
        return encode(value)

    def with_strings(self, shown: bytes) -> bytes:
        """Return a JSON array of what streams show, with decimals as strings instead of numbers."""
        return encode_as_strings(self._shown.decode(shown))

    def apply(self, function: "TopicFunction", /) -> None:
        """Call `function` with this topic."""
        function(self)


class TopicFunction(Protocol):
    """A function that accepts topics of every type."""

    def __call__(self, topic: Topic[T], /) -> None:
        """Use the topic."""


class Presenter(Protocol[T_contra]):
    """Decides what streams show of a topic's values."""

    def body(self, asset: Asset, value: T_contra, now: float) -> bytes | None:
        """Return the JSON of a new value at `now` (unix seconds); None if streams must not send the value."""


class Listener(Protocol[T_contra]):
    """A part that receives every new value of a topic."""

    def receive(self, values: Sequence[T_contra], /) -> None:
        """Handle new values. Must return at once, without I/O."""

    def connected(self) -> None:
        """Handle the start of a period in which every new value arrives."""

    def disconnected(self) -> None:
        """Handle the start of a period in which new values may be missed."""


class Publisher(Protocol):
    """Passes new values on: the bus to this process, `aggregator.cluster.topic_publisher` to all processes."""

    def publish(self, topic: Topic[T], values: Sequence[T], /) -> None:
        """Pass new values on. Must return at once, without I/O."""


class Bus:
    """Publishes new values of its topics to their listeners, and tells them whether all new values arrive.

    Some are missed while the feed of other processes is cut off. The first topic is the one that streams send unless
    they are asked for others. Raises ValueError for two topics with the same name, or the same name of their events.
    """

    def __init__(self, topics: Iterable[AnyTopic]) -> None:
        self.topics: dict[str, AnyTopic] = {}
        for topic in topics:
            self._add(topic)
        self.connected = False
        self._listeners: dict[str, list[Listener[Never]]] = {name: [] for name in self.topics}

    def listen(self, topic: Topic[T], listener: Listener[T]) -> None:
        """Add a listener of a topic. Raises KeyError for a topic that is not among those of the bus."""
        self._listeners[topic.name].append(listener)

    def publish(self, topic: Topic[T], values: Sequence[T]) -> None:
        """Pass new values to every listener of the topic. Raises KeyError as `listen`."""
        # `listen` has put nothing but listeners of T there; a dict has one type for all of its values.
        for listener in cast("list[Listener[T]]", self._listeners[topic.name]):
            listener.receive(values)

    def connect(self) -> None:
        """Tell every listener that all new values arrive from now on."""
        self.connected = True
        for listener in self._every_listener():
            listener.connected()

    def disconnect(self) -> None:
        """Tell every listener that new values may be missed from now on."""
        self.connected = False
        for listener in self._every_listener():
            listener.disconnected()

    def _every_listener(self) -> list[Listener[Never]]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    def _add(self, topic: AnyTopic) -> None:
        if topic.name in self.topics or any(topic.event == other.event for other in self.topics.values()):
            raise ValueError(f"the topic {topic.name} or its event {topic.event} is there twice")
        self.topics[topic.name] = topic
