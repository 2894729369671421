"""Dead letters of trades: written in the background, and tried again where the reason may pass."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from aggregator.errors import StoreError
from aggregator.models import Trade
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.observability.trouble_log import TroubleLog
from aggregator.resilience.backoff import Backoff
from aggregator.stores.dead_letter_file import MOST_RAW, DeadLetterFile, FailedLetter, FailedRecord
from aggregator.stores.letter_archive import ArchivedLetter, LetterArchive, archived
from aggregator.trades.ports import BacklogFull, EventLog, NotAppended
from aggregator.trades.rejection import Rejection
from aggregator.trades.validation import InvalidTrade

KIND = "trade"
MOST_LETTERS = 100_000
MOST_RETRIES = 5
PASSING_CODES = ("asset", "future")  # the symbols file may change, and time passes; other records stay wrong
_MOST_WAITING = 10_000
_RETRY_SECONDS = 900.0
_KEPT_SECONDS = 86_400.0  # before those are archived that are not tried again
_LOOK_SECONDS = 60.0  # between two looks for dead letters that are due
_RETRIED_AT_ONCE = 500
_CHECKPOINT_SECONDS = 1.0

Parse = Callable[[bytes, float], Trade]
"""Makes a trade of a record at a time (unix seconds). Raises InvalidTrade."""


class TradeDeadLetters:
    """`aggregator.trades.ports.DurableDeadLetters` in a SQLite file, the oldest of `most` going first.

    At most `most_waiting` rejections wait to be written; further ones are counted as lost. `now` is unix seconds.
    """

    def __init__(
        self,
        path: Path,
        metrics: TradeMetrics,
        now: Callable[[], float] = time.time,
        most: int = MOST_LETTERS,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._file = DeadLetterFile(path, most)
        self._metrics = metrics
        self._now = now
        self._most_waiting = most_waiting
        self._waiting: deque[FailedRecord] = deque()
        self._arrived = asyncio.Event()
        self._log = structlog.get_logger()
        self._trouble = TroubleLog("dead_letters_failing", "dead_letters_recovered")
        self.archive: LetterArchive | None = None
        """The archive of dead letters that are not tried again; without it they stay in the file."""

        self.buried = self.kept = 0

    async def open(self) -> None:
        """Create the file if it is missing. Raises StoreRefused when the path cannot be used."""
        await self._file.open()

    def bury(self, rejections: Sequence[Rejection]) -> None:
        """As `DeadLetters.bury`. Every rejection is counted here, by source and reason."""
        for one in rejections:
            self._metrics.rejected.labels(one.source, one.code).inc()
        self.buried += len(rejections)
        room = max(0, self._most_waiting - len(self._waiting))
        for one in rejections[:room]:
            source = f"{one.source}:{one.place}" if one.place else one.source
            self._waiting.append(FailedRecord(KIND, source, one.at, one.code, one.reason, one.raw[:MOST_RAW]))
        self._metrics.dead_letters_lost.inc(len(rejections[room:]))
        self.kept += len(rejections[room:])
        self._arrived.set()

    async def run(self) -> None:
        """Write rejections to the file; never returns."""
        backoff = Backoff()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self._write()
                await self._file.checkpoint()
            except StoreError as error:
                self._trouble.report(str(error))
                self._arrived.set()
                await backoff.pause()
            else:
                self._trouble.report("")
                backoff = Backoff()
                await asyncio.sleep(_CHECKPOINT_SECONDS)  # so that rejections are written together

    async def retry(self, parse: Parse, log: EventLog) -> None:
        """Try dead letters again, each every 15 minutes and five times, if their reason may pass; never returns.

        It archives those that have failed as often, and the others after a day.
        """
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            with suppress(StoreError):  # the file or the store is away: the next look tries again
                await self.retry_due(parse, log)
                await self.archive_due()

    async def retry_due(self, parse: Parse, log: EventLog) -> None:
        """Try the dead letters again that are due. Raises StoreError."""
        due = await self._file.due(PASSING_CODES, MOST_RETRIES, self._now() - _RETRY_SECONDS, _RETRIED_AT_ONCE)
        good: list[FailedLetter] = []
        trades: list[Trade] = []
        for letter in due:
            try:
                trades.append(parse(letter.raw, self._now()))
                good.append(letter)
            except InvalidTrade as error:
                again = FailedRecord(KIND, letter.source, self._now(), error.code, str(error), letter.raw)
                await self._file.failed_again(letter, again)
        with suppress(BacklogFull, NotAppended):  # they stay due
            if trades:
                await log.append(trades)
                await self._file.forget(good)

    async def archive_due(self) -> None:
        """Archive the dead letters that are not tried again, and remove them from the file. Raises StoreError."""
        if self.archive is None:
            return
        now = self._now()
        times = now - _RETRY_SECONDS, now - _KEPT_SECONDS
        for letter in await self._file.given_up(PASSING_CODES, MOST_RETRIES, *times, _RETRIED_AT_ONCE):
            if not await archived(self.archive, _archived_letter(letter)):
                return
            await self._file.forget([letter])
            self._log.info("dead_letter_archived", source=letter.source, id=letter.id)

    async def close(self) -> None:
        """Write what waits, and close the file."""
        with suppress(StoreError):
            await self._write()
        self._metrics.dead_letters_lost.inc(len(self._waiting))
        await self._file.close()

    async def _write(self) -> None:
        """Write all that waits. Raises StoreError, and keeps them then."""
        # A cancelled write goes on in the file's thread, and the file waits for it when it is closed.
        records, self._waiting = self._waiting, deque()
        if not records:
            return
        try:
            deleted = await self._file.bury(records)
        except StoreError:
            self._waiting.extendleft(reversed(records))
            while len(self._waiting) > self._most_waiting:
                self._waiting.pop()
                self.kept += 1
                self._metrics.dead_letters_lost.inc()
            raise
        self.kept += len(records)
        for record in records:
            self._metrics.dead_letters.labels(record.source.partition(":")[0]).inc()
        self._metrics.dead_letters_lost.inc(deleted)


def _archived_letter(letter: FailedLetter) -> ArchivedLetter:
    return ArchivedLetter(
        "trade",
        str(letter.id),
        letter.source,
        None,
        letter.last_failed,
        letter.first_failed,
        letter.attempts,
        letter.retries,
        letter.code,
        letter.reason,
        letter.raw.decode(errors="replace"),
    )
