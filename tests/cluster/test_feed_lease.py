"""One refresher has the lease on the feeds; when it is gone, another one takes it."""

import asyncio

import pytest

from aggregator.cluster.feed_lease import EXPIRE_SECONDS, FeedLease
from aggregator.stores.redis.client import RedisClient
from tests.parts import redis_server
from tests.parts.limits import STRICT
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import running, until

pytestmark = pytest.mark.real


class Two:
    """Two processes' leases, each with a connection of its own."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self.clients = [RedisClient(server.url, timeout=2, prefix=prefix) for _ in range(2)]
        self.first, self.second = (FeedLease(client) for client in self.clients)

    async def close(self) -> None:
        """Close the connections."""
        for client in self.clients:
            await client.close()


async def test_one_of_two_holds_it_and_gives_it_back() -> None:
    """The second takes it at once when the first stops cleanly."""
    with redis_server.alone() as server:
        two = Two(server, "clean:")
        holding = asyncio.create_task(two.first.run())
        await until(lambda: two.first.held)
        async with running(two.second.run):
            await asyncio.sleep(2 * EXPIRE_SECONDS)  # several renewals
            # A machine that stands still for longer than the lease may have let it pass to the second.
            assert (two.first.held, two.second.held) == (True, False) or not (STRICT or two.first.held)
            holding.cancel()
            await until(lambda: two.second.held)
            assert not two.first.held
        await two.close()


async def test_a_holder_that_died_is_replaced() -> None:
    """A lease that nobody renews expires; the first one, back again, learns that it has lost it."""
    with redis_server.alone() as server:
        two = Two(server, "died:")
        await two.first.renew()
        assert two.first.held
        async with running(two.second.run):
            await until(lambda: two.second.held)
            await two.first.renew()
            assert not two.first.held
        await two.close()


async def test_without_redis_the_holder_keeps_it() -> None:
    """While Redis is away nothing changes; a Redis that has lost its data leaves one holder."""
    with redis_server.alone() as server:
        two = Two(server, "away:")
        async with running(two.first.run, two.second.run):
            await until(lambda: two.first.held != two.second.held)
            before = (two.first.held, two.second.held)
            server.stop()
            await asyncio.sleep(2 * EXPIRE_SECONDS)
            assert (two.first.held, two.second.held) == before
            again = RedisServer(server.port)
            await asyncio.sleep(EXPIRE_SECONDS)
            await until(lambda: two.first.held != two.second.held)
            again.stop()
        await two.close()
