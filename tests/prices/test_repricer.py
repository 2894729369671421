"""A pushed ticker makes a price after the debounce, at most one in it, of the newest tickers of all exchanges."""

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aggregator.clock import SteadyClock
from aggregator.models import LeftOut, Price, Reason, Ticker, Tier
from aggregator.prices.pricing import Rules, aggregate
from aggregator.prices.repricer import Repricer
from aggregator.prices.tiers import Catalog
from tests.parts import virtual_time
from tests.parts.examples import BTC, CADENCE, ETH, NOW, ticker
from tests.prices.refreshing import Parts

DEBOUNCE = 0.05
HOT_ETH = msgspec.structs.replace(ETH, tier=Tier.HOT)


class Scene:
    """A repricer in virtual time, beside the refresher; the wall clock is NOW at the start of the loop."""

    def __init__(self, *, hot_eth: bool = True) -> None:
        eth = HOT_ETH if hot_eth else ETH
        self.catalog = Catalog({BTC.symbol: BTC, eth.symbol: eth}, CADENCE)
        self._loop = asyncio.get_running_loop()
        wall = SteadyClock(self.now, self._loop.time)
        self.parts = Parts(self.catalog, min_sources=2, clock=self._loop.time, wall=wall)
        self.repricer = Repricer(self.catalog, self.parts.exchanges, self.parts.maker, DEBOUNCE, self._loop.time)

    def now(self) -> float:
        """Return unix seconds."""
        return NOW + self._loop.time()

    def push(self, number: int, price: str, symbol: str = "btcusdt", behind: float = 0.0) -> Ticker:
        """Push a ticker of exchange `number`, from 1; return it."""
        pushed = ticker(f"exchange{number}", price, timestamp=self.now() - behind, symbol=symbol)
        self.parts.exchanges[number - 1].push(pushed)
        return pushed

    @property
    def made(self) -> list[Price]:
        """The prices written to history."""
        return self.parts.history.written


def play(story: Coroutine[Any, Any, None]) -> None:
    """Run a story in virtual time."""
    virtual_time.run(story)


def test_a_pushed_ticker_is_priced_after_the_debounce() -> None:
    """Two exchanges push, a third has said nothing: one price of both tickers, marked as degraded, 50 ms later."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.repricer.run())
        scene.push(1, "100")
        await asyncio.sleep(DEBOUNCE / 2)
        scene.push(2, "102")
        assert scene.made == []
        await asyncio.sleep(DEBOUNCE / 2 + 0.005)
        (price,) = scene.made
        assert price.price == 101
        assert [(one.exchange, one.reason) for one in price.left_out] == [("exchange3", Reason.LATE)]
        assert scene.parts.cache.written == [price]
        assert scene.parts.value("price_refresh_total", tier="hot", trigger_type="push") == 1
        assert scene.parts.value("price_refresh_errors_total", tier="hot") == 0
        running.cancel()

    play(story())


def test_no_asset_is_priced_more_than_twenty_times_a_second() -> None:
    """Three exchanges push every 3 ms for two seconds: at most 20 prices a second, the last one of the last tickers."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.repricer.run())
        for step in range(660):
            last = [scene.push(number, str(100 + step % 7)) for number in (1, 2, 3)]
            await asyncio.sleep(0.003)
        await asyncio.sleep(2 * DEBOUNCE)
        times = [price.updated_at for price in scene.made]
        assert 30 <= len(times) <= 41
        assert all(later - earlier >= DEBOUNCE for earlier, later in pairwise(times))
        assert {one.timestamp for one in scene.made[-1].sources} == {one.timestamp for one in last}
        running.cancel()

    play(story())


def test_a_polled_ticker_goes_into_a_pushed_price() -> None:
    """What the schedule has polled of an exchange counts with what another one pushes; no exchange is asked."""

    async def story() -> None:
        scene = Scene()
        await scene.parts.refresher.refresh(BTC, "manual")
        calls = [exchange.calls for exchange in scene.parts.exchanges]
        running = asyncio.create_task(scene.repricer.run())
        await asyncio.sleep(1)
        scene.push(1, "103")
        await asyncio.sleep(2 * DEBOUNCE)
        assert {one.exchange: one.price for one in scene.made[-1].sources} == {
            "exchange1": Decimal(103),
            "exchange2": Decimal(101),
            "exchange3": Decimal(102),
        }
        assert [exchange.calls for exchange in scene.parts.exchanges] == calls
        running.cancel()

    play(story())


