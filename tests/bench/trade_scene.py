"""The service with its trade stream, as the benches of trades measure it: everything on, and nothing else to do.

Store, windows and topics are those of the default settings, with SQLite in a temporary folder. There is one exchange,
which nobody serves, so that no prices are made. Figures of CPU and memory come from /proc.
"""

import os
import re
import socket
import sqlite3
import threading
import time
import uuid
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from aggregator.models import trade_key
from aggregator.stores.trades.blocks import decode_trades
from tests.bench.scene import Scene, metrics_of
from tests.bench.trade_generator import Generator, Load
from tests.parts.service import Service

RATE = 15_000  # trades/s at which latency, reads and memory are measured
_NOBODY = "exchange1=mock+http://127.0.0.1:9"
_HOUR = 3600
_TICKS = os.sysconf("SC_CLK_TCK")
_SEEN = re.compile(rb'"id":"a(\d+)-\d+"')  # of the default name of a load


class TradeService:
    """The service, with one subscriber to the topic `features` that reads. `cores` are the CPUs it may use.

    `folder` is that of its files; a new one, if None. With `keep`, the subscriber keeps what it has read.
    """

    def __init__(
        self,
        parts: Scene,
        cores: Collection[int] | None = None,
        folder: Path | None = None,
        *,
        keep: bool = False,
        **settings: object,
    ) -> None:
        self._parts = parts
        self._folder = folder or new_folder(parts)
        quiet = {f"{tier}_interval": _HOUR for tier in ("hot", "medium", "cold")}
        self.service = Service(self._folder, **(quiet | {"exchanges": _NOBODY, "min_sources": 1} | settings))
        parts.closing(self.service.process.stop)
        self.url = self.service.started().url
        self.pid = self.service.process.child.pid
        if cores is not None:
            pin(self.pid, cores)
        self.features = Events(self.url, "features", keep=keep)
        parts.closing(self.features.stop)

    def generator(self, load: Load) -> Generator:
        """Start a generator."""
        generator = Generator(self.url, load, self._folder / f"sent-{uuid.uuid4()}")
        self._parts.closing(generator.end)
        return generator

    @property
    def cpu(self) -> float:
        """The CPU seconds of all threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def memory(self) -> float:
        """The resident memory in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6

    @property
    def ingested(self) -> float:
        """The number of trades stored so far."""
        return metrics_of(self.service).get('trades_ingested_total{source="ingest"}', 0.0)

    def stages(self) -> dict[str, float]:
        """Return the seconds of each stage so far."""
        metrics = metrics_of(self.service)
        found = re.compile(r'trades_stage_seconds_total\{stage="(\w+)"\}')
        return {match[1]: value for name, value in metrics.items() if (match := found.fullmatch(name))}

    def stored(self) -> Counter[str]:
        """Stop the service; return the number of stored trades of each call, by the part of the id before `-`."""
        self.features.stop()
        self.service.process.stop()
        return stored_calls(self._folder / "trades.db")


class Events:
    """A subscriber to one topic of /stream. It reads in a thread; with `keep`, it keeps what it has read."""

    def __init__(self, url: str, topic: str, *, keep: bool = False) -> None:
        where = urlsplit(url)
        self._parts: list[tuple[float, bytes]] = []
        self._keep = keep
        self.bytes = 0
        self.was_dropped = False
        """Whether the service had ended the stream before `stop`."""
        self._wire = socket.create_connection((where.hostname, where.port))
        self._wire.sendall(f"GET /stream?topics={topic} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self._stopped = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with suppress(ConnectionError):  # data that comes after `stop` resets the connection
            while data := self._wire.recv(1 << 18):
                self.bytes += len(data)
                if self._keep:
                    self._parts.append((time.time(), data))

    @property
    def has_begun(self) -> bool:
        """Whether the snapshot with which a stream begins has come. Only with `keep`."""
        return any(b"event: snapshot" in part for _, part in self._parts)

    def stop(self) -> None:
        """Close the connection."""
        if not self._stopped:
            self._stopped = True
            self.was_dropped = not self._thread.is_alive()
            with suppress(OSError):  # the connection has ended before
                self._wire.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._wire.close()

    def seen(self) -> Iterator[tuple[int, float]]:
        """Yield the call of each trade of a load named `a`, and when its id came. Only after `stop`."""
        for number, at in self.found(_SEEN):
            yield int(number), at

    def found(self, pattern: re.Pattern[bytes]) -> Iterator[tuple[bytes, float]]:
        """Yield the first group of each match in what was read, and when it came. Only after `stop`."""
        whole, ends = b"".join(part for _, part in self._parts), list[int]()
        for _, part in self._parts:
            ends.append(len(part) + (ends[-1] if ends else 0))
        for match in pattern.finditer(whole):
            yield match[1], self._parts[bisect_left(ends, match.end())][0]


def new_folder(parts: Scene) -> Path:
    """Return a new folder for the files of a service."""
    folder = parts.folder / str(uuid.uuid4())
    folder.mkdir()
    return folder


def stored_calls(path: Path) -> Counter[str]:
    """Return the number of stored trades of each call. Some of the trades in the journal are in blocks already."""
    with closing(sqlite3.connect(path)) as file:
        keys = {
            (trade.asset, *trade_key(trade))
            for table in ("blocks", "journal")
            for (body,) in file.execute(f"SELECT body FROM {table}")  # noqa: S608  # of constants
            for trade in decode_trades(body)
        }
    return Counter(key[-1].partition("-")[0] for key in keys)


def pin(pid: int, cores: Collection[int]) -> None:
    """Let all threads of a process run on these CPUs only; those it starts later inherit it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


@contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Run this thread, and the processes it starts meanwhile, on these CPUs only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of the values, sorted here, does not exceed."""
    values.sort()
    return values[min(len(values) - 1, int(share * len(values)))]
