"""Blocks of trades as JSON lines for the archive, without a Trade for each line.

A block that no other one overlaps is already in order, and its bytes become lines as they are. Of blocks that overlap,
or cross an end of the range, only the keys are decoded, and the lines are sorted by them.
"""

from collections.abc import Iterable, Sequence

from aggregator.stores.database import Connection
from aggregator.stores.trades.blocks import decode_keys, microseconds
from aggregator.trades.ports import TradeLines

_HOUR = 3_600_000_000
_ROWS = """
SELECT first, last, body FROM blocks INDEXED BY blocks_by_first
WHERE asset = ? AND first BETWEEN ? AND ? AND last >= ? ORDER BY first
"""
_Block = tuple[int, int, bytes]
# The bytes `,"name":` are in no text of JSON: a quotation mark within it has a backslash before, and the one at its end
# has a comma or a bracket behind.
_FIRST = b'{"asset":'
_AS_LINES = (
    (b"},%b" % _FIRST, b"}\n%b" % _FIRST),
    (b',"price":', b',"price":"'),  # numbers become texts, as DuckDB would read them as binary floating point
    (b',"volume":', b'","volume":"'),
    (b',"timestamp":', b'","timestamp":'),
    (b',"volume":"null"', b',"volume":null'),
)


def read_lines(connection: Connection, asset: str, start: float, end: float, after: int, most: int) -> TradeLines:
    """Return the trades of an asset with start <= timestamp <= end in blocks that begin after `after`, in order.

    It ends with the first block that makes `most` trades or more, together with those that overlap it.
    """
    low, high = microseconds(start), microseconds(end)
    rows = connection.execute(_ROWS, (asset, max(low - low % _HOUR, after + 1), high, low))
    lines, count, group, until = list[bytes](), 0, list[_Block](), -1
    for block in rows:
        if group and block[0] > until:
            text, number = _lines_of(group, start, end)
            lines.append(text)
            count += number
            group = []
            if count >= most:
                return TradeLines(b"".join(lines), count, until)
        group.append(block)
        until = max(until, block[1])
    text, number = _lines_of(group, start, end)
    return TradeLines(b"".join([*lines, text]), count + number, None)


def _lines_of(group: Sequence[_Block], start: float, end: float) -> tuple[bytes, int]:
    """Return the lines of blocks that overlap, each trade once, and their number."""
    if len(group) == 1:
        first, last, body = group[0]
        if microseconds(start) < first and last < microseconds(end):
            return b"%b\n" % _as_lines(body), body.count(_FIRST)
    found: dict[tuple[float, str, str], bytes] = {}
    for _, _, body in group:
        for key, line in zip(decode_keys(body), _as_lines(body).split(b"\n"), strict=True):
            if start <= key.timestamp <= end:
                found.setdefault((key.timestamp, key.venue, key.id), line)
    return _joined(found[key] for key in sorted(found)), len(found)


def _as_lines(body: bytes) -> bytes:
    text = body[1:-1]
    for old, new in _AS_LINES:
        text = text.replace(old, new)
    return text


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join([b"%b\n" % line for line in lines])
