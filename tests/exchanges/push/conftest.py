"""The exchanges that push, each in turn."""

from collections.abc import AsyncIterator

import pytest

from tests.exchanges.push.scene import Scene, running, until
from tests.exchanges.venues.servers import FEEDS


@pytest.fixture(params=list(FEEDS))
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """Each of the three, pushing."""
    async with running(request.param) as scene:
        await until(scene.young)
        yield scene
