"""The features of each minute, as the archive gets them."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from aggregator.models import Trade
from aggregator.trades.asset_states import AssetStates
from aggregator.trades.features import Features
from aggregator.trades.minute_closes import MinuteCloses, stored_close

START = 1_795_003_200.0  # a full minute


def trade(at: float, price: int = 100, asset: str = "btcusdt") -> Trade:
    """Return a trade `at` seconds after START."""
    return Trade(asset, Decimal(price), Decimal(2), START + at, "okx", f"{at}-{price}")


class Scene:
    """The state of a processor whose minutes are kept. `at` is our clock, in seconds after START."""

    def __init__(self) -> None:
        self.at = 0.0
        self.found: list[Features] = []
        self.closes = MinuteCloses(self.found.extend, lambda: START + self.at)
        self.states = AssetStates(5.0, 1000, lambda: START + self.at, {}, {}, {}, {}, (), self.closes)

    def take(self, *trades: Trade) -> None:
        """Measure a batch of new trades."""
        self.states.measure_new(trades)

    def keys(self) -> list[tuple[str, float, float]]:
        """Return asset, start of the minute, and time of the last trade of each event, in seconds after START."""
        return [(one.asset, stored_close(one).timestamp - START, one.window_end - START) for one in self.found]


@pytest.fixture
def scene() -> Scene:
    """Return a state without trades."""
    return Scene()


def test_a_minute_ends_with_the_first_trade_of_a_later_one(scene: Scene) -> None:
    """Also within one batch; the figures are those at its last trade."""
    scene.take(trade(0, 100), trade(59.5, 200), trade(60, 900), trade(185, 400))
    assert scene.keys() == [("btcusdt", 0, 59.5), ("btcusdt", 60, 60)]
    assert [one.trade_frequency for one in scene.found] == [2, 2]
    assert [one.rolling_avg_5min for one in scene.found] == [150, 400]


def test_each_asset_has_minutes_of_its_own(scene: Scene) -> None:
    """A batch has trades of several assets."""
    scene.take(trade(1), trade(2, asset="ethusdt"), trade(61))
    scene.take(trade(62, asset="ethusdt"))
    assert scene.keys() == [("btcusdt", 0, 1), ("ethusdt", 0, 2)]


def test_a_minute_ends_without_later_trades(scene: Scene) -> None:
    """Once; a trade of it that comes afterwards lets it end again, under the same key."""
    scene.take(trade(1))
    scene.closes.end(START + 60)
    assert scene.found == []
    for _ in range(2):
        scene.closes.end(START + 60.1)
    assert scene.keys() == [("btcusdt", 0, 1)]
    scene.take(trade(2))
    scene.closes.end()
    events: Sequence[object] = [(one.timestamp, one.id) for one in map(stored_close, scene.found)]
    assert len(set(events)) == 1
    assert scene.found[-1].trade_frequency == 2


def test_a_minute_that_has_ended_ends_once(scene: Scene) -> None:
    """The first trade of a later minute does not end it again: its range of the archive would be written again."""
    scene.take(trade(1))
    scene.closes.end(START + 61)
    scene.take(trade(5000))
    assert scene.keys() == [("btcusdt", 0, 1)]


def test_an_asset_that_another_process_has_now(scene: Scene) -> None:
    """Its minute is that of the other process."""
    scene.take(trade(1))
    scene.states.forget("btcusdt")
    scene.closes.end()
    assert scene.found == []


def test_late_trades_end_nothing(scene: Scene) -> None:
    """They have no part in windows."""
    scene.take(trade(1))
    late = Trade("btcusdt", Decimal(1), Decimal(1), START + 200, "okx", "late", late=True)
    scene.take(late)
    assert scene.found == []
