"""The venues that push, each in turn."""

from collections.abc import AsyncIterator

import pytest

from tests.exchanges.push.scene import Scene, running, until
from tests.exchanges.venues.servers import FEEDS


@pytest.fixture(params=list(FEEDS))
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """Return each venue that pushes, with its feed running."""
    async with running(request.param) as scene:
        await until(scene.young)
        yield scene
