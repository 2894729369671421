"""The contract of stores of trades, tested on each of them: memory, SQLite, PostgreSQL, DynamoDB."""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from math import inf
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.models import Side, Trade, TradeKey, trade_key
from aggregator.stores.trades.memory import MemoryTrades
from tests.parts.clock import Clock
from tests.parts.examples import NOW
from tests.parts.limits import examples
from tests.stores.trades.parts import ALWAYS, HOUR, RETENTION, Opened, by_url, naive, opened, pages, trade, until


async def test_nothing_stored_is_nothing_found(trades: Opened) -> None:
    """An asset without trades has an empty page, and no last trade."""
    assert await trades.store.trades("btcusdt", *ALWAYS, 10, newest_first=True) == []
    assert await trades.store.latest(["btcusdt"]) == {}
    assert await trades.store.latest([]) == {}


async def test_adding_nothing_does_nothing(trades: Opened) -> None:
    """It returns nothing and raises nothing."""
    assert await trades.add() == []


async def test_a_trade_comes_back_as_it_went(trades: Opened) -> None:
    """With volume or without, each side, late or not, with any id."""
    for one in (
        trade(asset="full"),
        trade(asset="least", volume=None, side=None, sequence=None),
        trade(asset="sold", side=Side.SELL, late=True, volume="0"),
        trade(asset="odd", trade_id="id with # and ü", venue="my venue! #1", sequence=0),
        trade(asset="long", trade_id="x" * 128, venue="v" * 32, sequence=2**63 - 1),
    ):
        assert await trades.add(one) == [one]
        assert await trades.store.trades(one.asset, *ALWAYS, 10, newest_first=True) == [one]
        assert await trades.store.latest([one.asset]) == {one.asset: one}


async def test_numbers_of_any_size_come_back(trades: Opened) -> None:
    """Price and volume of 38 digits, and of 30 before or after the point, are equal as numbers."""
    digits = "12345678901234567890123456789012345678"
    numbers = ["1E-30", "0.00001234567891", digits, "1E+29", "0.123456789012345678901234567891"]
    await trades.add(*(trade(asset=f"a{place}", price=one, volume=one) for place, one in enumerate(numbers)))
    for place, number in enumerate(numbers):
        (found,) = await trades.store.trades(f"a{place}", *ALWAYS, 10, newest_first=True)
        assert (found.price, found.volume) == (Decimal(number), Decimal(number))


async def test_times_come_back_to_the_microsecond(trades: Opened) -> None:
    """Trades of neighbouring microseconds are in order, and each time is the same float."""
    times = [round(NOW - 0.5 + number / 1_000_000, 6) for number in range(20)]
    shuffled = random.Random(1).sample(times, len(times))
    await trades.add(*(trade(number, timestamp=timestamp) for number, timestamp in enumerate(shuffled)))
    found = await trades.store.trades("btcusdt", *ALWAYS, 100, newest_first=False)
    assert [one.timestamp for one in found] == times
    found = await trades.store.trades("btcusdt", times[3], times[5], 100, newest_first=False)
    assert [one.timestamp for one in found] == times[3:6]


async def test_a_key_is_stored_once(trades: Opened) -> None:
    """The first of one call and of later calls stays; only new trades are returned, in the order of the call."""
    first, other = trade(1, price="1"), trade(0)
    assert await trades.add(first, trade(1, price="2"), other, other) == [first, other]
    assert await trades.add(trade(1, price="3"), trade(2), first) == [trade(2)]
    assert await trades.store.trades("btcusdt", *ALWAYS, 10, newest_first=False) == [other, first, trade(2)]


async def test_each_part_of_the_key_makes_another_trade(trades: Opened) -> None:
    """Asset, time, venue and id."""
    others = [
        trade(),
        trade(asset="ethusdt"),
        trade(timestamp=NOW + 0.000001),
        trade(venue="kraken"),
        trade(trade_id="other"),
    ]
    assert await trades.add(*others) == others
    assert len(await trades.store.trades("btcusdt", *ALWAYS, 10, newest_first=True)) == 4
    assert await trades.store.trades("ethusdt", *ALWAYS, 10, newest_first=True) == [trade(asset="ethusdt")]


