"""A recording: an exchange's raw answers and frames with their times, as compressed lines of JSON.

    {"name":"binance","dialect":"binance","pushed":true,"began":1696118400.25}
    {"at":1696118400.31,"path":"/api/v3/ticker/24hr?symbol=BTCUSDT","markets":[…],"status":200,"headers":{…},"text":"…"}
    {"at":1696118405.31,"path":"…","error":"timeout","detail":"no answer in time"}
    {"at":1696118405.40,"frame":"…"}

What was not written to its end, as after a kill, is read as far as it goes.
"""

import gzip
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from aggregator.exchanges.dialect import Market
from aggregator.models import Reason

MOST_BYTES = 512 << 20  # of a recording, unpacked: it is held in memory while it is replayed
_FLUSH_SECONDS = 1.0  # what a kill can cost
_KEPT_HEADERS = frozenset({"date", "retry-after", "content-type"})  # and x-…, which some exchanges tell limits with


class BadRecording(ValueError):
    """The file is no recording, or none that can be used; the message says why."""


class Header(msgspec.Struct, frozen=True):
    """What was recorded; `began` in unix seconds, as all times."""

    name: str
    dialect: str
    pushed: bool
    began: float
    format: int = 1


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer, the error instead of one, or a pushed frame. A body that is no text is in `raw`.

    A frame with an error is the end of a connection.
    """

    at: float
    path: str = ""
    markets: tuple[Market, ...] = ()
    status: int = 0
    headers: Mapping[str, str] = {}
    text: str = ""
    raw: bytes = b""
    error: Reason | None = None
    detail: str = ""
    frame: str | None = None

    @property
    def body(self) -> bytes:
        """The answer's body, byte for byte."""
        return self.raw or self.text.encode()


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that an answer means something by, their names as sent.

    No cookie gets into a file that is handed on.
    """
    return {name: text for name, text in headers.items() if name.lower() in _KEPT_HEADERS or name[:2].lower() == "x-"}


def body_fields(body: bytes) -> dict[str, str | bytes]:
    """Return the field of a record that holds this body."""
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"raw": body}


class RecordingFile:
    """A recording that is being made. Raises OSError, FileExistsError where there is a file already."""

    def __init__(self, path: Path, header: Header) -> None:
        self._file = gzip.open(path, "xb", compresslevel=6)  # noqa: SIM115  # closed by `close`
        self._encoder = msgspec.json.Encoder()
        self._flush_at = header.began
        self.records = 0
        self._write(header)

    def add(self, record: Record) -> None:
        """Add it."""
        self._write(record)
        self.records += 1
        if record.at >= self._flush_at:
            self._flush_at = record.at + _FLUSH_SECONDS
            self._file.flush()

    def close(self) -> None:
        """Write the rest."""
        self._file.close()

    def _write(self, line: Header | Record) -> None:
        self._file.write(self._encoder.encode(line) + b"\n")


class Recording:
    """One that was read: which record is the newest at a time, of a path, of a pair, of what was pushed."""

    def __init__(self, header: Header, records: Sequence[Record]) -> None:
        self.header = header
        self.frames = [record for record in records if record.frame is not None]
        self.ends = max((record.at for record in records), default=header.began)
        self._by_path: dict[str, list[Record]] = {}
        self._by_symbol: dict[str, list[Record]] = {}
        for record in records:
            if record.frame is not None:
                continue
            self._by_path.setdefault(record.path, []).append(record)
            for market in record.markets:
                self._by_symbol.setdefault(market.symbol, []).append(record)
        first = [record.at for record in records if record.markets or record.frame is not None]
        self.begins = min(first, default=header.began)  # when its first tickers came

    def first(self, path: str) -> Record | None:
        """Return the first answer of this path."""
        return next(iter(self._by_path.get(path, ())), None)

    def newest(self, symbol: str, now: float) -> Record | None:
        """Return the newest answer about the pair at `now`; None where there was none yet."""
        records = self._by_symbol.get(symbol, [])
        number = bisect_right(records, now, key=lambda record: record.at)
        return records[number - 1] if number else None

    def has(self, symbol: str) -> bool:
        """Whether the pair was ever asked for."""
        return symbol in self._by_symbol


def read(path: Path) -> Recording:
    """Read a recording. Raises BadRecording."""
    try:
        lines = _unpacked(path).split(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise BadRecording(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        header = msgspec.json.decode(lines[0], type=Header)
        records = [msgspec.json.decode(line, type=Record) for line in lines[1:-1]]  # behind the last there is no more
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecording(f"{path} is no recording: {error}") from error
    return Recording(header, sorted(records, key=lambda record: record.at))


def _unpacked(path: Path) -> bytes:
    parts: list[bytes] = []
    size = 0
    with gzip.open(path, "rb") as file:
        while True:
            try:
                part = file.read1(1 << 20)
            except EOFError:  # not written to its end
                break
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise BadRecording(f"{path} holds more than {MOST_BYTES} bytes; record for a shorter time")
    return b"".join(parts)


class Headers(Mapping[str, str]):
    """The header fields of a recorded answer; what aiohttp returns of a live one is case-insensitive already."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name.lower(): value for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
