"""The parts that stores and archiver of a process share: the file of marks, a channel for each kind of record."""

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from aggregator.archive.datasets import ANOMALIES, FEATURES, PRICES, SENTIMENT, SIGNALS, TRADES, Dataset
from aggregator.archive.duck import connect
from aggregator.archive.layout import HOUR
from aggregator.archive.sources import StoredEvents, StoredPrices, StoredTrades, line_reader
from aggregator.archive.storages.address import parse_archive_url
from aggregator.archive.storages.registry import open_storage
from aggregator.archive.writes.archiver import Archiver, Channel
from aggregator.archive.writes.backfill import BACKFILLED_SECONDS
from aggregator.archive.writes.marked_sinks import MarkedEvents, MarkedPrices
from aggregator.archive.writes.marked_trades import MarkedTrades
from aggregator.archive.writes.marker import Marker
from aggregator.archive.writes.marks import Marks
from aggregator.observability.metrics.archive import ArchiveMetrics
from aggregator.ports import History, Sink
from aggregator.trades.ports import EventStore, TradeStore

if TYPE_CHECKING:
    from aggregator.stores.trades.dead_letters import TradeDeadLetters


class Archiving:
    """The open file of marks of a process, and the channels that its stores get. `flush` is in seconds."""

    def __init__(self, marks: Marks, flush: int) -> None:
        self._marks = marks
        self._flush = flush
        self._trades = self._marker(TRADES)
        self._channels: list[Channel] = []
        self.archiver: Archiver | None = None
        self.letters: TradeDeadLetters | None = None
        """The dead letters of trades of this process."""

    @property
    def name(self) -> str:
        """The name of this process's archiver, the same after a restart."""
        return self._marks.name

    def keep_trades_from(self) -> float:
        """Return the time from which the store of trades must keep them, in unix seconds."""
        return self._trades.oldest if self._trades.is_backfilled else -inf

    def trades(self, store: TradeStore) -> TradeStore:
        """Return the store, such that what it stores is archived."""
        marked = MarkedTrades(store, self._trades)
        self._channels.append(Channel(StoredTrades(marked, line_reader(store)), self._trades))
        return marked

    def prices(self, history: History) -> Sink:
        """Return a sink of prices in front of the history, such that they are archived."""
        marker = self._marker(PRICES)
        self._channels.append(Channel(StoredPrices(history), marker, BACKFILLED_SECONDS))
        return MarkedPrices(history, marker)

    def events(self, store: EventStore) -> EventStore:
        """Return the store, such that its anomalies, signals and sentiment are archived."""
        datasets = (ANOMALIES, SIGNALS, SENTIMENT)
        markers: dict[str, Marker] = {one.name: Marker(self._marks, one, HOUR) for one in datasets}
        marked = MarkedEvents(store, markers)
        for marker in markers.values():
            self._channels.append(Channel(StoredEvents(marked, marker.dataset), marker, BACKFILLED_SECONDS))
        return marked

    def features(self, file: EventStore) -> EventStore:
        """Return the store of features, such that they are archived."""
        marker = Marker(self._marks, FEATURES, HOUR)
        marked = MarkedEvents(file, {FEATURES.name: marker})
        self._channels.append(Channel(StoredEvents(marked, FEATURES), marker, BACKFILLED_SECONDS))
        return marked

    @property
    def marks_path(self) -> Path:
        """The file of marks of this process."""
        return self._marks.path

    def _marker(self, dataset: Dataset) -> Marker:
        return Marker(self._marks, dataset, self._flush)

    def problem(self) -> str:
        """Return why events are not archived in time; an empty text while they are."""
        return "" if self.archiver is None else self.archiver.problem

    def open(self, url: str, metrics: ArchiveMetrics, now: Callable[[], float], assets: Sequence[str]) -> Archiver:
        """Return the archiver of all channels; the caller runs it, and closes it before the stores."""
        address, marks = parse_archive_url(url), self._marks.path
        storage = open_storage(address, marks.with_name(f"{marks.name}.tmp"))
        connected = partial(connect, address, temporary=marks.with_name(f"{marks.name}.duckdb"))
        self.archiver = Archiver(storage, connected, self._channels, metrics, now, assets)
        if self.letters is not None:
            self.letters.archive = self.archiver
        return self.archiver
