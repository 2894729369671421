"""The warm-up of a tier: the first refresh of each of its assets, in the gaps that due jobs leave.

The warm-up starts with the assets whose slots are due last. The two meet half-way: the warm-up of a large tier takes
minutes, and a job that falls due meanwhile neither waits for its end nor asks for an asset a second time.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import structlog

from aggregator.models import NoPrice, Outcomes, Price, Reason, Tier
from aggregator.ports import Job, JobQueue
from aggregator.resilience.backoff import Backoff

OnWarmUp = Callable[[Tier, int], None]  # a tier, and how many more of its assets have been refreshed

_FIRST_PAUSE = 1.0  # seconds


class WarmUp:
    """Says what a tier's loop has to refresh next: a due job, or at most `most` assets of the warm-up.

    `interval` is the tier's, in seconds.
    """

    def __init__(self, queue: JobQueue, tier: Tier, most: int, interval: float, clock: Callable[[], float]) -> None:
        self.tier = tier
        self._queue = queue
        self._most = most
        self._interval = interval
        self._clock = clock
        self._remaining: dict[str, None] = {}  # not requested yet, in this order
        self._requested_at: dict[str, float] = {}  # by the warm-up; dropped by the first job that was due later
        self._unfinished: set[str] = set()  # without an outcome: remaining, or being refreshed
        self._outcomes: Outcomes = {}
        self._unpriced: list[str] = []
        self._on_warm_up: OnWarmUp = _ignore
        self._job: asyncio.Task[Job] | None = None
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._log = structlog.get_logger().bind(tier=tier.value)

    async def run(self, symbols: Sequence[str], on_warm_up: OnWarmUp) -> None:
        """Wait until each symbol has been refreshed; report the progress to `on_warm_up`."""
        self._on_warm_up = on_warm_up
        await self._refresh_once(symbols)
        self._on_warm_up = _ignore

    async def retry(self) -> None:
        """Refresh the assets without a price again, after pauses that double until they reach the tier's interval.

        An exchange that starts a moment after this process must not leave a cold asset without a price for minutes.
        """
        backoff = Backoff(self._interval, first=_FIRST_PAUSE, jitter=False)
        while self._unpriced and backoff.seconds < self._interval:
            await backoff.pause()
            await self._refresh_once(self._unpriced)

    async def next_job(self, group: asyncio.TaskGroup) -> tuple[Job | None, list[str]]:
        """Return the next due job, or None while the warm-up goes on; and the symbols to refresh.

        The wait for the job is a task in `group`, which the next call takes up again.
        """
        if self._job is None:
            self._job = group.create_task(self._queue.next_job(self.tier))
            self._job.add_done_callback(lambda _: self._changed.set())
        while not self._job.done() and not self._remaining:
            self._changed.clear()
            await self._changed.wait()
        if not self._job.done():
            return None, self._request(list(islice(self._remaining, self._most)))
        job, self._job = self._job.result(), None
        due = self._clock() - self._queue.waited(job)
        return job, self._request([symbol for symbol in job.symbols if self._is_needed(symbol, due)])

    def record(self, symbols: Iterable[str], outcomes: Mapping[str, Price | NoPrice]) -> None:
        """Record the outcomes of requested symbols; one without an outcome was being refreshed by another caller."""
        done = self._unfinished.intersection(symbols)
        if not done:
            return
        self._unfinished -= done
        for symbol in done & outcomes.keys():
            self._outcomes[symbol] = outcome = outcomes[symbol]
            if isinstance(outcome, NoPrice):
                self._requested_at.pop(symbol, None)
        self._on_warm_up(self.tier, len(done))
        if not self._unfinished:
            self._finished.set()

    async def _refresh_once(self, symbols: Sequence[str]) -> None:
        """Wait until each symbol has been refreshed once; keep those to be retried in `_unpriced`."""
        started = self._clock()
        wanted = set(symbols)
        due_first = [symbol for symbol in self._queue.upcoming(self.tier) if symbol in wanted]
        self._remaining = dict.fromkeys([*reversed(due_first), *symbols])
        self._unfinished, self._outcomes = wanted, {}
        if wanted:
            self._finished.clear()
            self._changed.set()
            await self._finished.wait()
        self._log_result(len(symbols), self._clock() - started)
        self._unpriced = [symbol for symbol in symbols if _is_retried(self._outcomes.get(symbol))]

    def _request(self, symbols: list[str]) -> list[str]:
        """Return the symbols, after noting which of them are requested for the warm-up, and when."""
        for symbol in symbols:
            if symbol in self._remaining:
                del self._remaining[symbol]
                self._requested_at[symbol] = self._clock()
            else:
                self._requested_at.pop(symbol, None)
        return symbols

    def _is_needed(self, symbol: str, due: float) -> bool:
        """Whether a job must refresh the symbol: not if the warm-up is doing so, or has requested it since `due`."""
        under_way = symbol in self._unfinished and symbol not in self._remaining
        return not under_way and self._requested_at.get(symbol, -math.inf) < due

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


def _ignore(_tier: Tier, _assets: int) -> None:
    """Report no progress: a retry is not part of the first warm-up."""


def _is_retried(outcome: Price | NoPrice | None) -> bool:
    """Whether to refresh the asset again soon: it has no price, although an exchange lists it."""
    return isinstance(outcome, NoPrice) and (
        bool(outcome.history_failing) or any(one.reason is not Reason.NOT_LISTED for one in outcome.left_out)
    )
