"""Joins the files of an hour that is over into one, `00-60.parquet`, where they are small."""

from collections.abc import Collection, Iterable, Iterator

from aggregator.archive.datasets import Dataset
from aggregator.archive.layout import HOUR
from aggregator.archive.marks import Range
from aggregator.archive.writer import RangeWriter

MOST_BYTES = 64 << 20  # of the joined file; larger hours keep their files
QUIET_SECONDS = 900.0  # after the end of an hour


def quiet_hours(hours: Iterable[int], pending: Collection[Range], now: float) -> Iterator[int]:
    """Yield the hours, by their first second, that have been over for a while and have no marked range."""
    for hour in sorted(hours):
        is_marked = any(start < hour + HOUR and hour < end for start, end in pending)
        if now >= hour + HOUR + QUIET_SECONDS and not is_marked:
            yield hour


def compact(writer: RangeWriter, dataset: Dataset, hour: int) -> bool:
    """Join the files of an hour, and delete those that a crash has left. Return whether there was something to join.

    Raises StoreError.
    """
    files = writer.manifest(dataset, hour).of_hour(hour)
    is_joined = len({(one.name.start, one.name.end) for one in files}) > 1 and (
        sum(one.bytes for one in files) <= MOST_BYTES
    )
    if is_joined:
        writer.write(dataset, hour, hour + HOUR, [], 0)
    writer.clean(dataset, hour)
    return is_joined
