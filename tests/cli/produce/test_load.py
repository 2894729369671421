"""A load on a producer whose buffer becomes full, and which fails for good."""

import asyncio
from collections.abc import Sequence

import pytest

from aggregator.cli.produce.deliveries import Deliveries
from aggregator.cli.produce.load import Load
from aggregator.cli.produce.market import Market
from aggregator.cli.produce.pace import Pace
from aggregator.cli.produce.records import as_json
from aggregator.errors import StoreRefused


class SmallBuffer:
    """A producer that holds `room` records; each `poll` delivers all of them. After `most` records it fails."""

    trouble = ""

    def __init__(self, deliveries: Deliveries, room: int, most: int = 1_000_000) -> None:
        self._deliveries = deliveries
        self._room = room
        self._most = most
        self.waiting = 0
        self.values: list[bytes] = []

    def send(self, key: bytes, value: bytes) -> bool:
        """Take a record if there is room."""
        assert key in value
        if len(self.values) == self._most:
            raise StoreRefused("fenced")
        if self.waiting == self._room:
            return False
        self.waiting += 1
        self.values.append(value)
        return True

    def poll(self, seconds: float = 0.0) -> None:
        """Deliver all records."""
        del seconds
        for _ in range(self.waiting):
            self._deliveries.report("", 0.001)
        self.waiting = 0

    def give_up(self) -> None:
        """Fail the test: every record has a report."""
        raise AssertionError


def load_of(deliveries: Deliveries, producer: SmallBuffer) -> Load:
    """Return a load with a seed of 7."""
    return Load(producer, Market(["btcusdt", "ethusdt"], 7), as_json, "7", deliveries)


def without_times(values: Sequence[bytes]) -> list[bytes]:
    """Return the records without the one field that differs between two runs."""
    return [value.partition(b',"timestamp"')[0] + value.partition(b',"venue"')[2] for value in values]


async def test_a_full_buffer_loses_and_repeats_nothing() -> None:
    """The records are those that a producer with room for all would get."""
    sent = []
    for room in (7, 10_000):
        deliveries = Deliveries()
        producer = SmallBuffer(deliveries, room)
        await load_of(deliveries, producer).run(Pace(None, None, 500), asyncio.Event(), lambda *_: None)
        assert (deliveries.sent, deliveries.delivered, deliveries.failed) == (500, 500, 0)
        sent.append(without_times(producer.values))
    assert sent[0] == sent[1]


async def test_a_producer_that_fails_for_good_ends_it() -> None:
    """The trades that it took before are counted."""
    deliveries = Deliveries()
    load = load_of(deliveries, SmallBuffer(deliveries, 10_000, most=30))
    with pytest.raises(StoreRefused, match="fenced"):
        await load.run(Pace(None, None, 500), asyncio.Event(), lambda *_: None)
    assert (deliveries.sent, deliveries.delivered) == (30, 30)


async def test_a_stop_ends_it() -> None:
    """No trade is sent after it."""
    deliveries = Deliveries()
    stop = asyncio.Event()

    def stop_soon(sent: int, _: str) -> None:
        if sent >= 10:
            stop.set()

    await load_of(deliveries, SmallBuffer(deliveries, 10_000)).run(Pace(100, None, None), stop, stop_soon)
    assert 10 <= deliveries.sent == deliveries.delivered
