"""Port of the storage of an archive, which a folder and a bucket implement. Its calls block: use a thread."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol


class Conflict(Exception):
    """Another process has written the file meanwhile."""


class StoredFile(NamedTuple):
    """A file and its size in bytes. `version` changes with its content."""

    path: str
    size: int
    version: str


class Storage(Protocol):
    """Files by their path from the root of the archive. Every call raises StoreError."""

    def open(self) -> None:
        """Check that files can be written. May be called again after an error."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Return a lock against the other writers of this machine, where the storage needs one."""

    def url(self, path: str) -> str:
        """Return the address of a file for DuckDB."""

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return the content of a small file and its version; None without one."""

    def put(self, path: str, source: Path, expected: str | None) -> None:
        """Replace a file whose version is `expected`, None for one that must not exist; readers see one or the other.

        Raises Conflict.
        """

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""

    def list(self, folder: str) -> Iterator[StoredFile]:
        """Yield the files in a folder and below, in any order."""

    @property
    def work_folder(self) -> Path:
        """A folder of this machine for files under way, of this process alone."""

    def close(self) -> None:
        """Delete the work folder and close connections."""
