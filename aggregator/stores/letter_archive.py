"""Dead letters on their way to the archive: one JSON object in a file of its own, `dead-letters/YYYY/MM/DD/…`."""

from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec


class ArchivedLetter(msgspec.Struct, frozen=True):
    """A dead letter as it is archived. Times are unix seconds; `timestamp` is that of the last failure.

    `source` names where a trade came from, or the outlet that has refused an event. `retries` counts the attempts that
    the service has made again, 15 minutes apart. `raw` is what was sent, with U+FFFD for bytes that are no UTF-8.
    """

    kind: Literal["trade", "outlet"]
    id: str
    source: str
    asset: str | None
    timestamp: float
    first_failed: float
    attempts: int
    retries: int
    code: str
    reason: str
    raw: str

    @property
    def path(self) -> str:
        """The path of its file, by the UTC day of the last failure."""
        day = datetime.fromtimestamp(self.timestamp, UTC).strftime("%Y/%m/%d")
        name = f"{self.kind}-{self.source}" if self.kind == "outlet" else self.kind
        return f"dead-letters/{day}/{name}-{self.id}.json"


class LetterArchive(Protocol):
    """Keeps dead letters for good."""

    async def put_file(self, path: str, body: bytes, /) -> bool:
        """Write a file unless it is there; return whether it is durable."""


async def archived(archive: LetterArchive, letter: ArchivedLetter) -> bool:
    """Write a letter; return whether it is durable."""
    return await archive.put_file(letter.path, msgspec.json.encode(letter))
