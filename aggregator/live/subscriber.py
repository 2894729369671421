"""The queue of one subscriber to topics: every event while it keeps up, else the newest event of each key."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from aggregator.live.topics import AnyTopic
from aggregator.models import Asset, Tier, encode

MAX_QUEUE = 256  # events; beyond it, the queue is conflated to the newest event of each key

BEHIND = "Read too slowly: {} have been missed until the next snapshot"


class Event(msgspec.Struct, gc=False, eq=False):
    """A new value of a topic. It is encoded when its JSON is first needed, and once for all subscribers.

    `number` counts the events of this process, those of all topics together; `id` is unique across processes. Of the
    events with the same `slot`, a topic and a key, the newest replaces the others when a subscriber is slow. `json` is
    the JSON of the value; None: that of all fields of `value`, which never changes.
    """

    epoch: str
    number: int
    source: AnyTopic
    listed: Asset
    key: str
    json: bytes | None
    value: object = None
    _sse: bytes | None = None
    _message: str | None = None
    _as_strings: "Event | None" = None

    @property
    def id(self) -> str:
        """The id in streams."""
        return f"{self.epoch}-{self.number}"

    @property
    def topic(self) -> str:
        """The name of its topic."""
        return self.source.name

    @property
    def slot(self) -> "Slot":
        """The topic and the key."""
        return self.source.name, self.key

    @property
    def asset(self) -> str:
        """The symbol of its asset."""
        return self.listed.symbol

    @property
    def tier(self) -> Tier:
        """The tier of its asset when the event was made."""
        return self.listed.tier

    @property
    def body(self) -> bytes:
        """The JSON of the value."""
        if self.json is None:
            self.json = encode(self.value)
        return self.json

    @property
    def sse(self) -> bytes:
        """The event as a Server-Sent Event."""
        sse = self._sse
        if sse is None:
            body = self.json
            if body is None:
                body = self.json = encode(self.value)
            head = f"id: {self.epoch}-{self.number}\nevent: {self.source.event}\ndata: "
            sse = self._sse = head.encode() + body + b"\n\n"
        return sse

    @property
    def message(self) -> str:
        """The event as a message of a WebSocket."""
        if self._message is None:
            name = self.source.event
            self._message = f'{{"type":"{name}","{name}":{self.body.decode()}}}'
        return self._message

    @property
    def message_with_id(self) -> str:
        """The same with the id, for clients that may resume."""
        return f'{{"id":"{self.id}",{self.message[1:]}'

    @property
    def with_strings(self) -> "Event":
        """The event with decimals as strings."""
        if self._as_strings is None:
            body = self.source.with_strings(b"[%b]" % self.body)[1:-1]
            self._as_strings = Event(self.epoch, self.number, self.source, self.listed, self.key, body)
        return self._as_strings

    @property
    def size(self) -> int:
        """The bytes that are kept for sending."""
        return len(self.sse) + len(self.message)


Slot = tuple[str, str]


class Subscription(msgspec.Struct, frozen=True):
    """The part of one topic that a subscriber wants: the events of these assets, and of all assets in these tiers."""

    assets: frozenset[str] = frozenset()
    tiers: frozenset[Tier] = frozenset()

    def has(self, event: Event) -> bool:
        """Whether the subscription covers the event."""
        return event.tier in self.tiers or event.asset in self.assets

    def __or__(self, other: "Subscription") -> "Subscription":
        return Subscription(self.assets | other.assets, self.tiers | other.tiers)

    def __sub__(self, other: "Subscription") -> "Subscription":
        return Subscription(self.assets - other.assets, self.tiers - other.tiers)


EVERYTHING = Subscription(tiers=frozenset(Tier))


Wanted = Mapping[str, Subscription]  # by the name of the topic


class Gap(msgspec.Struct, frozen=True, omit_defaults=True):
    """The reason why events are missed, and their topics; `topics` is empty if the subscriber has one topic only."""

    msg: str
    topics: tuple[str, ...] = ()


class Batch(msgspec.Struct, frozen=True):
    """All that is to be sent to a subscriber now, in the order of the fields. `end` is a reason in words."""

    events: Sequence[Event] = ()
    gap: Gap | None = None
    snapshot_due: bool = False
    end: str = ""


class Subscriber:
    """Holds the events for one connection.

    The queue is bounded by MAX_QUEUE events, then by one event for each key. If there are more than `most_keys` keys,
    it is emptied, and the subscriber gets a gap and a snapshot. `topics` are the names of the topics that it will want.
    """

    def __init__(self, topics: Sequence[str] = (), most_keys: int = MAX_QUEUE) -> None:
        self.wanted: Wanted = {}  # changed by `Fanout` only
        self._topics = topics
        self._most_keys = most_keys
        self._resumed: Sequence[Event] = ()
        self._waiting: dict[int | Slot, Event] = {}  # by number; by slot once it is conflated
        self._conflated = self._overflowed = False
        self._gap: Gap | None = None
        self._end = ""
        self._snapshot_due = False
        self._news = asyncio.Event()

    @property
    def topics(self) -> Sequence[str]:
        """The names of its topics."""
        return tuple(self.wanted) or self._topics

    @property
    def waiting(self) -> Sequence[Event]:
        """The queued events, oldest first."""
        return list(self._waiting.values())

    @property
    def is_behind(self) -> bool:
        """Whether it lacks events up to the last one, or news of a gap: a client that resumed there would miss them."""
        return bool(self._resumed or self._waiting or self._gap or self._snapshot_due)

    def put(self, events: Sequence[Event]) -> int:
        """Queue events; return how many events are replaced by newer ones (conflation)."""
        waiting = self._waiting
        if not self._conflated and len(waiting) + len(events) <= MAX_QUEUE:
            for event in events:
                waiting[event.number] = event
            return 0
        if self._overflowed:  # the snapshot will have the events
            return 0
        before = len(waiting)
        if not self._conflated:
            self._conflate()
            waiting = self._waiting
        for event in events:
            slot = event.source.name, event.key
            if slot in waiting:
                del waiting[slot]  # so that the queue stays in order
            waiting[slot] = event
        conflated = before + len(events) - len(waiting)
        if len(waiting) > self._most_keys:
            self._overflow()
        return conflated

    def wait_for(self, events: Iterable[Event]) -> None:
        """Replace the queue by these events."""
        self._waiting = {event.number: event for event in sorted(events, key=lambda event: event.number)}
        self._conflated = False
        if self._waiting:
            self.wake()

    def resume(self, events: Sequence[Event]) -> None:
        """Send all of these events before the queue: the subscriber has resumed its stream."""
        self._resumed = events
        self.wake()

    def miss(self, why: str, topics: Sequence[str] = ()) -> None:
        """Send the reason why events of `topics` (all of the subscriber's, if empty) are missed.

        `why` has a place for the names of the topics.
        """
        missed = topics or self.topics
        self._gap = Gap(why.format(", ".join(missed)), tuple(missed) if len(self.topics) > 1 else ())
        self.wake()

    def renew(self) -> None:
        """Request a snapshot."""
        self._snapshot_due = True
        self.wake()

    def end(self, why: str) -> None:
        """Send what is queued and the reason, then end the stream."""
        self._end = why
        self.wake()

    def wake(self) -> None:
        """Wake up the task that waits in `news`."""
        self._news.set()

    async def news(self) -> None:
        """Wait until there is something to send."""
        await self._news.wait()

    def drain(self) -> Batch:
        """Return all that is to be sent, and empty the queue."""
        self._news.clear()
        batch = Batch([*self._resumed, *self._waiting.values()], self._gap, self._snapshot_due, self._end)
        self._resumed, self._gap, self._snapshot_due = (), None, False
        self._waiting, self._conflated, self._overflowed = {}, False, False
        return batch

    def _conflate(self) -> None:
        newest: dict[int | Slot, Event] = {}
        for event in self._waiting.values():
            newest.pop(event.slot, None)
            newest[event.slot] = event
        self._waiting = newest
        self._conflated = True

    def _overflow(self) -> None:
        """Empty the queue, and leave out further events until the gap and the snapshot are sent."""
        self._waiting = {}
        self._overflowed = True
        self.miss(BEHIND)
        self.renew()
