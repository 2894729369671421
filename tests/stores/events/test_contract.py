"""The contract of stores of events, tested on each of them: memory, SQLite, DynamoDB, PostgreSQL."""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from math import inf

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import StoreRefused
from aggregator.trades.ports import StoredEvent
from tests.parts.clock import Clock
from tests.parts.examples import NOW
from tests.parts.limits import examples
from tests.stores.events.parts import DAY, RETENTION, Opened, event, opened, retried


async def test_nothing_stored_is_nothing_found(stores: Opened) -> None:
    """Nor is there a position."""
    await stores.put()
    assert await stores.all() == []
    assert await stores.open_ones("btcusdt") == []
    assert await stores.open_ones() == []
    assert await stores.closed_pages(None, 10) == []


async def test_an_event_comes_back_as_it_went(stores: Opened) -> None:
    """With its time to the last bit, any id, and its body byte by byte."""
    ours = [
        StoredEvent("btcusdt", NOW + 0.1 + 0.2, "id with # and ü", '{"a":1.10,"b":"ü €"}'.encode()),
        StoredEvent("btcusdt", NOW + 1.000001, "x" * 900, b'"' + b"x" * 250_000 + b'"'),
    ]
    await stores.put(*ours)
    assert await stores.all() == ours


async def test_a_key_is_stored_once(stores: Opened) -> None:
    """The last event of one call and of later calls stays."""
    await stores.put(event(1, body="1"), event(2, body="1"), event(1, body="2"))
    assert await stores.all() == [event(1, body="2"), event(2, body="1")]
    await stores.put(event(2, body="3"))
    assert await stores.all() == [event(1, body="2"), event(2, body="3")]


async def test_each_part_of_the_key_makes_another_event(stores: Opened) -> None:
    """Topic, asset, time and id."""
    later = msgspec.structs.replace(event(), timestamp=NOW + 0.000001)
    other = msgspec.structs.replace(event(), id="other")
    await stores.put(event(), later, other, event(asset="ethusdt"))
    await stores.put(event(), topic="sentiment")
    assert await stores.all() == [event(), other, later]
    assert await stores.all(asset="ethusdt") == [event(asset="ethusdt")]
    assert await stores.all("sentiment") == [event()]


async def test_a_range_includes_both_ends(stores: Opened) -> None:
    """The limit takes the first events in the requested order."""
    ours = [event(number) for number in range(60)]  # more than one batch of DynamoDB
    await stores.put(*random.Random(1).sample(ours, len(ours)))

    async def found(start: float, end: float, limit: int, *, newest_first: bool = False) -> list[StoredEvent]:
        return await retried(
            lambda: stores.events.events("anomalies", "btcusdt", start, end, limit, newest_first=newest_first)
        )

    assert await found(NOW + 2, NOW + 5, 100) == ours[2:6]
    assert await found(NOW + 2, NOW + 5, 2) == ours[2:4]
    assert await found(NOW + 2, NOW + 5, 2, newest_first=True) == [ours[5], ours[4]]
    assert await found(NOW + 2.0000005, NOW + 4.9999995, 9) == ours[3:5]
    assert await found(NOW + 100, NOW + 200, 9) == []
    assert await found(NOW + 5, NOW + 2, 9) == []
    assert await found(-5, -1, 9) == []
    assert await found(-inf, inf, 100) == ours


async def test_pages_have_each_event_once(stores: Opened) -> None:
    """In order, also where many events have the same time and a page ends among them."""
    ours = [event(number, timestamp=NOW + number // 10) for number in range(60)]
    await stores.put(*random.Random(2).sample(ours, len(ours)))
    await stores.put(event(asset="ethusdt"))
    for newest_first in (True, False):
        expected = sorted(ours, key=_key, reverse=newest_first)
        for size in (7, 60, 100):
            assert await stores.pages(size, newest_first=newest_first) == expected


async def test_a_page_may_begin_after_any_key(stores: Opened) -> None:
    """`after` need not be the key of a stored event, and may lie outside of the range."""
    ours = [event(number) for number in range(5)]
    await stores.put(*ours)
    for after in ((NOW + 2, "zz"), (NOW + 2.5, ""), (0.0, "a"), (inf, "a"), (-1.0, "")):
        for newest_first in (True, False):
            expected = [one for one in ours[1:] if (_key(one) < after if newest_first else _key(one) > after)]
            found = await retried(
                lambda first=newest_first, key=after: stores.events.events(  # type: ignore[misc]  # mypy cannot infer the lambda
                    "anomalies", "btcusdt", NOW + 1, NOW + 4, 9, newest_first=first, after=key
                )
            )
            assert found == (expected[::-1] if newest_first else expected)


async def test_an_old_event_is_not_found(stores: Opened, clock: Clock) -> None:
    """An event is found until its time is older than the retention, whenever it was stored."""
    kept = event(1, timestamp=NOW + 2 * DAY)
    await stores.put(event(), kept)
    assert await stores.all() == [event(), kept]
    clock.now += RETENTION + DAY
    assert await stores.all() == [kept]
    await stores.put(event(2))
    assert await stores.all() == [kept]


async def test_an_event_beyond_the_bounds_is_refused(stores: Opened) -> None:
    """So that the writer does not try it again without end; of its call nothing is stored."""
    for bad in (
        event(timestamp=-1.0),
        event(timestamp=1e10),
        event(timestamp=inf),
        event(timestamp=float("nan")),
        msgspec.structs.replace(event(), id="x" * 901),
        msgspec.structs.replace(event(), body=b"x" * 300_001),
    ):
        with pytest.raises(StoreRefused):
            await stores.put(event(1), bad)
        assert await stores.all() == []


async def test_a_second_connection_sees_the_events(stores: Opened) -> None:
    """Events that one connection has put, another one finds, and may replace."""
    second = await stores.connect()
    await stores.put(event(1), event(2))
    await retried(lambda: second.events.put("anomalies", [event(2, body="2")]))
    assert await stores.all() == [event(1), event(2, body="2")]


async def test_a_ping_succeeds(stores: Opened) -> None:
    """While events can be stored."""
    await retried(stores.events.ping)


_EVENT = st.builds(
    lambda second, number, body: event(number, timestamp=NOW + second, body=str(body)),
    st.sampled_from([0, 1, 1.000001, 2]),
    st.integers(0, 3),
    st.integers(0, 9),
)


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/events.db"])
@settings(max_examples=examples(100))
@given(calls=st.lists(st.lists(_EVENT, max_size=8), max_size=6), size=st.integers(1, 9), newest_first=st.booleans())
def test_any_puts_are_as_a_dict(
    url: str,
    calls: Sequence[Sequence[StoredEvent]],
    size: int,
    newest_first: bool,  # noqa: FBT001  # Hypothesis
) -> None:
    """The last event of each key, in order, in pages of any size."""

    async def compare(folder: str) -> None:
        known: dict[tuple[float, str], StoredEvent] = {}
        async with opened(url.format(folder)) as stores:
            for call in calls:
                known |= {_key(one): one for one in call}
                await stores.put(*call)
            expected = [known[key] for key in sorted(known, reverse=newest_first)]
            assert await stores.pages(size, newest_first=newest_first) == expected

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(folder))


def _key(one: StoredEvent) -> tuple[float, str]:
    return one.timestamp, one.id
