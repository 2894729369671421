"""Trades of one invented asset with unusual events at known times, and the features of each."""

import math
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from aggregator.models import Trade
from aggregator.trades.analytic import Measured
from aggregator.trades.features import AssetFeatures

START = 1_764_400_000.0
KINDS = ("price spike", "volume burst", "rate burst")
_RATE = 3.0  # trades per second
_EVERY = (600.0, 1200.0)  # seconds from the begin of an event to that of the next: more trades than a model has
_SECONDS = {"price spike": 2.0, "volume burst": 5.0, "rate burst": 10.0}
_WANDER, _TICK = 0.00005, 0.00003  # standard deviations of the log price: of its way in a second, and of one trade
_LATENESS, _WINDOW = 5.0, 10_000  # as the settings have them


class Plant(NamedTuple):
    """An event: its kind, and its times in unix seconds."""

    kind: str
    start: float
    end: float
    size: float


class Planted(NamedTuple):
    """A measured trade, and the event that it is part of."""

    measured: Measured
    plant: Plant | None


def planted(seed: int, count: int) -> Iterator[Planted]:
    """Yield trades: a random walk of the price, lognormal volumes, Poisson arrivals, and the three kinds of events."""
    draw, asset = random.Random(seed), f"asset{seed}"
    operator = AssetFeatures(asset, _WINDOW, _LATENESS)
    level, now, plants = math.log(draw.uniform(0.1, 50_000)), START, _plants(draw)
    plant = next(plants)
    for number in range(count):
        is_under_way = plant.start <= now < plant.end
        gap = draw.expovariate(_RATE * (plant.size if is_under_way and plant.kind == "rate burst" else 1))
        now = round(now + gap, 6)
        while now >= plant.end:
            plant = next(plants)
        kind = plant.kind if now >= plant.start else ""
        level += draw.gauss(0, _WANDER * math.sqrt(gap))
        price = math.exp(level + draw.gauss(0, _TICK) + (plant.size if kind == "price spike" else 0))
        volume = draw.lognormvariate(0, 1.3) * (plant.size if kind == "volume burst" else 1)
        trade = Trade(asset, Decimal(f"{price:.8g}"), Decimal(f"{volume:.6g}"), now, "bench", str(number))
        operator.update(trade)
        yield Planted(Measured(trade, operator.values(now), live=True), plant if kind else None)


def _plants(draw: random.Random) -> Iterator[Plant]:
    """Yield events without an end. They are like those of the mock market."""
    start = START + 600
    while True:
        kind = draw.choice(KINDS)
        size = {
            "price spike": draw.choice((-1, 1)) * draw.uniform(0.010, 0.016),
            "volume burst": draw.uniform(15, 30),
            "rate burst": 10.0,
        }[kind]
        yield Plant(kind, start, start + _SECONDS[kind], size)
        start += draw.uniform(*_EVERY)
