"""The bench of the archive still runs, briefly. The figures are not judged here."""

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from tests.bench import archive


def test_the_archive_is_measured() -> None:
    """Rate, size and cost have values."""
    assert all(one.value > 0 for one in archive.run(rows=2000, stored=2000))
