"""The subscription to topics: from their channels in Redis, where every process publishes, to this process' bus."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from redis.asyncio.client import PubSub

from aggregator.errors import StoreUnavailable
from aggregator.live.topics import AnyTopic, Bus, T, Topic
from aggregator.resilience.backoff import Backoff
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped

_LONGEST_PAUSE = 1.0  # seconds between attempts to subscribe again
_SILENT_SECONDS = 1.0  # without a message, then the connection is tested with a ping


class RedisFeed:
    """Publishes received values on the bus, and marks the bus as disconnected while there is no subscription.

    The channel of a topic has its name; a message is a JSON array of values. Values that are published while there is
    no subscription are lost for this process.
    """

    def __init__(self, client: RedisClient, bus: Bus, topics: Iterable[AnyTopic] | None = None) -> None:
        self._client = client
        self._redis = client.redis
        self._bus = bus
        self._receivers: dict[str, Callable[[bytes], None]] = {}
        for topic in bus.topics.values() if topics is None else topics:
            topic.apply(self._receive_topic)
        self._last_topic = [*self._receivers][-1].encode()  # Redis confirms the channels in order
        self.subscribed = asyncio.Event()  # set by the first subscription; `Bus.connected` is the state now
        self._log = structlog.get_logger().bind(store="redis")

    def subscribe(self, channel: str, receive: Callable[[bytes], None]) -> None:
        """Add a channel, before `run`. `receive` gets each message, and may raise one of UNREADABLE."""
        self._receivers[channel] = receive

    async def publish(self, topic: Topic[T], values: Sequence[T]) -> None:
        """Publish values on the channel of their topic, from which every process gets them, this one included.

        Prices do not come this way: the cache publishes them as it stores them. Raises StoreUnavailable.
        """
        with mapped():
            await self._redis.publish(self._client.channel(topic.name), topic.encode(values))

    async def run(self) -> None:
        """Subscribe, and again when the connection is lost; never returns."""
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            try:
                with mapped():
                    async with self._redis.pubsub() as pubsub:
                        with mapped():
                            await pubsub.subscribe(*self._receivers)
                        await self._listen(pubsub)
            except StoreUnavailable as error:
                if self._bus.connected:
                    self._log.warning("feed_lost", error=str(error))
                    backoff = Backoff(_LONGEST_PAUSE)
                self._bus.disconnect()
                await backoff.pause()

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            with mapped():
                message = await self._next(pubsub)
            if message["type"] == "message":
                self._receive(message["channel"].decode(), message["data"])
            elif message["type"] == "subscribe" and message["channel"] == self._last_topic:
                self._bus.connect()
                self.subscribed.set()
                self._log.info("feed_subscribed")

    async def _next(self, pubsub: PubSub) -> dict[str, Any]:
        """Return the next message. Raises StoreUnavailable when even a ping is not answered."""
        message: dict[str, Any] | None = await pubsub.get_message(timeout=_SILENT_SECONDS)
        if message is None:
            with mapped():
                await pubsub.ping()
            message = await pubsub.get_message(timeout=self._client.timeout)
        if message is None:
            raise StoreUnavailable("Redis: the subscription is silent")
        return message

    def _receive(self, channel: str, data: bytes) -> None:
        try:
            self._receivers[channel](data)
        except UNREADABLE as error:  # a message that is not ours
            self._log.warning("feed_unreadable", channel=channel, error=str(error))

    def _receive_topic(self, topic: Topic[T]) -> None:
        """Add the channel of a topic."""
        self.subscribe(self._client.channel(topic.name), lambda data: self._bus.publish(topic, topic.decode(data)))
