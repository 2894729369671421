"""Names of files in the archive: `trades/year=2026/month=11/day=30/hour=09/05-10.parquet`. Pure.

A file has the events of some minutes of an hour, [first, end); more than a million rows have parts: `05-10.2.parquet`.
`_manifest.json` in the folder of a day lists its files: readers that must not see a row twice go by it, because a
compaction writes `00-60.parquet` before it deletes the files that it replaces. Other readers may take `*.parquet`.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

HOUR, DAY = 3600, 86_400
LENGTHS = (60, 300, 900, HOUR)  # seconds of ranges: of any two that overlap, one lies in the other
MANIFEST = "_manifest.json"

_NAME = re.compile(r"(\d\d)-(\d\d)(?:\.(\d+))?\.parquet")
_FOLDER = re.compile(r"([a-z-]+)/year=(\d{4})/month=(\d\d)/day=(\d\d)/hour=(\d\d)/([^/]+)")


class FileName(msgspec.Struct, frozen=True, order=True):
    """A file of a dataset: the time of its first second, of the end of its range (exclusive), and its part from 1.

    Times are in unix seconds, multiples of a minute within one hour.
    """

    dataset: str
    start: int
    end: int
    part: int = 1

    @property
    def path(self) -> str:
        """The path from the root of the archive."""
        hour = self.start - self.start % HOUR
        first, end = (self.start - hour) // 60, (self.end - hour) // 60
        part = f".{self.part}" if self.part > 1 else ""
        return f"{hour_folder(self.dataset, hour)}/{first:02d}-{end:02d}{part}.parquet"

    def covers(self, other: "FileName") -> bool:
        """Whether the range of the other file lies in the range of this one."""
        return self.dataset == other.dataset and self.start <= other.start and other.end <= self.end


def day_folder(dataset: str, at: float) -> str:
    """Return the folder of the UTC day of a time in unix seconds."""
    moment = datetime.fromtimestamp(int(at // DAY) * DAY, UTC)
    return f"{dataset}/year={moment:%Y}/month={moment:%m}/day={moment:%d}"


def hour_folder(dataset: str, at: float) -> str:
    """Return the folder of the UTC hour of a time in unix seconds."""
    return f"{day_folder(dataset, at)}/hour={int(at % DAY) // HOUR:02d}"


def manifest_path(dataset: str, at: float) -> str:
    """Return the path of the manifest of the UTC day of a time in unix seconds."""
    return f"{day_folder(dataset, at)}/{MANIFEST}"


def parse_path(path: str) -> FileName | None:
    """Return the file of a path from the root of the archive; None for anything else."""
    folder = _FOLDER.fullmatch(path)
    name = _NAME.fullmatch(folder[6]) if folder else None
    if folder is None or name is None:
        return None
    try:
        year, month, day, hour = map(int, folder.group(2, 3, 4, 5))
        start = int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())
    except ValueError:
        return None
    first, end, part = int(name[1]), int(name[2]), int(name[3] or 1)
    found = FileName(folder[1], start + 60 * first, start + 60 * end, part)
    return found if first < end and 60 * end <= HOUR and found.path == path else None


def days_between(start: float, end: float) -> Iterable[int]:
    """Yield the first second of each UTC day that has a time of start <= time <= end."""
    return range(int(start // DAY) * DAY, int(end // DAY) * DAY + DAY, DAY)
