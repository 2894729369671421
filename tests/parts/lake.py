"""Archives for tests, written by hand: Parquet files of five minutes, and the manifests of their days."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from aggregator.archive.datasets import Dataset
from aggregator.archive.duck import Connection, connect
from aggregator.archive.layout import DAY, FileName, manifest_path
from aggregator.archive.manifest import FileEntry, Manifest, decode_manifest, encode_manifest
from aggregator.archive.sql.views import create_hot, insert_rows

RANGE_SECONDS = 300

Row = Mapping[str, object]


def write_lake(root: Path, dataset: Dataset, rows: Iterable[Row]) -> list[FileEntry]:
    """Add files with `rows` to an archive, whose times are in unix seconds; return their entries."""
    ranges: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        at = int(float(str(row[dataset.time])))
        ranges[at - at % RANGE_SECONDS].append(row)
    return [write_file(root, dataset, start, some) for start, some in sorted(ranges.items())]


def write_file(root: Path, dataset: Dataset, start: int, rows: list[Row]) -> FileEntry:
    """Write the file of the range that begins at `start`, and enter it into the manifest of its day."""
    connection = connect()
    try:
        create_hot(connection, [dataset])
        insert_rows(connection, dataset, msgspec.json.Encoder().encode_lines(rows))
        return add_file(root, dataset, start, connection, f"hot.{dataset.name}")
    finally:
        connection.close()


def add_file(
    root: Path, dataset: Dataset, start: int, connection: Connection, source: str, seconds: int = RANGE_SECONDS
) -> FileEntry:
    """Write the rows of a table to the file of a range of `seconds`, and enter it into the manifest of its day."""
    name = FileName(dataset.name, start, start + seconds)
    path = root / name.path
    path.parent.mkdir(parents=True, exist_ok=True)
    order = ", ".join(dataset.key)
    rows = connection.table(source)
    rows.order(order).write_parquet(str(path), compression="zstd")
    at = f"epoch_us({dataset.time})"
    count, first, last = rows.aggregate(f"count(*), min({at}), max({at})").fetchone()
    entry = FileEntry(name.path, count, path.stat().st_size, "0", first, last)
    manifest = root / manifest_path(dataset.name, start - start % DAY)
    known = decode_manifest(manifest.read_bytes()) if manifest.exists() else Manifest()
    manifest.write_bytes(encode_manifest(known.replaced(name.start, name.end, [entry])))
    return entry
