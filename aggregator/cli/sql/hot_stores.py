"""The hot stores of the settings as `aggregator sql` reads them: those rows that no file of the archive has."""

import asyncio
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aggregator.archive.bounds import Span
from aggregator.archive.datasets import ANOMALIES, DATASETS, FEATURES, PRICES, SENTIMENT, SIGNALS, TRADES
from aggregator.archive.sources import Source, StoredEvents, StoredPrices, StoredTrades
from aggregator.archive.sql.hot import hot_rows
from aggregator.archive.sql.session import SqlSession
from aggregator.observability.metrics import Metrics
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.event_stores import open_events_and_positions
from aggregator.runtime.parts.trades.build_features import KEPT_SECONDS, features_files
from aggregator.runtime.stores import open_history
from aggregator.runtime.trade_stores import open_trade_reader
from aggregator.settings import Settings
from aggregator.stores.events.sqlite import SqliteEvents
from aggregator.stores.sqlite import parse_sqlite_url
from aggregator.trades.ports import EventReader, StoredEvent

_AHEAD = 3600.0  # seconds past now of the newest rows: clocks of venues may run ahead of ours
_URLS: Mapping[str, str] = {
    TRADES.name: "trades_url",
    PRICES.name: "history_url",
    **{one.name: "events_url" for one in (ANOMALIES, SIGNALS, SENTIMENT)},
}


class HotStores:
    """Reads the stores that the settings name; they are closed with the stack. Files are not made.

    Outboxes are opened as new files in `temporary`: those of the service are the service's.
    """

    def __init__(self, settings: Settings, stack: AsyncExitStack, temporary: Path) -> None:
        self._settings = settings.model_copy(
            update={
                "outbox_path": temporary / "outbox.db",
                "trades_outbox_path": temporary / "trades-outbox.db",
                "role": "all",  # a store that cannot be read is an error
            }
        )
        self._stack = stack
        self._sources: dict[str, Source] = {}

    async def open(self, names: Iterable[str]) -> Collection[str]:
        """Open the stores of some datasets; return the names of those that can be read. Raises CannotGoOn."""
        for name in names:
            if name in DATASETS and await self._is_there(name) and (source := await self._source(name)) is not None:
                self._sources[name] = source
        return self._sources.keys()

    def source(self, name: str) -> Source | None:
        """Return the open store of a dataset; None for one that cannot be read."""
        return self._sources.get(name)

    async def feed(self, session: SqlSession, spans: Mapping[str, Sequence[Span]]) -> None:
        """Give the session the rows of each open store in the spans. Raises CannotGoOn, StoreError and QueryRefused."""
        assets = [*catalog_of(self._settings).assets] if self._sources else []
        for name, source in self._sources.items():
            async for lines in hot_rows(source, assets, [_past(one) for one in spans[name]]):
                await asyncio.to_thread(session.add, name, lines)

    async def are_there(self) -> bool:
        """Whether any store of the settings can have rows."""
        return any([await self._can_have_rows(name) for name in DATASETS])

    async def _can_have_rows(self, name: str) -> bool:
        if name == FEATURES.name:
            return bool(await asyncio.to_thread(features_files, self._settings.archive_path))
        url: str = getattr(self._settings, _URLS[name])
        if url.startswith("sqlite:"):
            return await asyncio.to_thread(parse_sqlite_url(url).is_file)
        return not url.startswith("memory:")

    async def _is_there(self, name: str) -> bool:
        """Whether the store can have rows. A missing file is named on stderr."""
        if await self._can_have_rows(name):
            return True
        url: str = getattr(self._settings, _URLS[name]) if name in _URLS else ""
        if url.startswith("sqlite:"):
            path = parse_sqlite_url(url)
            hint = "" if path.is_absolute() else " (the files of the demo: --data-dir data)"
            sys.stderr.write(f"aggregator: there is no file {path}: {name} are those of the archive{hint}\n")
        return False

    async def _features(self) -> EventReader:
        """Return the features that the processes on this machine keep until they are archived."""
        files = await asyncio.to_thread(features_files, self._settings.archive_path)
        stores = [SqliteEvents(path, KEPT_SECONDS) for path in files]
        for one in stores:
            self._stack.push_async_callback(one.close)
            await one.open()
        return _Merged(stores)

    async def _source(self, name: str) -> Source | None:
        """Return the open store of a dataset; None where other processes cannot read it."""
        settings, metrics = self._settings, Metrics()
        if name == TRADES.name:
            created = await open_trade_reader(settings, metrics, self._stack)
            return None if created is None else StoredTrades(created.reader)
        if name == PRICES.name:
            return StoredPrices(await open_history(settings, metrics, self._stack))
        if name == FEATURES.name:
            return StoredEvents(await self._features(), FEATURES)
        return StoredEvents((await open_events_and_positions(settings, metrics, self._stack)).events, DATASETS[name])


class _Merged:
    """`EventReader` of several stores; of events with the same key, that of the last one."""

    def __init__(self, readers: Sequence[EventReader]) -> None:
        self._readers = readers

    async def events(
        self,
        topic: str,
        asset: str,
        start: float,
        end: float,
        limit: int,
        *,
        newest_first: bool,
        after: tuple[float, str] | None = None,
    ) -> list[StoredEvent]:
        """As `EventReader.events`."""
        found: dict[tuple[float, str], StoredEvent] = {}
        for one in self._readers:
            page = await one.events(topic, asset, start, end, limit, newest_first=newest_first, after=after)
            found |= {(event.timestamp, event.id): event for event in page}
        return [found[key] for key in sorted(found, reverse=newest_first)[:limit]]


def _past(span: Span) -> Span:
    """Return the part of a span that stores can be asked for."""
    return span.intersection(Span(0.0, time.time() + _AHEAD))
