"""Publishes the values of topics through Redis: from one process to the buses of all, its own included.

    publish -> queue of the topic -> one PUBLISH for up to 500 values -> `topic_feed` of every process

Every process gets a value the same way and in the same order, so a stream may be opened at any of them.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import islice
from typing import Any, Generic

import structlog

from aggregator.errors import StoreUnavailable
from aggregator.live.topics import AnyTopic, T, Topic
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.resilience.backoff import Backoff
from aggregator.stores.redis.client import RedisClient, mapped

MOST_WAITING = 50_000  # values of a topic
_MOST_IN_MESSAGE = 500
_MOST_MESSAGES = 10  # of a topic in one flush
_LEAST_PAUSE, _MOST_PAUSE = 0.001, 0.01  # seconds between two flushes
_LONGEST_PAUSE = 1.0  # seconds between attempts while Redis is away
_LAST_SECONDS = 1.0  # for what waits when the process stops


class TopicPublisher:
    """`aggregator.live.topics.Publisher` for all processes on one Redis.

    `publish` does not wait: values wait for a flush, at most 50,000 of a topic. Beyond that the oldest are dropped and
    counted; streams show a gap then, because Redis is away. Of the topics in `conflated`, only the newest value of each
    key waits. A flush whose outcome is unknown is repeated, so a value may come twice.
    """

    def __init__(
        self,
        client: RedisClient,
        topics: Collection[AnyTopic],
        conflated: Collection[str],
        metrics: TradeMetrics,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._conflated = conflated
        self._metrics = metrics
        self._queues: dict[str, _Queue[Any]] = {}
        self._changed: set[str] = set()
        self._waiting = asyncio.Event()
        self.trouble = ""
        """The reason why values are not published at present; empty while they are."""
        for topic in topics:
            topic.apply(self._add)

    def publish(self, topic: Topic[T], values: Sequence[T]) -> None:
        """Queue values of a topic. Raises KeyError for a topic that was not given at the start."""
        if not values:
            return
        dropped = self._queues[topic.name].put(values)
        if dropped:
            self._metrics.unpublished.labels(topic.name).inc(dropped)
        self._changed.update(map(topic.asset, values))
        self._waiting.set()

    def take_changed(self) -> set[str]:
        """Return the assets of the values that were published since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    async def run(self) -> None:
        """Flush what waits; flush once more when cancelled. Never returns.

        A value that comes while nothing waits is flushed at once, and after it what has come meanwhile. From then on
        there is a pause between two flushes, as long as a flush, of 1 to 10 ms, until nothing waits again. So a value
        waits for the flush before it at most while few come, and a busy process collects many for each flush.
        """
        try:
            while True:
                await self._waiting.wait()
                self._waiting.clear()
                if any(self._queues.values()):
                    await self._flush_patiently()
                while any(self._queues.values()):
                    started = time.monotonic()
                    await self._flush_patiently()
                    if any(self._queues.values()):
                        await self._sleep(pause_after(time.monotonic() - started))
        finally:
            await self._flush_last()

    async def _flush_patiently(self) -> None:
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            try:
                await self._flush()
            except StoreUnavailable as error:
                if not self.trouble:
                    structlog.get_logger().warning("topics_not_published", error=str(error))
                self.trouble = str(error)
                await backoff.pause()
                continue
            if self.trouble:
                structlog.get_logger().info("topics_published_again")
                self.trouble = ""
            return

    async def _flush(self) -> None:
        """Publish a bounded part of what waits. Raises StoreUnavailable; then all of it waits again."""
        taken = [(queue, queue.take(_MOST_IN_MESSAGE * _MOST_MESSAGES)) for queue in self._queues.values()]
        is_sent = False
        try:
            with mapped():
                async with self._client.redis.pipeline(transaction=False) as pipe:
                    for queue, values in taken:
                        for first in range(0, len(values), _MOST_IN_MESSAGE):
                            pipe.publish(queue.channel, queue.topic.encode(values[first : first + _MOST_IN_MESSAGE]))
                    await pipe.execute()
            is_sent = True
        finally:
            if not is_sent:
                for queue, values in taken:
                    self._metrics.unpublished.labels(queue.topic.name).inc(queue.put_back(values))

    async def _flush_last(self) -> None:
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                while any(self._queues.values()):
                    await self._flush()
        except (StoreUnavailable, TimeoutError):
            for queue in self._queues.values():
                self._metrics.unpublished.labels(queue.topic.name).inc(len(queue))

    def _add(self, topic: Topic[T]) -> None:
        self._metrics.unpublished.labels(topic.name)
        queue = _Conflated if topic.name in self._conflated else _Queue
        self._queues[topic.name] = queue(topic, self._client.channel(topic.name))


def pause_after(flush: float) -> float:
    """Return the pause after a flush that took so many seconds."""
    return min(max(flush, _LEAST_PAUSE), _MOST_PAUSE)


class _Queue(Generic[T]):
    """The values of one topic that wait, oldest first."""

    def __init__(self, topic: Topic[T], channel: str) -> None:
        self.topic = topic
        self.channel = channel
        self._values: deque[T] = deque()

    def __len__(self) -> int:
        return len(self._values)

    def put(self, values: Sequence[T]) -> int:
        """Add values; return how many were dropped."""
        self._values.extend(values)
        return self._bound()

    def take(self, most: int) -> list[T]:
        """Remove and return the oldest values."""
        return [self._values.popleft() for _ in range(min(most, len(self._values)))]

    def put_back(self, values: Sequence[T]) -> int:
        """Add values of the last `take` in front; return how many were dropped."""
        self._values.extendleft(reversed(values))
        return self._bound()

    def _bound(self) -> int:
        excess = max(0, len(self._values) - MOST_WAITING)
        for _ in range(excess):
            self._values.popleft()
        return excess


class _Conflated(_Queue[T]):
    """The newest value of each key of one topic that waits."""

    def __init__(self, topic: Topic[T], channel: str) -> None:
        super().__init__(topic, channel)
        self._newest: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._newest)

    def put(self, values: Sequence[T]) -> int:
        """As `_Queue.put`; a replaced value is not dropped."""
        key = self.topic.key
        self._newest.update((key(value), value) for value in values)
        return self._bound()

    def take(self, most: int) -> list[T]:
        """As `_Queue.take`."""
        keys = list(islice(self._newest, most))
        return [self._newest.pop(key) for key in keys]

    def put_back(self, values: Sequence[T]) -> int:
        """As `_Queue.put_back`, except values that have been replaced since."""
        key = self.topic.key
        self._newest = {key(value): value for value in values} | self._newest
        return self._bound()

    def _bound(self) -> int:
        excess = max(0, len(self._newest) - MOST_WAITING)
        for key in list(islice(self._newest, excess)):
            del self._newest[key]
        return excess
