"""A tier's turns, and between them its first fill, which begins with whoever's turn is the farthest off.

So the two meet half-way: a large tier takes minutes to fill, and no turn that comes meanwhile is asked for twice, or
waits until the others have been filled.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import structlog

from aggregator.models import NoPrice, Price, Reason, Tier
from aggregator.ports import Job, JobQueue
from aggregator.resilience.backoff import Backoff

Outcomes = dict[str, Price | NoPrice]
OnWarmUp = Callable[[Tier, int], None]


class WarmUp:
    """What a tier's lane is to do next; `most` assets in a piece of the fill, every `interval` seconds a turn."""

    def __init__(self, work: JobQueue, tier: Tier, most: int, interval: float, clock: Callable[[], float]) -> None:
        self.tier = tier
        self._work = work
        self._most = most
        self._interval = interval
        self._clock = clock
        self._left: dict[str, None] = {}  # in this order
        self._asked: dict[str, float] = {}  # when, until there is a turn that was due later
        self._open: set[str] = set()  # those without an outcome, be they left or under way
        self._outcomes: Outcomes = {}
        self._unpriced: list[str] = []
        self._on_fill: OnWarmUp = _nobody
        self._taking: asyncio.Task[Job] | None = None
        self._news = asyncio.Event()
        self._filled = asyncio.Event()
        self._log = structlog.get_logger().bind(tier=tier.value)

    async def first(self, symbols: Sequence[str], on_fill: OnWarmUp) -> None:
        """Wait until each of these has been refreshed; `on_fill` hears of how many at a time."""
        self._on_fill = on_fill
        await self._fill(symbols)
        self._on_fill = _nobody

    async def again(self) -> None:
        """Go on with what has no price yet but might have, at growing pauses until the tier's interval takes over.

        Exchanges that come up a moment after us must not cost a cold asset five minutes.
        """
        backoff = Backoff(self._interval, first=1.0, jitter=False)
        while self._unpriced and backoff.seconds < self._interval:
            await backoff.pause()
            await self._fill(self._unpriced)

    async def next_job(self, group: asyncio.TaskGroup) -> tuple[Job | None, list[str]]:
        """Wait for a turn, in `group`, or else give a piece of the fill, without a job: and the symbols to be done."""
        if self._taking is None:
            self._taking = group.create_task(self._work.next_job(self.tier))
            self._taking.add_done_callback(lambda _: self._news.set())
        while not self._taking.done() and not self._left:
            self._news.clear()
            await self._news.wait()
        if not self._taking.done():
            return None, self._ask(list(islice(self._left, self._most)))
        job, self._taking = self._taking.result(), None
        due = self._clock() - self._work.waited(job)
        return job, self._ask([symbol for symbol in job.symbols if self._is_left(symbol, due)])

    def record(self, symbols: Iterable[str], outcomes: Mapping[str, Price | NoPrice]) -> None:
        """Take note of what came of symbols that were taken; those without an outcome were under way already."""
        done = self._open.intersection(symbols)
        if not done:
            return
        self._open -= done
        for symbol in done & outcomes.keys():
            self._outcomes[symbol] = outcome = outcomes[symbol]
            if isinstance(outcome, NoPrice):
                self._asked.pop(symbol, None)
        self._on_fill(self.tier, len(done))
        if not self._open:
            self._filled.set()

    async def _fill(self, symbols: Sequence[str]) -> None:
        """Refresh each symbol once, and remember those that have no price yet but might."""
        started = self._clock()
        wanted = set(symbols)
        soonest = [symbol for symbol in self._work.upcoming(self.tier) if symbol in wanted]
        self._left = dict.fromkeys([*reversed(soonest), *symbols])
        self._open, self._outcomes = wanted, {}
        if wanted:
            self._filled.clear()
            self._news.set()
            await self._filled.wait()
        self._log_result(len(symbols), self._clock() - started)
        self._unpriced = [symbol for symbol in symbols if _might_be_priced(self._outcomes.get(symbol))]

    def _ask(self, symbols: list[str]) -> list[str]:
        """Take note of when these are asked for."""
        for symbol in symbols:
            if symbol in self._left:
                del self._left[symbol]
                self._asked[symbol] = self._clock()
            else:
                self._asked.pop(symbol, None)
        return symbols

    def _is_left(self, symbol: str, due: float) -> bool:
        """Whether the fill has not done this turn: it has when it asked after it was due, or is asking."""
        asking = symbol in self._open and symbol not in self._left
        return not asking and self._asked.get(symbol, -math.inf) < due

    def _log_result(self, assets: int, seconds: float) -> None:
        priced = sum(isinstance(outcome, Price) for outcome in self._outcomes.values())
        left_out = [one for outcome in self._outcomes.values() for one in outcome.left_out]
        reasons = Counter(f"{one.exchange}: {one.reason}" for one in left_out)
        self._log.log(
            logging.INFO if priced == assets else logging.WARNING,
            "tier_filled",
            assets=assets,
            priced=priced,
            seconds=round(seconds, 2),
            **({"left_out": dict(reasons)} if reasons else {}),
        )


def _nobody(_tier: Tier, _assets: int) -> None:
    """Hear of it."""


def _might_be_priced(outcome: Price | NoPrice | None) -> bool:
    """Whether asking again soon makes sense: not for what has a price, nor for what no exchange lists."""
    return isinstance(outcome, NoPrice) and (
        bool(outcome.history_failing) or any(one.reason is not Reason.NOT_LISTED for one in outcome.left_out)
    )
