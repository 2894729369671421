"""The hot stores of the settings as `aggregator sql` reads them: those rows that no file of the archive has."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aggregator.archive.sql_bounds import Span
from aggregator.archive.sql_hot import as_objects, event_objects, events_of, hot_rows, prices_of, trades_of
from aggregator.archive.sql_session import SqlSession
from aggregator.observability.metrics import Metrics
from aggregator.runtime.event_stores import open_found
from aggregator.runtime.stores import catalog_of, open_history, open_trade_reader
from aggregator.settings import Settings
from aggregator.stores.sqlite import parse_sqlite_url

_AHEAD = 3600.0  # seconds past now of the newest rows: clocks of venues may run ahead of ours
_EVENTS = ("anomalies", "signals", "sentiment")
_URLS = {"trades": "trades_url", "prices": "history_url", **dict.fromkeys(_EVENTS, "events_url")}


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
        self._assets: Sequence[str] = ()

    async def feed(self, session: SqlSession, spans: Mapping[str, Sequence[Span]]) -> None:
        """Give the session the rows of each dataset in the spans. Raises CannotGoOn, StoreError and QueryRefused."""
        wanted = [name for name in spans if name in _URLS and await self._is_there(name)]
        if wanted:
            self._assets = [*catalog_of(self._settings).assets]
        for name in wanted:
            async for rows in self._rows(name, [_past(one) for one in spans[name]]):
                await asyncio.to_thread(session.add, name, rows)

    async def _is_there(self, name: str) -> bool:
        """Whether the store can have rows. A file that is missing is told on stderr."""
        url: str = getattr(self._settings, _URLS[name])
        if url.startswith("memory:"):
            return False
        if not url.startswith("sqlite:") or await asyncio.to_thread(parse_sqlite_url(url).is_file):
            return True
        sys.stderr.write(f"aggregator: there is no file {parse_sqlite_url(url)}: {name} are those of the archive\n")
        return False

    async def _rows(self, name: str, spans: Sequence[Span]) -> AsyncIterator[bytes]:
        settings, metrics = self._settings, Metrics()
        if name == "trades":
            trades = await open_trade_reader(settings, metrics, self._stack)
            if trades is not None:
                async for some_trades in hot_rows(trades_of(trades.reader), self._assets, spans):
                    yield as_objects(some_trades)
        elif name == "prices":
            history = await open_history(settings, metrics, self._stack)
            async for prices in hot_rows(prices_of(history), self._assets, spans):
                yield as_objects(prices)
        else:
            events = (await open_found(settings, metrics, self._stack)).events
            async for some_events in hot_rows(events_of(events, name), self._assets, spans):
                yield event_objects(some_events)


def _past(span: Span) -> Span:
    """Return the part of a span that stores can be asked for."""
    return span.both(Span(0.0, time.time() + _AHEAD))
