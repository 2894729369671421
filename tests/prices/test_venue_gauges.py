"""The gauges of each exchange's price of the hot assets: which series there are, and when they end."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.models import LeftOut, NoPrice, Price, Reason, Source, Tier
from aggregator.observability.metrics import Metrics
from aggregator.prices import venue_gauges
from aggregator.prices.tiers import Catalog, assign
from aggregator.prices.venue_figures import VenueFigures
from aggregator.prices.venue_gauges import VenueGauges
from tests.parts.examples import CADENCE, NOW
from tests.parts.process import ROOT

PATIENCE = CADENCE[Tier.HOT].gone_after


class Scene:
    """Figures and their gauges, with two assets of which the first is hot."""

    def __init__(self) -> None:
        self.catalog: Catalog = assign([("btcusdt", "", ""), ("ethusdt", "", "")], 1, 1, CADENCE)
        self.figures = VenueFigures()
        self.metrics = Metrics(CollectorRegistry())
        self.gauges = VenueGauges(self.figures, self.catalog, self.metrics)

    def made(self, now: float, **sources: str) -> None:
        """Record a price of 100 of these sources, and update the gauges."""
        found = tuple(Source(name, Decimal(amount), Decimal(1), NOW, Decimal(1)) for name, amount in sources.items())
        price = Price("btcusdt", Decimal(100), NOW, Tier.HOT, Decimal(0), NOW, found)
        self.figures.record([price], now)
        self.update(now)

    def update(self, now: float) -> None:
        """Update the gauges."""
        for _ in self.gauges.update(now):
            pass

    def shown(self, metric: str = "price_exchange_price") -> dict[str, float]:
        """Return the values of the series of btcusdt, by exchange."""
        return {
            sample.labels["exchange"]: sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == metric and sample.labels["asset"] == "btcusdt"
        }


@pytest.fixture
def scene() -> Scene:
    """Return a scene without prices."""
    return Scene()


def test_each_exchange_has_its_price_and_distance(scene: Scene) -> None:
    """Of the newest price; the same price again changes nothing."""
    scene.made(1.0, exchange1="101", exchange2="99.5")
    assert scene.shown() == {"exchange1": 101, "exchange2": 99.5}
    distances = scene.shown("price_exchange_distance_ratio")
    assert distances == {"exchange1": pytest.approx(0.01), "exchange2": pytest.approx(-0.005)}
    scene.made(3.0, exchange1="100.5", exchange2="99.5")
    scene.update(4.0)
    assert scene.shown() == {"exchange1": 100.5, "exchange2": 99.5}


def test_a_series_ends_without_a_ticker(scene: Scene) -> None:
    """After six hot intervals; the series of the other exchange stays, and the ended one begins again."""
    scene.made(1.0, exchange1="101", exchange2="99")
    scene.made(1.0 + PATIENCE, exchange1="101")
    assert set(scene.shown()) == {"exchange1", "exchange2"}
    scene.made(1.5 + PATIENCE, exchange1="101")
    assert set(scene.shown()) == set(scene.shown("price_exchange_distance_ratio")) == {"exchange1"}
    scene.made(3.0 + PATIENCE, exchange1="101", exchange2="98")
    assert scene.shown() == {"exchange1": 101, "exchange2": 98}


def test_exchanges_that_disagree_keep_their_prices(scene: Scene) -> None:
    """Without a price of ours there is no distance, so that series ends first."""
    scene.made(1.0, exchange1="101")
    apart = LeftOut("exchange1", Reason.DISAGREEMENT, price=Decimal(150))
    scene.figures.record([NoPrice("btcusdt", (apart,))], PATIENCE)
    scene.update(2.0 + PATIENCE)
    assert (scene.shown(), scene.shown("price_exchange_distance_ratio")) == ({"exchange1": 150}, {})


def test_an_asset_that_leaves_the_hot_tier_has_no_series(scene: Scene) -> None:
    """At once, and for good."""
    scene.made(1.0, exchange1="101")
    assert scene.shown()
    scene.catalog.assign_slots({"btcusdt": "ethusdt", "ethusdt": "btcusdt"})
    scene.update(2.0)
    assert (scene.shown(), scene.figures.hot()) == ({}, [])


def test_at_most_so_many_assets_have_series(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the first ranks; a larger hot tier would make the scrape long."""
    scene.catalog = assign([("ethusdt", "", ""), ("btcusdt", "", "")], 2, 0, CADENCE)
    scene.gauges = VenueGauges(scene.figures, scene.catalog, scene.metrics)
    monkeypatch.setattr(venue_gauges, "MOST_ASSETS", 1)
    scene.made(1.0, exchange1="101")
    assert scene.shown() == {}
    monkeypatch.setattr(venue_gauges, "MOST_ASSETS", 2)
    scene.made(2.0, exchange1="101")
    assert scene.shown() == {"exchange1": 101}


SHARED = """
import asyncio

from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.ending_gauge import EndingGauge

metrics = Metrics()
assert metrics.is_shared
gauge = EndingGauge(metrics.venue_price, is_shared=True)
for name, value in (("exchange1", 1.5), ("exchange2", 2.5)):
    gauge.set((name, "btcusdt"), value)
gauge.end(("exchange1", "btcusdt"))
gauge.end(("nosuch", "btcusdt"))


def shown() -> list[str]:
    text = asyncio.run(metrics.scrape()).decode()
    return [line for line in text.splitlines() if line.startswith("price_exchange_price{")]


before = shown()
gauge.set(("exchange1", "btcusdt"), 3.5)
print(before, len(shown()))
"""


@pytest.mark.real
def test_a_series_ends_where_processes_share_their_metrics(tmp_path: Path) -> None:
    """In a process of its own, as prometheus_client reads the folder's name when it is imported."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "error::UserWarning", "-c", SHARED]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.stderr == ""
    assert done.stdout == '[\'price_exchange_price{asset="btcusdt",exchange="exchange2"} 2.5\'] 2\n'
