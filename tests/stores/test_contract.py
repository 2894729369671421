"""The contract of stores, tested on each of them: memory, Redis, SQLite, DynamoDB, PostgreSQL."""

import asyncio
import random
from decimal import Decimal

import pytest

from aggregator.models import Tier
from aggregator.ports import History, Store
from tests.parts.examples import NOW, price

# Fixtures of stores behind an outbox.
KEEPS_LAST = ("waiting", "dynamodb", "drained", "postgres_waiting", "postgresql", "postgres_drained")


async def test_a_new_store(store: Store) -> None:
    """A ping succeeds; an unknown asset is left out, also after an empty write: not None and not a zero price."""
    await store.ping()
    await store.write([])
    assert await store.latest(["btcusdt", "ethusdt"]) == {}
    assert await store.latest([]) == {}


async def test_a_price_comes_back_as_it_went(store: Store) -> None:
    """With every digit, every source, and every source that was left out."""
    await store.write([price()])
    assert await store.latest(["btcusdt", "nosuch"]) == {"btcusdt": price()}


async def test_numbers_of_any_size_come_back(store: Store) -> None:
    """From hundred-millionths to what no market has, up to 38 digits, equal as numbers."""
    digits = "12345678901234567890123456789012345678"
    amounts = ["1E-10", "0.00001234567891", "9999999999", digits, "1E+20", "80000"]
    await store.write([price(f"asset{number}", amount=amount) for number, amount in enumerate(amounts)])
    found = await store.latest([f"asset{number}" for number in range(6)])
    assert [found[f"asset{number}"].price for number in range(6)] == [Decimal(amount) for amount in amounts]


async def test_times_come_back_to_the_microsecond(store: Store) -> None:
    """A float second survives as it is."""
    timestamps = [1696118400.123, 1696118400.000001, 1696118400.0, 0.1]
    for number, timestamp in enumerate(timestamps):
        await store.write([price(f"asset{number}", timestamp)])
    found = await store.latest([f"asset{number}" for number in range(4)])
    assert [found[f"asset{number}"].timestamp for number in range(4)] == timestamps


async def test_an_older_price_never_replaces_a_newer(store: Store) -> None:
    """Whether it comes in a later write, or later in the same write."""
    await store.write([price(timestamp=NOW, amount="2")])
    await store.write([price(timestamp=NOW - 0.001, amount="1")])
    assert (await store.latest(["btcusdt"]))["btcusdt"].price == 2
    await store.write([price(timestamp=NOW + 2, amount="4"), price(timestamp=NOW + 1, amount="3")])
    assert (await store.latest(["btcusdt"]))["btcusdt"].price == 4


async def test_of_two_prices_of_the_same_time_one_stays(request: pytest.FixtureRequest, store: Store) -> None:
    """The first, which clients may have got; behind an outbox the last."""
    await store.write([price(amount="1"), price(amount="2")])
    await store.write([price(amount="3")])
    keeps_last = request.node.callspec.params["store"] in KEEPS_LAST
    assert (await store.latest(["btcusdt"]))["btcusdt"].price == (3 if keeps_last else 1)


async def test_hundreds_at_once(store: Store) -> None:
    """Batches of any size are written whole: here several of those that a store takes at once, at most a hundred."""
    prices = [price(f"asset{number}", NOW + number / 1000, tier=Tier.COLD) for number in range(350)]
    await store.write(prices)
    assert await store.latest([one.asset for one in prices]) == {one.asset: one for one in prices}


async def test_writers_at_once_leave_the_newest(store: Store) -> None:
    """Twenty concurrent writes in any order: the newest wins."""
    prices = [price(timestamp=NOW + number, amount=str(number + 1)) for number in range(20)]
    random.Random(1).shuffle(prices)
    await asyncio.gather(*(store.write([one]) for one in prices))
    assert (await store.latest(["btcusdt"]))["btcusdt"].price == 20


async def test_history_keeps_every_price(history: History) -> None:
    """In order of time, both ways, without other assets' prices."""
    prices = [price(timestamp=NOW + number, amount=str(number + 1)) for number in range(10)]
    await history.write([*reversed(prices), price("ethusdt", NOW + 3)])
    assert await history.between("btcusdt", 0, NOW * 2, 100, newest_first=False) == prices
    assert await history.between("btcusdt", 0, NOW * 2, 100, newest_first=True) == prices[::-1]


async def test_history_of_a_range(history: History) -> None:
    """The range includes both ends; the limit takes the first prices in the requested order."""
    prices = [price(timestamp=NOW + number) for number in range(10)]
    await history.write(prices)
    assert await history.between("btcusdt", NOW + 2, NOW + 5, 100, newest_first=False) == prices[2:6]
    assert await history.between("btcusdt", NOW + 2, NOW + 5, 2, newest_first=False) == prices[2:4]
    assert await history.between("btcusdt", NOW + 2, NOW + 5, 2, newest_first=True) == [prices[5], prices[4]]
    assert await history.between("btcusdt", NOW + 20, NOW + 50, 100, newest_first=True) == []
    assert await history.between("nosuch", 0, NOW * 2, 100, newest_first=True) == []


async def test_history_written_twice_is_there_once(history: History) -> None:
    """Writing the same key again is harmless."""
    await history.write([price()])
    await history.write([price()])
    assert await history.between("btcusdt", 0, NOW * 2, 100, newest_first=True) == [price()]


async def test_a_long_history_is_read_whole(history: History) -> None:
    """Past any page the store itself may cut: 1500 prices of about a kilobyte."""
    prices = [price(timestamp=NOW + number) for number in range(1500)]
    await history.write(prices)
    assert len(await history.between("btcusdt", 0, NOW * 2, 1500, newest_first=False)) == 1500
