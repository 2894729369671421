"""A news desk on a store in memory, with a writer and a bus, at NOW."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from prometheus_client import CollectorRegistry

from aggregator.errors import StoreUnavailable
from aggregator.live.topics import Bus
from aggregator.models import Trade
from aggregator.news.articles import Sent, SentimentItem
from aggregator.news.desk import NewsDesk
from aggregator.news.mentions import Mentions, read_names
from aggregator.news.topic import SENTIMENT, stored_event
from aggregator.observability.metrics import Metrics
from aggregator.stores.events.memory import MemoryEvents
from aggregator.trades.analytic import Measured
from aggregator.trades.event_writer import EventWriter
from aggregator.trades.ports import StoredEvent
from tests.parts.examples import CATALOG, NOW
from tests.parts.limits import allowed
from tests.parts.trade_api import features

NAMES = read_names()
SCORES = {"good": 0.6, "fair": 0.3, "dull": 0.0, "bad": -0.8}


def score(text: str) -> float:
    """Return the sentiment of the first word."""
    return SCORES[text.split(maxsplit=1)[0]]


def sent(id_: str, seconds: float = 0.0, text: str = "good bitcoin") -> Sent:
    """Return an article published so many seconds after NOW."""
    return Sent(f"mock:{id_}", text, published_at=NOW + seconds)


def measured(seconds: float, zscore: float | None, asset: str = "btcusdt", *, live: bool = True) -> Measured:
    """Return a measured trade so many seconds after NOW."""
    found = features(asset, NOW + seconds)
    trade = Trade(asset, Decimal(1), Decimal(1), NOW + seconds, "venue", str(seconds))
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return Measured(trade, type(found)(**{**fields, "volume_zscore": zscore}), live)


class Events(MemoryEvents):
    """Events in memory, whose reads fail while `is_away`."""

    is_away = False
    reads = 0

    async def events(self, *args: Any, **more: Any) -> list[StoredEvent]:
        """Read, or fail."""
        self.reads += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().events(*args, **more)


class Desk:
    """A desk, and what it has published."""

    def __init__(self, events: MemoryEvents | None = None, *, by_trade: bool = False) -> None:
        self.events = events or Events(1e12, lambda: NOW)
        self.metrics = Metrics(CollectorRegistry())
        self.published: list[SentimentItem] = []
        bus = Bus([SENTIMENT])
        bus.listen(SENTIMENT, self)
        self.writer = EventWriter(self.events, bus, SENTIMENT, stored_event, self.metrics.events)
        self.desk = NewsDesk(
            Mentions(CATALOG, NAMES),
            score,
            self.events,
            self.writer.put,
            self.metrics.news,
            lambda: NOW,
            by_trade=by_trade,
        )

    def receive(self, items: Sequence[SentimentItem]) -> None:
        """Note what is published."""
        self.published += items

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self) -> None:
        """Do nothing."""

    @property
    def strengths(self) -> list[tuple[str, str, str]]:
        """What was published: asset, number of the article, strength."""
        return [(one.asset, one.id.partition(":")[2], one.correlation_strength) for one in self.published]

    async def settled(self) -> list[tuple[str, str, str]]:
        """Wait until everything is stored; return what was published."""
        await asyncio.sleep(0)
        while self.desk._unread or self.writer.waiting:
            await asyncio.sleep(0.005)
        return self.strengths

    async def stored(self, asset: str = "btcusdt") -> dict[str, str]:
        """Return the stored strengths by number of the article."""
        found = await MemoryEvents.events(self.events, "sentiment", asset, 0, 1e12, 1000, newest_first=True)
        items = [SENTIMENT.decode(b"[" + one.body + b"]")[0] for one in found]
        return {one.id.partition(":")[2]: one.correlation_strength for one in items}

    @asynccontextmanager
    async def running(self, assets: Sequence[str] = ("btcusdt", "ethusdt")) -> AsyncIterator["Desk"]:
        """Run the desk with these assets loaded; at the end wait until everything is stored."""
        tasks = [asyncio.create_task(self.desk.run()), asyncio.create_task(self.writer.run())]
        try:
            async with asyncio.timeout(allowed(30)):
                await self.desk.load(assets)
                yield self
                await self.settled()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
