"""Windows after a takeover: complete, or completed from the store, whatever the log has twice or too late."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from aggregator.models import Trade
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.event_log.window_start import WindowStart
from aggregator.trades.features import Features
from tests.parts.processing import Processing, running
from tests.trades.test_analytics import Recorded
from tests.trades.test_features import START, assert_same, naive
from tests.trades.test_republication import ASSET, ENDLESS, NOW, Script, at, processed
from tests.trades.test_saved_windows import Kept


def assert_measured(found: Processing, trades: Sequence[Trade]) -> None:
    """Assert that the features equal a naive recomputation from these trades."""
    features = found.processor.features(ASSET)
    assert features is not None
    assert_same(features, naive(trades))


def moving(number: int, seconds: float) -> Trade:
    """Return a trade whose volume depends on its number."""
    return replace(at(number, seconds), volume=Decimal(number % 17 + 1))


@pytest.mark.parametrize("what", ["twice", "late"])
async def test_what_windows_do_not_take_makes_them_no_more_complete(what: str) -> None:
    """Of 12 trades in 330 seconds, sent twice or with late ones, the z-score of the next one needs older volumes."""
    older, recent = [moving(n, n - 30) for n in range(20)], [moving(100 + n, 30 * n) for n in range(12)]
    late = [moving(200 + n, 30 * n - 9) for n in range(12)]
    pairs = [(one, one if what == "twice" else late[n]) for n, one in enumerate(recent)]
    store = MemoryTrades(ENDLESS, lambda: NOW)
    await store.add([*older, *recent, *([replace(one, late=True) for one in late] if what == "late" else [])])
    following = moving(300, 340)
    log = Script([one for pair in pairs for one in pair], [[following]], WindowStart(20, START - 10))
    assert_measured(await processed(store, log), [*older, *recent, following])


async def test_features_are_right_before_the_next_trade() -> None:
    """The records that are read again have seven of the 20 volumes of the z-score; the store has them all."""
    older, recent = [moving(n, n - 30) for n in range(20)], [moving(100 + n, 55 * n) for n in range(7)]
    store = MemoryTrades(ENDLESS, lambda: NOW)
    await store.add([*older, *recent])
    assert_measured(await processed(store, Script(recent, [], WindowStart(20, START - 10))), [*older, *recent])


async def test_saved_windows_of_more_trades_than_they_recognise() -> None:
    """Of 4,000 trades within the allowed lateness, all of which are read again, each counts once."""
    trades, following, saved = [moving(n, n / 1000) for n in range(4000)], moving(4000, 4.5), Kept()
    store, first, second = MemoryTrades(ENDLESS, lambda: NOW), Processing(), Processing()
    first.begin(Script([], [trades]), store, lambda: NOW, saved)
    async with running(first):
        await first.until(lambda: saved.bodies)
    start = WindowStart(0, trades[-1].timestamp, is_saved=True)
    second.begin(Script(trades, [[following]], start), store, lambda: NOW, saved)
    async with running(second):
        await second.has_published(1)
    assert_measured(second, [*trades, following])


class Looking(Recorded):
    """An analytic that looks at the features that the processor shows when assets are loaded."""

    def __init__(self, one: Processing) -> None:
        super().__init__()
        self.one = one
        self.seen: list[Features | None] = []

    async def load(self, assets: Sequence[str]) -> None:
        """Note the features."""
        await super().load(assets)
        self.seen += [self.one.processor.features(asset) for asset in assets]

    def forget(self, asset: str) -> None:
        """Do nothing."""
        assert asset == ASSET


async def test_features_stay_while_records_are_read_again() -> None:
    """A process that has measured the stored trades at its start shows these features until there are newer ones."""
    store, one = MemoryTrades(ENDLESS, lambda: NOW), Processing()
    trades, looking = [moving(n, 20 * n) for n in range(30)], Looking(one)
    await store.add(trades)
    one.begin(log := Script(trades, []), store, lambda: NOW, assets=[ASSET], analytics=[looking])
    async with running(one):
        await log.is_done.wait()
    at_start, before_replay = looking.seen
    assert at_start is None
    assert before_replay is not None
    assert_same(before_replay, naive(trades))
