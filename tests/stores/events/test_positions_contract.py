"""The contract of stores of positions, tested on each of them: memory, SQLite, DynamoDB, PostgreSQL."""

import asyncio
import tempfile
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.strategy.ports import Position
from tests.parts.clock import Clock
from tests.parts.limits import examples
from tests.stores.events.parts import DAY, RETENTION, Opened, closed, opened, position, retried


async def test_a_position_comes_back_as_it_went(stores: Opened) -> None:
    """Open and closed, with every digit."""
    one = position()
    assert await stores.opens(one)
    assert await stores.open_ones("ethusdt", "btcusdt") == [one]
    assert await stores.closed_pages(None, 9) == []
    assert await stores.closes(closed(one, profit="-0.1234567890123456789012345678"))
    assert await stores.open_ones("btcusdt") == []
    assert await stores.closed_pages(None, 9) == [closed(one, profit="-0.1234567890123456789012345678")]


async def test_an_asset_has_one_open_position(stores: Opened) -> None:
    """Another one of the asset is not opened; the same one may be opened again; other assets have their own."""
    assert await stores.opens(position(1))
    assert not await stores.opens(position(2))
    assert await stores.opens(position(1))
    assert await stores.opens(position(1, "ethusdt"))
    assert await stores.open_ones("btcusdt", "ethusdt") == [position(1), position(1, "ethusdt")]


async def test_a_position_is_closed_once(stores: Opened) -> None:
    """A second close, a close of one that is not open, and an open of a closed one change nothing."""
    assert not await stores.closes(closed(position(1)))
    await stores.opens(position(1))
    assert not await stores.closes(closed(position(2)))
    assert await stores.closes(closed(position(1)))
    assert not await stores.closes(closed(position(1), profit="9"))
    assert not await stores.opens(position(1))
    assert await stores.open_ones("btcusdt") == []
    assert await stores.closed_pages(None, 9) == [closed(position(1))]
    assert await stores.opens(position(2))


async def test_one_of_many_opens_wins(stores: Opened) -> None:
    """Two connections open twenty positions of an asset at once: one is open, and its call alone says so."""
    second = await stores.connect()
    connections = [stores.stores.positions, second.positions]

    async def opens(number: int) -> bool:
        return await retried(lambda: connections[number % 2].open(position(number)))

    results = await asyncio.gather(*(opens(number) for number in range(20)))
    assert sum(results) == 1
    assert await stores.open_ones("btcusdt") == [position(results.index(True))]


async def test_one_of_many_closes_wins(stores: Opened) -> None:
    """Two connections close a position at once with different profits: the one that succeeded is stored."""
    second = await stores.connect()
    connections = [stores.stores.positions, second.positions]
    await stores.opens(position())

    async def closes(number: int) -> bool:
        return await retried(lambda: connections[number % 2].close_position(closed(position(), profit=str(number))))

    results = await asyncio.gather(*(closes(number) for number in range(8)))
    assert sum(results) == 1
    assert await stores.closed_pages(None, 9) == [closed(position(), profit=str(results.index(True)))]


async def test_pages_have_each_closed_position_once(stores: Opened) -> None:
    """Newest exit first, of one asset or of all; the profits of all pages sum up."""
    ours = [
        closed(position(number, asset), seconds=-number // 3, profit=f"{number}.01")
        for number in range(12)
        for asset in ("btcusdt", "ethusdt")
    ]
    for one in ours:
        assert await stores.opens(position(int(one.id.rpartition("-")[2]), one.asset))
        assert await stores.closes(one)
    expected = sorted(ours, key=_exit, reverse=True)
    for size in (5, 100):
        found = await stores.closed_pages(None, size)
        assert found == expected
        assert sum(one.profit or 0 for one in found) == Decimal("132.24")
        assert await stores.closed_pages("ethusdt", size) == [one for one in expected if one.asset == "ethusdt"]
    assert await stores.closed_pages("nosuch", 5) == []


async def test_a_closed_position_is_kept_for_good(stores: Opened, clock: Clock) -> None:
    """Beyond the retention of events."""
    await stores.opens(position())
    await stores.closes(closed(position()))
    clock.now += RETENTION + DAY
    assert await stores.closed_pages(None, 9) == [closed(position())]


@pytest.mark.parametrize("url", ["sqlite:///{}/events.db"])
@settings(max_examples=examples(100))
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.sampled_from(["a", "b"])), max_size=25))
def test_any_opens_and_closes_are_as_in_memory(url: str, steps: Sequence[tuple[bool, int, str]]) -> None:
    """Each answer, and the positions in the end; never more than one is open of an asset."""

    async def compare(folder: str) -> None:
        async with opened(url.format(folder)) as ours, opened("memory://") as theirs:
            for is_open, number, asset in steps:
                one = position(number, asset)
                results = [
                    await (stores.opens(one) if is_open else stores.closes(closed(one))) for stores in (ours, theirs)
                ]
                assert results[0] == results[1]
                assert await ours.open_ones("a", "b") == await theirs.open_ones("a", "b")
            assert await ours.closed_pages(None, 2) == await theirs.closed_pages(None, 100)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(folder))


def _exit(one: Position) -> tuple[float, str]:
    return one.exit_time or 0, one.id
