"""An archive in a folder of this machine. A lock on a file, released when its process ends, admits one writer."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aggregator.archive.storages.address import FolderAddress
from aggregator.archive.storages.definition import Conflict, StoredFile
from aggregator.archive.storages.work_folder import delete_work_folder, make_work_folder
from aggregator.errors import StoreRefused, StoreUnavailable

_TEMPORARY = ".tmp"
_LOCK = ".lock"
_LOCK_SECONDS = 60.0  # another process may write one range meanwhile
_LOOK_SECONDS = 0.05


class FolderStorage:
    """`aggregator.archive.storages.definition.Storage` in a folder."""

    def __init__(self, address: FolderAddress) -> None:
        self._root = address.folder
        self._work_folder: Path | None = None

    def open(self) -> None:
        """As `Storage.open`. Creates the folder."""
        with self._mapped():
            self._work_folder = make_work_folder(self._root / _TEMPORARY)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock of the folder. Raises StoreUnavailable if another process holds it for a minute."""
        with self._mapped():
            file = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while not self._locks(file):
                if time.monotonic() > deadline:
                    raise StoreUnavailable(f"another process holds {self._root / _LOCK}")
                time.sleep(_LOOK_SECONDS)
            yield
        finally:
            os.close(file)

    def url(self, path: str) -> str:
        """As `Storage.url`."""
        return str(self._root / path)

    def read(self, path: str) -> tuple[bytes, str] | None:
        """As `Storage.read`."""
        with self._mapped():
            try:
                with (self._root / path).open("rb") as file:
                    return file.read(), _version(os.fstat(file.fileno()))
            except FileNotFoundError:
                return None

    def put(self, path: str, source: Path, expected: str | None) -> None:
        """As `Storage.put`; the caller holds the lock. The file is on disk before it has its name."""
        found = self._find(path)
        if (found and found.version) != expected:
            raise Conflict(path)
        target = self._root / path
        with self._mapped():
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as file:
                os.fsync(file.fileno())
            source.replace(target)
            _sync_folder(target.parent)

    def delete(self, path: str) -> None:
        """As `Storage.delete`."""
        with self._mapped(), suppress(FileNotFoundError):
            (self._root / path).unlink()

    def list(self, folder: str) -> Iterator[StoredFile]:
        """As `Storage.list`."""
        for parent, folders, names in os.walk(self._root / folder):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            for name in sorted(names):
                found = self._find(str((Path(parent) / name).relative_to(self._root)))
                if found is not None and not name.startswith("."):
                    yield found

    @property
    def work_folder(self) -> Path:
        """As `Storage.work_folder`: in the same file system, so that a rename is enough."""
        if self._work_folder is None:
            raise StoreUnavailable(f"{self._root} is not opened")
        return self._work_folder

    def close(self) -> None:
        """As `Storage.close`."""
        if self._work_folder is not None:
            delete_work_folder(self._work_folder)

    def _locks(self, file: int) -> bool:
        """Lock the file, unless another process holds it; return whether it is locked. Some file systems refuse."""
        with self._mapped():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _find(self, path: str) -> StoredFile | None:
        with self._mapped():
            try:
                found = (self._root / path).stat()
            except FileNotFoundError:
                return None
            return StoredFile(path, found.st_size, _version(found))

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise StoreRefused(f"cannot write to {self._root}: {error.strerror}") from error
        except OSError as error:
            raise StoreUnavailable(f"cannot write to {self._root}: {error.strerror}") from error


def _version(found: os.stat_result) -> str:
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
