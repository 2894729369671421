"""The analytic with its real worker process, a store of events in memory, and a bus."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from aggregator.anomalies import child
from aggregator.anomalies.analytic import Anomalies
from aggregator.anomalies.event import ANOMALIES, Anomaly, stored_anomaly
from aggregator.anomalies.fit_queue import FIRST
from aggregator.anomalies.model_files import ModelFiles
from aggregator.live.topics import Bus
from aggregator.observability.metrics import Metrics
from aggregator.stores.events.memory import MemoryEvents
from aggregator.trades.event_writer import EventWriter
from tests.anomalies.parts import START, measured

PATIENT = 120.0  # seconds; a limit for a busy machine, no promise
ASSET = "btcusdt"
FILE = f"{ASSET}.npz"


class Running:
    """A running analytic, its store, and the anomalies it has published."""

    def __init__(self, folder: Path, store: MemoryEvents | None = None) -> None:
        self.store = store or MemoryEvents(1e6, lambda: START + FIRST)
        self.metrics = Metrics()
        self.published: list[Anomaly] = []
        bus = Bus([ANOMALIES])
        bus.listen(ANOMALIES, self)
        self.writer = EventWriter(self.store, bus, ANOMALIES, stored_anomaly, self.metrics.events)
        self.analytic = Anomalies(self.writer, self.store, self.metrics.anomalies, folder, 1.0, interval=0.02)

    def receive(self, values: Sequence[Anomaly]) -> None:
        """Keep published anomalies."""
        self.published += values

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self) -> None:
        """Do nothing."""

    def take(self, first: int, last: int, *, odd: Sequence[int] = (), live: bool = True) -> None:
        """Let the analytic take the trades with these numbers."""
        self.analytic.take([measured(one, live=live, odd=one in odd) for one in range(first, last)])

    def ids(self) -> list[str]:
        """Return the ids of the published anomalies."""
        return [one.id for one in self.published]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a series; None if there is none."""
        return self.metrics.registry.get_sample_value(name, labels)


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENT):
        while not is_true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(folder: Path, store: MemoryEvents | None = None) -> AsyncIterator[Running]:
    """Run an analytic that has loaded the asset."""
    one = Running(folder, store)
    await one.analytic.load([ASSET])
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.writer.run()), group.create_task(one.analytic.run())]
        yield one
        for task in tasks:
            task.cancel()


async def ready(one: Running) -> None:
    """Let the analytic take the first thousand trades, and wait for the model."""
    one.take(0, FIRST)
    await until(lambda: one.analytic.state(ASSET).version != "")


@pytest.fixture(scope="module")
def fitted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an analytic that has fitted a model of the first thousand trades."""
    folder = tmp_path_factory.mktemp("fitted")

    async def fit() -> None:
        async with running(folder) as one:
            await ready(one)

    asyncio.run(fit())
    return folder


@pytest.fixture
def fitted(fitted_once: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder: its model saves a worker the import of scikit-learn."""
    return shutil.copytree(fitted_once, tmp_path, dirs_exist_ok=True)


async def loaded(one: Running) -> None:
    """Let the analytic take a usual trade, number FIRST, and wait until its worker has read the saved model."""
    one.take(FIRST, FIRST + 1)
    await until(lambda: one.analytic.state(ASSET).version != "")


async def test_an_unusual_trade_is_stored_and_published(tmp_path: Path) -> None:
    """With its features, and the version of the model; the worker ends with the analytic."""
    async with running(tmp_path) as one:
        assert one.analytic.state(ASSET).samples == 0
        await ready(one)
        pid = one.analytic.pid
        assert pid is not None
        worker = psutil.Process(pid)
        one.take(FIRST, FIRST + 3, odd=[FIRST + 1])
        await until(lambda: str(FIRST + 1) in one.ids())
        found = next(anomaly for anomaly in one.published if anomaly.id == str(FIRST + 1))
        assert found.anomaly_score < found.threshold
        assert found.feature_vector == pytest.approx((200, 10_000, 40, 60, 0.45, 900))
        assert found.model_version == one.analytic.state(ASSET).version
        stored = await one.store.events(ANOMALIES.name, ASSET, 0, START * 2, 10, newest_first=True)
        assert stored_anomaly(found) in stored
        one.analytic.report()
        assert one.value("anomalies_models") == 1
        assert one.value("anomalies_fits_total", outcome="fitted") == 1
    assert not worker.is_running()


