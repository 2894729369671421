"""From the bus of a processor to Redis: its events reach the processes that serve streams."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic

import structlog

from aggregator.cluster.topic_feed import RedisFeed
from aggregator.errors import StoreUnavailable
from aggregator.live.topics import Bus, T, Topic
from aggregator.resilience.backoff import Backoff

_MOST_WAITING = 50_000  # events of a topic, for some seconds without Redis
_MOST_SENT = 1_000  # events of a message
_LONGEST_PAUSE = 1.0  # seconds


class _Waiting(Generic[T]):
    """The events of one topic that are not sent yet; a listener of the bus."""

    def __init__(
        self, topic: Topic[T], publish: Callable[[Topic[T], Sequence[T]], Awaitable[None]], arrived: asyncio.Event
    ) -> None:
        self.topic = topic
        self.lost = 0
        self._publish = publish
        self._arrived = arrived
        self._events: deque[T] = deque(maxlen=_MOST_WAITING)

    def receive(self, values: Sequence[T]) -> None:
        """Take new events; where too many wait, the oldest are dropped."""
        self.lost += max(0, len(self._events) + len(values) - _MOST_WAITING)
        self._events.extend(values)
        self._arrived.set()

    def connected(self) -> None:
        """Do nothing: the bus is in this process."""

    def disconnected(self) -> None:
        """Do nothing."""

    async def send(self) -> None:
        """Send all events. Raises StoreUnavailable, and keeps those that were not sent."""
        while self._events:
            some = [self._events.popleft() for _ in range(min(_MOST_SENT, len(self._events)))]
            try:
                await self._publish(self.topic, some)
            except StoreUnavailable:
                self._events.extendleft(reversed(some[: _MOST_WAITING - len(self._events)]))
                raise


class TopicRelay:
    """Sends the events of every topic of a bus to Redis, in order; they wait, bounded, while Redis is away."""

    def __init__(self, bus: Bus, feed: RedisFeed) -> None:
        self._bus = bus
        self._feed = feed
        self._arrived = asyncio.Event()
        self._topics: list[_Waiting[object]] = []
        self._log = structlog.get_logger().bind(store="redis")
        for topic in bus.topics.values():
            topic.apply(self._listen)

    async def run(self) -> None:
        """Send events; never returns."""
        backoff, is_failing = Backoff(_LONGEST_PAUSE), False
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                for one in self._topics:
                    await one.send()
            except StoreUnavailable as error:
                if not is_failing:
                    self._log.warning("events_not_sent", error=str(error))
                is_failing = True
                self._arrived.set()
                await backoff.pause()
                continue
            if is_failing:
                lost = {one.topic.name: one.lost for one in self._topics if one.lost}
                self._log.info("events_sent_again", lost=lost)
            backoff, is_failing = Backoff(_LONGEST_PAUSE), False

    def _listen(self, topic: Topic[T]) -> None:
        waiting = _Waiting(topic, self._feed.publish, self._arrived)
        self._bus.listen(topic, waiting)
        self._topics.append(waiting)  # type: ignore[arg-type]  # a list has one type for all of its elements
