"""Messages that keep a silent connection open, for venues that close it otherwise."""

import time

import pytest

from aggregator.exchanges.registry import PUSHING
from tests.exchanges.push.scene import running, until
from tests.exchanges.venues.servers import FEEDS

pytestmark = pytest.mark.real

PERIOD = 0.1  # seconds, in place of 20
PATIENCE = 3.0  # seconds after which the local venue closes a silent connection, in place of 30


@pytest.mark.parametrize("name", ["okx", "bybit"])
async def test_a_silent_connection_is_kept_open(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feed sends the venue's own ping in each period, and its answer is no junk."""
    monkeypatch.setattr(type(PUSHING[name]()), "keep_alive_seconds", PERIOD)
    venue = FEEDS[name]()
    venue.beats_only, venue.patience = True, PATIENCE
    async with running(name, interval=10, venue=venue) as scene:
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 1.5 * PATIENCE)
        assert sum(asked["op"] == "ping" for asked in venue.heard) >= 2
        assert venue.connections == 1
        assert scene.count("junk") == scene.count("lost") == 0


async def test_a_silent_connection_is_closed_by_the_venue() -> None:
    """Without the message the local venue closes the connection: the test above can fail."""
    venue = FEEDS["okx"]()
    venue.beats_only, venue.patience = True, PERIOD
    async with running("okx", interval=10, venue=venue) as scene:
        await until(lambda: scene.count("lost") >= 1)
