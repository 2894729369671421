"""Recordings of `aggregator record`: the trades in the frames that a venue pushed. Tickers are no trades."""

import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from aggregator.cli.replay.files import Broken, Source, lines_of, open_file
from aggregator.cli.replay.rows import FIELDS, Row, Rows, Unusable, as_text
from aggregator.exchanges.dialect import Execution, TradeDialect, Unreadable
from aggregator.exchanges.recording import Header, Record
from aggregator.exchanges.registry import TRADING

_MOST_OF_LINE = 64 << 20  # bytes: a listing has up to 16 MB, and more as JSON
_HOW = "record with --trade-feeds true"
_header = msgspec.json.Decoder(Header)
_record = msgspec.json.Decoder(Record)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError)


def open_recording(path: Path, rows: Rows) -> Source:
    """Open a recording that has trades. The venue of its trades is the name under which it was recorded.

    A file that was not written to its end is read as far as it goes. Raises Unusable, OSError.
    """
    return open_file(path, lambda file: _rows(path, file, rows))


def _rows(path: Path, file: io.BufferedIOBase, rows: Rows) -> Iterator[Row]:
    """Read up to the first trade now, and the rest when it is asked for."""
    lines = lines_of(path, file, _MOST_OF_LINE)
    try:
        header = _header.decode(next(lines, b""))
    except (*_NOT_JSON, Broken) as error:
        raise Unusable(f"{path} is no recording of `aggregator record`: {error}") from error
    if header.dialect not in TRADING:
        raise Unusable(f"{path} is of {header.dialect[:40]}, which has no feed of trades")
    found = _trades(path, lines, header.name, TRADING[header.dialect](), rows)
    try:
        first = next(found, None)
    except Broken as error:
        raise Unusable(str(error)) from error
    if first is None:
        raise Unusable(f"{path} has tickers of {header.name[:40]}, and no trades", _HOW)
    return chain([first], found)


def _trades(path: Path, lines: Iterator[bytes], venue: str, dialect: TradeDialect, rows: Rows) -> Iterator[Row]:
    for number, line in enumerate(_complete(lines), 2):
        try:
            record = _record.decode(line)
        except _NOT_JSON as error:
            raise Broken(f"{path}, line {number}: {error}") from error
        if record.trades and record.frame and record.error is None:
            yield from _of_frame(number, record.frame, venue, dialect, rows)


def _complete(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines up to where the file was cut short."""
    try:
        for line in lines:
            if line.endswith(b"\n"):
                yield line
    except Broken as error:
        if not isinstance(error.__cause__, EOFError):
            raise


def _of_frame(number: int, frame: str, venue: str, dialect: TradeDialect, rows: Rows) -> Iterator[Row]:
    try:
        news = dialect.read(frame)
    except Exception:  # noqa: BLE001  # Undecodable, or an exception in the dialect: the frame is wrong either way
        news = (Unreadable(frame.encode(), ""),)
    for one in news:
        if isinstance(one, Execution):
            yield rows.row(number, [_values(one, venue).get(name) for name in FIELDS])
        elif isinstance(one, Unreadable):  # the service refuses it with a reason
            yield Row(number, None, one.raw.replace(b"\n", b" ").replace(b"\r", b" "))


def _values(one: Execution, venue: str) -> dict[str, bytes]:
    """Return the values of a trade as JSON. The asset is the venue's name of the pair without its separator."""
    found = {
        "asset": as_text("".join(filter(str.isalnum, one.name)).lower()),
        "price": str(one.price).encode(),
        "volume": str(one.volume).encode(),
        "timestamp": repr(one.timestamp).encode(),
        "venue": as_text(venue),
        "id": as_text(one.id),
        "side": as_text(one.side.value),
    }
    return found if one.sequence is None else found | {"sequence_number": str(one.sequence).encode()}
