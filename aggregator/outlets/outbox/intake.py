"""Moves rows into the lanes of an outlet: from memory as they are written, or from the file.

hand_over -> file -> offer: into the lanes, unless older rows are in the file only
             file -> read: after a start, after an outage, and for rows that other processes have written
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from aggregator.outlets.outbox.lanes import Lanes, Waiting
from aggregator.outlets.outbox.queue_file import Page, Queued, QueueFile
from aggregator.resilience.waiting import until_available, wait_at_most
from aggregator.stores.waiting_file import Appended

IN_MEMORY = 5000  # rows; the others stay in the file only
_READ_ROWS = 1000
_RESCAN_SECONDS = 2.0  # between two scans of the file from its first row: other processes may write to it
_POLL_SECONDS = 0.1  # until rows of another process are seen; a poll costs 0.1 ms of CPU
_NOT_SENDING_SECONDS = 0.5
_NOTHING = -1  # no id


class Intake:
    """The rows of the outlet `name`, for `lanes`; `ready` is set when some were added.

    Rows of an asset must come in the order in which they were written. So rows are taken from memory only if all rows
    before them were taken: those of this process, of which `_taken` is the last id, and those of others, of which there
    are none if this process was alone. `_written` is the last id of the appends of this process whose outcome is known.
    A call that was cancelled may have written rows nonetheless; their ids are not taken, so the file is read then.
    """

    def __init__(
        self, name: str, file: QueueFile, lanes: Lanes, is_sender: Callable[[], bool], ready: asyncio.Event
    ) -> None:
        self._name = name
        self._file = file
        self._lanes = lanes
        self._is_sender = is_sender
        self._ready = ready
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._taken, self._written = _NOTHING, _NOTHING
        self._cursor, self._newest = 0, 0  # the last id of the scan under way, and of all scans
        self._is_rewound = False
        self._left: list[int] | None = None  # during a read: the first ids of appends that were left to the file

    def offer(self, rows: Sequence[Waiting], appended: Appended[Queued]) -> None:
        """Take rows that were written, or leave them to the next read of the file.

        To be called after each append, in their order, also without rows for this outlet.
        """
        self._written = appended.last
        is_next = appended.is_alone and appended.before <= self._taken
        if is_next and len(self._lanes) <= IN_MEMORY and self._is_sender():
            self._taken = appended.last
            if rows:
                self._lanes.add(rows)
                self._ready.set()
        elif rows:
            self._is_rewound = self._is_rewound or rows[0].id <= self._cursor  # later ids of another process were read
            if self._left is not None:
                self._left.append(rows[0].id)
            self._arrived.set()

    def settled(self) -> None:
        """Read on, if the lanes have room again."""
        if len(self._lanes) <= IN_MEMORY:
            self._room.set()

    async def run(self) -> None:
        """Read the file; never returns."""
        rescan_at = 0.0
        while True:
            if not self._is_sender():
                self._lanes.clear()
                self._cursor, self._taken = 0, _NOTHING
                self._arrived.clear()
                await wait_at_most(self._arrived, _NOT_SENDING_SECONDS)
                continue
            if self._is_rewound or time.monotonic() >= rescan_at:
                self._cursor, rescan_at, self._is_rewound = 0, time.monotonic() + _RESCAN_SECONDS, False
            self._arrived.clear()
            self._lanes.begin_read()
            left: list[int] = []
            self._left = left
            written, after = self._written, self._cursor
            page = await until_available(partial(self._page, after))
            self._left = None
            if page.rows:
                self._lanes.add(page.rows)
                self._ready.set()
            if page.last is not None:
                self._cursor, self._newest = page.last, max(self._newest, page.last)
                found = {row.id for row in page.rows} if left else ()
                self._is_rewound = any(one <= self._cursor and one not in found for one in left)
            while len(self._lanes) > IN_MEMORY and self._is_sender():
                self._room.clear()
                await wait_at_most(self._room, _NOT_SENDING_SECONDS)
            if page.is_full:
                continue
            if not self._is_rewound:
                self._taken = max(self._taken, written)
            await wait_at_most(self._arrived, _POLL_SECONDS)

    async def _page(self, after: int) -> Page:
        """Return the next rows after an id, without those that were in the lanes before."""
        if after < max(self._newest, self._taken):
            return await self._file.waiting_but(self._name, after, _READ_ROWS, self._lanes.ids)
        rows = await self._file.waiting(self._name, after, _READ_ROWS)
        return Page(rows, rows[-1].id if rows else None, len(rows) == _READ_ROWS)
