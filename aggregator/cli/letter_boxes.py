"""The files that hold dead letters, for `aggregator dead-letters`: those of prices, of trades, and of outlets."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from aggregator.cli.ingest_call import IngestCall
from aggregator.errors import printable
from aggregator.outlets.outbox.queue_file import QueueFile
from aggregator.stores.dead_letter_file import DeadLetterFile, FailedLetter
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.trades.dead_letters import MOST_LETTERS
from aggregator.stores.trades.waiting_trades import WaitingTrades
from aggregator.stores.waiting_file import DeadLetter

_UNBOUNDED = 1 << 62  # bytes; the command adds only what was in the outbox before


class Letter(msgspec.Struct, frozen=True):
    """A dead letter as the command shows it: a line of `list`, and the text of `show`."""

    id: int
    line: str
    text: str


class LetterBox(Protocol):
    """A file that holds dead letters. Raises StoreError. `replayed` says what has become of a replayed letter."""

    replayed: str

    async def open(self) -> None:
        """Open the file."""

    async def close(self) -> None:
        """Close the file."""

    async def letters(self, after: int, limit: int) -> Sequence[Letter]:
        """Return at most `limit` dead letters with a larger id, the oldest first."""

    async def replay(self, letter_id: int) -> str:
        """Send a dead letter again; return why it still fails, or an empty text. Raises CannotReplay."""

    async def forget(self, letter_id: int) -> None:
        """Delete a dead letter."""


class OutboxBox:
    """The dead letters of an outbox: what DynamoDB, or an outlet, refused."""

    replayed = "waits to be sent again"

    def __init__(self, file: OutboxFile | WaitingTrades | QueueFile) -> None:
        self._file = file
        self.open, self.close = file.open, file.close

    async def letters(self, after: int, limit: int) -> Sequence[Letter]:
        """As `LetterBox.letters`."""
        return [_refused(one) for one in await self._file.dead_letters(after, limit)]

    async def replay(self, letter_id: int) -> str:
        """Let the letter wait in the outbox again; the running service sends it."""
        letter = await self._file.dead_letter(letter_id)
        if letter is not None:
            await self._file.replay(letter)
        return ""

    async def forget(self, letter_id: int) -> None:
        """As `LetterBox.forget`."""
        letter = await self._file.dead_letter(letter_id)
        if letter is not None:
            await self._file.forget(letter)


class RejectedBox:
    """The records that were sent as trades and are none. `ingest` sends one to the service."""

    replayed = "stored"

    def __init__(self, path: Path, ingest: IngestCall) -> None:
        self._file = DeadLetterFile(path, MOST_LETTERS)
        self._ingest = ingest
        self.open, self.close = self._file.open, self._file.close

    async def letters(self, after: int, limit: int) -> Sequence[Letter]:
        """As `LetterBox.letters`."""
        return [_rejected(one) for one in await self._file.letters(after, limit)]

    async def replay(self, letter_id: int) -> str:
        """Send the record to POST /ingest, and delete the letter if it is a trade now."""
        letter = await self._file.letter(letter_id)
        if letter is None:
            return ""
        reason = await self._ingest.send(letter.raw)
        if not reason:
            await self._file.forget([letter])
        return reason

    async def forget(self, letter_id: int) -> None:
        """As `LetterBox.forget`."""
        letter = await self._file.letter(letter_id)
        if letter is not None:
            await self._file.forget([letter])


def boxes(
    kind: str, outbox: Path, trades_outbox: Path, dead_letters: Path, outlets: Path, ingest: IngestCall
) -> list[LetterBox]:
    """Return the boxes of a kind (`prices`, `trades`, `outlets` or `all`) whose files exist."""
    known: list[tuple[str, Path, Callable[[Path], LetterBox]]] = [
        ("prices", outbox, lambda path: OutboxBox(OutboxFile(path, _UNBOUNDED))),
        ("trades", trades_outbox, lambda path: OutboxBox(WaitingTrades(path, _UNBOUNDED))),
        ("trades", dead_letters, lambda path: RejectedBox(path, ingest)),
        ("outlets", outlets, lambda path: OutboxBox(QueueFile(path, _UNBOUNDED))),
    ]
    return [make(path) for of_kind, path, make in known if kind in (of_kind, "all") and path.exists()]


def _refused(letter: DeadLetter) -> Letter:
    at = _utc(letter.refused_at)
    line = f"{letter.id}  {letter.asset}  {letter.timestamp!r}  refused {at} UTC  {letter.reason}"
    return Letter(letter.id, printable(line, len(line)), f"{letter.reason}\n{letter.body}")


def _rejected(letter: FailedLetter) -> Letter:
    first, last = _utc(letter.first_failed), _utc(letter.last_failed)
    line = f"{letter.id}  {letter.kind} of {letter.source}  rejected {last} UTC  {letter.code}: {letter.reason}"
    text = (
        f"{letter.code}: {letter.reason}\n{letter.kind} of {letter.source}, {letter.attempts} attempts,"
        f" first {first} UTC, last {last} UTC\n{letter.raw.decode(errors='backslashreplace')}"
    )
    return Letter(letter.id, printable(line, len(line)), text)


def _utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S")
