"""The features of each minute on their way to the archive, in a local file until they are archived."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from aggregator.archive.writes.marks import files_on
from aggregator.live.topics import Topic
from aggregator.runtime.attempts import Attempt
from aggregator.runtime.process import Process
from aggregator.settings import PREFIX
from aggregator.stores.definition import FILE_REMEDY
from aggregator.stores.events.sqlite import SqliteEvents
from aggregator.trades.event_writer import EventWriter
from aggregator.trades.minute_closes import NO_CLOSES, Closes, MinuteCloses, stored_close
from aggregator.trades.topics import FEATURES

T = TypeVar("T")

KEPT_SECONDS = 172_800.0
_DRAIN_SECONDS = 2.0  # for those that wait when the process stops


class _Unpublished:
    """A publisher without listeners: streams have the features of each batch already."""

    def publish(self, topic: Topic[T], values: Sequence[T], /) -> None:
        """Do nothing."""


async def open_closes(process: Process, attempt: Attempt) -> Closes:
    """Return what takes the features of each minute; nothing does where there is no archive. Raises CannotGoOn."""
    archive = process.archive
    if archive is None:
        return NO_CLOSES
    now = process.clock.now
    file = SqliteEvents(features_path(archive.marks_path), KEPT_SECONDS, now)
    process.stack.push_async_callback(file.close)
    await attempt(file.open, f"{PREFIX}ARCHIVE_PATH", FILE_REMEDY)
    await process.keep_running(file)
    writer = EventWriter(archive.features(file), _Unpublished(), FEATURES, stored_close, process.metrics.events)
    await process.keep_running(writer)
    process.stack.push_async_callback(writer.drain, _DRAIN_SECONDS)
    closes = MinuteCloses(writer.put, now)
    await process.keep_running(closes)
    process.stack.callback(closes.end)
    return closes


def features_path(marks: Path) -> Path:
    """Return the file of a process' features, beside its marks."""
    return marks.with_name(f"{marks.stem}.features{marks.suffix}")


def features_files(archive_path: Path) -> list[Path]:
    """Return the files of features of all processes that share the setting ARCHIVE_PATH."""
    return [path for marks in files_on(archive_path) if (path := features_path(marks)).is_file()]
