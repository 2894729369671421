"""SQL over the archive: an aggregate of one day of ten, against DuckDB on the files of that day by hand.

5 million trades of 1,000 assets; 50 million with CHAOS=full. A file has an hour, as after a compaction.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from aggregator.archive.datasets import TRADES
from aggregator.archive.duck import Connection, connect
from aggregator.archive.layout import DAY, HOUR, FileName, day_folder, manifest_path
from aggregator.archive.manifest import FileEntry, Manifest, encode_manifest
from aggregator.archive.sql.session import Bounds, SqlSession
from aggregator.archive.storages.address import FolderAddress
from tests.bench.report import Figure, median_ratio
from tests.parts.lake import add_file

_TRADES, _FULL = 5_000_000, 50_000_000
_DAYS, _ASSETS = 10, 1000
_FIRST_DAY = 1_793_923_200  # 2026-11-06
_ASKED = _FIRST_DAY + 6 * DAY
_THREADS, _MEMORY = 2, "1GB"
_ROUNDS = 7
_SELECTED = "asset, count(*), avg({price}), sum({price} * {volume}) / sum({volume})"
_BOUND = 1.5  # seconds, at full size


class Took(NamedTuple):
    """Seconds of a query by the clock and of CPU, and the number of its rows."""

    wall: float
    cpu: float
    rows: int


def run() -> list[Figure]:
    """Generate the archive, and run both queries in turn."""
    full = os.environ.get("CHAOS") == "full"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = generate(folder, _FULL if full else _TRADES, _DAYS)
        ours, byhand, opened = compare(folder, _ROUNDS)
    bound = f"<= {_BOUND}" if full else ""
    return [
        Figure("trades in the archive", _FULL if full else _TRADES),
        Figure("bytes a trade", size / (_FULL if full else _TRADES), "bytes"),
        Figure("files opened, of 240", opened, "", "<= 24"),
        Figure("an aggregate of one day by asset", statistics.median(one.wall for one in ours), "s", bound),
        Figure("the same by hand", statistics.median(one.wall for one in byhand), "s"),
        Figure("CPU of ours", statistics.median(one.cpu for one in ours), "s"),
        Figure(
            "CPU against by hand", median_ratio([one.cpu for one in ours], [one.cpu for one in byhand]), "", "<= 1.2"
        ),
    ]


def generate(folder: Path, trades: int, days: int) -> int:
    """Write an archive of files of an hour; return its size in bytes.

    The files of the other days are copies of those of the day that is asked for: their manifests have times of their
    own, and no query opens them.
    """
    connection = connect(memory=_MEMORY, threads=_THREADS)
    rows, entries = trades // (days * 24), list[FileEntry]()
    for hour in range(_ASKED, _ASKED + DAY, HOUR):
        connection.execute(_GENERATED, {"start": hour, "rows": rows})
        entries.append(add_file(folder, TRADES, hour, connection, "generated", HOUR))
    connection.close()
    for day in range(_FIRST_DAY, _FIRST_DAY + days * DAY, DAY):
        if day != _ASKED:
            _copy(folder, entries, day - _ASKED)
    return days * sum(one.bytes for one in entries)


def _copy(folder: Path, entries: Sequence[FileEntry], later: int) -> None:
    """Copy the files of a day to another one, `later` seconds after it."""
    copies = list[FileEntry]()
    for one in entries:
        path = FileName(TRADES.name, one.name.start + later, one.name.end + later).path
        (folder / path).parent.mkdir(parents=True)
        shutil.copyfile(folder / one.path, folder / path)
        first, last = one.first + later * 1_000_000, one.last + later * 1_000_000
        copies.append(msgspec.structs.replace(one, path=path, first=first, last=last))
    manifest = folder / manifest_path(TRADES.name, _ASKED + later)
    manifest.write_bytes(encode_manifest(Manifest(tuple(copies))))


def compare(folder: Path, rounds: int) -> tuple[list[Took], list[Took], int]:
    """Run both queries in turn, `rounds` times; return what each took, and the number of files that ours opened."""
    address, opened = FolderAddress(folder), list[int]()
    start, end = f"to_timestamp({_ASKED})", f"to_timestamp({_ASKED + DAY})"
    when = f"WHERE timestamp >= {start} AND timestamp < {end} GROUP BY asset"
    query = f"SELECT {_SELECTED.format(price='price', volume='volume')} FROM trades {when}"  # noqa: S608  # our own times
    files = f"read_parquet('{folder}/{day_folder(TRADES.name, _ASKED)}/*/*.parquet')"
    plain = f"SELECT {_SELECTED.format(price='price_double', volume='volume_double')} FROM {files} {when}"  # noqa: S608  # our own folder and times

    def ours() -> int:
        session = SqlSession(_connection, query, Bounds([f"{address.root}/"], None, 600, 1 << 30))
        try:
            entries = session.entries(address, session.spans())
            opened.append(len(entries[TRADES.name]))
            session.prepare(address, entries)
            with session.running() as result:
                return len(result.next_rows(_ASSETS + 1))
        finally:
            session.close()

    def by_hand() -> int:
        connection = _connection()
        try:
            return len(connection.execute(plain).fetchall())
        finally:
            connection.close()

    ours(), by_hand()  # the files are in memory then
    both = [(_timed(ours), _timed(by_hand)) for _ in range(rounds)]
    found, other = [one for one, _ in both], [one for _, one in both]
    if {one.rows for one in found} != {one.rows for one in other}:
        raise ValueError("the two queries have different results")
    return found, other, max(opened)


def _connection() -> Connection:
    return connect(memory=_MEMORY, threads=_THREADS)


def _timed(query: Callable[[], int]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    rows = query()
    return Took(time.perf_counter() - wall, time.process_time() - cpu, rows)


_GENERATED = """
CREATE OR REPLACE TABLE generated AS
SELECT
    'asset' || lpad(CAST(hash(range, $start) % 1000 AS VARCHAR), 4, '0') AS asset,
    CAST(100 + hash(range, 1) % 10000 / 100 AS DECIMAL(38,18)) AS price,
    CAST((1 + hash(range, 2) % 100000) / 1000 AS DECIMAL(38,18)) AS volume,
    make_timestamptz($start::BIGINT * 1000000 + range * 3600000000 // $rows) AS timestamp,
    'exchange' || CAST(hash(range, 3) % 3 AS VARCHAR) AS venue,
    CAST($start::BIGINT * 1000000 + range AS VARCHAR) AS id,
    CASE hash(range, 4) % 2 WHEN 0 THEN 'buy' ELSE 'sell' END AS side,
    CAST(range AS BIGINT) AS sequence_number, false AS late, CAST(NULL AS VARCHAR) AS exact,
    CAST(price AS DOUBLE) AS price_double, CAST(volume AS DOUBLE) AS volume_double
FROM range($rows)
"""
