"""Checks of files: stores in SQLite, and outboxes."""

import asyncio
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from aggregator.cli.doctor.checks import Finding, failure, passed, warning
from aggregator.errors import CannotGoOn
from aggregator.runtime.attempts import attempt
from aggregator.stores.definition import FILE_REMEDY
from aggregator.stores.waiting_file import Size, WaitingFile

_LEAST_FREE = 64 << 20  # bytes on the disk


class CheckedFile(NamedTuple):
    """A file, the name of its check, and the setting that names the file. `bound` is that of its largest size."""

    check: str
    path: Path
    setting: str
    bound: str = "AGGREGATOR_OUTBOX_MAX_BYTES"


class File(Protocol):
    """The database file of a store."""

    async def open(self) -> None:
        """Open the file, or create it."""

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be written."""

    async def close(self) -> None:
        """Close the file."""


async def try_store(checked: CheckedFile, make: Callable[[Path], File]) -> Sequence[Finding]:
    """Check the file of a store: it must be writable, on a disk with room."""
    await _try_file(checked, make)
    found = await asyncio.to_thread(_room, checked, 0)
    return found or [passed(checked.check, f"{checked.path} can be written")]


async def try_outbox(
    checked: CheckedFile, make: Callable[[Path], File], most: int, records: str, *, writing: bool
) -> Sequence[Finding]:
    """Check an outbox of at most `most` bytes: it must be writable, on a persistent disk with room for all of them.

    `records` is what waits in it, such as prices; `writing` is whether this role puts them there.
    """
    check, path = checked.check, checked.path
    size = await _try_file(checked, make)
    found = [*await asyncio.to_thread(_room, checked, most - size.bytes), *_letters(check, size, records)]
    kind = await asyncio.to_thread(_volatile, path.parent)
    if kind and writing:
        mend = f"put it on a persistent disk or volume ({checked.setting})"
        found.append(warning(check, f"{path} is on {kind}, which is lost with the machine or container", mend))
    return found or [passed(check, f"{path} can be written; {size.rows} {records} wait in it")]


async def _try_file(checked: CheckedFile, make: Callable[[Path], File]) -> Size:
    """Open the file as the service does; where it does not exist yet, a temporary one beside it. Return its size."""
    path, setting = checked.path, checked.setting
    there = path if await asyncio.to_thread(path.exists) else path.with_name(f".doctor-{uuid.uuid4()}.db")
    file = make(there)
    try:
        await attempt(file.open, setting, FILE_REMEDY)
        await attempt(file.ping, setting, FILE_REMEDY)
        return await file.size() if isinstance(file, WaitingFile) else Size(0, None, 0, 0)
    except CannotGoOn as error:
        raise CannotGoOn(error.what.replace(str(there), str(path)), error.mend) from error
    finally:
        await file.close()
        if there != path:
            await asyncio.to_thread(_remove, there)


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _letters(check: str, size: Size, records: str) -> list[Finding]:
    if not size.dead:
        return []
    return [warning(check, f"{size.dead} {records} were refused for good", "aggregator dead-letters list")]


def _room(checked: CheckedFile, may_grow: int) -> list[Finding]:
    """Return a failure below a minimum of free disk, a warning below the bytes that the file may still grow by."""
    check, path = checked.check, checked.path
    free = shutil.disk_usage(path.parent).free
    says = f"{free >> 20} MiB are free at {path.parent.absolute()}"
    if free < _LEAST_FREE:
        return [failure(check, says, "free some disk space")]
    if free < may_grow:
        mend = f"free some disk space, or lower {checked.bound}"
        return [warning(check, f"{says}, and the file may grow by {may_grow >> 20} MiB", mend)]
    return []


def _volatile(folder: Path) -> str:
    """Return the file system of the folder if it is lost with the container or at a restart, else an empty text."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    kinds = {fields[1]: fields[2] for fields in (line.split() for line in lines)}
    here = folder.resolve()
    mount = next(str(one) for one in (here, *here.parents) if str(one) in kinds or one == one.parent)
    kind = kinds.get(mount, "")
    return kind if kind in ("tmpfs", "ramfs", "overlay") else ""