async def test_calls_at_once_store_a_key_once(trades: Opened) -> None:
    """Of twenty concurrent calls with the same trade, one finds it new."""
    added = await asyncio.gather(*(trades.store.add([trade(), trade(number)]) for number in range(1, 21)))
    assert sum(len(new) for new in added) == 21
    assert len(await trades.store.trades("btcusdt", *ALWAYS, 100, newest_first=True)) == 21


async def test_trades_are_there_after_reopening(trades: Opened) -> None:
    """Trades that were stored are found by the next process, also those that had not left the outbox."""
    await trades.add(trade(1), trade(2))
    if isinstance(trades.store, MemoryTrades):
        pytest.skip("trades in memory are gone when the store is closed")
    await trades.reopen()
    await trades.add(trade(2), trade(3))
    assert await trades.store.trades("btcusdt", *ALWAYS, 10, newest_first=False) == [trade(1), trade(2), trade(3)]


async def test_the_last_trade_is_the_last_by_key(trades: Opened) -> None:
    """Not the one that was stored last; of equal times, the one with the largest venue and id."""
    await trades.add(trade(5), trade(5, venue="kraken"), trade(5, venue="kraken", trade_id="a"), trade(4, venue="okx"))
    await trades.add(trade(3), trade(1, asset="ethusdt"))
    assert await trades.store.latest(["btcusdt", "ethusdt", "nosuch"]) == {
        "btcusdt": trade(5, venue="kraken"),
        "ethusdt": trade(1, asset="ethusdt"),
    }


async def test_a_range_includes_both_ends(trades: Opened) -> None:
    """The limit takes the first trades in the requested order."""
    ours = [trade(number) for number in range(10)]
    await trades.add(*ours)
    found = trades.store.trades
    assert await found("btcusdt", NOW + 2, NOW + 5, 100, newest_first=False) == ours[2:6]
    assert await found("btcusdt", NOW + 2, NOW + 5, 2, newest_first=False) == ours[2:4]
    assert await found("btcusdt", NOW + 2, NOW + 5, 2, newest_first=True) == [ours[5], ours[4]]
    assert await found("btcusdt", NOW + 2.0000005, NOW + 4.9999995, 9, newest_first=False) == ours[3:5]
    assert await found("btcusdt", NOW + 20, NOW + 50, 100, newest_first=True) == []
    assert await found("btcusdt", NOW + 5, NOW + 2, 100, newest_first=True) == []
    assert await found("btcusdt", -5, -1, 100, newest_first=True) == []
    assert await found("btcusdt", 0, inf, 100, newest_first=False) == ours


