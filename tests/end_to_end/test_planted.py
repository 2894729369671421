"""The demo finds what its mock exchanges plant.

A headline is joined with volume, a drop becomes a paper position, unusual trades are flagged. The truth is the answer
of a mock exchange to GET /mock/plants.

The parts need real time: momentum 60 s of trades, a model 1,000 trades, a position the rise after a drop. All tests
wait on one demo, so that they take as long as the slowest: one to three minutes for a headline and a drop, five for the
two that are `long`.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.service import Service, call

pytestmark = pytest.mark.real

RATE = 2  # twice the plants of the demo
JOIN_SECONDS = 60  # between a headline and the trades with unusual volume
WINDOW_SECONDS = 300  # of the features: trades that long ago are compared with
POLL_SECONDS = 0.5  # between two looks at the service, which needs the CPU
NEWS_SECONDS, OPEN_SECONDS, MODEL_SECONDS, CLOSE_SECONDS = map(allowed, (150, 240, 400, 300))

Json = Mapping[str, Any]
Found = TypeVar("Found")


class Plant(msgspec.Struct, frozen=True):
    """A planted event, as GET /mock/plants tells it."""

    kind: str
    asset: str
    start: float
    end: float
    size: float
    symbols: tuple[str, ...]

    def explains(self, asset: str, t: float, after: float) -> bool:
        """Return whether it changes trades of an asset at `t`, or did at most `after` seconds before."""
        return asset in self.symbols and self.start <= t < self.end + after


class Demo:
    """A running demo, and the truth about its market."""

    def __init__(self, folder: Path) -> None:
        self.service = Service(folder, "demo", "--mock-port", "0", "--plants", str(RATE)).started()
        found = re.search(r"mock_exchange.*?(http://127\.0\.0\.1:\d+)", self.service.process.output)
        assert found
        self._exchange = found[1]
        self.began = time.time()

    def get(self, path: str) -> Json:
        """Return the answer to a call, which must be 200."""
        answer = self.service.get(path)
        assert answer.status == 200, answer.text
        body: Json = msgspec.json.decode(answer.body)
        return body

    def plants(self, *kinds: str) -> list[Plant]:
        """Return the plants of these kinds, from ten minutes before the start until now."""
        answer = call("GET", f"{self._exchange}/mock/plants?since={self.began - 600:.0f}&until={time.time():.0f}")
        assert answer.status == 200, answer.text
        found = msgspec.json.decode(answer.body, type=dict[str, list[Plant]])["plants"]
        return [plant for plant in found if plant.kind in kinds]

    def positions(self) -> list[Json]:
        """Return all positions, the open and the closed."""
        return [*self.get("/positions")["positions"], *self.closed()]

    def closed(self) -> list[Json]:
        """Return the closed positions."""
        found: list[Json] = self.get("/positions/closed?limit=1000")["positions"]
        return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run one demo for all tests of the module."""
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    assert running.service.process.stop() == 0, running.service.process.output


def awaited(look: Callable[[], Sequence[Found]], seconds: float, what: str) -> Sequence[Found]:
    """Return the first look that is not empty; fail after `seconds`."""
    looks: list[Sequence[Found]] = []

    def has_found() -> bool:
        looks[:] = [look()]
        if not looks[0]:
            time.sleep(POLL_SECONDS)
        return bool(looks[0])

    wait_for(has_found, seconds, what)
    return looks[0]


def test_a_headline_is_joined_with_the_volume_that_was_planted_with_it(demo: Demo) -> None:
    """It has the sentiment of its wording, and a correlation."""

    def joined() -> list[tuple[Plant, Json]]:
        # Of earlier headlines, the service may have missed the volume.
        planted = [plant for plant in demo.plants("headline") if plant.start > demo.began + JOIN_SECONDS]
        return [
            (plant, item)
            for plant in planted
            for item in demo.get(f"/sentiment/{plant.asset}?hours=1")["items"]
            if abs(item["published_at"] - plant.start) < 0.001 and item["correlation_strength"] != "none"
        ]

    for plant, item in awaited(joined, NEWS_SECONDS, "a planted headline to be joined"):
        assert item["source"] == "mock"
        assert item["url"].startswith("https://news.invalid/")
        assert item["sentiment"] * plant.size >= 0.5
        assert item["label"] == ("positive" if plant.size > 0 else "negative")
        assert item["correlation_strength"] in ("strong", "moderate")


def test_a_drop_opens_a_paper_position(demo: Demo) -> None:
    """Its asset falls while it is bought, the signal is there, and nothing but drops opens positions."""
    positions = awaited(demo.positions, OPEN_SECONDS, "a drop to open a paper position")
    drops = demo.plants("drop")
    for position in positions:
        explained = [drop.explains(position["asset"], position["entry_time"], WINDOW_SECONDS) for drop in drops]
        assert any(explained), position
        signals = demo.get(f"/signals/{position['asset']}")["signals"]
        assert any((one["side"], one["timestamp"]) == ("buy", position["entry_time"]) for one in signals)


@pytest.mark.long
def test_unusual_trades_are_flagged(demo: Demo) -> None:
    """Among the flagged trades of the first pair are planted ones."""

    def flagged() -> list[Json]:
        plants = demo.plants("spike", "volume_burst", "rate_burst")
        return [
            one
            for one in demo.get("/anomalies/btcusdt?hours=1")["anomalies"]
            if any(plant.explains("btcusdt", one["timestamp"], 0) for plant in plants)
        ]

    awaited(flagged, MODEL_SECONDS, "a planted trade to be flagged")
    assert demo.get("/anomalies/btcusdt")["state"] == "ready"


@pytest.mark.long
def test_the_rise_after_a_drop_closes_a_position_with_a_profit(demo: Demo) -> None:
    """It is sold at 5 % above the price at which it was bought."""
    for position in awaited(demo.closed, CLOSE_SECONDS, "a position to be closed"):
        assert position["exit_price"] >= 1.05 * position["entry_price"]
        assert position["profit"] > 0
        assert position["exit_time"] > position["entry_time"]
