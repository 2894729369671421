"""How late the event loop is, felt by someone who wants to be woken regularly."""

import asyncio

from aggregator.metrics import Metrics

_SECONDS = 0.25


class Pulse:
    """Counts by how much it was woken too late: for so long, everybody else in the process had to wait as well."""

    def __init__(self, metrics: Metrics) -> None:
        self._lag = metrics.loop_lag

    async def run(self) -> None:
        """Measure four times a second; never returns."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _SECONDS
            await asyncio.sleep(_SECONDS)
            self._lag.observe(max(0.0, loop.time() - due))
