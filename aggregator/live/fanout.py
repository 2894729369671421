"""Fan-out of topics: queues each new value for every subscriber, encoded once, and keeps it for resumed streams."""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from heapq import merge
from itertools import islice
from typing import Generic, Literal

from aggregator.live.index import SubscriberIndex
from aggregator.live.replay import Replay
from aggregator.live.subscriber import MAX_QUEUE, Event, Subscriber, Subscription, Wanted
from aggregator.live.topics import Bus, Presenter, T, Topic
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import Catalog

Kind = Literal["sse", "websocket"]

# The reasons of gaps have a place for the names of the topics.
CUT_OFF = "Cut off from the other processes: {} are being missed until the next snapshot"
NOT_KEPT = "What came after that event is not kept: {} have been missed until the next snapshot"
STOPPING = "The service is stopping"
EXPIRED = "Streams may last no longer than this; come again"
OVER = "The seconds that were asked for are over"
TOO_MANY = "Too many streams are open"

_WAKE_BATCH = 50  # subscribers woken up before the event loop serves other tasks
_ID = re.compile(r"([0-9a-f]{8})-([0-9]{1,18})", re.ASCII)
_NOTHING = Subscription()


class Fanout:
    """Listens to the topics of the bus and serves the subscribers. An event id is `epoch-number`.

    One sequence numbers the events of all topics, so the id of an event names a place in every topic. Each topic keeps
    as many events for resumed streams as its retention says, `kept` where it says nothing. A new epoch begins, without
    events, when values may have been missed. There may be `most` subscribers at a time. A stream ends after `seconds`,
    or never (None). `current` says whether all new values arrive from the start.
    """

    def __init__(
        self,
        bus: Bus,
        catalog: Catalog,
        metrics: Metrics,
        most: int,
        kept: int,
        seconds: float | None = None,
        *,
        current: bool,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._catalog = catalog
        self._metrics = metrics
        self._most = most
        self._kept = kept
        self._seconds = seconds
        self._now = now
        self._current = current
        self._stopping = False
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._replays: dict[str, Replay] = {}  # by topic
        self._indexes: dict[str, SubscriberIndex] = {}  # by topic
        self._subscribers: set[Subscriber] = set()
        self._to_wake: dict[Subscriber, None] = {}
        self._waking = False

    def serve(self, topic: Topic[T], presenter: Presenter[T] | None = None) -> None:
        """Serve a topic of the bus. Without a presenter, streams show all fields of every value."""
        retention = topic.retention
        self._replays[topic.name] = Replay(self._kept if retention.events is None else retention.events, retention.size)
        self._indexes[topic.name] = SubscriberIndex()
        self._bus.listen(topic, _TopicListener(self, topic, topic if presenter is None else presenter))

    def serve_rest(self) -> None:
        """Serve every topic of the bus that is not served yet."""
        for name, topic in self._bus.topics.items():
            if name not in self._replays:
                topic.apply(self.serve)

    @property
    def refusal(self) -> str:
        """The reason why a new subscriber is refused now; empty if it is not."""
        if self._stopping:
            return STOPPING
        return TOO_MANY if len(self._subscribers) >= self._most else ""

    @property
    def last_id(self) -> str:
        """The id of the last event."""
        return f"{self._epoch}-{self._number}"

    @contextmanager
    def new_subscriber(
        self, kind: Kind, seconds: float | None = None, topics: Sequence[str] = ()
    ) -> Iterator[Subscriber]:
        """Yield a new subscriber without a subscription; it is removed at the end of the block.

        Its stream ends after the `seconds` that the client has asked for, if any. `topics` are those that the client
        has asked for; empty if that is unknown yet.
        """
        most_keys = max(MAX_QUEUE, len(self._catalog.assets)) * len(self._replays)
        subscriber = Subscriber(topics or [*self._bus.topics][:1], most_keys)
        timers: list[asyncio.TimerHandle] = []
        later = asyncio.get_running_loop().call_later
        if self._seconds is not None:
            timers.append(later(self._seconds, self._end, subscriber, "expired", EXPIRED))
        if seconds is not None:
            timers.append(later(seconds, subscriber.end, OVER))
        if not self._current:
            subscriber.miss(CUT_OFF)
        self._subscribers.add(subscriber)
        self._metrics.stream_subscribers.labels(kind).inc()
        try:
            yield subscriber
        finally:
            self._metrics.stream_subscribers.labels(kind).dec()
            for timer in timers:
                timer.cancel()
            self._subscribe(subscriber, {})
            self._subscribers.discard(subscriber)
            self._to_wake.pop(subscriber, None)

    def resume(self, subscriber: Subscriber, wanted: Wanted, last_id: str) -> bool:
        """Continue the stream after event `last_id`. Return False, and send the gap, if later events are not kept.

        A stream resumes with all of its topics or with none: its ids do not tell topics apart, so a client that has got
        a part of them could not name what it lacks.
        """
        number = self._number_of(last_id)
        missing = [topic for topic in wanted if number is None or not self._replays[topic].has_all_after(number)]
        if number is None or missing:
            subscriber.miss(NOT_KEPT, missing)
            return False
        self._subscribe(subscriber, wanted)
        subscriber.resume([event for event in self._after(number, wanted) if wanted[event.topic].has(event)])
        return True

    def follow(self, subscriber: Subscriber, wanted: Wanted) -> str:
        """Add `wanted` to the subscription, and return the id of the last event.

        The subscriber gets a snapshot of `wanted` that includes this event, so nothing older that is queued.
        """
        nothing = _NOTHING
        whole = {topic: subscriber.wanted.get(topic, nothing) | some for topic, some in wanted.items()}
        self._subscribe(subscriber, {**subscriber.wanted, **whole})
        subscriber.wait_for([event for event in subscriber.waiting if not _has(wanted, event)])
        return self.last_id

    def drop(self, subscriber: Subscriber, wanted: Wanted) -> None:
        """Remove `wanted` from the subscription."""
        rest = {topic: had - wanted.get(topic, _NOTHING) for topic, had in subscriber.wanted.items()}
        self._subscribe(subscriber, {topic: some for topic, some in rest.items() if some != _NOTHING})
        subscriber.wait_for([event for event in subscriber.waiting if _has(subscriber.wanted, event)])

    def newest(self, topic: str, wanted: Subscription) -> Sequence[Event]:
        """Return the newest kept event of each key of a topic, oldest first."""
        return self._replays[topic].newest(wanted)

    def connected(self) -> None:
        """Send every subscriber a snapshot, as nothing is missed from now on."""
        if not self._current:
            self._current = True
            self._begin_epoch()
            for subscriber in self._subscribers:
                subscriber.renew()

    def disconnected(self) -> None:
        """Send every subscriber a gap, as values may be missed from now on."""
        if self._current:
            self._current = False
            self._begin_epoch()
            for subscriber in self._subscribers:
                subscriber.miss(CUT_OFF)

    async def end_on(self, stop: asyncio.Event) -> None:
        """Wait for `stop`, then end every stream with a reason."""
        await stop.wait()
        self._stopping = True
        for subscriber in self._subscribers:
            self._end(subscriber, "stopping", STOPPING)

    def count_dropped(self, reason: str) -> None:
        """Count a stream that the service has ended, by reason."""
        self._metrics.stream_dropped.labels(reason).inc()

    def present(self, topic: Topic[T], presenter: Presenter[T], values: Sequence[T]) -> None:
        """Queue new values of listed assets for their subscribers. Without a presenter, values are encoded later.

        Without subscribers as well, not even the events are made before they are needed.
        """
        if presenter is topic and not self._indexes[topic.name] and self._replays[topic.name].takes_unmade:
            self._keep_unmade(topic, values)
            return
        now, find, replay, index = self._now(), self._catalog.find, self._replays[topic.name], self._indexes[topic.name]
        asset_of, key_of, is_encoded = topic.asset, topic.key, presenter is not topic
        events: list[Event] = []
        for value in values:
            name = asset_of(value)
            asset = find(name)
            if asset is None:
                continue
            body = presenter.body(asset, value, now) if is_encoded else None
            if is_encoded and body is None:
                continue
            self._number += 1
            key = name if key_of is asset_of else key_of(value)
            events.append(Event(self._epoch, self._number, topic, asset, key, body, value))
        replay.add(events)
        conflated = 0
        for subscriber, some in index.split(events):
            conflated += subscriber.put(some)
            self._to_wake[subscriber] = None
        if conflated:
            self._metrics.stream_conflated.inc(conflated)
        if self._to_wake and not self._waking:
            self._wake()

    def _keep_unmade(self, topic: Topic[T], values: Sequence[T]) -> None:
        """Keep the events of values for streams that resume. A number may be left out: that of an asset not listed."""
        if values:
            first, self._number = self._number + 1, self._number + len(values)
            make = partial(self._events_of, topic, values, self._epoch, first)
            self._replays[topic.name].add_unmade(len(values), self._number, make)

    def _events_of(self, topic: Topic[T], values: Sequence[T], epoch: str, first: int) -> list[Event]:
        """Return the events of values of listed assets, numbered from `first` on."""
        listed = ((number, value, self._catalog.find(topic.asset(value))) for number, value in enumerate(values, first))
        return [
            Event(epoch, number, topic, asset, topic.key(value), None, value)
            for number, value, asset in listed
            if asset is not None
        ]

    def _end(self, subscriber: Subscriber, reason: str, why: str) -> None:
        self.count_dropped(reason)
        subscriber.end(why)

    def _begin_epoch(self) -> None:
        """Drop the kept events. The numbers continue, so that queued events stay in order."""
        self._epoch = secrets.token_hex(4)
        for replay in self._replays.values():
            replay.clear()

    def _number_of(self, last_id: str) -> int | None:
        """Return the number in an id of this epoch; None for any other text."""
        match = _ID.fullmatch(last_id)
        number = int(match[2]) if match and match[1] == self._epoch else None
        return None if number is None or number > self._number else number

    def _after(self, number: int, topics: Mapping[str, Subscription]) -> Sequence[Event]:
        """Return the kept events of the topics with a larger number, oldest first."""
        kept = [self._replays[topic].after(number) for topic in topics]
        return kept[0] if len(kept) == 1 else list(merge(*kept, key=lambda event: event.number))

    def _subscribe(self, subscriber: Subscriber, wanted: Wanted) -> None:
        """Replace the subscription by `wanted`."""
        for topic in {**subscriber.wanted, **wanted}:
            before, after = subscriber.wanted.get(topic, _NOTHING), wanted.get(topic, _NOTHING)
            self._indexes[topic].move(subscriber, before, after)
        subscriber.wanted = wanted

    def _wake(self) -> None:
        """Wake up some of the subscribers with new events, and the rest after the event loop has served other tasks."""
        for subscriber in list(islice(self._to_wake, _WAKE_BATCH)):
            del self._to_wake[subscriber]
            subscriber.wake()
        self._waking = bool(self._to_wake)
        if self._waking:
            asyncio.get_running_loop().call_soon(self._wake)


class _TopicListener(Generic[T]):
    """The listener of one topic."""

    def __init__(self, fanout: Fanout, topic: Topic[T], presenter: Presenter[T]) -> None:
        self._fanout = fanout
        self._topic = topic
        self._presenter = presenter
        self.connected = fanout.connected
        self.disconnected = fanout.disconnected

    def receive(self, values: Sequence[T]) -> None:
        """Pass new values on with their topic."""
        self._fanout.present(self._topic, self._presenter, values)


def _has(wanted: Wanted, event: Event) -> bool:
    return event.topic in wanted and wanted[event.topic].has(event)
