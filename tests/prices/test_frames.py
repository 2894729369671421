"""From the frames of three feeds to the price: junk, late, reordered and repeated frames make no price of their own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aggregator.clock import SteadyClock
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.socket import Socket
from aggregator.exchanges.venues.binance import BinancePush
from aggregator.exchanges.wrapped import PushedExchange
from aggregator.models import Price, Ticker, Tier
from aggregator.prices.pricing import Rules, aggregate
from aggregator.prices.repricer import Repricer
from aggregator.prices.tiers import Catalog
from tests.parts import virtual_time
from tests.parts.examples import BTC, CADENCE, NOW
from tests.prices.refreshing import Parts

DEBOUNCE = 0.05
RULES = Rules(CADENCE[Tier.HOT].max_age, Decimal("0.05"), 2, Decimal("0.5"))
JUNK = (
    "",
    "[]",
    '{"stream":"btcusdt@ticker","data":{"E":1,"s":"BTCUSDT","c":"x","v":"1"}}',
    '{"stream":"ethusdt@ticker","data":{"E":1,"s":"BTCUSDT","c":"1","v":"1"}}',
    '{"result":null,"id":1}',
    "\x00" * 100,
)


class Venue:
    """One exchange that pushes: frames are put into its socket."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[str] = asyncio.Queue()
        self.last = JUNK[0]

    async def send(self, text: str) -> None:
        """Ignore the subscription."""

    async def receive(self) -> str:
        """Return the next frame."""
        return await self.frames.get()

    @asynccontextmanager
    async def connect(self, _: str) -> AsyncIterator[Socket]:
        """Open the only connection."""
        yield self

    def push(self, frame: str) -> None:
        """Send a frame."""
        self.last = frame
        self.frames.put_nowait(frame)


class Scene:
    """Three feeds in front of the repricer, in virtual time; the wall clock is NOW at the start of the loop."""

    def __init__(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        catalog = Catalog({BTC.symbol: BTC}, CADENCE)
        self.parts = Parts(catalog, min_sources=2, clock=loop.time, wall=SteadyClock(self.now, loop.time))
        self.venues = [Venue() for _ in self.parts.exchanges]
        self.feeds = [
            Feed(one.name, "", BinancePush(), venue.connect, lambda: [BTC], 5, self.parts.metrics, loop.time, self.now)
            for one, venue in zip(self.parts.exchanges, self.venues, strict=True)
        ]
        pushed = [
            PushedExchange(one, feed, self.parts.metrics)
            for one, feed in zip(self.parts.exchanges, self.feeds, strict=True)
        ]
        self.repricer = Repricer(catalog, pushed, self.parts.maker, DEBOUNCE, loop.time)
        self.known: dict[str, Ticker] = {}  # the newest valid ticker of each exchange, counted naively

    def now(self) -> float:
        """Return unix seconds."""
        return NOW + self._loop.time()

    def push(self, number: int, tenths: int, behind: float) -> None:
        """Push a ticker; a price of zero or below is not valid, and an older one does not count."""
        name, price = self.parts.exchanges[number].name, Decimal(tenths) / 10
        millis = int((self.now() - behind) * 1000)
        data = {"e": "24hrTicker", "E": millis, "s": "BTCUSDT", "c": str(price), "v": "1"}
        self.venues[number].push(json.dumps({"stream": "btcusdt@ticker", "data": data}))
        known = self.known.get(name)
        if price > 0 and (known is None or millis / 1000 >= known.timestamp):
            self.known[name] = Ticker(name, "btcusdt", price, Decimal(1), millis / 1000)


steps = st.tuples(
    st.integers(0, 2),  # the exchange
    st.one_of(
        st.sampled_from(JUNK),
        st.just("again"),  # the frame before, once more
        st.tuples(st.one_of(st.integers(980, 1020), st.sampled_from([-1, 0, 3000])), st.floats(-2, 2)),
    ),
    st.sampled_from([0.0, 0.0, 0.01, 0.1]),  # seconds until the next step
)


@given(st.lists(steps, min_size=1, max_size=40))
def test_the_price_is_that_of_the_newest_valid_ticker_of_each_exchange(given_steps: list[tuple[Any, ...]]) -> None:
    """Random interleavings of frames: the price is that of the newest valid tickers, whatever came between."""

    async def story() -> None:
        scene = Scene()
        async with AsyncExitStack() as stack:
            for run in (*(feed.run for feed in scene.feeds), scene.repricer.run):
                task = asyncio.create_task(run())
                stack.callback(task.cancel)
            await asyncio.sleep(0.1)  # subscribed
            for number, what, pause in given_steps:
                if isinstance(what, tuple):
                    scene.push(number, *what)
                else:
                    venue = scene.venues[number]
                    venue.push(venue.last if what == "again" else what)
                await asyncio.sleep(pause)
            await asyncio.sleep(2 * DEBOUNCE)
            expected = aggregate(BTC, list(scene.known.values()), RULES, scene.now())
            found = scene.parts.cache.newest.known("btcusdt")
            assert isinstance(expected, Price) <= (found is not None)
            if isinstance(expected, Price) and found is not None:
                assert (found.price, found.sources) == (expected.price, expected.sources)
            for price in scene.parts.history.written:
                assert price.timestamp <= price.updated_at
                assert len(price.sources) >= 2
            assert scene.parts.history.written == sorted(scene.parts.history.written, key=lambda one: one.timestamp)

    virtual_time.run(story())
