"""JSON lines of a range on their way from a store to Parquet, in files of at most PART_ROWS rows. Its calls wait."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from aggregator.archive.writes.writer import PART_ROWS
from aggregator.errors import StoreUnavailable


class Spool:
    """Files in `folder`, which are deleted by `close`. Raises StoreUnavailable, as when the disk is full."""

    def __init__(self, folder: Path, lines: Callable[[Sequence[Any]], bytes], part_rows: int = PART_ROWS) -> None:
        self._folder = folder
        self._lines = lines
        self._part_rows = part_rows
        self._file: BinaryIO | None = None
        self._in_file = 0
        self.files: list[Path] = []
        self.rows = 0

    def add(self, events: Sequence[Any]) -> None:
        """Append events."""
        try:
            file = self._file
            if file is None or self._in_file + len(events) > self._part_rows:
                file = self._next_file()
            file.write(self._lines(events))
        except OSError as error:
            raise self._unavailable(error) from error
        self._in_file += len(events)
        self.rows += len(events)

    def finish(self) -> None:
        """Write what is buffered."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                raise self._unavailable(error) from error
            self._file = None

    def close(self) -> None:
        """Delete the files."""
        if self._file is not None:
            with suppress(OSError):  # of what is buffered: the file is deleted
                self._file.close()
        try:
            for one in self.files:
                one.unlink(missing_ok=True)
        except OSError as error:
            raise self._unavailable(error) from error

    def _next_file(self) -> BinaryIO:
        self.finish()
        path = self._folder / f"{len(self.files) + 1}.ndjson"
        self.files.append(path)
        self._file = path.open("wb", buffering=1 << 20)
        self._in_file = 0
        return self._file

    def _unavailable(self, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(f"cannot write to {self._folder}: {error.strerror}")
