"""Reads through the outbox: waiting and sent prices are one history."""

import pytest

from aggregator.errors import StoreUnavailable
from tests.parts.examples import NOW, price
from tests.stores.outbox.parts import Parts, many


async def test_reads_return_waiting_and_sent_prices(parts: Parts) -> None:
    """In one order, one price for each time, the one written last for the same key."""
    sent, waiting = many(10), many(10, start=NOW + 5)
    parts.table.items = {(one.asset, one.timestamp): one for one in sent}
    await parts.outbox.write(waiting)
    both = sent[:5] + waiting
    assert await parts.outbox.between("btcusdt", 0, NOW * 2, 100, newest_first=False) == both
    assert await parts.outbox.between("btcusdt", 0, NOW * 2, 7, newest_first=True) == both[::-1][:7]
    assert await parts.outbox.latest(["btcusdt", "nosuch"]) == {"btcusdt": waiting[-1]}


async def test_while_the_table_is_away_latest_returns_waiting_prices(parts: Parts) -> None:
    """A range fails, because part of it would be missing."""
    await parts.outbox.write([price()])
    parts.table.away = True
    assert await parts.outbox.latest(["btcusdt"]) == {"btcusdt": price()}
    with pytest.raises(StoreUnavailable):
        await parts.outbox.latest(["ethusdt"])
    with pytest.raises(StoreUnavailable):
        await parts.outbox.between("btcusdt", 0, NOW * 2, 10, newest_first=True)


async def test_many_prices_of_one_time_hide_no_other_time(parts: Parts) -> None:
    """With eight prices of the first second and one of each later one, a page of three has the three oldest times."""
    parts.table.items = {("btcusdt", NOW + number): price(timestamp=NOW + number) for number in (3, 4)}
    for amount in range(8):
        await parts.outbox.write([price(timestamp=NOW + 1, amount=str(amount + 1))])
    await parts.outbox.write([price(timestamp=NOW + 2)])
    found = await parts.outbox.between("btcusdt", 0, NOW * 2, 3, newest_first=False)
    assert [one.timestamp for one in found] == [NOW + 1, NOW + 2, NOW + 3]
    assert found[0].price == 8
