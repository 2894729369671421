"""Group commit of deliveries: the rows of several batches are deleted in one transaction."""

import asyncio
from collections.abc import Sequence

from aggregator.outlets.outbox.lanes import Waiting
from aggregator.outlets.outbox.queue_file import QueueFile


class Deletions:
    """Deletes delivered rows of one outlet. While one transaction is written, the rows that come wait for the next."""

    def __init__(self, file: QueueFile) -> None:
        self._file = file
        self._rows: list[Waiting] = []
        self._next: asyncio.Future[None] | None = None
        self._writing = asyncio.Lock()

    async def delivered(self, rows: Sequence[Waiting]) -> None:
        """As `QueueFile.delivered`. Raises StoreError in every call whose rows were in the transaction."""
        self._rows += rows
        if self._next is None:
            self._next = asyncio.ensure_future(self._write())
        await asyncio.shield(self._next)

    async def _write(self) -> None:
        async with self._writing:
            rows, self._rows, self._next = self._rows, [], None
            await self._file.delivered(rows)