async def test_pages_have_each_trade_once(trades: Opened) -> None:
    """In order, also where many trades have the same time and a page ends among them."""
    venues = ("coinbase", "coinbase 2", "coinbase#2")
    ours = [
        trade(asset=asset, timestamp=NOW + number // 25, venue=venues[number % 3], trade_id=str(number))
        for number in range(100)
        for asset in ("btcusdt", "ethusdt")
    ]
    await trades.add(*random.Random(2).sample(ours, len(ours)))
    for newest_first in (True, False):
        expected = naive(ours, "btcusdt", *ALWAYS, 1000, newest_first=newest_first)
        assert len(expected) == 100
        for size in (1 if isinstance(trades.store, MemoryTrades) else 9, 13, 100, 1000):
            assert await pages(trades.store, size, newest_first=newest_first) == expected


async def test_a_page_may_begin_after_any_key(trades: Opened) -> None:
    """`after` need not be the key of a stored trade, and may lie outside of the range."""
    ours = [trade(number) for number in range(5)]
    await trades.add(*ours)
    for key in (TradeKey(NOW + 2, "coinbase", "zz"), TradeKey(NOW + 2.5, "a", ""), TradeKey(0.0, "a", "a")):
        for newest_first in (True, False):
            expected = naive(ours, "btcusdt", NOW + 1, NOW + 4, 9, newest_first=newest_first, after=key)
            found = await trades.store.trades("btcusdt", NOW + 1, NOW + 4, 9, newest_first=newest_first, after=key)
            assert found == expected


async def test_a_thousand_assets(trades: Opened) -> None:
    """One call stores trades of a thousand assets; each has its own."""
    ours = [trade(number, asset=f"asset{number % 1000}") for number in range(2000)]
    assert await trades.add(*ours) == ours
    asked = 1000 if trades.store.name != "dynamodb" else 60  # eight queries each
    latest = await trades.store.latest([f"asset{number}" for number in range(asked)])
    assert latest == {f"asset{number}": ours[1000 + number] for number in range(asked)}
    assert await trades.store.trades("asset999", *ALWAYS, 9, newest_first=False) == [ours[999], ours[1999]]


async def test_an_old_trade_goes(trades: Opened, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trade is found until its time is older than the retention, whenever it was stored."""
    monkeypatch.setattr("aggregator.stores.trades.memory._SWEEP_SECONDS", 0.01)
    old, kept = trade(), trade(timestamp=NOW + 2 * HOUR)
    if isinstance(trades.store, MemoryTrades):
        await trades.reopen()  # so that it sweeps as often as set above
    await trades.add(old, kept)
    assert len(await trades.store.trades("btcusdt", *ALWAYS, 9, newest_first=True)) == 2
    clock.now += RETENTION + HOUR
    if not isinstance(trades.store, MemoryTrades):
        await trades.reopen()  # a store may sweep seldom, but does so at start

    async def is_gone() -> bool:
        return await trades.store.trades("btcusdt", *ALWAYS, 9, newest_first=True) == [kept]

    await until(is_gone)
    assert await trades.store.latest(["btcusdt"]) == {"btcusdt": kept}


async def test_a_cancelled_caller_breaks_nothing(trades: Opened) -> None:
    """Its trades are stored or not; added again, each is there once."""
    ours = [trade(number) for number in range(500)]
    adding = asyncio.create_task(trades.store.add(ours))
    await asyncio.sleep(0)
    adding.cancel()
    await asyncio.wait([adding])
    await trades.add(*ours)
    assert await trades.store.trades("btcusdt", *ALWAYS, 1000, newest_first=False) == ours


async def test_a_ping_succeeds(trades: Opened) -> None:
    """While trades can be stored."""
    await trades.store.ping()


_TRADE = st.builds(
    lambda second, venue, number, price: trade(
        timestamp=NOW + second, venue=venue, trade_id=str(number), price=str(price)
    ),
    st.sampled_from([0, 1, 1.000001, 2]),
    st.sampled_from(["a", "a b", "b"]),
    st.integers(0, 3),
    st.integers(1, 9),
)


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/trades.db"])
@settings(max_examples=examples(80))
@given(calls=st.lists(st.lists(_TRADE, max_size=8), max_size=6), size=st.integers(1, 9), newest_first=st.booleans())
def test_any_calls_are_as_a_naive_list(
    url: str,
    calls: Sequence[Sequence[Trade]],
    size: int,
    newest_first: bool,  # noqa: FBT001  # Hypothesis
) -> None:
    """What is returned as new, pages of any size, and the last trade."""

    async def compare(folder: Path) -> None:
        known: dict[TradeKey, Trade] = {}
        async with opened(by_url(url.format(folder), folder, lambda: NOW)) as store:
            for call in calls:
                new = [one for one in call if known.setdefault(trade_key(one), one) is one]
                assert await store.add(*call) == new
            expected = sorted(known.values(), key=trade_key, reverse=newest_first)
            assert await pages(store.store, size, newest_first=newest_first) == expected
            last = max(known.values(), key=trade_key, default=None)
            assert (await store.store.latest(["btcusdt"])).get("btcusdt") == last

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder)))
