"""Reads of the archive for requests: in threads of their own, bounded in number, in time and in files."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from aggregator.archive.duck import FRESH_SECONDS, Connection, connect
from aggregator.archive.errors import Interrupted
from aggregator.archive.reads.pages import Form, Page, read_page
from aggregator.archive.storages.address import ArchiveAddress
from aggregator.errors import StoreUnavailable

T = TypeVar("T")

_THREADS = 2  # reads at once
_MOST_WAITING = 8  # more reads are refused
ARCHIVE_SECONDS = 5.0  # of a read, with its wait for others
MOST_FILES = 600  # of one page
_MEMORY = "256MB"


class ArchiveReads:
    """Reads pages of the archive at `address`. A read may take `seconds`, and opens at most `most_files` files."""

    def __init__(self, address: ArchiveAddress, seconds: float = ARCHIVE_SECONDS, most_files: int = MOST_FILES) -> None:
        self._address = address
        self._seconds = seconds
        self._most_files = most_files
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="archive")
        self._waiting = 0
        self._lock = threading.Lock()
        self._connection: Connection = None
        self._made_at = 0.0

    async def page(self, form: Form[T], page: Page) -> list[T]:
        """Return a page.

        Raises RangeTooLong, StoreRefused, and StoreUnavailable, also when there are too many reads or one takes too
        long.
        """
        if self._waiting >= _THREADS + _MOST_WAITING:
            raise StoreUnavailable("too many reads of the archive")
        one = _Read(self._cursor, self._address, form, page, self._most_files)
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

    def _done(self, future: "asyncio.Future[Any]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # the reader may be gone

    def _cursor(self) -> Connection:
        """Return a connection to one database, which is made anew from time to time. Threads may call it."""
        with self._lock:
            if self._connection is None or time.monotonic() - self._made_at > FRESH_SECONDS:
                self._connection = connect(self._address, _MEMORY)
                self._made_at = time.monotonic()
            cursor = self._connection.cursor()
            cursor.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")  # settings of each cursor
            return cursor


class _Read(Generic[T]):
    """One read in a thread, which another one may stop."""

    def __init__(
        self, cursor: Callable[[], Connection], address: ArchiveAddress, form: Form[T], page: Page, most_files: int
    ) -> None:
        self._open = cursor
        self._address = address
        self._form = form
        self._page = page
        self._most_files = most_files
        self._lock = threading.Lock()
        self._cursor: Connection = None
        self._is_stopped = False

    def run(self) -> list[T]:
        """Read. Raises StoreError and RangeTooLong."""
        cursor = self._open()
        with self._lock:
            self._cursor = cursor
        try:
            return read_page(cursor, self._address, self._form, self._page, self._most_files, self._stopped)
        except Interrupted as error:
            raise StoreUnavailable("a read of the archive was stopped") from error
        finally:
            with self._lock:
                self._cursor = None
            cursor.close()

    def _stopped(self) -> bool:
        return self._is_stopped

    def stop(self) -> None:
        """Stop the read if it is under way."""
        with self._lock:
            self._is_stopped = True
            if self._cursor is not None:
                self._cursor.interrupt()
