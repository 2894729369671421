"""An exchange that pushes and a local venue with the faults of real feeds, over real WebSockets and HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
from prometheus_client import CollectorRegistry

from aggregator.api.status.exchange_status import problem_of
from aggregator.exchanges.http import HttpExchange, session
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.socket import connector
from aggregator.exchanges.registry import DIALECTS, PUSHING
from aggregator.exchanges.wrapped import PushedExchange
from aggregator.models import Asset, Ticker, Tier
from aggregator.observability.metrics import Metrics
from tests.exchanges.calls import value
from tests.exchanges.venues.servers import FEEDS
from tests.exchanges.venues.sockets import Feed as Pushing
from tests.exchanges.venues.sockets import opened
from tests.parts.limits import allowed

BTC = Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)
ETH = Asset("ethusdt", "eth", "usdt", Tier.HOT, 2)
DOGE = Asset("dogeusdt", "doge", "usdt", Tier.HOT, 3)
SECONDS = allowed(10.0)
INTERVAL = 1.0  # so that what takes one does not take long


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.01)


class Scene:
    """A local venue, and the client of its feed and its REST server."""

    def __init__(self, name: str, venue: Pushing, http: aiohttp.ClientSession, interval: float) -> None:
        self.venue = venue
        self.metrics = Metrics(CollectorRegistry())
        self.wanted: Sequence[Asset] = [BTC, ETH]
        self.ahead = 0.0
        polled = HttpExchange(name, f"{venue.url}/polled", DIALECTS[name](), http, self.metrics, 4)
        connect = connector(http, time.time)
        self.feed = Feed(
            name, venue.push_url, PUSHING[name](), connect, lambda: self.wanted, interval, self.metrics, now=self.now
        )
        self.exchange = PushedExchange(polled, self.feed, self.metrics)

    def now(self) -> float:
        """Return unix seconds."""
        return time.time() + self.ahead

    def young(self) -> bool:
        """Whether the feed has young tickers of both assets."""
        return all(self.feed.young(asset.symbol) for asset in (BTC, ETH))

    async def ticker(self, asset: Asset = BTC) -> Ticker:
        """Fetch one ticker."""
        answer = (await self.exchange.fetch([asset]))[asset.symbol]
        assert isinstance(answer, Ticker), answer
        return answer

    async def is_polled(self, asset: Asset = BTC) -> bool:
        """Whether a fetch makes a call; checks the price either way."""
        before = self.venue.polls
        ticker = await self.ticker(asset)
        if self.venue.polls == before:
            assert ticker.price == Decimal(self.venue.price)
            return False
        assert ticker.price == Decimal(self.venue.polled_price)
        return True

    def count(self, kind: str) -> float:
        """Return how many news of this kind were counted."""
        exchange = self.exchange.name
        return value(self.metrics, "price_exchange_push_messages_total", exchange=exchange, kind=kind)

    def told(self) -> str:
        """Return what /ready shows for the exchange."""
        return problem_of(self.exchange, time.time(), 2 * INTERVAL)


@asynccontextmanager
async def running(name: str, interval: float = INTERVAL, venue: Pushing | None = None) -> AsyncIterator[Scene]:
    """Run the local venue and the feed."""
    async with opened(venue or FEEDS[name]()) as served, session(5) as http:
        scene = Scene(name, served, http, interval)
        running = asyncio.create_task(scene.feed.run())
        try:
            yield scene
        finally:
            assert not running.done(), "a feed never ends"
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