async def test_a_worker_that_is_killed_is_replaced(fitted: Path) -> None:
    """The saved model finds what comes then."""
    async with running(fitted) as one:
        await loaded(one)
        before, pid = one.analytic.state(ASSET), one.analytic.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        number = FIRST + 1
        async with asyncio.timeout(PATIENT):
            while str(number) not in one.ids():
                number += 1
                one.take(number, number + 1, odd=[number])
                await until(lambda: len(one.analytic._waiting) == 0)
                await asyncio.sleep(0.1)
        assert one.analytic.pid not in (None, pid)
        assert one.analytic.state(ASSET).version == before.version
        assert one.value("anomalies_worker_restarts_total") == 1


async def test_an_anomaly_that_is_stored_is_not_published_again(fitted: Path) -> None:
    """Trades are measured again after a restart; one that was not stored is published then."""
    first, second, third = FIRST + 1, FIRST + 2, FIRST + 3
    saved = (fitted / FILE).read_bytes()
    async with running(fitted) as one:
        one.take(first, third, odd=[first, second])
        await until(lambda: len({str(first), str(second)} & {*one.ids()}) == 2)
        store, before = one.store, {*one.published}
    (fitted / FILE).write_bytes(saved)  # as after a kill: nothing was saved since the fit
    async with running(fitted, store) as again:
        again.take(0, third + 1, odd=[first, second, third], live=False)
        await until(lambda: str(third) in again.ids())
        assert not {*again.ids()} & {one.id for one in before}


async def test_no_worker_without_a_sample(tmp_path: Path) -> None:
    """The first trades of an asset have unknown features."""
    async with running(tmp_path) as one:
        one.analytic.take([])
        one.analytic.forget("ethusdt")
        await asyncio.sleep(0.1)  # five intervals
        assert one.analytic.pid is None


async def test_a_stop_during_a_fit_saves_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first fit takes seconds, since it imports scikit-learn. The stop ends it, and the next start makes it."""
    monkeypatch.setattr(child, "_END_SECONDS", PATIENT)
    async with running(tmp_path) as one:
        one.take(0, FIRST)
        await until(lambda: one.analytic.state(ASSET).samples == FIRST)
        assert one.analytic.state(ASSET).version == ""
        await one.analytic.drain(PATIENT)
    kept = ModelFiles(tmp_path).load(ASSET)
    assert kept is not None
    assert (len(kept.samples), kept.since_fit, kept.forest) == (FIRST, FIRST, None)
    async with running(tmp_path) as again:
        again.take(FIRST, FIRST + 1)
        await until(lambda: again.analytic.state(ASSET).version != "")


async def test_a_stop_while_the_worker_starts(tmp_path: Path) -> None:
    """The worker has nothing to save, and is neither waited for nor replaced."""
    async with running(tmp_path) as one:
        one.take(0, 1)
        await until(lambda: one.analytic.pid is not None)
        pid = one.analytic.pid
        assert pid is not None
        worker = psutil.Process(pid)
        await one.analytic.drain(PATIENT)
        assert not worker.is_running()
        assert one.value("anomalies_worker_restarts_total") == 0


LONG = pytest.mark.long


@pytest.mark.parametrize("pause", [0.0, pytest.param(0.01, marks=LONG), 0.03, pytest.param(0.06, marks=LONG)])
async def test_a_trade_that_is_scored_during_a_stop_is_published_once(
    fitted: Path, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reply may be on the way when the worker is told to end; what was not scored is after the restart."""
    monkeypatch.setattr(child, "_END_SECONDS", PATIENT)
    odd = FIRST + 1
    async with running(fitted) as one:
        await loaded(one)
        one.take(odd, odd + 2, odd=[odd])
        await asyncio.sleep(pause)
        await one.analytic.drain(PATIENT)
        await one.writer.drain(PATIENT)
        store, before = one.store, one.ids()
    async with running(fitted, store) as again:
        again.take(0, odd + 2, odd=[odd], live=False)
        again.take(odd + 2, odd + 3, odd=[odd + 2])
        await until(lambda: str(odd + 2) in again.ids())
        assert [*before, *again.ids()].count(str(odd)) == 1
