"""How late the event loop is, felt by someone who wants to be woken regularly; and which time others tell."""

import asyncio
from collections.abc import Sequence

import structlog

from aggregator.clock import SteadyClock
from aggregator.models import Price
from aggregator.observability.metrics import Metrics

_SECONDS = 0.25
_LOOK_SECONDS = 1.0


class LoopLag:
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


class ClockLog:
    """Logs when the machine's clock steps, when it is known which time is right, and when all is well again."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Look once a second; never returns."""
        told = ""
        while True:
            trouble = self._clock.trouble
            if trouble and trouble != told:
                self._log.warning("clock_stepped", trouble=trouble)
            elif told and not trouble:
                self._log.info("clock_well")
            told = trouble
            await asyncio.sleep(_LOOK_SECONDS)


class TimeTold:
    """Listens to the hub where no exchange is asked: the prices of refreshers tell what time it is."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock

    def receive(self, prices: Sequence[Price]) -> None:
        """Compare our clock with the time at which others have made `prices`, where ours has stepped."""
        if self._clock.is_off:
            self._clock.witness(price.updated_at for price in prices)

    def connected(self) -> None:
        """Nothing to do: old prices are not told."""

    def disconnected(self) -> None:
        """Nothing to do."""
