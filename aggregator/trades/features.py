"""The features of an asset's trades: VWAP, mean price, volume z-score, momentum, frequency. Pure.

`AssetFeatures` is the operator of one asset: `update` takes the next trade, `snapshot` returns its state as plain data,
and `restore` continues from that.
"""

import math
from bisect import insort

import msgspec

from aggregator.models import Trade
from aggregator.trades.windows import MICROSECONDS, Key, Span, TradeWindow, WindowState

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

    def __init__(self) -> None:
        self._volumes: list[tuple[Key, int]] = []
        self._sum = self._squares = 0

    def update(self, key: Key, volume: int) -> None:
        """Take a volume."""
        volumes = self._volumes
        if volumes and key < volumes[-1][0]:
            insort(volumes, (key, volume))
        else:
            volumes.append((key, volume))
        self._sum += volume
        self._squares += volume * volume
        if len(volumes) > PRIOR_VOLUMES + 1:
            _, oldest = volumes.pop(0)
            self._sum -= oldest
            self._squares -= oldest * oldest

    def snapshot(self) -> list[tuple[Key, int]]:
        """Return the state as plain data."""
        return [*self._volumes]

    def restore(self, state: list[tuple[Key, int]]) -> None:
        """Continue from a snapshot."""
        self._volumes = [*state]
        self._sum = sum(volume for _, volume in state)
        self._squares = sum(volume * volume for _, volume in state)

    def refine(self, factor: int) -> None:
        """Multiply the volumes, as their unit has become finer."""
        self._volumes = [(key, volume * factor) for key, volume in self._volumes]
        self._sum *= factor
        self._squares *= factor * factor

    def at(self, key: Key) -> float | None:
        """Return the z-score of the newest trade, whose key this is.

        None before two prior volumes, or if that trade has no volume; 0 if all prior volumes are equal.
        """
        volumes = self._volumes
        number = len(volumes) - 1
        if number < _LEAST_PRIOR or volumes[-1][0] != key:
            return None
        newest = volumes[-1][1]
        prior = self._sum - newest
        spread = number * (self._squares - newest * newest) - prior * prior  # n² times the variance of n values
        if spread == 0:
            return 0.0
        return (number * newest - prior) / math.sqrt(spread) * math.sqrt((number - 1) / number)


class FeaturesState(msgspec.Struct, frozen=True):
    """The state of `AssetFeatures` as plain data."""

    window: WindowState
    volumes: list[tuple[Key, int]]


class AssetFeatures:
    """The operator of one asset. `most` bounds the trades that the window holds one by one; `lateness` is in seconds.

    A trade that is later than that has no part in windows: the caller leaves it out.
    """

    def __init__(self, asset: str, most: int, lateness: float) -> None:
        self._asset = asset
        self._minute, self._five_minutes = Span(MINUTE), Span(FIVE_MINUTES)
        self._window = TradeWindow((self._minute, self._five_minutes), most, round(lateness * MICROSECONDS))
        self._zscore = VolumeZScore()
        self._volume_unit = self._window.volumes.unit

    def update(self, trade: Trade) -> bool:
        """Take a trade that is not late; return False, and do nothing, if the window has the trade already."""
        key = (round(trade.timestamp * MICROSECONDS), trade.venue, trade.id)
        volume = self._window.add(key, trade.price, trade.volume)
        if volume is None:
            return False
        unit = self._window.volumes.unit
        if unit != self._volume_unit:
            self._zscore.refine(unit // self._volume_unit)
            self._volume_unit = unit
        if trade.volume is not None:
            self._zscore.update(key, volume)
        return True

    def has(self, trade: Trade) -> bool:
        """Whether the window has a trade that is not late."""
        return self._window.has((round(trade.timestamp * MICROSECONDS), trade.venue, trade.id))

    def snapshot(self) -> FeaturesState:
        """Return the state as plain data."""
        return FeaturesState(self._window.snapshot(), self._zscore.snapshot())

    def restore(self, state: FeaturesState) -> None:
        """Continue from a snapshot."""
        self._window.restore(state.window)
        self._zscore.restore(state.volumes)
        self._volume_unit = self._window.volumes.unit

    def values(self, now: float) -> Features:
        """Return the features at the newest trade; `now` is our time. Raises IndexError before the first trade."""
        window, minute, five_minutes = self._window, self._minute, self._five_minutes
        price_unit = window.prices.unit
        newest = window.newest
        end = newest[0] / MICROSECONDS
        price = window.prices.values[-1]
        vwap_1min = minute.product_sum / (minute.volume_sum * price_unit) if minute.volume_sum else None
        vwap_5min = (
            five_minutes.product_sum / (five_minutes.volume_sum * price_unit) if five_minutes.volume_sum else None
        )
        zscore = self._zscore.at(newest)
        momentum = None
        if minute.first:
            before = window.last_price(minute.first - 1)
            momentum = 100 * (price - before) / before
        warming_up: tuple[str, ...] = ()
        if vwap_1min is None or vwap_5min is None or zscore is None or momentum is None:
            warming_up = _missing(vwap_1min, vwap_5min, zscore, momentum)
        return Features(
            self._asset,
            vwap_1min,
            vwap_5min,
            five_minutes.price_sum / (five_minutes.count * price_unit),
            zscore,
            momentum,
            minute.count,
            None if vwap_5min is None else price / price_unit - vwap_5min,
            end - FIVE_MINUTES,
            end,
            now,
            warming_up,
            window.by_second_until > newest[0] - five_minutes.length,
        )


def _missing(*values: float | None) -> tuple[str, ...]:
    names = ("vwap_1min", "vwap_5min", "volume_zscore", "price_momentum")
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    return (*missing, "vwap_deviation") if values[1] is None else tuple(missing)
