"""The subscription to new prices: from Redis' channel, where every process publishes, to this process' bus."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio.client import PubSub

from aggregator.errors import StoreUnavailable
from aggregator.live.topics import Bus
from aggregator.models import decode_prices
from aggregator.resilience.backoff import Backoff
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped

_LONGEST_PAUSE = 1.0  # seconds between attempts to subscribe again
_SILENT_SECONDS = 1.0  # without a message, then the connection is tested with a ping


class RedisPriceFeed:
    """Publishes received prices on the bus, and marks the bus as disconnected while there is no subscription.

    Prices that are published while there is no subscription are lost for this process.
    """

    def __init__(self, client: RedisClient, bus: Bus) -> None:
        self._redis = client.redis
        self._prices = client.channel("prices")
        self._receivers: dict[str, Callable[[bytes], None]] = {}
        self._timeout = client.timeout
        self._bus = bus
        self.subscribed = asyncio.Event()  # set by the first subscription; `Bus.connected` is the state now
        self._log = structlog.get_logger().bind(store="redis")

    def subscribe(self, channel: str, receive: Callable[[bytes], None]) -> None:
        """Add a channel, before `run`. `receive` gets each message, and may raise one of UNREADABLE."""
        self._receivers[channel] = receive

    async def run(self) -> None:
        """Subscribe, and again when the connection is lost; never returns."""
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            try:
                with mapped():
                    async with self._redis.pubsub() as pubsub:
                        with mapped():
                            await pubsub.subscribe(self._prices, *self._receivers)
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
            elif message["type"] == "subscribe" and message["channel"] == self._prices.encode():
                self._bus.connect()
                self.subscribed.set()
                self._log.info("feed_subscribed")

    async def _next(self, pubsub: PubSub) -> dict[str, Any]:
        """Return the next message. Raises StoreUnavailable when even a ping is not answered."""
        message: dict[str, Any] | None = await pubsub.get_message(timeout=_SILENT_SECONDS)
        if message is None:
            with mapped():
                await pubsub.ping()
            message = await pubsub.get_message(timeout=self._timeout)
        if message is None:
            raise StoreUnavailable("Redis: the subscription is silent")
        return message

    def _receive(self, channel: str, data: bytes) -> None:
        try:
            if channel == self._prices:
                self._bus.publish(decode_prices(data))
            else:
                self._receivers[channel](data)
        except UNREADABLE as error:  # a message that is not ours
            self._log.warning("feed_unreadable", channel=channel, error=str(error))
