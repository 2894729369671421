"""The archiver: writes the ranges that are marked and complete, and joins the small files of quiet hours.

It reads the store on the event loop, page by page with pauses, and does everything else in one thread of low priority.
While the archive is away it tries again, the store keeps what is marked, and `lag` grows.
"""

import asyncio
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NamedTuple, TypeVar

import structlog

from aggregator.archive.datasets import Dataset
from aggregator.archive.duck import FRESH_SECONDS, Connection
from aggregator.archive.layout import HOUR
from aggregator.archive.sources import Source
from aggregator.archive.storages.definition import Storage
from aggregator.archive.storages.single_file import put_file
from aggregator.archive.writes.backfill import backfill
from aggregator.archive.writes.compaction import compact, hours_with_several, quiet_hours
from aggregator.archive.writes.marker import Marker
from aggregator.archive.writes.marks import Range
from aggregator.archive.writes.spool import Spool
from aggregator.archive.writes.writer import PART_ROWS, RangeWriter
from aggregator.errors import StoreError
from aggregator.observability.metrics.archive import ArchiveMetrics
from aggregator.resilience.backoff import Backoff

T = TypeVar("T")

LONGEST_LAG = 900.0  # seconds, without a problem
STOP_SECONDS = 5.0  # for the open ranges at a stop
_GRACE_SECONDS = 10.0  # after the end of a range: most late events come in them
_LOOK_SECONDS = 1.0
_LONGEST_PAUSE = 30.0
_MOST_WRITTEN = 1000  # ranges whose last write is known: those of three days of trades
_LONGEST_REST = 0.05  # after a page
_NICE = 10


class Channel(NamedTuple):
    """A dataset that is archived: where its events are read, and their marks.

    What was stored in the `backfilled` seconds before the first start is archived, too.
    """

    source: Source
    marker: Marker
    backfilled: float = math.inf

    @property
    def dataset(self) -> Dataset:
        """The dataset."""
        return self.source.dataset


