"""Every new price, by whichever process it was made, from Redis' publish and subscribe to this process' hub."""

import msgspec
import structlog
from redis.asyncio.client import PubSub

from aggregator.backoff import Backoff
from aggregator.errors import StoreUnavailable
from aggregator.hub import Hub
from aggregator.models import decode_prices
from aggregator.stores.redis.client import RedisClient, mapped

_QUIET_SECONDS = 1.0  # without a message, after which the connection has to prove that it lives


class RedisFeed:
    """Listens for ever. The hub hears when it is cut off: what is published meanwhile is missed, and never comes."""

    def __init__(self, client: RedisClient, hub: Hub) -> None:
        self._redis = client.redis
        self._channel = f"{client.prefix}prices"
        self._timeout = client.timeout
        self._hub = hub
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Subscribe, and again whenever the connection is lost; never returns."""
        backoff = Backoff()
        while True:
            try:
                with mapped():
                    async with self._redis.pubsub() as pubsub:
                        await pubsub.subscribe(self._channel)
                        await self._listen(pubsub)
            except StoreUnavailable as error:
                if self._hub.connected:
                    self._log.warning("feed_lost", error=str(error))
                    backoff = Backoff()
                self._hub.disconnect()
                await backoff.pause()

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            message = await self._next(pubsub)
            if message["type"] == "subscribe":
                self._hub.connect()
                self._log.info("feed_subscribed")
            elif message["type"] == "message":
                self._take(message["data"])

    async def _next(self, pubsub: PubSub) -> dict[str, bytes | str]:
        """Return the next message; of a connection on which nothing comes, not even the answer to a ping, an error."""
        message: dict[str, bytes | str] | None = await pubsub.get_message(timeout=_QUIET_SECONDS)
        if message is None:
            await pubsub.ping()
            message = await pubsub.get_message(timeout=self._timeout)
        if message is None:
            raise StoreUnavailable("Redis: the subscription is silent")
        return message

    def _take(self, data: bytes | str) -> None:
        try:
            prices = decode_prices(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # somebody else's message on our channel
            self._log.warning("feed_unreadable", error=str(error))
            return
        self._hub.publish(prices)
