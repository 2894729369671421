"""Stored trades, and behind them those of the archive. Reads of the archive are bounded in number and in time."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aggregator.archive.address import ArchiveAddress
from aggregator.archive.duck import Connection, connect
from aggregator.archive.sql_bounds import Span
from aggregator.archive.sql_errors import Interrupted
from aggregator.archive.trade_pages import Page, read_page
from aggregator.errors import StoreUnavailable
from aggregator.models import Trade, TradeKey, trade_key
from aggregator.trades.ports import TradeReader

_THREADS = 2  # reads at once
_MOST_WAITING = 8  # more reads are refused
ARCHIVE_SECONDS = 5.0  # of a read, with its wait for others
MOST_FILES = 600  # of one page
_MEMORY = "256MB"
_FRESH_SECONDS = 600.0  # after which a connection is made anew, as credentials of S3 expire


class ArchivedTrades:
    """`TradeReader` of a store and of the archive behind it. `retention` is that of the store, in seconds.

    A read of the store may take `store_seconds`, one of the archive `seconds`; then StoreUnavailable is raised. One
    page opens at most `most_files` files of the archive.

    The archive is read for a range that begins or ends before what the store keeps. A range from 0 begins nowhere: it
    is that of a client that asks for the newest trades.
    """

    def __init__(
        self,
        store: TradeReader,
        address: ArchiveAddress,
        retention: float,
        now: Callable[[], float],
        store_seconds: float,
        seconds: float = ARCHIVE_SECONDS,
        most_files: int = MOST_FILES,
    ) -> None:
        self._store = store
        self._reads = _ArchiveReads(address, seconds, most_files)
        self._retention = retention
        self._now = now
        self._store_seconds = store_seconds

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`. Raises RangeTooLong, too."""
        try:
            async with asyncio.timeout(self._store_seconds):
                stored = await self._store.trades(asset, start, end, limit, newest_first=newest_first, after=after)
        except TimeoutError as error:
            raise StoreUnavailable(f"a read of trades took more than {self._store_seconds:g} s") from error
        kept_since = self._now() - self._retention
        is_asked = 0 < start < kept_since or end < kept_since
        if not is_asked or (newest_first and len(stored) == limit and stored[-1].timestamp >= kept_since):
            return stored
        page = Page(asset, Span(start, min(end, kept_since)), limit, newest_first, after)
        if page.rest.start > page.rest.end:
            return stored
        archived = await self._reads.read(page)
        both = {trade_key(one): one for one in [*archived, *stored]}
        return [both[key] for key in sorted(both, reverse=newest_first)[:limit]]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`; of the store only."""
        return await self._store.latest(assets)

    def close(self) -> None:
        """Stop reads under way."""
        self._reads.close()


class _ArchiveReads:
    """Runs reads of the archive in threads of their own."""

    def __init__(self, address: ArchiveAddress, seconds: float, most_files: int) -> None:
        self._address = address
        self._seconds = seconds
        self._most_files = most_files
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="archive")
        self._waiting = 0
        self._lock = threading.Lock()
        self._connection: Connection = None
        self._made_at = 0.0

    async def read(self, page: Page) -> list[Trade]:
        """Return a page. Raises StoreUnavailable, also when there are too many reads or one takes too long."""
        if self._waiting >= _THREADS + _MOST_WAITING:
            raise StoreUnavailable("too many reads of the archive")
        one = _Read(self._cursor, self._address, page, self._most_files)
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, one.run)
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise StoreUnavailable(f"a read of the archive took more than {self._seconds:g} s") from error
        finally:
            one.stop()

    def close(self) -> None:
        """Take no more reads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, future: "asyncio.Future[list[Trade]]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # the reader may be gone

    def _cursor(self) -> Connection:
        """Return a connection to one database, which is made anew from time to time. Threads may call it."""
        with self._lock:
            if self._connection is None or time.monotonic() - self._made_at > _FRESH_SECONDS:
                self._connection = connect(self._address, _MEMORY)
                self._made_at = time.monotonic()
            cursor = self._connection.cursor()
            cursor.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")  # settings of each cursor
            return cursor


class _Read:
    """One read in a thread, which another one may stop."""

    def __init__(self, cursor: Callable[[], Connection], address: ArchiveAddress, page: Page, most_files: int) -> None:
        self._open = cursor
        self._address = address
        self._page = page
        self._most_files = most_files
        self._lock = threading.Lock()
        self._cursor: Connection = None
        self._is_stopped = False

    def run(self) -> list[Trade]:
        """Read. Raises StoreError and RangeTooLong."""
        cursor = self._open()
        with self._lock:
            self._cursor = cursor
        try:
            return read_page(cursor, self._address, self._page, self._most_files, lambda: self._is_stopped)
        except Interrupted as error:
            raise StoreUnavailable("a read of the archive was stopped") from error
        finally:
            with self._lock:
                self._cursor = None
            cursor.close()

    def stop(self) -> None:
        """Stop the read if it is under way."""
        with self._lock:
            self._is_stopped = True
            if self._cursor is not None:
                self._cursor.interrupt()
