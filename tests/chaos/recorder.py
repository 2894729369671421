"""The record of a chaos run: all replies, all prices answered, streamed or published, all faults and ended processes.

Clients, faults and the supervisor write it during the run; checker.py judges it afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from time import time

import msgspec

EVENT, SNAPSHOT = "event", "snapshot"
PUSHED = frozenset({EVENT, SNAPSHOT})
PUBLISHED = "published"
STORED = "stored"  # a row of /prices/{asset}/history, not the current price


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One price that a client has received; times in unix seconds."""

    client: str
    server: str  # name and pid of the sending process; empty when it was gone before the client could look it up
    connection: int
    kind: str  # the route, PUBLISHED, STORED, or one of PUSHED
    sent: float  # when the request was sent; for a pushed price, when the stream was opened
    received: float
    asset: str
    price: Decimal
    timestamp: float
    updated_at: float | None = None


class Reply(msgspec.Struct, frozen=True, gc=False):
    """One HTTP reply, whatever its status; status 0 means no answer."""

    client: str
    target: str  # the member that was called: a process or a group
    server: str
    request: str  # method and path
    sent: float
    received: float
    status: int
    retry_after: bool = False
    body: str = ""  # the beginning of the body, for errors only


class Fault(msgspec.Struct, frozen=True):
    """A fault that was active from `began` to `ended`, on a part such as `redis`, `exchange2` or `api-1`."""

    kind: str
    part: str
    began: float
    ended: float

    def overlaps(self, began: float, ended: float, after: float) -> bool:
        """Return whether the fault was active in that time, or had ended less than `after` seconds before it."""
        return self.began <= ended and self.ended + after >= began


class Ended(msgspec.Struct, frozen=True):
    """A process that ended by itself."""

    part: str
    at: float
    code: int
    output: str  # the last lines of its output


class Record(msgspec.Struct):
    """The whole record; each list is in the order of writing."""

    seen: list[Seen] = []
    replies: list[Reply] = []
    faults: list[Fault] = []
    ended: list[Ended] = []
    replaced: int = 0  # prices for which history has another refresher's value of the same timestamp
    refused_starts: int = 0  # starts that a fault's missing store made end with a message

    @contextmanager
    def fault(self, kind: str, part: str) -> Iterator[None]:
        """Record that a fault is active while the block runs."""
        began = time()
        try:
            yield
        finally:
            self.faults.append(Fault(kind, part, began, time()))

    def save(self, path: Path) -> None:
        """Write the record to a file (MessagePack)."""
        path.write_bytes(msgspec.msgpack.encode(self))


def load(path: Path) -> Record:
    """Read a saved record."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Record)
