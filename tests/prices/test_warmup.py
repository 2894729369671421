"""The first fill and the turns of a tier, on a rota and a clock that stand still unless they are told otherwise."""

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


class Turns(LocalJobQueue):
    """Turns that come when the test says so; s0 is the next."""

    def __init__(self) -> None:
        super().__init__(CATALOG, 1)
        self.queue: asyncio.Queue[Job] = asyncio.Queue()

    def upcoming(self, tier: Tier) -> list[str]:  # noqa: ARG002  # Work's signature
        """Return all, in order."""
        return SYMBOLS

    async def next_job(self, tier: Tier) -> Job:  # noqa: ARG002  # Work's signature
        """Wait for the test."""
        return await self.queue.get()

    def come(self, *symbols: str, ago: float = 0.0) -> None:
        """Let it be their turn, since `ago` seconds."""
        self.queue.put_nowait(Job(Tier.HOT, symbols, time.monotonic() - ago))


def price(symbol: str) -> Price:
    """Return some price of it."""
    return Price(symbol, Decimal(1), 0.0, Tier.HOT, Decimal(0), 0.0, ())


class Scene:
    """A filling of ten assets, three in a piece, and whoever takes from it."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.turns = Turns()
        self.warm_up = WarmUp(self.turns, Tier.HOT, 3, 4.0, time.monotonic)
        self.told = 0
        self.group = group
        self.first = group.create_task(self.warm_up.run(SYMBOLS, self._count))

    def _count(self, _tier: Tier, assets: int) -> None:
        self.told += assets

    async def take(self) -> tuple[Job | None, list[str]]:
        """Take what is next."""
        await asyncio.sleep(0)  # a turn that has come is known a moment later
        await asyncio.sleep(0)
        return await self.warm_up.next_job(self.group)

    def priced(self, symbols: list[str]) -> None:
        """Say that each of them has its price."""
        self.warm_up.record(symbols, {symbol: price(symbol) for symbol in symbols})

    async def fill(self) -> list[list[str]]:
        """Take and price until all is filled; return the pieces."""
        pieces = []
        while not self.first.done():
            _, symbols = await self.take()
            self.priced(symbols)
            pieces.append(symbols)
            await asyncio.sleep(0)
        return pieces


@asynccontextmanager
async def filling() -> AsyncIterator[Scene]:
    """Begin to fill; the tasks that were started end with the block."""
    before = asyncio.all_tasks()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        scene = Scene(group)
        await asyncio.sleep(0)
        yield scene
        for task in asyncio.all_tasks() - before:
            task.cancel()


async def test_without_turns_the_farthest_off_come_first() -> None:
    """In pieces, each once, and it is told how many."""
    async with filling() as scene:
        assert await scene.fill() == [["s9", "s8", "s7"], ["s6", "s5", "s4"], ["s3", "s2", "s1"], ["s0"]]
        assert scene.told == 10


async def test_a_turn_comes_before_the_fill_and_is_a_part_of_it() -> None:
    """What it has done is not asked for again, and the two meet."""
    async with filling() as scene:
        await scene.take()  # s9, s8, s7; from now on it waits for a turn
        scene.turns.come("s0", "s1", "s2", "s3")
        job, symbols = await scene.take()
        assert job is not None
        assert symbols == ["s0", "s1", "s2", "s3"]
        assert await scene.take() == (None, ["s6", "s5", "s4"])
        scene.priced(SYMBOLS)
        await scene.first
        assert scene.told == 10


async def test_a_turn_that_the_fill_has_done_is_not_done_again() -> None:
    """Nor one of an asset that is just being asked for; the turn after that is done."""
    async with filling() as scene:
        _, symbols = await scene.take()
        scene.turns.come("s9")
        job, left = await scene.take()
        assert job is not None
        assert left == []  # under way
        scene.priced(symbols)
        scene.turns.come("s8", ago=60.0)
        assert (await scene.take())[1] == ["s6", "s5", "s4"]  # the next piece, as the turn is taken after it
        assert (await scene.take())[1] == []  # was due before it was asked for
        scene.turns.come("s9", "s8", "s7", ago=-1.0)
        scene.priced(["s6", "s5", "s4"])
        await scene.take()  # another piece
        assert (await scene.take())[1] == ["s9", "s8", "s7"]


async def test_what_had_no_price_has_its_turn() -> None:
    """However long ago that was due."""
    async with filling() as scene:
        _, symbols = await scene.take()
        scene.warm_up.record(symbols, {"s9": price("s9"), "s8": AWAY, "s7": NOWHERE})
        scene.turns.come("s9", "s8", "s7", ago=60.0)
        assert (await scene.take())[1] == ["s8", "s7"]


async def test_what_might_have_a_price_is_asked_for_again() -> None:
    """After a pause; what no exchange lists is not, nor what somebody else has under way."""
    async with filling() as scene:
        for outcomes in ({"s9": AWAY, "s8": NOWHERE}, {}, {}, {}):
            _, symbols = await scene.take()
            scene.warm_up.record(symbols, outcomes)
        await scene.first
        again = scene.group.create_task(scene.warm_up.retry())
        assert await scene.take() == (None, ["s9"])
        scene.priced(["s9"])
        await again
        assert scene.told == 10


async def test_turns_go_on_after_the_fill() -> None:
    """For ever."""
    async with filling() as scene:
        await scene.fill()
        for _ in range(3):
            scene.turns.come("s1", ago=-1.0)
            assert (await scene.take())[1] == ["s1"]


async def test_nothing_to_fill_is_filled() -> None:
    """As after a restart, when the cache has all."""
    async with filling() as scene:
        other = WarmUp(scene.turns, Tier.HOT, 3, 4.0, time.monotonic)
        await other.run([], lambda _tier, _assets: None)
        await other.retry()
