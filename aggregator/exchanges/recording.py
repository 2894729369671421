"""A recording: a venue's raw answers and frames with their times, as gzipped lines of JSON.

    {"name":"binance","dialect":"binance","pushed":true,"began":1696118400.25}
    {"at":1696118400.31,"path":"/api/v3/ticker/24hr?symbol=BTCUSDT","markets":[…],"status":200,"headers":{…},"text":"…"}
    {"at":1696118405.31,"path":"…","error":"timeout","detail":"no answer in time"}
    {"at":1696118405.40,"frame":"…"}
    {"at":1696118405.41,"frame":"…","trades":true}

A request other than a GET without a body has `method` and `sent` too. A file that was not written to its end, as after
a kill, is read as far as it goes.
"""

import gzip
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from aggregator.exchanges.dialect import Market, Request
from aggregator.models import Reason

MOST_BYTES = 512 << 20  # of a recording, decompressed: a replay keeps it in memory
_FLUSH_SECONDS = 1.0  # a kill loses this much at most
_KEPT_HEADERS = frozenset({"date", "retry-after", "content-type"})  # and x-…, in which some venues tell limits


class BadRecording(ValueError):
    """The file is no recording, or one that cannot be used; the message tells why."""


class Header(msgspec.Struct, frozen=True):
    """The first line: what was recorded. `began`, as all times, in unix seconds."""

    name: str
    dialect: str
    pushed: bool
    began: float
    format: int = 1


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer to a request, the error instead of one, or a pushed frame.

    `text` is the answer's body, `raw` a body that is not UTF-8. `sent` is the request's body. A frame with an error is
    the end of a connection; `trades` marks the frames of the feed of trades. Request headers are not recorded: they may
    contain a key.
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
    method: str = "GET"
    sent: str = ""
    trades: bool = False

    @property
    def body(self) -> bytes:
        """The answer's body, byte for byte."""
        return self.raw or self.text.encode()


def record_of(request: Request, markets: Sequence[Market], at: float) -> Record:
    """Return the record of a request about these markets, without its answer."""
    return Record(at, request.path, tuple(markets), method=request.method, sent=_sent(request))


def _sent(request: Request) -> str:
    return request.body.decode(errors="backslashreplace")


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that a dialect may read, with their names as sent; no cookies, as files are shared."""
    return {name: text for name, text in headers.items() if name.lower() in _KEPT_HEADERS or name[:2].lower() == "x-"}


def body_fields(body: bytes) -> dict[str, str | bytes]:
    """Return the field of a record for an answer's body."""
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"raw": body}


class RecordingFile:
    """Writes a recording. Raises OSError; FileExistsError if the file exists."""

    def __init__(self, path: Path, header: Header) -> None:
        self._file = gzip.open(path, "xb", compresslevel=6)  # noqa: SIM115  # closed by `close`
        self._encoder = msgspec.json.Encoder()
        self._flush_at = header.began
        self.records = 0
        self._write(header)

    def add(self, record: Record) -> None:
        """Append a record."""
        self._write(record)
        self.records += 1
        if record.at >= self._flush_at:
            self._flush_at = record.at + _FLUSH_SECONDS
            self._file.flush()

    def close(self) -> None:
        """Write what is buffered and close the file."""
        self._file.close()

    def _write(self, line: Header | Record) -> None:
        self._file.write(self._encoder.encode(line) + b"\n")


class Recording:
    """A recording in memory: finds the answer to a request, and the newest answer about a pair at a time."""

    def __init__(self, header: Header, records: Sequence[Record]) -> None:
        self.header = header
        self.frames = [record for record in records if record.frame is not None and not record.trades]  # of tickers
        self.ends = max((record.at for record in records), default=header.began)
        self._by_request: dict[tuple[str, str, str], Record] = {}
        self._by_symbol: dict[str, list[Record]] = {}
        for record in records:
            if record.frame is not None:
                continue
            self._by_request.setdefault((record.method, record.path, record.sent), record)
            for market in record.markets:
                self._by_symbol.setdefault(market.symbol, []).append(record)
        first = [record.at for record in records if record.markets or record.frame is not None]
        self.begins = min(first, default=header.began)  # the time of the first tickers

    def first(self, request: Request) -> Record | None:
        """Return the first answer to this request; None if there is none."""
        return self._by_request.get((request.method, request.path, _sent(request)))

    def newest(self, symbol: str, now: float) -> Record | None:
        """Return the newest answer about the pair at the time `now`; None before the first one."""
        records = self._by_symbol.get(symbol, [])
        number = bisect_right(records, now, key=lambda record: record.at)
        return records[number - 1] if number else None

    def has(self, symbol: str) -> bool:
        """Whether the recording has any answer about the pair."""
        return symbol in self._by_symbol


def read(path: Path) -> Recording:
    """Return the recording in a file. Raises BadRecording."""
    try:
        lines = _unpacked(path).split(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise BadRecording(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        header = msgspec.json.decode(lines[0], type=Header)
        records = [
            msgspec.json.decode(line, type=Record) for line in lines[1:-1]
        ]  # the last one is empty or was cut short
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
            except EOFError:  # the file was not written to its end
                break
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise BadRecording(f"{path} holds more than {MOST_BYTES} bytes; record for a shorter time")
    return b"".join(parts)


class Headers(Mapping[str, str]):
    """The header fields of a recorded answer, found in any case, as aiohttp finds those of a live answer."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name.lower(): value for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
