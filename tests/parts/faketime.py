"""A wall clock that a test can step while processes use it (libfaketime)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts import forks

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def library() -> Path | None:
    """Return the path of libfaketime, or None when it is not installed."""
    return _LIBRARIES[0] if _LIBRARIES else None


class FakeTime:
    """The wall clock of processes started inside `inherited`; their monotonic clock stays the machine's."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"
        self.step(0)

    def step(self, seconds: int) -> None:
        """Set the wall clock `seconds` ahead of the machine's (negative: behind); processes see it within a second."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.replace(self._file)

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Make all processes that are started in the block use this clock for their whole life."""
        preloaded = library()
        assert preloaded is not None
        variables = {
            "LD_PRELOAD": os.fspath(preloaded),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds; without this, each reading of the clock reads the file
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        os.environ.update(variables)  # for child processes; this process has loaded its libraries already
        forks.share(os.environ)
        try:
            yield
        finally:
            for name in variables:
                del os.environ[name]
