"""Bars beside the prices in the SQLite file, so that a chart of years reads no prices.

Prices become bars some minutes after they were written: `rolled` has, for each asset, the time up to which all of its
prices are in `bars`. Later prices are read one by one. A price that is written later than that is added by a trigger,
in the transaction that writes it. So bars are exact at any time, also after a kill -9, and for several processes with
one file. A write of current prices costs no more than one look into `rolled`.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from aggregator.prices.bars import Bars, bars_of, joined, merged
from aggregator.stores.database import Connection

_KEPT = (60, 900, 14_400)  # seconds; the other intervals are computed from at most six of these
_STEP_ROWS = 20_000  # prices that become bars in one transaction, for which writes have to wait
_DUE_SECONDS = 600.0  # a chart reads the prices of so long a time one by one

_ADD = """
INSERT INTO bars (asset, seconds, start, first, last, open, high, low, close, count) VALUES ({})
ON CONFLICT (asset, seconds, start) DO UPDATE SET
    open = CASE WHEN excluded.first < first THEN excluded.open ELSE open END,
    close = CASE WHEN excluded.last > last THEN excluded.close ELSE close END,
    first = min(first, excluded.first),
    last = max(last, excluded.last),
    high = max(high, excluded.high),
    low = min(low, excluded.low),
    count = count + excluded.count
"""
_NEW_PRICE = "CAST(json_extract(NEW.body, '$.price') AS REAL)"
_NEW_BAR = (
    f"NEW.asset, {{0}}, CAST(NEW.timestamp AS INTEGER) / {{0}} * {{0}}, NEW.timestamp, NEW.timestamp,"
    f" {_NEW_PRICE}, {_NEW_PRICE}, {_NEW_PRICE}, {_NEW_PRICE}, 1"
)
_LATE = """
CREATE TRIGGER IF NOT EXISTS late_prices AFTER INSERT ON prices
WHEN NEW.timestamp < (SELECT until FROM rolled WHERE asset = NEW.asset)
BEGIN
    {}
END
"""
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS bars (
    asset TEXT NOT NULL,
    seconds INTEGER NOT NULL,
    start INTEGER NOT NULL,
    first REAL NOT NULL,
    last REAL NOT NULL,
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (asset, seconds, start)
) WITHOUT ROWID
""",
    "CREATE TABLE IF NOT EXISTS rolled (asset TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
    _LATE.format("".join(f"{_ADD.format(_NEW_BAR.format(seconds))};" for seconds in _KEPT)),
)
_ADD_BAR = _ADD.format(", ".join("?" * 10))
_SET_UNTIL = "INSERT INTO rolled VALUES (?, ?) ON CONFLICT (asset) DO UPDATE SET until = excluded.until"
_UNTIL = "SELECT until FROM rolled WHERE asset = ?"
_POINTS = """
SELECT timestamp, CAST(json_extract(body, '$.price') AS REAL) FROM prices
WHERE asset = ? AND timestamp >= ? AND timestamp < ? ORDER BY timestamp LIMIT ?
"""
_BARS = """
SELECT start, open, high, low, close, count FROM bars
WHERE asset = ? AND seconds = ? AND start >= ? AND start < ? ORDER BY start
"""
# One look into the index for each asset; SELECT DISTINCT would read the whole index.
_DUE = """
WITH RECURSIVE assets (asset) AS (
    SELECT min(asset) FROM prices
    UNION ALL SELECT (SELECT min(asset) FROM prices WHERE asset > assets.asset) FROM assets WHERE asset IS NOT NULL
)
SELECT asset FROM assets LEFT JOIN rolled USING (asset) WHERE asset IS NOT NULL AND coalesce(until, 0) < ?
"""
_EXPIRE = "DELETE FROM bars WHERE asset = ? AND seconds = ? AND start < ?"


def create_tables(connection: Connection) -> None:
    """Create tables and trigger where missing, also in a file of an earlier version."""
    for statement in _TABLES:
        connection.execute(statement)


def due_assets(connection: Connection, now: float) -> list[str]:
    """Return the assets whose prices should become bars by now."""
    return [row[0] for row in connection.execute(_DUE, (now - _DUE_SECONDS / 2,))]


def is_due(connection: Connection, asset: str, now: float) -> bool:
    """Whether so many prices of the asset are not in its bars that a chart would be slow."""
    return _until(connection, asset) < now - _DUE_SECONDS


def roll(connection: Connection, asset: str, now: float) -> bool:
    """Add the next prices to the bars; return whether there are more. To be called in a write transaction.

    Prices of the last minute are left for the next time: most late prices need no trigger then.
    """
    start, end = _until(connection, asset), int(now) // 60 * 60 - 60
    if end <= start:
        return False
    points = connection.execute(_POINTS, (asset, start, end, _STEP_ROWS)).fetchall()
    is_more = len(points) == _STEP_ROWS
    if is_more:
        # The minute of the last point may be incomplete. A minute with more points than a step is taken as a whole.
        end = max(int(points[-1][0]) // 60 * 60, int(points[0][0]) // 60 * 60 + 60)
        points = connection.execute(_POINTS, (asset, start, end, -1)).fetchall()
    for seconds in _KEPT:
        connection.executemany(_ADD_BAR, ((asset, seconds, *bar) for bar in _timed_bars(points, seconds)))
    connection.execute(_SET_UNTIL, (asset, end))
    return is_more


def read_bars(connection: Connection, asset: str, seconds: int, start: int, end: int) -> Bars:
    """Return the bars of `seconds` that begin from `start`, inclusive, to `end`, exclusive."""
    base = max(kept for kept in _KEPT if seconds % kept == 0)
    connection.execute("BEGIN")  # what is rolled between two reads would be counted twice
    try:
        until = _until(connection, asset)
        rolled = connection.execute(_BARS, (asset, base, start, end)).fetchall()
        points = connection.execute(_POINTS, (asset, max(start, until), end, -1)).fetchall()
    finally:
        connection.execute("COMMIT")
    # Prices of the newest bar may have become a bar, while others have not. All other bars are complete.
    whole = max(0, len(rolled) - 1) if base == seconds else 0
    changing = joined([_bars(rolled[whole:]), bars_of(points, 60)])
    return joined([_bars(rolled[:whole]), merged(changing, seconds)])


def expire_bars(connection: Connection, before: float) -> None:
    """Delete the bars that ended before a time, in unix seconds."""
    assets = connection.execute("SELECT asset FROM rolled").fetchall()
    connection.executemany(
        _EXPIRE, ((asset, seconds, int(before) - seconds) for (asset,) in assets for seconds in _KEPT)
    )


def _bars(rows: Iterable[tuple[float, ...]]) -> Bars:
    return Bars(chain.from_iterable(rows))


def _until(connection: Connection, asset: str) -> int:
    row = connection.execute(_UNTIL, (asset,)).fetchone()
    return 0 if row is None else int(row[0])


def _timed_bars(points: Iterable[tuple[float, float]], seconds: int) -> Iterator[tuple[float, ...]]:
    """Yield start, first and last time, open, high, low, close and count of the bars of points in order of time."""
    start, first, last, opening, high, low, close, count = -1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0
    for moment, price in points:
        begin = int(moment) // seconds * seconds
        if begin != start:
            if count:
                yield start, first, last, opening, high, low, close, count
            start, first, opening, high, low, count = begin, moment, price, price, price, 0
        last, close, count = moment, price, count + 1
        high, low = max(high, price), min(low, price)
    if count:
        yield start, first, last, opening, high, low, close, count
