"""An invented market: which asset is traded next, at which price and volume. Pure: the same seed, the same trades."""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

_DIGITS = 6  # significant digits of a first price
_LOWEST, _HIGHEST = -2.0, 4.5  # powers of ten between which first prices are
_STEP = 0.0003  # standard deviation of a step, as a share of the price
_FLOOR = 0.01  # share of its first price below which no price falls
_MEDIAN_VOLUME, _VOLUME_SIGMA = 50.0, 1.0  # of a lognormal distribution


class MadeTrade(NamedTuple):
    """An invented trade. `price` is in quote units, `volume` in whole base units: protobuf has no fractions of it."""

    asset: str
    price: float
    volume: int
    is_buy: bool


class _Walk:
    """The random walk of the price of an asset."""

    def __init__(self, asset: str, first: float) -> None:
        self.asset = asset
        self._decimals = _DIGITS - 1 - math.floor(math.log10(first))
        self._price = round(first, self._decimals)
        self._floor = self._price * _FLOOR

    def move(self, step: float) -> float:
        """Return the next price: `step` is the change as a share of the price."""
        self._price = max(round(self._price * (1 + step), self._decimals), self._floor)
        return self._price


class Market:
    """Invents trades of these assets, all of which trade equally often."""

    def __init__(self, assets: Sequence[str], seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # invented prices, no secrets
        self._walks = [_Walk(asset, 10 ** self._random.uniform(_LOWEST, _HIGHEST)) for asset in assets]

    def trade(self) -> MadeTrade:
        """Return the next trade."""
        draw = self._random
        walk = self._walks[int(draw.random() * len(self._walks))]
        step = draw.gauss(0.0, _STEP)
        volume = max(1, round(draw.lognormvariate(math.log(_MEDIAN_VOLUME), _VOLUME_SIGMA)))
        return MadeTrade(walk.asset, walk.move(step), volume, step > 0)
