"""A fixture: an outbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stores.outbox.parts import Parts


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """Return an open outbox that is not running yet."""
    parts = Parts(tmp_path / "outbox.db")
    await parts.outbox.open()
    yield parts
    await parts.outbox.close()
