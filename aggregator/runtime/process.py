"""What the parts of one process have in common."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from aggregator.clock import SteadyClock
from aggregator.live.topics import Bus
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import Tracer
from aggregator.prices.freshness import Freshness, VenueCoverage
from aggregator.prices.rejections import Rejections, window_seconds
from aggregator.prices.tiers import Catalog
from aggregator.settings import Settings

_LONGEST_REFRESH = 2.0  # seconds a refresh may take beyond the exchanges' timeout: waiting for a slot, and the stores


class Runs(Protocol):
    """Something with work of its own beside the requests."""

    async def run(self) -> None:
        """Do it, for ever."""


class Process:
    """The settings of one process, what all its parts share, and the stack that closes them the other way round."""

    def __init__(
        self, settings: Settings, catalog: Catalog, tracer: Tracer, stack: AsyncExitStack, stop: asyncio.Event
    ) -> None:
        self.settings = settings
        self.catalog = catalog
        self.tracer = tracer
        self.stack = stack
        self.stop = stop
        self.metrics = Metrics()
        self.hub = Bus()
        self.coverage = VenueCoverage()
        self.clock = SteadyClock()
        self.freshness = Freshness(catalog, self.metrics, self.coverage, self.clock.now)
        self.rejections = Rejections(window_seconds(min(one.interval for one in catalog.cadence.values())))
        self.beside: list[Coroutine[Any, Any, None]] = []
        """What has to run with the server: a crash of either ends both."""

        self.longest_refresh = settings.exchange_timeout + _LONGEST_REFRESH
        """Seconds."""

        self.name = f"{socket.gethostname()}-{os.getpid()}"
        """One that no other process on the same Redis has."""

        self.metrics.processes.labels(settings.role).set(1)
        self.metrics.before_text(lambda: self.freshness.report(self.clock.now()))

    async def keep_running(self, part: Runs) -> None:
        """Let a part do its own work until the stack closes."""
        await self.stack.enter_async_context(_running(part))


@asynccontextmanager
async def _running(part: Runs) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(part.run())
        yield
        running.cancel()
