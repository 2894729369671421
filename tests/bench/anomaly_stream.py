"""CPU time of a trade with the search for unusual trades and without it, in turns.

Lines of JSON are parsed, stored in SQLite, measured, published and scored: 1,000 assets, each with a model, in calls of
1,000 trades, without HTTP and without subscribers. No trade is unusual, and no model is fitted meanwhile: fits take
what ANOMALY_CPU allows, however many trades come.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
import psutil
import uvloop
from prometheus_client import CollectorRegistry

from aggregator.anomalies.analytic import Anomalies
from aggregator.anomalies.event import ANOMALIES, Anomaly
from aggregator.anomalies.forest import Forest
from aggregator.anomalies.model_files import Kept, ModelFiles
from aggregator.live.topics import Bus
from aggregator.models import Asset, Tier
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import Catalog
from aggregator.stores.events.memory import MemoryEvents
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.event_log.memory import MemoryLog
from aggregator.trades.ingest import Parser
from aggregator.trades.processor import Processor
from aggregator.trades.topics import FEATURES, TRADES
from tests.bench.report import Figure, median_ratio
from tests.bench.trade_generator import Bodies, Load, assets
from tests.parts.examples import CADENCE

_CALLS, _ROUNDS = 30, 3
_FIRST_CALLS = 6  # whose trades have no momentum yet
_GAP = 61.0  # seconds of event time between the first calls and the rest
_RATE = 15_000.0  # trades per second of event time
_SIZE = 1000
_LATENESS, _WINDOW, _RETENTION = 5.0, 10_000, 172_800.0
_PATIENT = 300.0


class _NoWriter:
    """Counts anomalies."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def waiting(self) -> int:
        """None: nothing is stored."""
        return 0

    def put(self, values: Sequence[Anomaly]) -> None:
        """Count them."""
        self.count += len(values)


def run(forest: Forest, rounds: int = _ROUNDS, calls: int = _CALLS) -> list[Figure]:
    """Measure in turns. `forest` is the model of every asset."""
    without, with_search = [], []
    for _ in range(rounds):
        without.append(uvloop.run(_measured(None, calls)))
        with_search.append(uvloop.run(_measured(forest, calls)))
    return [
        Figure("CPU of a trade without the search", 1e6 * median(one.stream for one in without), "us"),
        Figure("with it, in the process of the stream", 1e6 * median(one.stream for one in with_search), "us"),
        Figure("with it, in the worker", 1e6 * median(one.worker for one in with_search), "us"),
        Figure("both / without", median_ratio([*map(sum, with_search)], [*map(sum, without)]), "", "<= 1.35"),
    ]


class Cpu(NamedTuple):
    """CPU seconds: of the process of the trade stream, and of the worker."""

    stream: float
    worker: float


async def _measured(forest: Forest | None, calls: int) -> Cpu:
    """Return the CPU seconds of a trade."""
    with tempfile.TemporaryDirectory() as name:
        folder, metrics = Path(name), Metrics(CollectorRegistry())
        store, log = SqliteTrades(folder / "trades.db", _RETENTION), MemoryLog(100_000)
        await store.open()
        analytic = None if forest is None else await _analytic(folder, forest, metrics)
        bus = Bus([TRADES, FEATURES, ANOMALIES])
        processor = Processor(
            log,
            store,
            [],
            bus,
            metrics.trades,
            _LATENESS,
            _WINDOW,
            analytics=[] if analytic is None else [analytic],
        )
        tasks = [asyncio.create_task(one.run()) for one in (processor, analytic) if one is not None]
        seconds = await _sent(log, calls, lambda: _cpu(analytic), lambda count: _is_done(analytic, metrics, count))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.close()
        return Cpu(seconds.stream / (calls * _SIZE), seconds.worker / (calls * _SIZE))


async def _analytic(folder: Path, forest: Forest, metrics: Metrics) -> Anomalies:
    """Return the analytic, after every asset got a model."""
    save_models(folder / "models", forest)
    stored = MemoryEvents(_RETENTION, time.time)
    analytic = Anomalies(_NoWriter(), stored, metrics.anomalies, folder / "models", 0.01)
    await analytic.load(assets())
    return analytic


def save_models(folder: Path, forest: Forest) -> None:
    """Save `forest` as the model of every asset, with a threshold that no trade is below."""
    import numpy as np  # noqa: PLC0415  # of the extra, which other benches do not need

    files, forest = ModelFiles(folder), msgspec.structs.replace(forest, threshold=-1.0)
    for asset in assets():
        files.save(asset, Kept(np.zeros((0, 6), np.float32), 0.0, 1, 0, forest))


async def _sent(log: MemoryLog, calls: int, cpu: Callable[[], Cpu], is_done: Callable[[float], bool]) -> Cpu:
    """Send the first calls, then the measured ones; return the CPU seconds of these."""
    start = time.time() - 300
    load = Load("calls", 0, size=_SIZE, event_rate=_RATE, event_start=start)
    later = Bodies(assets(), Load("calls", 0, size=_SIZE, name="b", event_rate=_RATE, event_start=start + _GAP))
    bodies = Bodies(assets(), load)
    catalog = Catalog({name: Asset(name, "", "", Tier.COLD, rank) for rank, name in enumerate(assets(), 1)}, CADENCE)
    parser = Parser(catalog.find)
    for number in range(_FIRST_CALLS):
        await log.append(parser.lines(bodies.of(number, 0), time.time()).trades)
    await log.append(parser.lines(later.of(0, 0), time.time()).trades)  # starts the worker, which then has the models
    await _until(lambda: is_done(_SIZE))
    started = cpu()
    for number in range(1, calls + 1):
        await log.append(parser.lines(later.of(number, 0), time.time()).trades)
    await _until(lambda: is_done(_SIZE * (calls + 1)))
    ended = cpu()
    return Cpu(ended.stream - started.stream, ended.worker - started.worker)


def _is_done(analytic: Anomalies | None, metrics: Metrics, count: float) -> bool:
    """Whether so many trades are scored."""
    return analytic is None or metrics.anomalies.scored._value.get() >= count


async def _until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENT):
        while not is_true():
            await asyncio.sleep(0.05)


def _cpu(analytic: Anomalies | None) -> Cpu:
    """Return the CPU seconds until now."""
    if analytic is None or analytic.pid is None:
        return Cpu(time.process_time(), 0.0)
    times = psutil.Process(analytic.pid).cpu_times()
    return Cpu(time.process_time(), times.user + times.system)
