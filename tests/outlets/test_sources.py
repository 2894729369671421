"""Events that are handed over when a store is written: after history, before a commit, before an event is stored."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from aggregator.errors import StoreUnavailable
from aggregator.models import Asset, Price, Tier, Trade
from aggregator.outlets.ports import OutletEvent
from aggregator.outlets.sources import HandingEvents, HandingPrices, HandingTrades, PriceEvents
from aggregator.prices.tiers import Cadence, Catalog
from aggregator.stores.events.memory import MemoryEvents
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.ports import StoredEvent
from tests.parts.examples import NOW, price

CATALOG = Catalog({"btcusdt": Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)}, {tier: Cadence(5.0) for tier in Tier})


class Taken:
    """Takes events, unless it is told to fail."""

    def __init__(self) -> None:
        self.events: list[OutletEvent] = []
        self.lost = 0
        self.fails = False

    async def hand_over(self, events: Sequence[OutletEvent]) -> None:
        """Take events."""
        if self.fails:
            raise StoreUnavailable("disk full")
        self.events += events

    def count_lost(self, _: str, number: int) -> None:
        """Count."""
        self.lost += number


class History:
    """A sink that may fail."""

    fails = False

    async def write(self, _: Sequence[Price]) -> None:
        """Fail or not."""
        if self.fails:
            raise StoreUnavailable("away")


def trade(number: int, at: float) -> Trade:
    """Return a trade."""
    return Trade("btcusdt", Decimal(100), Decimal(1), at, "v", str(number))


async def test_a_price_is_handed_over_once_history_has_it() -> None:
    """A price that history has not taken is not; an outbox that fails does not fail the price."""
    outlets, history = Taken(), History()
    sink = HandingPrices(history, outlets, PriceEvents(CATALOG, lambda: NOW))
    history.fails = True
    with pytest.raises(StoreUnavailable):
        await sink.write([price()])
    assert not outlets.events
    history.fails = False
    await sink.write([price()])
    shown = msgspec.json.decode(outlets.events[0].body)
    assert (shown["asset"], shown["refresh_tier"], outlets.events[0].tier) == ("btcusdt", "hot", "hot")
    outlets.fails = True
    await sink.write([price(timestamp=NOW + 1)])
    assert outlets.lost == 1


async def test_a_trade_that_could_not_be_handed_over_is_so_with_the_next_attempt() -> None:
    """Also an old one, which the store has by then."""
    outlets = Taken()
    store = HandingTrades(MemoryTrades(10 * 86_400, lambda: NOW), outlets, CATALOG, lambda: NOW)
    old = trade(1, NOW - 86_400)
    outlets.fails = True
    with pytest.raises(StoreUnavailable):
        await store.add([old])
    outlets.fails = False
    assert await store.add([old]) == []
    assert [one.key for one in outlets.events] == [f"trades btcusdt {NOW - 86_400!r} v 1"]


async def test_a_stored_trade_that_comes_again_is_handed_over_for_an_hour() -> None:
    """The process may have been killed before it was handed over."""
    outlets = Taken()
    store = HandingTrades(MemoryTrades(10 * 86_400, lambda: NOW), outlets, CATALOG, lambda: NOW)
    recent, old = trade(1, NOW - 60), trade(2, NOW - 4000)
    await store.add([recent, old])
    await store.add([recent, old, trade(3, NOW)])
    assert [one.key.rpartition(" ")[2] for one in outlets.events] == ["1", "2", "1", "3"]


async def test_an_event_is_handed_over_before_it_is_stored() -> None:
    """An article that comes again with another strength is another event; an alert names its outlet."""
    outlets = Taken()
    stored = MemoryEvents(86_400, lambda: NOW)
    store = HandingEvents(stored, outlets, CATALOG, {"sentiment", "alerts"}.__contains__)
    bodies = [b'{"correlation_strength":"none"}', b'{"correlation_strength":"strong"}']
    for body in bodies:
        await store.put("sentiment", [StoredEvent("btcusdt", NOW, "a", body)])
    await store.put("alerts", [StoredEvent("btcusdt", NOW, "b", b'{"outlet":"ops"}')])
    await store.put("signals", [StoredEvent("btcusdt", NOW, "c", b"{}")])
    assert len({one.key for one in outlets.events}) == 3
    assert [one.outlet for one in outlets.events] == ["", "", "ops"]
    outlets.fails = True
    with pytest.raises(StoreUnavailable):
        await store.put("alerts", [StoredEvent("btcusdt", NOW, "d", b"{}")])
    assert len(await store.events("alerts", "btcusdt", 0, NOW, 10, newest_first=True)) == 1
