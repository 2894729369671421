"""A feed's connection: answers that are no WebSocket, and the pauses before the next try."""

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from aggregator.exchanges.http import session
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.socket import connector
from aggregator.exchanges.registry import PUSHING
from aggregator.observability.metrics import Metrics
from aggregator.resilience.backoff import Backoff
from tests.exchanges.push.scene import BTC, running, until
from tests.exchanges.venues.servers import FEEDS
from tests.parts.limits import allowed
from tests.parts.ports import free_port

pytestmark = pytest.mark.real


async def test_a_refused_handshake_begins_a_cooldown() -> None:
    """After a 429 with Retry-After the feed waits that long, and polling goes on."""
    venue = FEEDS["binance"]()
    venue.handshake, venue.retry_after = 429, "30"
    async with running("binance", venue=venue) as scene:
        await until(lambda: scene.count("lost") == 1)
        assert 30 - allowed(1) < scene.feed._cooldown.seconds <= 30
        assert scene.told() == "is polled, as its feed has fallen back: rate_limited: HTTP 429"
        assert await scene.is_polled()
        assert scene.count("lost") == 1


@pytest.mark.parametrize("status", [200, 301, 403, 500])
async def test_another_status_is_the_reason(status: int) -> None:
    """Another status than 101 is shown as the reason, and the feed tries again."""
    venue = FEEDS["binance"]()
    venue.handshake = status
    async with running("binance", venue=venue) as scene:
        await until(lambda: scene.count("lost") >= 2)
        assert (
            scene.told() == f"is polled, as its feed has fallen back: http_error: HTTP {status} instead of a WebSocket"
        )


async def test_a_refused_connection() -> None:
    """A refused connection is shown as the reason."""
    async with session(0.5) as http:
        metrics, url = Metrics(CollectorRegistry()), f"ws://127.0.0.1:{free_port()}"
        feed = Feed("kraken", url, PUSHING["kraken"](), connector(http, time.time), lambda: [BTC], 5, metrics)
        running = asyncio.create_task(feed.run())
        await until(lambda: "unreachable" in feed.trouble)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_pauses_begin_anew_after_a_connection_that_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses grow with each refused connection, and restart after a connection that held."""

    class Counted(Backoff):
        def __init__(self, longest: float) -> None:
            super().__init__(longest)
            self.pauses = 0
            made.append(self)

        async def pause(self) -> None:
            self.pauses += 1
            await super().pause()

    made: list[Counted] = []
    monkeypatch.setattr("aggregator.exchanges.push.connection_loop.Backoff", Counted)
    venue = FEEDS["binance"]()
    venue.handshake = 500
    async with running("binance", venue=venue) as scene:
        await until(lambda: scene.count("lost") >= 4)
        assert len(made) == 1
        assert made[0].pauses >= 3
        venue.handshake = 101
        await until(scene.young)
        monkeypatch.setattr("aggregator.exchanges.push.connection_loop._SETTLED", 0)
        await venue.drop()
        await until(lambda: len(made) == 2)
