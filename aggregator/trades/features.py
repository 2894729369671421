"""The features of an asset's trades: VWAP, mean price, volume z-score, momentum, frequency. Pure.

`AssetFeatures` is the operator of one asset: `update` takes the next trade, `snapshot` returns its state as plain data,
and `restore` continues from that.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import product

import msgspec

from aggregator.models import Trade
from aggregator.trades.unit import unit_of
from aggregator.trades.windows import TradeWindow, WindowState

MINUTE, FIVE_MINUTES = 60, 300  # seconds
PRIOR_VOLUMES = 19  # that a volume is compared with, at most
_LEAST_PRIOR = 2


class Features(msgspec.Struct, gc=False, frozen=True):
    """The features of an asset at its newest trade, in the order of `trade_key`, that is not late.

    Prices are in quote units; None where there is not enough yet. `window_end` is the time of that trade,
    `window_start` 300 s before it, `updated_at` our time of computing; all unix seconds. `trade_frequency` counts the
    trades of 60 s. `price_momentum` is in percent. `warming_up` names the features that are None.
    `by_second`: the window holds so many trades that its older part is kept as sums by second, so the windows are exact
    to a second only.
    """

    asset: str
    vwap_1min: float | None
    vwap_5min: float | None
    rolling_avg_5min: float | None
    volume_zscore: float | None
    price_momentum: float | None
    trade_frequency: int
    vwap_deviation: float | None
    window_start: float
    window_end: float
    updated_at: float
    warming_up: tuple[str, ...]
    by_second: bool = False


class VolumeZScore:
    """The newest volume in sample deviations from the mean of the up to 19 volumes before it. Volumes are integers."""

    __slots__ = ("_squares", "_sum", "_volumes")

    def __init__(self) -> None:
        self._volumes: list[int] = []
        self._sum = self._squares = 0

    def add(self, volume: int) -> None:
        """Add the volume of the newest trade."""
        volumes = self._volumes
        volumes.append(volume)
        if len(volumes) <= PRIOR_VOLUMES + 1:
            self._sum += volume
            self._squares += volume * volume
        else:
            oldest = volumes.pop(0)
            self._sum += volume - oldest
            self._squares += volume * volume - oldest * oldest

    def insert(self, volume: int, newer: int) -> None:
        """Add the volume of a trade before the `newer` newest ones."""
        if newer > PRIOR_VOLUMES:
            return
        volumes = [*self._volumes]
        volumes.insert(len(volumes) - newer, volume)
        self.restore(volumes[-PRIOR_VOLUMES - 1 :])

    def snapshot(self) -> list[int]:
        """Return the state as plain data."""
        return [*self._volumes]

    def restore(self, state: list[int]) -> None:
        """Continue from a snapshot."""
        self._volumes = [*state]
        self._sum = sum(state)
        self._squares = sum(volume * volume for volume in state)

    def refine(self, factor: int) -> None:
        """Multiply the volumes, as their unit has become finer."""
        self.restore([volume * factor for volume in self._volumes])

    def value(self) -> float | None:
        """Return the z-score of the newest volume: None before two prior volumes, 0 if these are equal."""
        number = len(self._volumes) - 1
        if number < _LEAST_PRIOR:
            return None
        newest = self._volumes[-1]
        prior = self._sum - newest
        spread = number * (self._squares - newest * newest) - prior * prior  # n² times the variance of n values
        if spread == 0:
            return 0.0
        return (number * newest - prior) / math.sqrt(spread * number / (number - 1))


class FeaturesState(msgspec.Struct, frozen=True):
    """The state of `AssetFeatures` as plain data. The units are the `parts` of prices and of volumes."""

    window: WindowState
    volumes: list[int]
    has_volume: bool
    units: tuple[int, int]


class AssetFeatures:
    """The operator of one asset. `most` bounds the trades that the window holds one by one; `lateness` is in seconds.

    A trade that is later than that has no part in windows: the caller leaves it out.
    """

    __slots__ = ("_asset", "_has_volume", "_prices", "_volumes", "_window", "_zscore")

    def __init__(self, asset: str, most: int, lateness: float) -> None:
        self._asset = asset
        self._window = TradeWindow(MINUTE, FIVE_MINUTES, most, lateness)
        self._zscore = VolumeZScore()
        self._prices = self._volumes = unit_of(1)
        self._has_volume = False  # the newest trade

    def update(self, trade: Trade) -> bool:
        """Take a trade that is not late; return False, and do nothing, if the window has the trade already."""
        price = self._prices.whole(trade.price)
        if price is None:
            price = self._with_finer_prices(trade.price)
        volume, has_volume = 0, trade.volume is not None
        if trade.volume is not None:
            whole = self._volumes.whole(trade.volume)
            volume = self._with_finer_volumes(trade.volume) if whole is None else whole
        newer = self._window.add(trade, price, volume)
        if newer is None:
            return False
        if not newer:
            self._has_volume = has_volume
        if has_volume and newer:
            self._zscore.insert(volume, self._window.volumes_after(newer, PRIOR_VOLUMES + 1))
        elif has_volume:
            self._zscore.add(volume)
        return True

    @property
    def size(self) -> int:
        """The number of entries of the window."""
        return len(self._window.times)

    def has(self, trade: Trade) -> bool:
        """Whether the window has a trade that is not late."""
        return self._window.has(trade)

    def snapshot(self) -> FeaturesState:
        """Return the state as plain data."""
        units = self._prices.parts, self._volumes.parts
        return FeaturesState(self._window.snapshot(), self._zscore.snapshot(), self._has_volume, units)

    def restore(self, state: FeaturesState) -> None:
        """Continue from a snapshot."""
        self._window.restore(state.window)
        self._zscore.restore(state.volumes)
        self._has_volume = state.has_volume
        self._prices, self._volumes = map(unit_of, state.units)

    def values(self, now: float) -> Features:
        """Return the features at the newest trade; `now` is our time. Raises IndexError before the first trade."""
        window, parts = self._window, self._prices.parts
        end = window.times[-1]
        price, before, frequency, minute_volume, minute_product, count, price_sum, volume, product = window.sums()
        vwap_1min = minute_product / (minute_volume * parts) if minute_volume else None
        vwap_5min = product / (volume * parts) if volume else None
        zscore = self._zscore.value() if self._has_volume else None
        momentum = None if before is None else 100 * (price - before) / before
        warming_up: tuple[str, ...] = ()
        if vwap_1min is None or vwap_5min is None or zscore is None or momentum is None:
            warming_up = _MISSING[vwap_1min is None, vwap_5min is None, zscore is None, momentum is None]
        return Features(
            self._asset,
            vwap_1min,
            vwap_5min,
            price_sum / (count * parts),
            zscore,
            momentum,
            frequency,
            None if vwap_5min is None else price / parts - vwap_5min,
            end - FIVE_MINUTES,
            end,
            now,
            warming_up,
            window.merged_until > end - FIVE_MINUTES,
        )

    def _with_finer_prices(self, price: Decimal) -> int:
        """Make the unit of prices as fine as `price` needs; return the price in units."""
        finer = self._prices.finer(price)
        self._window.refine(finer.parts // self._prices.parts, 1)
        self._prices = finer
        return finer.exactly(price)

    def _with_finer_volumes(self, volume: Decimal) -> int:
        """Make the unit of volumes as fine as `volume` needs; return the volume in units."""
        finer = self._volumes.finer(volume)
        factor = finer.parts // self._volumes.parts
        self._window.refine(1, factor)
        self._zscore.refine(factor)
        self._volumes = finer
        return finer.exactly(volume)


def _names(missing: Sequence[bool]) -> tuple[str, ...]:
    """Return the features that are missing, of those that can be."""
    names = ("vwap_1min", "vwap_5min", "volume_zscore", "price_momentum")
    found = tuple(name for name, is_missing in zip(names, missing, strict=True) if is_missing)
    return (*found, "vwap_deviation") if missing[1] else found


_MISSING = {missing: _names(missing) for missing in product((False, True), repeat=4)}
