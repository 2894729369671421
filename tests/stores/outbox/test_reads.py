"""Reads through the outbox: what waits and what was sent are one history."""

import pytest

from aggregator.errors import StoreUnavailable
from tests.parts.examples import NOW, price
from tests.stores.outbox.parts import Parts, many


async def test_reads_see_both_what_waits_and_what_was_sent(parts: Parts) -> None:
    """In one order, each time once, the newer word for the same key."""
    sent, waiting = many(10), many(10, start=NOW + 5)
    parts.table.items = {(one.asset, one.timestamp): one for one in sent}
    await parts.outbox.write(waiting)
    both = sent[:5] + waiting
    assert await parts.outbox.between("btcusdt", 0, NOW * 2, 100, newest_first=False) == both
    assert await parts.outbox.between("btcusdt", 0, NOW * 2, 7, newest_first=True) == both[::-1][:7]
    assert await parts.outbox.latest(["btcusdt", "nosuch"]) == {"btcusdt": waiting[-1]}


async def test_while_the_table_is_away_latest_answers_from_what_waits(parts: Parts) -> None:
    """A range, of which part would be missing, is refused rather than answered in part."""
    await parts.outbox.write([price()])
    parts.table.away = True
    assert await parts.outbox.latest(["btcusdt"]) == {"btcusdt": price()}
    with pytest.raises(StoreUnavailable):
        await parts.outbox.latest(["ethusdt"])
    with pytest.raises(StoreUnavailable):
        await parts.outbox.between("btcusdt", 0, NOW * 2, 10, newest_first=True)


async def test_many_words_for_one_time_hide_no_other_time(parts: Parts) -> None:
    """Eight for the first second, one for the next: a page of three has the three oldest times."""
    parts.table.items = {("btcusdt", NOW + number): price(timestamp=NOW + number) for number in (3, 4)}
    for amount in range(8):
        await parts.outbox.write([price(timestamp=NOW + 1, amount=str(amount + 1))])
    await parts.outbox.write([price(timestamp=NOW + 2)])
    found = await parts.outbox.between("btcusdt", 0, NOW * 2, 3, newest_first=False)
    assert [one.timestamp for one in found] == [NOW + 1, NOW + 2, NOW + 3]
    assert found[0].price == 8