def test_an_exchange_whose_clock_is_behind_moves_the_price() -> None:
    """Its ticker is older than the newest one in the price; the new price gets a later time, never ahead of ours."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.repricer.run())
        scene.push(1, "100")
        scene.push(2, "100", behind=2)
        await asyncio.sleep(2 * DEBOUNCE)
        scene.push(2, "102", behind=2)
        await asyncio.sleep(2 * DEBOUNCE)
        first, second = scene.made
        assert first.price == 100
        assert second.price == 101
        assert first.timestamp < second.timestamp <= second.updated_at
        running.cancel()

    play(story())


def test_the_same_tickers_make_no_price_again() -> None:
    """A frame that comes twice changes nothing."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.repricer.run())
        scene.push(1, "100")
        twice = scene.push(2, "100")
        await asyncio.sleep(2 * DEBOUNCE)
        scene.parts.exchanges[1].push(twice)
        await asyncio.sleep(2 * DEBOUNCE)
        assert len(scene.made) == 1
        running.cancel()

    play(story())


def test_assets_outside_the_hot_tier_are_left_to_the_schedule() -> None:
    """A pushed pair that is cold, or not listed, as one that is only converted from, makes no price."""

    async def story() -> None:
        scene = Scene(hot_eth=False)
        running = asyncio.create_task(scene.repricer.run())
        for symbol in ("ethusdt", "dogeusdt"):
            scene.push(1, "100", symbol)
            scene.push(2, "100", symbol)
        await asyncio.sleep(2 * DEBOUNCE)
        assert scene.made == []
        running.cancel()

    play(story())


def test_a_rejected_ticker_counts_once() -> None:
    """An outlier that stays in the book is counted when it arrives, not again with each price of the others."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.repricer.run())
        for number, price in ((1, "100"), (2, "100"), (3, "300")):
            scene.push(number, price)
        await asyncio.sleep(2 * DEBOUNCE)
        for _ in range(5):
            scene.push(1, "100")
            await asyncio.sleep(2 * DEBOUNCE)
        assert len(scene.made) == 6
        rejected = {"exchange": "exchange3", "reason": "outlier"}
        assert scene.parts.value("price_tickers_rejected_total", **rejected) == 1
        assert scene.parts.value("price_tickers_used_total", exchange="exchange2") == 1
        assert scene.parts.value("price_tickers_used_total", exchange="exchange1") == 6
        running.cancel()

    play(story())


steps = st.tuples(
    st.integers(1, 3),  # the exchange
    st.sampled_from(["btcusdt", "ethusdt"]),
    st.integers(980, 1020),  # the price, times ten
    st.integers(-3, 3),  # seconds by which its clock is behind
    st.floats(0, 0.12),  # seconds until the next step
    st.booleans(),  # whether the schedule refreshes the asset, too
)


@given(st.lists(steps, min_size=1, max_size=25))
def test_the_price_is_that_of_the_newest_ticker_of_each_exchange(given_steps: list[tuple[Any, ...]]) -> None:
    """Random pushes and refreshes, reordered and of wrong clocks, end in the price of each exchange's newest ticker."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.repricer.run())
        rules = Rules(CADENCE[Tier.HOT].max_age, Decimal("0.05"), 2, Decimal("0.5"))
        held: dict[tuple[str, str], Ticker] = {}
        for exchange in scene.parts.exchanges:
            exchange.script = lambda asset, own=exchange: own.pushed(asset) or LeftOut(own.name, Reason.TIMEOUT)  # type: ignore[misc]  # the loop's own one
        for number, symbol, tenths, behind, pause, polled in given_steps:
            exchange = scene.parts.exchanges[number - 1]
            pushed = ticker(exchange.name, str(Decimal(tenths) / 10), timestamp=scene.now() - behind, symbol=symbol)
            known = held.get((symbol, exchange.name))
            if known is not None and pushed.timestamp < known.timestamp:
                continue  # the feed's own book ignores it: tests/exchanges/test_book.py
            held[symbol, exchange.name] = pushed
            exchange.push(pushed)
            if polled:
                await scene.parts.refresher.refresh(scene.catalog.assets[symbol], "manual")
            await asyncio.sleep(pause)
        await asyncio.sleep(2 * DEBOUNCE)
        for asset in (BTC, HOT_ETH):
            own = [one for (symbol, _), one in held.items() if symbol == asset.symbol]
            expected = aggregate(asset, own, rules, scene.now())
            found = scene.parts.cache.newest.known(asset.symbol)
            if isinstance(expected, Price):
                assert found is not None
                assert (found.price, found.sources) == (expected.price, expected.sources)
        running.cancel()

    play(story())
