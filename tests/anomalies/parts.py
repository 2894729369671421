"""Measured trades and batches for tests of anomalies."""

import random
from array import array
from collections.abc import Sequence
from decimal import Decimal

from aggregator.anomalies.messages import Batch
from aggregator.models import Trade
from aggregator.trades.analytic import Measured
from aggregator.trades.features import Features

START = 1_764_400_000.0


def measured(number: int, asset: str = "btcusdt", *, live: bool = True, odd: bool = False) -> Measured:
    """Return the trade with this number, and features that depend on it alone. An odd one is far from all others."""
    draw, at = random.Random(f"{asset}{number}"), START + number
    price, volume = 100 + draw.gauss(0, 0.1), draw.lognormvariate(0, 1)
    zscore, momentum, deviation = draw.gauss(0, 1), draw.gauss(0, 0.1), draw.gauss(0, 0.1)
    if odd:
        price, volume, zscore, momentum, deviation = 200, 10_000, 40, 60, 90
    trade = Trade(asset, Decimal(str(round(price, 2))), Decimal(str(round(volume, 6))), at, "venue", str(number))
    features = Features(
        asset, 100, 100, 100, zscore, momentum, 900 if odd else draw.randint(50, 60), deviation, at - 300, at, at, ()
    )
    return Measured(trade, features, live)


def batch_of(rows: Sequence[Sequence[float]], first: int = 0, asset: int = 0, *, live: bool = True) -> Batch:
    """Return samples of one asset, a second apart, the first one `first` seconds after START."""
    times = [START + first + number for number in range(len(rows))]
    return Batch(
        assets=array("I", [asset] * len(rows)).tobytes(),
        times=array("d", times).tobytes(),
        live=bytes([live] * len(rows)),
        samples=array("f", [value for row in rows for value in row]).tobytes(),
    )