class Archiver:
    """Archives `channels` to `storage`. `connect` opens DuckDB, `now` is unix seconds. At most one in a process.

    A file has at most `part_rows` rows. At the first start, what the stores have of `assets` is archived, too.
    """

    def __init__(
        self,
        storage: Storage,
        connect: Callable[[], Connection],
        channels: Sequence[Channel],
        metrics: ArchiveMetrics,
        now: Callable[[], float],
        assets: Sequence[str] = (),
        part_rows: int = PART_ROWS,
    ) -> None:
        self._storage = storage
        self._connect = connect
        self._channels = channels
        self._metrics = metrics
        self._now = now
        self._assets = assets
        self._part_rows = part_rows
        self._thread = ThreadPoolExecutor(1, "archive", _lower_priority)
        self._writer: RangeWriter | None = None
        self._connected_at = 0.0  # monotonic seconds
        self._written: dict[tuple[str, Range], float] = {}  # when a range was written last, since the start
        # When a range was first seen marked; those that an earlier run has left wait since their end.
        self._seen = {(one.dataset.name, left): -math.inf for one in channels for left in one.marker.pending}
        self._failed: set[tuple[str, Range]] = set()
        self._hours: set[tuple[str, int]] = set()  # hours with files that may be joined
        self._is_closed = False
        self._log = structlog.get_logger()
        self.trouble = ""
        """The reason why the archive cannot be written at present; empty while it can."""

    @property
    def lag(self) -> float:
        """For how many seconds a complete range has waited at most; 0 without one.

        A range that gets events after its end, such as a headline of an hour ago, waits since it was seen marked.
        """
        now = self._now()
        since = [
            max(marked[1] + _GRACE_SECONDS, self._seen.get((one.dataset.name, marked), now))
            for one in self._channels
            for marked in one.marker.pending
        ]
        return max(0.0, now - min(since, default=now))

    @property
    def problem(self) -> str:
        """The reason why events are not archived in time; empty while they are."""
        behind = f"{self.lag:.0f} s behind" if self.lag > LONGEST_LAG else ""
        return ", ".join(filter(None, (self.trouble, behind)))

    def report(self) -> None:
        """Set the gauges; to be called before each scrape."""
        self._metrics.lag.set(self.lag)
        self._metrics.pending.set(sum(len(one.marker.pending) for one in self._channels))

    async def run(self) -> None:
        """Archive; never returns."""
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            errors = [await self._tried(step) for step in (self.archive_due, self.compact_due, self._backfill)]
            if found := next(filter(None, errors), ""):
                if not self.trouble:
                    self._log.warning("archive_failing", error=found)
                self.trouble = found
                await backoff.pause()
                continue
            if self.trouble:
                self._log.info("archive_recovered")
                self.trouble, backoff = "", Backoff(_LONGEST_PAUSE)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _tried(self, step: Callable[[], Awaitable[None]]) -> str:
        """Do a step; return its error. A file that cannot be joined does not keep others from being written."""
        try:
            await step()
        except StoreError as error:
            self._metrics.errors.inc()
            return str(error)
        return ""

    async def _backfill(self) -> None:
        for channel in self._channels:
            await backfill(channel.source, channel.marker, self._assets, self._now() - channel.backfilled)

    async def archive_due(self, *, also_open: bool = False) -> None:
        """Write the marked ranges that are complete, the oldest first; all with `also_open`. Raises StoreError.

        Those that failed last come after all others: one whose file is broken must not hold these up.
        """
        now = self._now()
        marked = {(channel.dataset.name, one) for channel in self._channels for one in channel.marker.pending}
        self._seen = {key: self._seen.get(key, now) for key in marked}
        self._failed &= marked
        due = [(channel, one) for channel in self._channels for one in sorted(channel.marker.pending)]
        for channel, one in sorted(due, key=lambda each: (each[0].dataset.name, each[1]) in self._failed):
            written = self._written.get((channel.dataset.name, one), 0.0)
            again = 0.0 if written > now else written + channel.marker.seconds  # the clock was set back
            if also_open or now >= max(one[1] + _GRACE_SECONDS, again):
                self._failed.add((channel.dataset.name, one))
                await self.archive(channel, one)
                self._failed.discard((channel.dataset.name, one))
        if len(self._written) > _MOST_WRITTEN:
            self._written = {key: at for key, at in self._written.items() if now - at < HOUR}

    async def archive(self, channel: Channel, one: Range) -> None:
        """Write a range, and remove its mark. Raises StoreError."""
        writer = await self._opened()
        version = await channel.marker.settle(one)
        if version is None:
            return
        async with self._spooled(channel, one) as spool:
            entries = await self._in_thread(
                lambda: writer.write(channel.dataset, *one, spool.files, spool.rows) if spool.rows else []
            )
        await channel.marker.clear(one, version)
        name = channel.dataset.name
        self._written[name, one] = self._now()
        self._hours.add((name, one[0] - one[0] % HOUR))
        self._metrics.rows.labels(name).inc(sum(entry.rows for entry in entries))
        self._metrics.bytes.labels(name).inc(sum(entry.bytes for entry in entries))
        self._log.debug("archived", dataset=name, start=one[0], rows=spool.rows, files=len(entries))

    async def compact_due(self) -> None:
        """Join the files of hours that are over and quiet. Raises StoreError."""
        for channel in self._channels:
            name = channel.dataset.name
            hours = {hour for dataset, hour in self._hours if dataset == name}
            for hour in quiet_hours(hours, channel.marker.pending, self._now()):
                writer = await self._opened()
                if await self._in_thread(partial(compact, writer, channel.dataset, hour)):
                    self._metrics.compacted.labels(name).inc()
                self._hours.discard((name, hour))

    async def flush(self, seconds: float = STOP_SECONDS) -> None:
        """Write the open ranges, too, before a stop; what is not begun in `seconds` stays marked for the next start.

        It does nothing while the archive cannot be written.
        """
        if self.trouble:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.archive_due(also_open=True)
        except (StoreError, TimeoutError) as error:
            reason = str(error) or f"it took longer than {seconds:g} s"
            note = "the newest rows are in their stores, and the next start archives them"
            self._log.warning("archive_not_flushed", reason=reason, note=note)

    async def put_file(self, path: str, body: bytes) -> bool:
        """Write a small file beside the datasets, unless it is there; return whether it is durable."""
        if self._is_closed:
            return False
        try:
            await self._opened()
            await self._in_thread(partial(put_file, self._storage, path, body))
        except StoreError as error:
            self._log.warning("archive_file_failing", path=path, error=str(error))
            return False
        return True

    async def close(self) -> None:
        """Wait for the file under way, and delete what is unfinished."""
        self._is_closed = True
        await self._in_thread(self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        self._writer = None
        with suppress(StoreError):
            self._storage.close()

    async def _opened(self) -> RangeWriter:
        if self._writer is None:
            self._writer = await self._in_thread(self._open)
        elif time.monotonic() - self._connected_at > FRESH_SECONDS:
            self._writer = await self._in_thread(self._connected)
        return self._writer

    def _open(self) -> RangeWriter:
        self._storage.open()
        for channel in self._channels:
            name = channel.dataset.name
            self._hours |= {(name, hour) for hour in hours_with_several(self._storage, name, self._now())}
        return self._connected()

    def _connected(self) -> RangeWriter:
        writer = RangeWriter(self._storage, self._connect(), self._part_rows)
        self._connected_at = time.monotonic()
        return writer

    @asynccontextmanager
    async def _spooled(self, channel: Channel, one: Range) -> AsyncIterator[Spool]:
        """Yield the events of a range as files, which are deleted afterwards."""
        spool = Spool(self._storage.work_folder, channel.source.lines, self._part_rows)
        try:
            for asset in sorted(channel.marker.assets):
                async for page in channel.source.pages(asset, *one):
                    began = asyncio.get_running_loop().time()
                    await self._in_thread(partial(spool.add, page))
                    await asyncio.sleep(min(asyncio.get_running_loop().time() - began, _LONGEST_REST))
            await self._in_thread(spool.finish)
            yield spool
        finally:
            await asyncio.shield(self._in_thread(spool.close))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _lower_priority() -> None:
    """Let the other threads of the process go first, where the system has priorities of threads."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
