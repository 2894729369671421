"""The retry of events that an outlet has refused: every 15 minutes, five times, then they are archived."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog

from aggregator.errors import StoreError
from aggregator.outlets.outbox.queue_file import Queued, QueueFile
from aggregator.stores.letter_archive import ArchivedLetter, LetterArchive, archived
from aggregator.stores.waiting_file import DeadLetter

RETRY_SECONDS = 900.0
MOST_RETRIES = 5
_LOOK_SECONDS = 30.0
_PAGE = 500
_decoder = msgspec.json.Decoder(Queued)


class DeadLetterRetry:
    """Sends dead letters again; `now` is unix seconds. Without `archive`, those refused for good stay in the file."""

    def __init__(self, file: QueueFile, now: Callable[[], float], archive: LetterArchive | None = None) -> None:
        self._file = file
        self._now = now
        self.archive = archive

    async def run(self) -> None:
        """Look for dead letters that are due; never returns."""
        while True:
            with suppress(StoreError):  # the file cannot be used now
                await self.retry_due()
            await asyncio.sleep(_LOOK_SECONDS)

    async def retry_due(self) -> int:
        """Let the dead letters wait again that are due; archive those that are refused for good. Return how many.

        An event that is refused again meanwhile has a later id, and is left to the next look.
        """
        last, number, started = 0, 0, time.time_ns()
        while page := await self._file.dead_letters(last, _PAGE):
            last = page[-1].id
            for letter in page:
                number += await self._settle(letter) if letter.id <= started else 0
        return number

    async def _settle(self, letter: DeadLetter) -> int:
        try:
            record = _decoder.decode(letter.body)
        except msgspec.MsgspecError:  # a newer version has written it
            return 0
        if record.retries >= MOST_RETRIES:
            return await self._archived(letter, record)
        if letter.refused_at > self._now() - RETRY_SECONDS:
            return 0
        await self._file.retry(letter, record.retries + 1)
        return 1

    async def _archived(self, letter: DeadLetter, record: Queued) -> int:
        if self.archive is None or not await archived(self.archive, _archived_letter(letter, record)):
            return 0
        await self._file.forget(letter)
        structlog.get_logger().info("dead_letter_archived", outlet=record.outlet, id=letter.id)
        return 1


def _archived_letter(letter: DeadLetter, record: Queued) -> ArchivedLetter:
    return ArchivedLetter(
        "outlet",
        str(letter.id),
        record.outlet,
        letter.asset,
        letter.refused_at,
        letter.refused_at,  # the file of an outbox has the last refusal only
        record.retries + 1,
        record.retries,
        "refused",
        letter.reason,
        letter.body,
    )
