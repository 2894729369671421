"""Tiers by popularity: counts reads by asset, and every few minutes gives the slots of hot tiers to the most read.

AccessCounts -> Scores (local, or in Redis for all processes) -> popularity.rerank -> slots -> Catalog of each process
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog

from aggregator.errors import StoreError
from aggregator.models import Asset
from aggregator.observability.metrics import Metrics
from aggregator.prices.popularity import decayed, reassigned, rerank
from aggregator.prices.tiers import Catalog

HALF_LIFE = 1800.0  # seconds after which an access counts half
_MAX_PAUSE = 5.0  # seconds between two uploads of access counts

Slots = Mapping[str, str]  # slot -> symbol of its asset, if that is not the asset of the same name
Decide = Callable[[Mapping[str, float]], Slots]  # scores by symbol -> slots


class AccessCounts:
    """Counts reads: for the metrics, which name only hot assets, and with `by_symbol` also for the ranking."""

    def __init__(self, metrics: Metrics, *, by_symbol: bool = False) -> None:
        self._metrics = metrics
        self._counters: dict[str, _Counter] = {}
        self._counts: dict[str, int] = {}
        self._by_symbol = by_symbol

    def record(self, asset: Asset, count: int = 1) -> None:
        """Count `count` reads of the asset."""
        symbol = asset.symbol
        known = self._counters.get(symbol)
        if known is None or known[0] is not asset:  # unknown, or its tier has changed
            known = self._counters[symbol] = (asset, self._metrics.accesses_of(asset))
        known[1](count)
        if self._by_symbol:
            self._counts[symbol] = self._counts.get(symbol, 0) + count

    def drain(self) -> dict[str, int]:
        """Return the number of reads by symbol since the last call."""
        counts, self._counts = self._counts, {}
        return counts


class Scores(Protocol):
    """Adds up the accesses of one or all processes. Methods raise StoreError."""

    async def add(self, counts: Mapping[str, int]) -> None:
        """Add accesses, by symbol."""

    async def rank(self, interval: float, decide: Decide) -> None:
        """Assign the slots by `decide` and decay the scores, unless that was done in the last `interval` seconds."""

    async def slots(self) -> Slots:
        """Return the slots as last assigned."""


class LocalScores:
    """Scores of a process that shares its ranking with no other process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._scores: dict[str, float] = {}
        self._slots: Slots = {}
        self._ranked_at = clock()

    async def add(self, counts: Mapping[str, int]) -> None:
        """As `Scores.add`."""
        for symbol, count in counts.items():
            self._scores[symbol] = self._scores.get(symbol, 0.0) + count

    async def rank(self, interval: float, decide: Decide) -> None:
        """As `Scores.rank`."""
        elapsed = self._clock() - self._ranked_at
        if elapsed >= interval:
            self._slots = decide(self._scores)
            self._scores = decayed(self._scores, elapsed, HALF_LIFE)
            self._ranked_at = self._clock()

    async def slots(self) -> Slots:
        """As `Scores.slots`."""
        return self._slots


class Ranking:
    """Assigns the catalog's slots by popularity every `interval` seconds; `pinned` assets keep their tier."""

    def __init__(
        self,
        catalog: Catalog,
        accesses: AccessCounts,
        scores: Scores,
        pinned: Collection[str],
        interval: float,
        metrics: Metrics,
    ) -> None:
        self._catalog = catalog
        self._accesses = accesses
        self._scores = scores
        self._pinned = pinned
        self._interval = interval
        self._metrics = metrics
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Upload access counts, rank once per interval, apply the slots last assigned. Never returns."""
        while True:
            counts = self._accesses.drain()
            try:
                await self._scores.add(counts)
                counts = {}
                await self._scores.rank(self._interval, self._decide)
                self._apply(await self._scores.slots())
            except StoreError as error:  # losing some counts does no harm
                self._log.debug("not_ranked", error=str(error), lost=sum(counts.values()))
            await asyncio.sleep(min(_MAX_PAUSE, self._interval / 4))

    def _decide(self, scores: Mapping[str, float]) -> Slots:
        assets = list(self._catalog.assets.values())
        return reassigned(self._catalog.occupants, assets, rerank(assets, scores, self._pinned))

    def _apply(self, slots: Slots) -> None:
        if slots == self._catalog.occupants:
            return
        if set(slots) != set(slots.values()) or not all(map(self._catalog.find, slots)):
            self._log.warning("seats_refused", why="they are not for these assets")  # other symbols file
            return
        before = self._catalog.assets
        self._catalog.assign_slots(slots)
        moved = [asset for symbol, asset in self._catalog.assets.items() if asset.tier is not before[symbol].tier]
        for asset in moved:
            self._metrics.tier_changes.labels(asset.tier.value).inc()
        self._log.info("reranked", moved=len(moved))


_Counter = tuple[Asset, Callable[[float], None]]  # the asset as it was when the counter was made
