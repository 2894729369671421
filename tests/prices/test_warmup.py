"""The warm-up and the due jobs of a tier, on a schedule whose jobs fall due when the test says so."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from aggregator.models import LeftOut, NoPrice, Price, Reason, Tier
from aggregator.ports import Job
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.warmup import WarmUp
from tests.parts.examples import CATALOG

SYMBOLS = [f"s{number}" for number in range(10)]
AWAY = NoPrice("s9", (LeftOut("exchange1", Reason.TIMEOUT),))
NOWHERE = NoPrice("s8", (LeftOut("exchange1", Reason.NOT_LISTED),))


class Schedule(LocalJobQueue):
    """A queue whose jobs fall due when the test says so; s0 is due next."""

    def __init__(self) -> None:
        super().__init__(CATALOG, 1)
        self.queue: asyncio.Queue[Job] = asyncio.Queue()

    def upcoming(self, tier: Tier) -> list[str]:  # noqa: ARG002  # JobQueue's signature
        """Return all symbols, in order."""
        return SYMBOLS

    async def next_job(self, tier: Tier) -> Job:  # noqa: ARG002  # JobQueue's signature
        """Wait for a job from the test."""
        return await self.queue.get()

    def add_due(self, *symbols: str, ago: float = 0.0) -> None:
        """Add a job that has been due for `ago` seconds."""
        self.queue.put_nowait(Job(Tier.HOT, symbols, time.monotonic() - ago))


def price(symbol: str) -> Price:
    """Return any price of the symbol."""
    return Price(symbol, Decimal(1), 0.0, Tier.HOT, Decimal(0), 0.0, ())


class Scene:
    """A warm-up of ten assets, at most three at a time."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.schedule = Schedule()
        self.warm_up = WarmUp(self.schedule, Tier.HOT, 3, 4.0, time.monotonic)
        self.reported = 0
        self.group = group
        self.first = group.create_task(self.warm_up.run(SYMBOLS, self._count))

    def _count(self, _tier: Tier, assets: int) -> None:
        self.reported += assets

    async def next_symbols(self) -> tuple[Job | None, list[str]]:
        """Return what the tier's loop has to refresh next."""
        await asyncio.sleep(0)  # the task that waits for the job needs two steps
        await asyncio.sleep(0)
        return await self.warm_up.next_job(self.group)

    def priced(self, symbols: list[str]) -> None:
        """Record a price of each symbol."""
        self.warm_up.record(symbols, {symbol: price(symbol) for symbol in symbols})

    async def finish(self) -> list[list[str]]:
        """Record prices until the warm-up has ended; return the symbols of each step."""
        pieces = []
        while not self.first.done():
            _, symbols = await self.next_symbols()
            self.priced(symbols)
            pieces.append(symbols)
            await asyncio.sleep(0)
        return pieces


@asynccontextmanager
async def warming_up() -> AsyncIterator[Scene]:
    """Start a warm-up; its tasks are cancelled at the end of the block."""
    before = asyncio.all_tasks()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        scene = Scene(group)
        await asyncio.sleep(0)
        yield scene
        for task in asyncio.all_tasks() - before:
            task.cancel()


async def test_without_due_jobs_the_assets_due_last_come_first() -> None:
    """The warm-up hands out every asset once, three at a time, and reports how many are done."""
    async with warming_up() as scene:
        assert await scene.finish() == [["s9", "s8", "s7"], ["s6", "s5", "s4"], ["s3", "s2", "s1"], ["s0"]]
        assert scene.reported == 10


async def test_a_due_job_comes_before_the_warm_up_and_is_part_of_it() -> None:
    """An asset refreshed by a job is not requested again by the warm-up."""
    async with warming_up() as scene:
        await scene.next_symbols()  # s9, s8, s7; from now on a task waits for a job
        scene.schedule.add_due("s0", "s1", "s2", "s3")
        job, symbols = await scene.next_symbols()
        assert job is not None
        assert symbols == ["s0", "s1", "s2", "s3"]
        assert await scene.next_symbols() == (None, ["s6", "s5", "s4"])
        scene.priced(SYMBOLS)
        await scene.first
        assert scene.reported == 10


async def test_a_job_that_the_warm_up_has_done_is_not_done_again() -> None:
    """Nor is an asset that is being refreshed; a job due later is done."""
    async with warming_up() as scene:
        _, symbols = await scene.next_symbols()
        scene.schedule.add_due("s9")
        job, left = await scene.next_symbols()
        assert job is not None
        assert left == []  # being refreshed
        scene.priced(symbols)
        scene.schedule.add_due("s8", ago=60.0)
        assert (await scene.next_symbols())[1] == ["s6", "s5", "s4"]  # the job comes after these
        assert (await scene.next_symbols())[1] == []  # the job was due before the warm-up requested it
        scene.schedule.add_due("s9", "s8", "s7", ago=-1.0)
        scene.priced(["s6", "s5", "s4"])
        await scene.next_symbols()  # more of the warm-up
        assert (await scene.next_symbols())[1] == ["s9", "s8", "s7"]


async def test_an_asset_without_a_price_is_refreshed_by_its_job() -> None:
    """A job refreshes an asset whose warm-up gave no price, however long the job has been due."""
    async with warming_up() as scene:
        _, symbols = await scene.next_symbols()
        scene.warm_up.record(symbols, {"s9": price("s9"), "s8": AWAY, "s7": NOWHERE})
        scene.schedule.add_due("s9", "s8", "s7", ago=60.0)
        assert (await scene.next_symbols())[1] == ["s8", "s7"]


async def test_an_asset_that_might_have_a_price_is_retried() -> None:
    """It is retried after a pause; unlisted assets, and those that another caller refreshes, are not."""
    async with warming_up() as scene:
        for outcomes in ({"s9": AWAY, "s8": NOWHERE}, {}, {}, {}):
            _, symbols = await scene.next_symbols()
            scene.warm_up.record(symbols, outcomes)
        await scene.first
        again = scene.group.create_task(scene.warm_up.retry())
        assert await scene.next_symbols() == (None, ["s9"])
        scene.priced(["s9"])
        await again
        assert scene.reported == 10


async def test_jobs_go_on_after_the_warm_up() -> None:
    """Jobs are returned for as long as they fall due."""
    async with warming_up() as scene:
        await scene.finish()
        for _ in range(3):
            scene.schedule.add_due("s1", ago=-1.0)
            assert (await scene.next_symbols())[1] == ["s1"]


async def test_a_warm_up_of_nothing_ends_at_once() -> None:
    """As after a restart, when the cache has every price."""
    async with warming_up() as scene:
        other = WarmUp(scene.schedule, Tier.HOT, 3, 4.0, time.monotonic)
        await other.run([], lambda _tier, _assets: None)
        await other.retry()
