"""Monitors of the process itself: the lag of its event loop, and steps of the machine's clock."""

import asyncio
from collections.abc import Sequence

import structlog

from aggregator.clock import SteadyClock
from aggregator.models import Price
from aggregator.observability.metrics import Metrics

_LAG_SECONDS = 0.25  # between two measurements of the event loop
_CLOCK_SECONDS = 1.0  # between two looks at the clock


class LoopLag:
    """Measures the lag of the event loop: for so many seconds, every task of the process had to wait."""

    def __init__(self, metrics: Metrics) -> None:
        self._lag = metrics.loop_lag

    async def run(self) -> None:
        """Measure four times a second; never return."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_SECONDS
            await asyncio.sleep(_LAG_SECONDS)
            self._lag.observe(max(0.0, loop.time() - due))


class ClockLog:
    """Logs each trouble with the machine's clock once, and its end: a step, and which time the exchanges confirm."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Look at the clock once a second; never return."""
        logged = ""
        while True:
            trouble = self._clock.trouble
            if trouble and trouble != logged:
                self._log.warning("clock_stepped", trouble=trouble)
            elif logged and not trouble:
                self._log.info("clock_well")
            logged = trouble
            await asyncio.sleep(_CLOCK_SECONDS)


class ClockWitness:
    """Bus listener for a process without exchanges: the prices of the refreshers show which time is right."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock

    def receive(self, prices: Sequence[Price]) -> None:
        """Compare our clock, if it has stepped, with the times at which the refreshers made `prices`."""
        if self._clock.is_off:
            self._clock.witness(price.updated_at for price in prices)

    def connected(self) -> None:
        """Do nothing: no old price arrives after a reconnect."""

    def disconnected(self) -> None:
        """Do nothing."""
