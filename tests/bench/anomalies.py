"""Unusual trades: what the forest finds of what was planted, and what it costs.

The forest learns and scores as in the worker process: in the order of the trades, with the model of that time. It is
compared with two plain rules: the volume's z-score is beyond 3, or any of the six features is more than 3 standard
deviations from its mean over the last 1,000 trades. Trades before the first model have no part.
"""

import random
import tempfile
import time
from array import array
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import NamedTuple

import psutil

from aggregator.anomalies.detector import Detector
from aggregator.anomalies.fit_queue import FIRST
from aggregator.anomalies.forest import Forest, fit
from aggregator.anomalies.messages import Batch
from aggregator.anomalies.model_files import ModelFiles
from aggregator.anomalies.sample import SIZE, Sample, sample_of
from aggregator.anomalies.waiting import Waiting
from tests.bench import anomaly_delay, anomaly_stream
from tests.bench.planted_trades import KINDS, Plant, planted
from tests.bench.report import Figure

_ASSETS, _TRADES = 4, 12_000
_AT_ONCE = 50  # trades in a batch
_LIMIT = 3.0
_RULE_EVERY = 50  # trades after which the rule's means are computed anew
_SCORED_ASSETS, _SCORED = 1000, 15_000
_BATCH = 7500  # what 15,000 trades/s bring in the interval between two batches


class Found(NamedTuple):
    """A trade whose features are all known: the event it is part of, and whether forest and rules flag it."""

    plant: Plant | None
    forest: bool
    volume_rule: bool
    any_rule: bool


def run(assets: int = _ASSETS, trades: int = _TRADES) -> list[Figure]:
    """Compare forest and rules on `trades` trades of each asset; then measure cost and memory."""
    found: list[Found] = []
    for seed in range(assets):
        found += _evaluated(seed, trades)
    figures = [Figure("trades", len(found)), Figure("of them planted", sum(one.plant is not None for one in found))]
    for name, column in (("forest", 1), ("|volume_zscore| > 3", 2), ("any feature beyond 3 deviations", 3)):
        figures += _figures(name, [(one.plant, bool(one[column])) for one in found])
    return figures + _costs()


def _evaluated(seed: int, count: int) -> list[Found]:
    """Return the trades after the first model."""
    found: list[Found] = []
    with tempfile.TemporaryDirectory() as folder:
        detector, waiting = Detector(ModelFiles(Path(folder)), 1e9, clock=_Minutes()), Waiting()
        rule, plants, vectors = AnyFeature(), list[Plant | None](), list[Sample]()
        has_model = False
        for one in planted(seed, count):
            vector = sample_of(one.measured)
            if vector is None:
                continue
            vectors.append(vector)
            plants.append(one.plant)
            waiting.add([one.measured])
            if len(plants) < _AT_ONCE:
                continue
            flagged = {finding.row for finding in detector.handle(waiting.take().batch(_new(detector))).findings}
            beyond = [rule.is_beyond(row) for row in vectors]
            if has_model:
                found += [
                    Found(plant, row in flagged, abs(vectors[row][2]) > _LIMIT, beyond[row])
                    for row, plant in enumerate(plants)
                ]
            detector.fit_next()
            has_model = bool(len(detector._arena))
            plants, vectors = [], []
    return found


