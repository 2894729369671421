"""When windows are saved, and when commits name them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from aggregator.trades.asset_states import AssetStates
from aggregator.trades.event_log.partition import Assignment, FromPartition
from aggregator.trades.event_log.window_start import NEVER, WindowStart
from aggregator.trades.saved_windows import Pace, WindowSaver
from tests.parts.processing import LATENESS, trade
from tests.trades.test_analytics import Recorded

PACE = Pace(trades=3, least_seconds=5, most_seconds=20, age_seconds=10)


class Kept:
    """`aggregator.trades.ports.SavedWindows` in memory."""

    def __init__(self) -> None:
        self.bodies: dict[int, bytes] = {}

    async def save(self, _: int, offset: int, body: bytes, before: int) -> None:
        """Keep it, and delete older ones."""
        self.bodies = {one: kept for one, kept in self.bodies.items() if one >= before} | {offset: body}

    async def load(self, _: int, offset: int) -> bytes | None:
        """Return what is kept."""
        return self.bodies.get(offset)


class Scene:
    """A saver of one partition, whose trades are processed two at a time."""

    def __init__(self) -> None:
        self.store, self.analytic, self.now = Kept(), Recorded(), 0.0
        self.states = AssetStates(LATENESS, 10_000, time.time, {}, {}, {}, {}, [self.analytic])
        self.saver = WindowSaver(self.store, self.states, PACE, lambda: self.now)
        self.assignment = Assignment(0, 0, "", 0, WindowStart(0, NEVER), 310)
        self.offset = 0

    async def saved(self, count: int) -> None:
        """Wait until so many states are kept."""
        async with asyncio.timeout(10):
            while len(self.store.bodies) < count:
                await asyncio.sleep(0.001)

    def process(self, seconds: float) -> WindowStart:
        """Process a batch some seconds later; return the window start that its commit names."""
        self.now += seconds
        trades = [trade(number, "asset1", timestamp=1.7e9 + number) for number in (self.offset, self.offset + 1)]
        one = FromPartition(trades, "kafka", 0.0, self.assignment, self.offset, self.offset + 2, 0.0)
        self.offset += 2
        self.states.measure_new(trades)
        self.saver.update_starts([one])
        self.assignment.starts.add(one.first, trades[-1].timestamp)
        named = self.assignment.starts.current
        self.saver.processed([one], lambda _: ["asset1"])
        return named


@asynccontextmanager
async def running() -> AsyncIterator[Scene]:
    """Run the saver."""
    scene = Scene()
    task = asyncio.create_task(scene.saver.run())
    yield scene
    task.cancel()


async def test_commits_name_what_was_saved_some_seconds_before() -> None:
    """A save needs enough trades and time since the last one, and commits name it once it is old enough."""
    async with running() as scene:
        scene.process(1)
        assert scene.process(1) == WindowStart(0, NEVER)
        await scene.saved(1)
        for _ in range(3):
            scene.process(1)
        assert list(scene.store.bodies) == [2], "five seconds have not passed"
        scene.process(2)
        await scene.saved(2)
        assert scene.process(4) == WindowStart(0, NEVER)
        assert scene.process(1) == WindowStart(2, 1.7e9 + 3, is_saved=True)
        found = await scene.saver.load(scene.assignment)
        assert not found, "a state that is newer than the committed offset is of no use"
        scene.assignment.committed = scene.offset
        quote, features = (await scene.saver.load(scene.assignment))["asset1"]
        assert quote.timestamp == 1.7e9 + 3
        assert len(features.volumes) == 4


async def test_commits_name_nothing_while_results_of_analytics_are_not_stored() -> None:
    """The trades of such results are read again by the next owner; saves are bounded meanwhile."""
    async with running() as scene:
        scene.analytic.is_settled = False
        for _ in range(10):
            scene.process(20)
            assert scene.process(20) == WindowStart(0, NEVER)
            await asyncio.sleep(0)
        await scene.saved(3)
        scene.analytic.is_settled = True
        assert scene.process(0).is_saved
        assert len(scene.store.bodies) == 3


async def test_the_next_owner_deletes_what_is_older_than_the_state_that_it_loads() -> None:
    """Owners that save only a few times would leave theirs to a store that keeps them for a day."""
    async with running() as scene:
        scene.store.bodies = {1: b"older", 2: b"loaded"}
        scene.assignment = Assignment(0, 4, "", 4, WindowStart(2, NEVER, is_saved=True), 310)
        await scene.saver.load(scene.assignment)
        scene.offset = 4
        for _ in range(2):
            scene.process(1)
        async with asyncio.timeout(10):
            while 6 not in scene.store.bodies:
                await asyncio.sleep(0.001)
        assert sorted(scene.store.bodies) == [2, 6]


async def test_windows_of_a_shorter_lateness_are_not_loaded() -> None:
    """They would not recognise all trades that are read again and are not late any more; those of a longer one do."""
    async with running() as scene:
        for _ in range(2):
            scene.process(1)
        await scene.saved(1)
        scene.assignment = Assignment(0, 4, "", 4, WindowStart(2, NEVER, is_saved=True), 310)
        for lateness, is_loaded in ((LATENESS - 1, True), (LATENESS, True), (LATENESS + 1, False)):
            states = AssetStates(lateness, 10_000, time.time, {}, {}, {}, {}, [])
            found = await WindowSaver(scene.store, states, PACE).load(scene.assignment)
            assert bool(found) is is_loaded


def damaged(body: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return saved windows with a change in the window of their asset."""
    partition = msgspec.msgpack.decode(body)
    asset = msgspec.msgpack.decode(partition["assets"]["asset1"])
    change(asset["features"]["window"])
    partition["assets"]["asset1"] = msgspec.msgpack.encode(asset)
    return msgspec.msgpack.encode(partition)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "none": lambda _: None,
    "of a machine with another order of bytes": lambda window: window["entries"].update(
        times=b"".join(window["entries"]["times"][at : at + 8][::-1] for at in range(0, 40, 8))
    ),
    "cut": lambda window: window["entries"].update(times=window["entries"]["times"][:-3]),
    "without totals": lambda window: window["entries"].update(totals=b""),
    "without recent trades": lambda window: window.update(recent=[]),
    "spans that begin behind the end": lambda window: window.update(firsts=[9, 1]),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_windows_whose_parts_do_not_fit_are_not_loaded(what: str) -> None:
    """They are read from the store, and the process goes on."""
    async with running() as scene:
        for _ in range(2):
            scene.process(1)
        await scene.saved(1)
        scene.store.bodies = {at: damaged(body, CHANGES[what]) for at, body in scene.store.bodies.items()}
        scene.assignment = Assignment(0, 4, "", 4, WindowStart(2, NEVER, is_saved=True), 310)
        assert bool(await scene.saver.load(scene.assignment)) is (what == "none")
