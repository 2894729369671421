"""Settings and files that must stop the start with one line, without waiting and without a traceback."""

import os
from pathlib import Path

import pytest

from tests.parts.service import refusal

pytestmark = pytest.mark.real


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "10 GB"])
def test_a_symbols_file_that_would_keep_the_start_waiting(tmp_path: Path, kind: str) -> None:
    """A symbols file that is a FIFO or too large is one line; the start does not wait for it."""
    path = tmp_path / "symbols.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(10 << 30)  # a sparse file
    why = "is larger than 16 MiB" if kind == "10 GB" else "is no regular file"
    assert refusal(tmp_path, symbols_file=path) == f"aggregator: {path} {why}; name a file with --symbols-file"


def test_an_unknown_parameter_in_the_address_of_redis(tmp_path: Path) -> None:
    """An unknown parameter in the Redis URL is named in one line, without the password."""
    line = refusal(tmp_path, code=2, cache_url="redis://user:hunter2@localhost:6379/0?x=1")
    assert line == (
        "aggregator: AGGREGATOR_CACHE_URL: redis:// takes no parameter 'x', only client_name, db, "
        "health_check_interval, protocol"
    )
