"""Joins the files of an hour that is over into one, `00-60.parquet`, where they are small."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from aggregator.archive.datasets import Dataset
from aggregator.archive.layout import DAY, HOUR, day_folder, days_between, parse_path
from aggregator.archive.storages.definition import Storage
from aggregator.archive.writes.marks import Range
from aggregator.archive.writes.writer import RangeWriter

MOST_BYTES = 64 << 20  # of the joined file; larger hours keep their files
_LOOK_BACK_SECONDS = 3.0 * DAY  # at a start
QUIET_SECONDS = 900.0  # after the end of an hour


def quiet_hours(hours: Iterable[int], pending: Collection[Range], now: float) -> Iterator[int]:
    """Yield the hours, by their first second, that have been over for a while and have no marked range."""
    for hour in sorted(hours):
        is_marked = any(start < hour + HOUR and hour < end for start, end in pending)
        if now >= hour + HOUR + QUIET_SECONDS and not is_marked:
            yield hour


def hours_with_several(storage: Storage, dataset: str, now: float) -> set[int]:
    """Return the hours of the last days that have several files, such as those that a kill has left.

    Raises StoreError.
    """
    counts: Counter[int] = Counter()
    for day in days_between(now - _LOOK_BACK_SECONDS, now):
        names = [parse_path(one.path) for one in storage.list(f"{day_folder(dataset, day)}/")]
        counts.update(one.start - one.start % HOUR for one in names if one is not None)
    return {hour for hour, files in counts.items() if files > 1}


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
