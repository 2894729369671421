"""The news desk: takes articles of all sources and trades of unusual volume, joins them, and passes on what is new.

Each article is scored once. What is published of it for an asset is looked up in the store first, so that neither a
second source, nor a restart, nor another process makes it again, or makes it weaker than it was.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from aggregator.errors import StoreError
from aggregator.news.articles import Article, Sent, SentimentItem, Strength, checked, item_of
from aggregator.news.join import SPIKE, Join, stronger
from aggregator.news.mentions import Mentions
from aggregator.news.topic import SENTIMENT
from aggregator.observability.metrics.news import NewsMetrics
from aggregator.observability.trouble_log import TroubleLog
from aggregator.resilience.backoff import Backoff
from aggregator.trades.analytic import Measured
from aggregator.trades.ports import EventReader

K = TypeVar("K")
V = TypeVar("V")

MOST_SEEN = 20_000  # ids of articles
MOST_RECENT = 1000  # articles that can be joined with trades of an asset that this process begins to process
MOST_EMITTED = 20_000  # strengths of articles about an asset
_SAME_TIME = 200  # events that are read at one time of publication
_LONGEST_PAUSE = 5.0  # seconds between two attempts to read the store

_DECODER = msgspec.json.Decoder(SentimentItem)


class _Scored(msgspec.Struct, frozen=True):
    article: Article
    sentiment: float
    assets: tuple[str, ...]


class NewsDesk:
    """`aggregator.trades.analytic.Analytic`; `add` takes articles, and `run` works in the background.

    `score` gives the sentiment of a text. `emit` stores and publishes items, later ones of the same key in place of
    earlier ones. Only articles about owned assets are published: those that this process processes the trades of. With
    `by_trade`, an asset is owned from its first live trade on, as other processes may have it before; else once it is
    loaded.
    """

    def __init__(
        self,
        mentions: Mentions,
        score: Callable[[str], float],
        events: EventReader,
        emit: Callable[[Sequence[SentimentItem]], None],
        metrics: NewsMetrics,
        now: Callable[[], float],
        *,
        by_trade: bool,
    ) -> None:
        self._mentions = mentions
        self._score = score
        self._events = events
        self._emit = emit
        self._metrics = metrics
        self._now = now
        self._by_trade = by_trade
        self._join = Join()
        self._owned: dict[str, object] = {}  # a new object each time that the asset is owned again
        self._unread: dict[str, None] = {}  # assets whose recent articles are to be joined
        self._has_unread = asyncio.Event()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._recent: OrderedDict[str, _Scored] = OrderedDict()
        self._emitted: OrderedDict[tuple[str, str], Strength] = OrderedDict()
        self._trouble = TroubleLog("news_not_joined", "news_joined_again")

    @property
    def is_settled(self) -> bool:
        """As `Analytic.is_settled`."""
        return True  # what waits is about articles, which the sources have for longer

    async def load(self, assets: Sequence[str]) -> None:
        """As `Analytic.load`; the store is read in the background, so that no trade waits for it."""
        if not self._by_trade:
            self._own(assets)

    def take(self, measured: Sequence[Measured]) -> None:
        """As `Analytic.take`."""
        for one in measured:
            zscore = one.features.volume_zscore
            if zscore is not None and zscore >= SPIKE:
                raised = self._join.spike(one.trade.asset, one.trade.timestamp, zscore)
                if raised:
                    self._publish(raised)
        if self._by_trade:
            self._own(
                dict.fromkeys(one.trade.asset for one in measured if one.live and one.trade.asset not in self._owned)
            )

    def forget(self, asset: str) -> None:
        """As `Analytic.forget`."""
        self._owned.pop(asset, None)
        self._unread.pop(asset, None)
        self._join.forget(asset)

    async def add(self, source: str, articles: Iterable[Sent]) -> None:
        """Take the articles of a source; those that came before are left out. Waits while the store is away."""
        for sent in articles:
            if sent.id in self._seen:
                continue
            await asyncio.sleep(0)  # one article is scored in an iteration of the event loop
            article = checked(sent, self._now())
            scored = None if isinstance(article, str) else self._scored(article)
            outcome = article if isinstance(article, str) else "new" if scored is not None else "no_asset"
            self._metrics.articles.labels(source, outcome).inc()
            if outcome not in ("future", "no_id"):  # an article of the future is taken once its time has come
                _keep(self._seen, sent.id, None, MOST_SEEN)
            if scored is not None:
                _keep(self._recent, scored.article.id, scored, MOST_RECENT)
                await self._retried(scored, [asset for asset in scored.assets if asset in self._owned])

    async def run(self) -> None:
        """Join the recent articles about assets that this process begins to process; never returns."""
        while True:
            await self._has_unread.wait()
            self._has_unread.clear()
            while self._unread:
                asset = next(iter(self._unread))
                del self._unread[asset]
                for scored in [one for one in self._recent.values() if asset in one.assets]:
                    await self._retried(scored, [asset])

    def _own(self, assets: Iterable[str]) -> None:
        for asset in assets:
            self._owned[asset] = object()
            if self._recent:
                self._unread[asset] = None
                self._has_unread.set()

    def _scored(self, article: Article) -> _Scored | None:
        assets = self._mentions.assets(article)
        return _Scored(article, self._score(article.scored), assets) if assets else None

    async def _retried(self, scored: _Scored, assets: Iterable[str]) -> None:
        """Join an article with the trades of assets, however long the store is away."""
        backoff = Backoff(_LONGEST_PAUSE)
        for asset in assets:
            while not await self._joined(scored, asset):
                await backoff.pause()

    async def _joined(self, scored: _Scored, asset: str) -> bool:
        """Join an article with the trades of an asset, and publish it if it is new; False if the store is away."""
        owner = self._owned.get(asset)
        if owner is None:
            return True
        fresh = item_of(scored.article, asset, scored.sentiment)
        try:
            stored = await self._stored(fresh)
        except StoreError as error:
            self._trouble.report(str(error))
            return False
        self._trouble.report("")
        if self._owned.get(asset) is not owner:  # forgotten meanwhile; if it is owned again, `run` comes back to it
            return True
        emitted = self._emitted.get((asset, fresh.id))
        before = stronger(stored or fresh, emitted or "none")
        item = self._join.add(before)
        if item is not before or (stored is None and emitted is None):
            self._publish([item])
        return True

    async def _stored(self, item: SentimentItem) -> SentimentItem | None:
        """Return what is stored of an article about an asset. Raises StoreError."""
        at = item.published_at
        for event in await self._events.events(SENTIMENT.name, item.asset, at, at, _SAME_TIME, newest_first=False):
            if event.id == item.id:
                with suppress(msgspec.MsgspecError):  # of another version: it is replaced
                    return _DECODER.decode(event.body)
        return None

    def _publish(self, items: Sequence[SentimentItem]) -> None:
        for item in items:
            _keep(self._emitted, (item.asset, item.id), item.correlation_strength, MOST_EMITTED)
            if item.correlation_strength != "none":
                self._metrics.joined.labels(item.correlation_strength).inc()
        self._emit(items)


def _keep(known: "OrderedDict[K, V]", key: K, value: V, most: int) -> None:
    """Set a value as the newest one, and drop the oldest beyond `most`."""
    known[key] = value
    known.move_to_end(key)
    if len(known) > most:
        known.popitem(last=False)
