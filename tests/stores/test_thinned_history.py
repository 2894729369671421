"""A thinned history has exactly the last price of each gap."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.errors import StoreUnavailable
from aggregator.models import Price
from aggregator.stores.thinned_history import ThinnedHistory
from tests.parts import virtual_time
from tests.parts.examples import NOW, price
from tests.parts.scripted import Store

GAP = 10.0
BEGIN = NOW // GAP * GAP


def last_of_each_gap(prices: Sequence[Price]) -> list[Price]:
    """Return the last price of each asset in each gap, counted naively."""
    last = {(one.asset, one.timestamp // GAP): one for one in prices}
    return sorted(last.values(), key=lambda one: (one.timestamp, one.asset))


steps = st.tuples(st.floats(0, 7), st.lists(st.sampled_from(["btcusdt", "ethusdt"]), max_size=4))


@given(st.lists(steps, max_size=30))
def test_the_last_price_of_each_gap_is_kept(given_steps: list[tuple[float, list[str]]]) -> None:
    """Random prices, one by one and together, with quiet periods and a stop at the end."""

    async def story() -> None:
        history, loop = Store(), asyncio.get_running_loop()
        thinned = ThinnedHistory(history, GAP, lambda: BEGIN + loop.time())
        running = asyncio.create_task(thinned.run())
        made: list[Price] = []
        for pause, assets in given_steps:
            await asyncio.sleep(pause + 0.001)
            batch = [price(asset, BEGIN + loop.time() + place / 1e6) for place, asset in enumerate(assets)]
            await thinned.write(batch)
            made += batch
        running.cancel()
        await thinned.close()
        assert sorted(history.written, key=lambda one: (one.timestamp, one.asset)) == last_of_each_gap(made)

    virtual_time.run(story())


def test_a_quiet_asset_is_written_when_its_gap_is_over() -> None:
    """Without a later price the last one is in history two seconds after its gap at the latest, not before its end."""

    async def story() -> None:
        history, loop = Store(), asyncio.get_running_loop()
        thinned = ThinnedHistory(history, GAP, lambda: BEGIN + loop.time())
        running = asyncio.create_task(thinned.run())
        await thinned.write([price(timestamp=BEGIN + 1)])
        await asyncio.sleep(GAP - 0.1)
        assert history.written == []
        await asyncio.sleep(2.1)
        assert history.written == [price(timestamp=BEGIN + 1)]
        running.cancel()

    virtual_time.run(story())


async def test_a_history_that_is_away_loses_nothing_that_was_held() -> None:
    """The write fails for the caller; what was held before is written with the next price."""
    history = Store()
    thinned = ThinnedHistory(history, GAP, lambda: BEGIN)
    first, second, third = (price(timestamp=BEGIN + GAP * number) for number in range(3))
    await thinned.write([first])
    history.away = True
    with pytest.raises(StoreUnavailable):
        await thinned.write([second])
    history.away = False
    await thinned.write([third])
    assert history.written == [first]
    await thinned.close()
    assert history.written == [first, third]
