"""Writes of a processor to a store that is away, or refuses some trades.

The store is a stand-in, which can be away between two writes of a batch; stores/trades/test_postgres.py has a real one.
"""

import asyncio
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from aggregator.errors import RowsRefused, StoreUnavailable
from aggregator.models import Trade
from aggregator.observability.metrics import Metrics
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.rejection import Rejection
from aggregator.trades.trade_writes import TradeWrites
from tests.parts.examples import NOW
from tests.parts.limits import allowed
from tests.parts.processing import Buried
from tests.parts.serving import until
from tests.stores.trades.parts import trade


class Picky(MemoryTrades):
    """Refuses writes with the trades of some ids; is away at every second write once it has taken one."""

    def __init__(self, *refused: str) -> None:
        super().__init__(1e9, lambda: NOW)
        self._refused = refused
        self._writes = 0

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Store trades."""
        self._writes += 1
        if self._writes > 1 and self._writes % 2:
            raise StoreUnavailable("away")
        if any(one.id in self._refused for one in trades):
            raise RowsRefused("no such value")
        return await super().add(trades)


def writes(store: MemoryTrades, letters: Buried | None) -> TradeWrites:
    """Return the writes to a store."""
    return TradeWrites(store, Metrics(CollectorRegistry()).trades, letters, lambda: NOW, time.monotonic)


async def test_each_new_trade_is_returned_once_though_the_store_is_away_meanwhile() -> None:
    """The parts of a batch are tried again one by one, so what is stored of it does not count as a duplicate."""
    batch, letters = [trade(number) for number in range(9)], Buried()
    store = Picky(batch[2].id, batch[8].id)
    assert await writes(store, letters).add(batch) == [one for one in batch if one not in (batch[2], batch[8])]
    assert [(one.code, one.reason) for one in letters.letters] == [("refused", "no such value")] * 2


async def test_a_write_ends_once_its_dead_letters_are_kept() -> None:
    """Before that, the log must not forget the records."""
    letters = Buried()
    letters.keeps = False
    adding = asyncio.create_task(writes(Picky(trade().id), letters).add([trade()]))
    await until(lambda: letters.buried == 1)
    await asyncio.sleep(0.1)
    assert not adding.done()
    letters.keeps = True
    assert await adding == ()


async def test_a_write_does_not_wait_for_dead_letters_of_others() -> None:
    """Records that a parser rejects meanwhile are written once a second: the stream must not slow down to that."""
    letters = Buried()
    letters.keeps = False

    class Beside(MemoryTrades):
        async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
            letters.bury([Rejection(0, "malformed", "no JSON", b"?", "ingest", NOW)])
            return await super().add(trades)

    async with asyncio.timeout(allowed(10)):
        assert await writes(Beside(1e9, lambda: NOW), letters).add([trade()]) == [trade()]
    assert letters.kept < letters.buried


async def test_without_dead_letters_a_refused_write_is_tried_again() -> None:
    """No trade is dropped, and the reason is the trouble of the store."""
    one = writes(Picky(trade().id), None)
    adding = asyncio.create_task(one.add([trade()]))
    await until(lambda: one.trouble == "no such value")
    adding.cancel()
    await asyncio.gather(adding, return_exceptions=True)
