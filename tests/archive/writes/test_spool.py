"""The files of JSON lines of a range."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from aggregator.archive.writes.spool import Spool
from aggregator.errors import StoreUnavailable

LINES = b"x" * 600_000


def lines(_: Sequence[int]) -> bytes:
    """Return more than half of the buffer of a file."""
    return LINES


def test_a_full_disk_is_an_outage(tmp_path: Path) -> None:
    """A write raises StoreUnavailable. The deletion raises nothing, although the buffer can still not be written."""
    (tmp_path / "1.ndjson").symlink_to("/dev/full")
    spool = Spool(tmp_path, lines)
    spool.add([1])
    with pytest.raises(StoreUnavailable, match="No space left"):
        spool.add([2])
    spool.close()
    assert not list(tmp_path.iterdir())
