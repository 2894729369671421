"""The archive of a process: opened before the stores, run once they are open."""

from aggregator.archive.writes.marks import Marks
from aggregator.runtime.archiving import Archiving
from aggregator.runtime.attempts import Attempt
from aggregator.runtime.process import Process
from aggregator.settings import PREFIX
from aggregator.stores.definition import FILE_REMEDY


async def open_archive(process: Process, attempt: Attempt) -> Archiving | None:
    """Open the file of marks; None where nothing is archived. Raises CannotGoOn."""
    if not process.settings.archive_url:
        return None
    marks = Marks(process.settings.archive_path)
    process.stack.push_async_callback(marks.close)
    await attempt(marks.open, f"{PREFIX}ARCHIVE_PATH", FILE_REMEDY)
    return Archiving(marks, process.settings.archive_flush)


async def run_archive(process: Process, archive: Archiving) -> None:
    """Start the archiver; the process stops and flushes it before it closes its stores."""
    assets = list(process.catalog.assets)
    archiver = archive.open(process.settings.archive_url, process.metrics.archive, process.clock.now, assets)
    if process.outlets is not None:
        process.outlets.archive_letters(archiver)
    process.stack.push_async_callback(archiver.close)
    process.stack.push_async_callback(archiver.flush)
    process.metrics.before_text(archiver.report)
    await process.keep_running(archiver)
