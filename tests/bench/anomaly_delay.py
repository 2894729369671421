"""Latency of features with the search for unusual trades and without it, in turns.

The service takes trades over HTTP at a fixed rate, everything on, and a subscriber reads the features on /stream. The
latency of an event is the time from when its trade was sent. Each of the 1,000 assets has a model, so every trade is
scored; fits take what ANOMALY_CPU allows.
"""

import re
import time

from aggregator.anomalies.forest import Forest
from tests.bench.anomaly_stream import save_models
from tests.bench.report import Figure, median_ratio
from tests.bench.scene import Scene, metrics_of, scene
from tests.bench.trade_generator import Load, assets
from tests.bench.trade_scene import TradeService, new_folder, percentile
from tests.parts.process import wait_for

RATE = 5_000.0  # trades/s; at more, slow machines measure how far the service is behind
_ROUNDS, _SECONDS = 3, 10.0
_FIRST_CALLS, _EARLIER = 6, 120.0  # calls whose trades give the later ones a momentum, and their age in seconds
_WARM_UP, _SETTLE = 3.0, 1.0  # seconds
_AT = re.compile(rb'"window_end":([\d.]+)')


def run(forest: Forest, rounds: int = _ROUNDS, seconds: float = _SECONDS, rate: float = RATE) -> list[Figure]:
    """Measure in turns. `forest` is the model of every asset."""
    with_search, without = list[list[float]](), list[list[float]]()
    for number in range(rounds):
        for turns, model in ((with_search, forest), (without, None))[:: -1 if number % 2 else 1]:
            with scene() as parts:
                turns.append(_delays(parts, model, seconds, rate))
    p99_with, p99_without = ([percentile(one, 0.99) for one in some] for some in (with_search, without))
    return [
        Figure(f"features at {rate:,.0f} trades/s, p50 without the search", _median(without), "ms"),
        Figure("  with it", _median(with_search), "ms"),
        *(Figure("  p99 without the search, of a turn", p99, "ms") for p99 in p99_without),
        *(Figure("  p99 with it, of a turn", p99, "ms") for p99 in p99_with),
        Figure("  p99 with it / without", median_ratio(p99_with, p99_without)),
    ]


def _median(turns: list[list[float]]) -> float:
    return percentile([delay for one in turns for delay in one], 0.5)


def _delays(parts: Scene, forest: Forest | None, seconds: float, rate: float) -> list[float]:
    """Return the latency of each event, in ms."""
    folder, number = new_folder(parts), len(assets())
    if forest is not None:
        save_models(folder / "state" / "anomalies", forest)
    trades = TradeService(parts, folder=folder, keep=True, anomalies=str(forest is not None).lower())
    earlier, most = time.time() - _EARLIER, _FIRST_CALLS * number
    trades.generator(Load("calls", _EARLIER, name="f", most=most, event_rate=rate, event_start=earlier)).done()
    size = round(rate / 100)
    trades.generator(Load("open", _WARM_UP, size, "w", rate)).done()
    if forest is not None:
        wait_for(lambda: metrics_of(trades.service)["anomalies_models"] == number, what="models of all assets")
    begun = time.time()
    trades.generator(Load("open", seconds, size, "a", rate)).done()
    ended = time.time()
    time.sleep(_SETTLE)
    trades.features.stop()
    events = ((float(sent), at) for sent, at in trades.features.found(_AT))
    return [1000 * (at - sent) for sent, at in events if begun <= sent <= ended]
