"""A wall clock that a test steps while the processes that read it run: Debian's libfaketime."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def library() -> Path | None:
    """Return libfaketime, or None where it is not installed."""
    return _LIBRARIES[0] if _LIBRARIES else None


class FakeTime:
    """The wall clock of the processes started while it is `inherited`. Their monotonic clock is the machine's own."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"
        self.step(0)

    def step(self, seconds: int) -> None:
        """Set the wall clock so far ahead of the machine's, negative for behind; it is seen within a second."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.replace(self._file)

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Let the processes that are started in the block read this clock, as long as they live."""
        preloaded = library()
        assert preloaded is not None
        variables = {
            "LD_PRELOAD": os.fspath(preloaded),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a step is noticed; without, each reading reads the file
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        os.environ.update(variables)  # read by whatever is started; this process has loaded its libraries
        try:
            yield
        finally:
            for name in variables:
                del os.environ[name]
