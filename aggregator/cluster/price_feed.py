"""Every new price, by whichever process it was made, from Redis' publish and subscribe to this process' hub."""

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
_QUIET_SECONDS = 1.0  # without a message, after which the connection has to prove that it lives


class RedisPriceFeed:
    """Listens for ever. The hub hears when it is cut off: what is published meanwhile is missed, and never comes."""

    def __init__(self, client: RedisClient, hub: Bus) -> None:
        self._redis = client.redis
        self._prices = client.channel("prices")
        self._others: dict[str, Callable[[bytes], None]] = {}
        self._timeout = client.timeout
        self._hub = hub
        self.subscribed = asyncio.Event()  # once, that is; whether now is for the hub to know
        self._log = structlog.get_logger().bind(store="redis")

    def subscribe(self, channel: str, take: Callable[[bytes], None]) -> None:
        """Listen on one more channel; `take` may raise one of UNREADABLE."""
        self._others[channel] = take

    async def run(self) -> None:
        """Subscribe, and again whenever the connection is lost; never returns."""
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            try:
                with mapped():
                    async with self._redis.pubsub() as pubsub:
                        with mapped():
                            await pubsub.subscribe(self._prices, *self._others)
                        await self._listen(pubsub)
            except StoreUnavailable as error:
                if self._hub.connected:
                    self._log.warning("feed_lost", error=str(error))
                    backoff = Backoff(_LONGEST_PAUSE)
                self._hub.disconnect()
                await backoff.pause()

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            with mapped():
                message = await self._next(pubsub)
            if message["type"] == "message":
                self._receive(message["channel"].decode(), message["data"])
            elif message["type"] == "subscribe" and message["channel"] == self._prices.encode():
                self._hub.connect()
                self.subscribed.set()
                self._log.info("feed_subscribed")

    async def _next(self, pubsub: PubSub) -> dict[str, Any]:
        """Return the next message; of a connection on which nothing comes, not even the answer to a ping, an error."""
        message: dict[str, Any] | None = await pubsub.get_message(timeout=_QUIET_SECONDS)
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
                self._hub.publish(decode_prices(data))
            else:
                self._others[channel](data)
        except UNREADABLE as error:  # somebody else's message on our channel
            self._log.warning("feed_unreadable", channel=channel, error=str(error))
