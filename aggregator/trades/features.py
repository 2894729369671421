"""The features of an asset's trades (see DESIGN: VWAP, means, z-score, momentum, frequency). Pure."""

import msgspec


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
