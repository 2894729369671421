"""The record of a chaos run: every answer, every price in an answer, stream or publication, every fault and every end.

Clients, faults and the supervisor write it while the run lasts; checker.py judges it afterwards.
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
STORED = "stored"  # a row of /prices/{asset}/history, which is not "the price now"


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One price that a client has received; times in unix seconds."""

    client: str
    server: str  # name and process id of the process that sent it; empty where the process was gone before it was known
    connection: int
    kind: str  # the route, PUBLISHED, STORED, or one of PUSHED
    sent: float  # of the request: of a pushed price, when the stream was asked for
    received: float
    asset: str
    price: Decimal
    timestamp: float
    updated_at: float | None = None


class Reply(msgspec.Struct, frozen=True, gc=False):
    """One answer to an HTTP request, whatever its status; status 0 is none."""

    client: str
    target: str  # the process, or group of processes, that was asked
    server: str
    request: str  # method and path
    sent: float
    received: float
    status: int
    retry_after: bool = False
    body: str = ""  # the beginning, where it is no price


class Fault(msgspec.Struct, frozen=True):
    """A fault that was on from `began` to `ended`, on a part such as `redis`, `exchange2` or `api-1`."""

    kind: str
    part: str
    began: float
    ended: float

    def overlaps(self, began: float, ended: float, after: float) -> bool:
        """Tell whether it was on, or over for less than `after` seconds, in that time."""
        return self.began <= ended and self.ended + after >= began


class Ended(msgspec.Struct, frozen=True):
    """A process that ended though nobody had ended it."""

    part: str
    at: float
    code: int
    output: str  # the last lines


class Record(msgspec.Struct):
    """All of it, in the order in which it was written."""

    seen: list[Seen] = []
    replies: list[Reply] = []
    faults: list[Fault] = []
    ended: list[Ended] = []
    replaced: int = 0  # prices that history holds with another refresher's value of the same time
    refused_starts: int = 0  # starts that ended with a line that says what is away, while a fault had taken it away

    @contextmanager
    def fault(self, kind: str, part: str) -> Iterator[None]:
        """Note that a fault is on while the block lasts."""
        began = time()
        try:
            yield
        finally:
            self.faults.append(Fault(kind, part, began, time()))

    def save(self, path: Path) -> None:
        """Write it to a file (MessagePack)."""
        path.write_bytes(msgspec.msgpack.encode(self))


def load(path: Path) -> Record:
    """Read a record that was saved."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Record)
