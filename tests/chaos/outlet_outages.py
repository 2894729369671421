"""An outbox under load while its receiver is out of order, and what the receiver has recorded."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aggregator.outlets.outbox.queue_file import DEDUP_SECONDS
from tests.outlets.recording import Scene, event, until
from tests.parts.limits import allowed

ASSETS = ("btcusdt", "ethusdt", "solusdt")
_LEAST_PAUSE, _MOST = 0.05, 240  # seconds between two events of each asset, and events of each asset in an outage


class Taken(NamedTuple):
    """A key that the receiver has taken, its asset, and when."""

    key: str
    asset: str
    at: float


class Load:
    """Hands events over, one of each asset at a time, and each a second time: a key is sent once."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.count = 0

    async def run(self, seconds: float) -> None:
        """Hand events over for so long.

        A queue takes one event of an asset in a call, and moto answers some ten calls a second: more would wait longer
        for it than the outage lasts.
        """
        deadline, pause = time.monotonic() + seconds, max(_LEAST_PAUSE, seconds / _MOST)
        while time.monotonic() < deadline:
            events = [event(self.count, asset) for asset in ASSETS]
            await self._scene.outbox.hand_over([*events, *events])
            self.count += 1
            await asyncio.sleep(pause)

    @property
    def keys(self) -> set[str]:
        """The keys of everything that was handed over."""
        return {event(number, asset).key for number in range(self.count) for asset in ASSETS}


async def outage(scene: Scene, begin: Callable[[], None], end: Callable[[], None], seconds: float) -> Load:
    """Hand events over before, during and after an outage; return once nothing waits."""
    load = Load(scene)
    await load.run(0.3)
    begin()
    await load.run(seconds)
    end()
    await load.run(0.3)
    await scene.outbox.send_all(allowed(60 + 2 * seconds))  # a queue takes one event of an asset at a time
    assert await scene.file.left() == {}
    await until(lambda: scene.outbox.states.problems == {"stdout": ""})
    return load


def check(taken: Sequence[Taken], load: Load, most_twice: float) -> None:
    """Assert that nothing is lost, each asset is in order, and no key came again but `most_twice`."""
    first: dict[str, Taken] = {}
    again = Counter[str]()
    for one in taken:
        if one.key not in first:
            first[one.key] = one
        elif one.at - first[one.key].at < DEDUP_SECONDS:
            again[one.key] += 1
    assert set(first) == load.keys
    assert again.total() <= most_twice, again
    for asset in ASSETS:
        came = [one.key for one in first.values() if one.asset == asset]
        assert came == [event(number, asset).key for number in range(load.count)]