class _Minutes:
    """A clock on which a minute passes with each look, so that no fit waits."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 60
        return self._now


def _new(detector: Detector) -> list[str]:
    """Return the names that a detector does not know yet: there is one asset."""
    return [] if detector._names else ["asset"]


class AnyFeature:
    """The plain rule: any feature is further from its mean than three deviations, over the last 1,000 trades."""

    def __init__(self) -> None:
        self._last: deque[Sample] = deque(maxlen=FIRST)
        self._bounds: list[tuple[float, float]] = []
        self._count = 0

    def is_beyond(self, vector: Sample) -> bool:
        """Whether the rule flags a trade; then add it."""
        is_beyond = any(not low <= value <= high for value, (low, high) in zip(vector, self._bounds, strict=False))
        self._last.append(vector)
        self._count += 1
        if len(self._last) == FIRST and self._count % _RULE_EVERY == 0:
            self._bounds = [_bounds(column) for column in zip(*self._last, strict=True)]
        return is_beyond


def _bounds(column: Sequence[float]) -> tuple[float, float]:
    mean, reach = fmean(column), _LIMIT * stdev(column)
    return mean - reach, mean + reach


def _figures(name: str, flags: Sequence[tuple[Plant | None, bool]]) -> list[Figure]:
    """Return precision, recall of trades, and recall of events by kind."""
    flagged = [plant for plant, is_flagged in flags if is_flagged]
    true = sum(plant is not None for plant in flagged)
    all_planted = sum(plant is not None for plant, _ in flags)
    events, hit = {plant for plant, _ in flags if plant}, {plant for plant in flagged if plant}
    precision, recall = true / max(1, len(flagged)), true / max(1, all_planted)
    return [
        Figure(f"{name}: flagged", 100 * len(flagged) / len(flags), "%"),
        Figure(f"{name}: precision", 100 * precision, "%"),
        Figure(f"{name}: recall of trades", 100 * recall, "%"),
        Figure(f"{name}: F1", 100 * 2 * precision * recall / max(1e-9, precision + recall), "%"),
        *(Figure(f"{name}: events found, {kind}", 100 * _share(hit, events, kind), "%") for kind in KINDS),
    ]


def _share(hit: set[Plant], events: set[Plant], kind: str) -> float:
    return sum(one.kind == kind for one in hit) / max(1, sum(one.kind == kind for one in events))


def _costs() -> list[Figure]:
    """Measure scoring of 1,000 assets, one fit, and the memory of their models."""
    draw = random.Random(1)
    rows = array("f", [draw.gauss(0, 1) for _ in range(SIZE * _SCORED)])
    with tempfile.TemporaryDirectory() as folder:
        detector = Detector(ModelFiles(Path(folder)), 1e9)
        process = psutil.Process()
        forest, fit_seconds = _fitted()
        before = process.memory_info().rss
        _fill(detector, forest, rows)
        memory = (process.memory_info().rss - before) / _SCORED_ASSETS
        seconds = [_scoring_seconds(detector, draw, rows) for _ in range(4)]
    return [
        Figure("CPU of a fit", 1e3 * fit_seconds, "ms"),
        Figure("CPU of a scored trade, 1,000 assets", 1e6 * median(seconds), "us", "<= 25"),
        Figure("CPU of taking a trade in the stream's process", 1e6 * _taking_seconds(), "us"),
        Figure("memory of an asset with a model", memory / 1e3, "kB", "<= 300"),
        *anomaly_stream.run(forest),
        *anomaly_delay.run(forest),
    ]


def _fitted() -> tuple[Forest, float]:
    import numpy as np  # noqa: PLC0415  # of the extra, which other benches do not need

    measured = (sample_of(one.measured) for one in planted(1, 2 * FIRST))
    vectors = np.array([one for one in measured if one is not None], np.float32)[:FIRST]
    fit(vectors, 1)  # imports the library
    started = time.process_time()
    forest = fit(vectors, 1)
    return forest, time.process_time() - started


def _fill(detector: Detector, forest: Forest, rows: "array[float]") -> None:
    """Give each asset a model and all of its samples."""
    detector.handle(Batch([f"asset{number}" for number in range(_SCORED_ASSETS)]))
    for asset in range(_SCORED_ASSETS):
        detector._arena.put(asset, forest)
        assets = array("I", [asset] * FIRST)
        detector.handle(_batch(assets, rows[: SIZE * FIRST]))


def _scoring_seconds(detector: Detector, draw: random.Random, rows: "array[float]") -> float:
    """Return the CPU seconds of a trade; the trades are of random assets."""
    batches = [
        _batch(
            array("I", [draw.randrange(_SCORED_ASSETS) for _ in range(_BATCH)]),
            rows[SIZE * first : SIZE * (first + _BATCH)],
        )
        for first in range(0, _SCORED, _BATCH)
    ]
    started = time.process_time()
    for batch in batches:
        detector.handle(batch)
    return (time.process_time() - started) / _SCORED


def _batch(assets: "array[int]", samples: "array[float]") -> Batch:
    times = array("d", [0.0] * len(assets))
    return Batch([], [], [], assets.tobytes(), times.tobytes(), bytes([1] * len(assets)), samples.tobytes())


def _taking_seconds() -> float:
    """Return the CPU seconds that a trade takes in the process of the trade stream."""
    some = [one.measured for one in planted(1, 2 * FIRST)]
    waiting, number = Waiting(), 0
    started = time.process_time()
    for _ in range(10):
        waiting.add(some)
        chunk = waiting.take()
        number += len(chunk.trades)
        chunk.batch(waiting.names)
    return (time.process_time() - started) / number
